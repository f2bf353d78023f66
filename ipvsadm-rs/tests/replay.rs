// SPDX-License-Identifier: Apache-2.0
//! The recorded transcripts of stock ipvsadm, replayed through the tool's own stages against a table in memory.

mod table;

use cli::Exit;
use dpvs_tests::transcript::{self, Case, Seen};
use ipvsadm_rs::args::{self, Line, Style};
use ipvsadm_rs::names::Names;
use ipvsadm_rs::options::Command;
use ipvsadm_rs::session::Session;
use table::Table;

/// Names as the recording machine knew them.
fn names() -> Names {
    let hosts = std::fs::read_to_string(transcript::golden().join("hosts")).unwrap();
    Names::from_texts(&hosts, &std::fs::read_to_string("/etc/services").unwrap())
}

fn run(argv: &[String], stdin: &str, table: &mut Table, names: &Names) -> Seen {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = stdin.as_bytes();
    let mut session =
        Session { ask: table, names, input: &mut input, out: &mut out, err: &mut err, style: Style::Stock };
    let exit = match argv[0].as_str() {
        "ipvsadm" => line(&mut session, &argv[1..]),
        "ipvsadm-save" => match ipvsadm_rs::wrap::save(&argv[1..]) {
            Ok(words) => line(&mut session, &words),
            Err(reason) => {
                session.complain(reason);
                Exit::Refused
            }
        },
        "ipvsadm-restore" => ipvsadm_rs::wrap::restore(&mut session),
        other => panic!("{other}"),
    };
    Seen {
        stdout: Some(String::from_utf8(out).unwrap()),
        complained: !err.is_empty(),
        status: exit.status().into(),
    }
}

fn line(session: &mut Session<'_>, words: &[String]) -> Exit {
    match args::read(words, session.names) {
        Ok(line) => session.run(&line),
        Err(misuse) => {
            session.complain(&misuse);
            Exit::Status(misuse.status)
        }
    }
}

/// The first command of a case that does not do what was recorded.
fn first_difference(case: &Case, names: &Names) -> Option<String> {
    let mut table = Table::default();
    case.commands.iter().find_map(|command| {
        let seen = run(&command.argv, &command.stdin, &mut table, names);
        let difference = transcript::difference(&command.seen, &seen)?;
        Some(format!("{}: {:?}\n{difference}", case.name, command.argv))
    })
}

#[test]
fn recorded_transcripts_are_repeated() {
    let names = names();
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
    assert_eq!((same.len(), on_purpose.len()), (396, 23), "repeated, and different on purpose");
}

#[test]
fn a_line_without_a_command_is_no_line() {
    let misuse = args::read(&["-n".to_owned()], &names()).unwrap_err();
    assert_eq!(misuse.status, 255);
    let line: Line = args::read(&[], &names()).unwrap();
    assert_eq!(line.command, Command::List);
}
