// SPDX-License-Identifier: Apache-2.0
//! The tool without its process: words and input go in, what a shell would see comes out.

use cli::{Ask, Exit};
use dpvs_tests::transcript::{self, Seen};
use ipvsadm_rs::args::{self, Style};
use ipvsadm_rs::input::Input;
use ipvsadm_rs::names::Names;
use ipvsadm_rs::session::Session;
use ipvsadm_rs::wrap;

/// Names as the recording machine knew them.
pub fn names() -> Names {
    let hosts = std::fs::read_to_string(transcript::golden().join("hosts")).unwrap();
    Names::from_texts(&hosts, &std::fs::read_to_string("/etc/services").unwrap())
}

/// What a command did, and what it said.
pub struct Ran {
    /// As transcripts record it.
    pub seen: Seen,
    /// What it wrote on standard error.
    pub stderr: String,
}

/// Runs a program of the package.
pub fn run(argv: &[String], stdin: &str, ask: &mut dyn Ask, names: &Names, style: Style) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut input = Input::new(std::io::Cursor::new(stdin.to_owned()));
    let mut session = Session { ask, names, input: &mut input, out: &mut out, err: &mut err, style };
    let exit = match argv[0].as_str() {
        "ipvsadm" => line(&mut session, &argv[1..]),
        "ipvsadm-save" => match wrap::save(&argv[1..]) {
            Ok(words) => line(&mut session, &words),
            Err(reason) => {
                session.complain(reason);
                Exit::Refused
            }
        },
        "ipvsadm-restore" => wrap::restore(&argv[1..], &mut session),
        other => panic!("{other}"),
    };
    let seen = Seen {
        stdout: Some(String::from_utf8(out).unwrap()),
        complained: !err.is_empty(),
        status: exit.status().into(),
    };
    Ran { seen, stderr: String::from_utf8(err).unwrap() }
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
