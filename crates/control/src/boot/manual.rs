// SPDX-License-Identifier: Apache-2.0
//! The parts of `man/dpvs.conf.5` that follow from the table of keywords, in mdoc; and the test that they are there.
//!
//! `UPDATE_MAN=1 cargo test -p control manual` writes them anew.

use std::fmt::Write as _;

use super::table::{Key, WhenChanged, keys};
use super::value::Takes;

/// Every keyword that does something: a section for each block at the top, a list for each block in it.
fn keywords() -> String {
    let mut text = String::new();
    for block in within("").filter(|block| within(block.path).any(does_something)) {
        let _ = write!(text, ".Ss {}\n{}\n", block.path, block.doc);
        list(&mut text, block);
    }
    text
}

/// The keywords in a block, and in those in it.
fn list(text: &mut String, block: &Key) {
    text.push_str(".Bl -tag -width Ds\n");
    for key in within(block.path).filter(|key| does_something(key)) {
        let name = if let Takes::Named(name) = key.takes { format!(" Ar {name}") } else { String::new() };
        // Sentences begin on lines of their own.
        let doc = key.doc.replace(". ", ".\n");
        let _ = write!(text, ".It Ic {}{name}\n{doc}\n", key.word());
        if key.takes != Takes::Block {
            text.push_str(&facts(key));
        }
        if within(key.path).any(does_something) {
            list(text, key);
        }
    }
    text.push_str(".El\n");
}

/// What it takes, what holds without it, and when a change of it is taken up.
fn facts(key: &Key) -> String {
    let takes = match key.takes {
        Takes::Named(_) => "a name and a block; may be repeated".to_owned(),
        takes => takes.to_string(),
    };
    let default = match key.default {
        "" => String::new(),
        default => format!("\nDefault:\n.Li {default} ."),
    };
    let changed = match key.changed {
        WhenChanged::Reload => "reload",
        WhenChanged::Restart => "restart",
    };
    format!(".br\nTakes {takes}.{default}\nChanged by a {changed}.\n")
}

/// Keywords of DPVS without effect, each with the reason.
fn ignored() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for key in keys() {
        if let Takes::Nothing(why) = key.takes {
            let _ = write!(text, ".It Ic {}\n{}.\n", key.path, capital(why));
        }
    }
    text + ".El\n"
}

/// The keywords right in the block at a path; those at the top for an empty one.
fn within(path: &'static str) -> impl Iterator<Item = &'static Key> {
    keys().filter(move |key| key.block() == path)
}

fn does_something(key: &Key) -> bool {
    match key.takes {
        Takes::Nothing(_) => false,
        Takes::Block => within(key.path).any(does_something),
        _ => true,
    }
}

fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// The page with the parts that follow from the table made anew.
fn renewed(page: &str) -> String {
    [("keywords", keywords()), ("ignored", ignored())].iter().fold(page.to_owned(), |page, (name, part)| {
        let (begin, end) = (format!(".\\\" begin {name}\n"), format!(".\\\" end {name}\n"));
        let (before, rest) = page.split_once(&begin).expect("the page marks where the part begins");
        let (_, after) = rest.split_once(&end).expect("the page marks where the part ends");
        format!("{before}{begin}{part}{end}{after}")
    })
}

#[test]
fn the_manual_says_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/dpvs.conf.5");
    let page = std::fs::read_to_string(&path).unwrap();
    let wanted = renewed(&page);
    if std::env::var_os("UPDATE_MAN").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(page == wanted, "run UPDATE_MAN=1 cargo test -p control manual");
}

/// What the generator writes, judged without it: every keyword's own word is the head of an item or a section.
#[test]
fn every_keyword_is_in_the_manual() {
    let page = include_str!("../../../../man/dpvs.conf.5");
    for key in keys() {
        let heads =
            [format!(".Ss {}", key.path), format!(".It Ic {}", key.word()), format!(".It Ic {}", key.path)];
        let described = page
            .lines()
            .any(|line| heads.iter().any(|head| line == head || line.starts_with(&format!("{head} "))));
        // A block whose keywords all do nothing is named by them.
        let empty = key.takes == Takes::Block && !does_something(key);
        assert!(described || empty && page.contains(&format!("{}/", key.path)), "{}", key.path);
    }
}
