// SPDX-License-Identifier: Apache-2.0
//! The block tree against arbitrary text, and files that include each other.

use std::fs;

use keepalived_conf::{print, tree};
use proptest::prelude::*;

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = tree::parse(&String::from_utf8_lossy(&bytes), "x.conf");
    }

    #[test]
    fn printing_what_was_read_is_stable(text in "([a-z]{1,3}|[\"#!<> \t{}\r\n]){0,60}") {
        if let Ok(read) = tree::parse(&text, "x.conf") {
            let printed = print::tree(&read);
            let again = tree::parse(&printed, "x.conf").expect("what is printed can be read");
            prop_assert_eq!(print::tree(&again), printed);
        }
    }
}

#[test]
fn included_files_stand_in_place_of_the_statement() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    fs::create_dir(dir.path().join("d")).expect("writable");
    fs::write(dir.path().join("a.conf"), "x {\n include d/*.conf\n y 3\n}\n").expect("writable");
    fs::write(dir.path().join("d/2.conf"), "b 2\n").expect("writable");
    fs::write(dir.path().join("d/1.conf"), "b 1\ninclude ../e.conf\n").expect("writable");
    fs::write(dir.path().join("e.conf"), "e\n").expect("writable");
    let read = tree::load(&dir.path().join("a.conf")).expect("good files");
    assert_eq!(print::tree(&read), "x {\n    b 1\n    e\n    b 2\n    y 3\n}\n");
    assert!(read.blocks[0].children()[1].span.file.ends_with("e.conf"));
}

#[test]
fn a_cycle_and_a_missing_file_are_errors_with_their_line() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let path = dir.path().join("a.conf");
    fs::write(&path, "x\ninclude b.conf\n").expect("writable");
    let error = tree::load(&path).expect_err("nothing to include").to_string();
    assert!(error.ends_with("a.conf:2: include b.conf: no such file"), "{error}");
    fs::write(dir.path().join("b.conf"), "\n\ninclude a.conf\n").expect("writable");
    let error = tree::load(&path).expect_err("a cycle").to_string();
    assert!(error.contains("b.conf:3: ") && error.ends_with("includes itself"), "{error}");
}
