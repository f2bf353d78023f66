// SPDX-License-Identifier: Apache-2.0
//! The recorded transcripts of stock ipvsadm, replayed through the tool's own stages against a table in memory.

use crate::table::Table;
use crate::tool;
use dpvs_tests::transcript::{self, Case};
use ipvsadm_rs::args::{self, Line, Style};
use ipvsadm_rs::names::Names;
use ipvsadm_rs::options::Command;

/// The first command of a case that does not do what was recorded.
fn first_difference(case: &Case, names: &Names) -> Option<String> {
    let mut table = Table::default();
    case.commands.iter().find_map(|command| {
        let seen = tool::run(&command.argv, &command.stdin, &mut table, names, Style::Stock).seen;
        let difference = transcript::difference(&command.seen, &seen)?;
        Some(format!("{}: {:?}\n{difference}", case.name, command.argv))
    })
}

#[test]
fn recorded_transcripts_are_repeated() {
    let names = tool::names();
    let cases = transcript::cases(&transcript::golden()).unwrap();
    let (on_purpose, same): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| transcript::differs_on_purpose(&case.name));
    let wrong: Vec<String> = same.iter().filter_map(|case| first_difference(case, &names)).collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), same.len(), wrong.join("\n"));
    let same_after_all: Vec<&str> = on_purpose
        .iter()
        .filter(|case| first_difference(case, &names).is_none())
        .map(|case| case.name.as_str())
        .collect();
    assert!(same_after_all.is_empty(), "these no longer differ: {same_after_all:?}");
    assert_eq!((same.len(), on_purpose.len()), (393, 26), "repeated, and different on purpose");
}

#[test]
fn a_line_without_a_command_is_no_line() {
    let misuse = args::read(&["-n".to_owned()], &tool::names()).unwrap_err();
    assert_eq!(misuse.status, 255);
    let line: Line = args::read(&[], &tool::names()).unwrap();
    assert_eq!(line.command, Command::List);
}
