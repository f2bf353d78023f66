// SPDX-License-Identifier: Apache-2.0
//! `../README.md` lists what operators know and the tests that show it: every row has a test of its number, or says why not.

use crate::table;

/// Rows with a table of their own: the SYN proxy's.
const ELSEWHERE: std::ops::RangeInclusive<u32> = 91..=119;

/// Rows about ICMP, whose tests may have the number that their requirement has in the table of `../icmp/README.md`.
const ICMP: std::ops::RangeInclusive<u32> = 120..=133;

#[test]
fn every_row_has_a_test_of_its_number_or_a_reason() {
    let rows = table::read(include_str!("../README.md"));
    for row in &rows {
        let number: u32 = row.number.parse().expect("a number");
        let prefix = format!("row{number:03}_");
        let required = |name: &str| name.starts_with("icmp_") || name.starts_with("r_");
        let own =
            row.tests.iter().any(|name| name.contains(&prefix) || ICMP.contains(&number) && required(name));
        assert!(
            own || row.text.contains("not here:"),
            "row {number} has neither a test of its number nor a reason"
        );
    }
    let numbers: Vec<u32> = rows.iter().map(|row| row.number.parse().expect("a number")).collect();
    let all: Vec<u32> = (1..=160).filter(|row| !ELSEWHERE.contains(row)).collect();
    assert_eq!(numbers, all);
}
