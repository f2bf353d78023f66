// SPDX-License-Identifier: Apache-2.0
//! `README.md` lists what the SYN proxy must do and the tests that show it: every test it names is there.

use crate::table;

#[test]
fn every_requirement_names_tests_that_exist() {
    let rows = table::read(include_str!("README.md"));
    for row in &rows {
        assert!(!row.tests.is_empty(), "{} is not tested", row.number);
    }
    let numbers: Vec<u32> = rows.iter().map(|row| row.number.parse().expect("a number")).collect();
    let expected: Vec<u32> = (1..=21).chain(91..=119).collect();
    assert_eq!(numbers, expected);
}
