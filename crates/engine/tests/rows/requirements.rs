// SPDX-License-Identifier: Apache-2.0
//! `../README.md` lists what operators know and the tests that show it: every row has a test of its number, or says why not.

use crate::table;

/// Rows with tables of their own, by what they require: the SYN proxy's, and those of ICMP.
const ELSEWHERE: std::ops::RangeInclusive<u32> = 91..=133;

/// Rows that named tests show, none of them by this number yet. A row leaves this list when it gets one; none comes back.
const UNNUMBERED: [u32; 31] = [
    23, 26, 28, 29, 30, 34, 35, 41, 49, 50, 53, 57, 63, 67, 70, 71, 74, 75, 76, 78, 80, 81, 86, 87, 88, 90,
    139, 146, 148, 151, 157,
];

#[test]
fn every_row_has_a_test_of_its_number_or_a_reason() {
    let rows = table::read(include_str!("../README.md"));
    let mut without = Vec::new();
    for row in &rows {
        let number: u32 = row.number.parse().expect("a number");
        let prefix = format!("row{number:03}_");
        let own = row.tests.iter().any(|name| name.contains(&prefix));
        if !own && !row.text.contains("not here:") {
            assert!(!row.tests.is_empty(), "row {number} has neither test nor reason");
            without.push(number);
        }
    }
    assert_eq!(without, UNNUMBERED, "rows without a test of their number");
    let numbers: Vec<u32> = rows.iter().map(|row| row.number.parse().expect("a number")).collect();
    let all: Vec<u32> = (1..=160).filter(|row| !ELSEWHERE.contains(row)).collect();
    assert_eq!(numbers, all);
}
