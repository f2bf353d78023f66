// SPDX-License-Identifier: Apache-2.0
//! `README.md` lists what the SYN proxy must do and the tests that show it: every test it names is there.

use std::path::Path;

const TABLE: &str = include_str!("README.md");

/// Everything that is tested, all files in one.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    TABLE.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).map(read).collect()
}

#[test]
fn every_requirement_names_tests_that_exist() {
    let sources = sources();
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, what, tests, _] = cells[..] else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        assert!(!what.is_empty());
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{number} is not tested");
        for name in named {
            assert!(sources.contains(&format!("fn {name}(")), "{number}: there is no test {name}");
        }
        rows.push(number);
    }
    let expected: Vec<u32> = (1..=21).chain(91..=119).collect();
    assert_eq!(rows, expected);
}
