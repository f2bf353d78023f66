// SPDX-License-Identifier: Apache-2.0
//! `README.md` lists what is required of ICMP and the tests that show it: every test it names is there, and each row has one of its name.

use crate::table;

#[test]
fn every_row_names_tests_that_exist() {
    let rows = table::read(include_str!("README.md"));
    for row in &rows {
        let prefix = match row.number.strip_prefix("R-") {
            Some(n) => format!("r_{n}_"),
            None => format!("icmp_{:02}_", row.number.parse::<u32>().expect("a number")),
        };
        let own = row.tests.iter().any(|name| name.starts_with(&prefix));
        assert!(own, "{} has no test of its name", row.number);
    }
    let expected: Vec<String> =
        (1..=10).map(|n| format!("R-{n}")).chain((1..=17).map(|n: u32| n.to_string())).collect();
    assert_eq!(rows.into_iter().map(|row| row.number).collect::<Vec<_>>(), expected);
}
