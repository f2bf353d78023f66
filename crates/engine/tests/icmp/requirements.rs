// SPDX-License-Identifier: Apache-2.0
//! `README.md` lists what is required of ICMP and the tests that show it: every test it names is there, and each row has one of its name.

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
fn every_row_names_tests_that_exist() {
    let sources = sources();
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, what, tests, _] = cells[..] else { continue };
        let prefix = match (number.strip_prefix("R-"), number.parse::<u32>()) {
            (Some(n), _) => format!("r_{n}_"),
            (_, Ok(n)) => format!("icmp_{n:02}_"),
            _ => continue,
        };
        assert!(!what.is_empty());
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(named.iter().any(|name| name.starts_with(&prefix)), "{number} has no test of its name");
        for name in named {
            assert!(sources.contains(&format!("fn {name}(")), "{number}: there is no test {name}");
        }
        rows.push(number.to_owned());
    }
    let expected: Vec<String> =
        (1..=10).map(|n| format!("R-{n}")).chain((1..=17).map(|n: u32| n.to_string())).collect();
    assert_eq!(rows, expected);
}
