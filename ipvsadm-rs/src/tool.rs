// SPDX-License-Identifier: Apache-2.0
//! What the commands `ipvsadm`, `ipvsadm-save` and `ipvsadm-restore` share: this process's words, streams and daemon.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use cli::connect::{Client, socket_path};
use cli::exit::{Exit, complain};

use crate::args::{self, Misuse, Style};
use crate::input::Input;
use crate::names::Names;
use crate::session::Session;
use crate::{complete, wrap};

/// The environment variable that chooses how listings are written.
pub const STYLE_VARIABLE: &str = "IPVSADM_STYLE";

/// Runs one line, given as the words after the name of the program.
pub fn run(words: &[String]) -> Exit {
    if let Some((COMPLETE, words)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return cli::exit::finish(TOOL, &completion(words), Exit::Done);
    }
    let names = Names::system();
    let style = match style() {
        Ok(style) => style,
        Err(misuse) => return misused(&misuse),
    };
    let line = match args::read(words, &names) {
        Ok(line) => line,
        Err(misuse) => return misused(&misuse),
    };
    run_lines(&names, style, line.ipc.as_deref(), |session| session.run(&line))
}

/// What may stand in place of the last of `words`, one a line.
fn completion(words: &[String]) -> String {
    let (word, before) = words.split_last().map_or(("", words), |(word, before)| (word.as_str(), before));
    let ipc = before.windows(2).rfind(|pair| pair[0] == "--ipc").map(|pair| Path::new(&pair[1]));
    let mut found = complete::candidates(before, &mut Client::new(socket_path(ipc)));
    found.retain(|candidate| candidate.starts_with(word));
    found.sort();
    found.dedup();
    found.into_iter().map(|word| word + "\n").collect()
}

fn run_lines(
    names: &Names,
    style: Style,
    ipc: Option<&Path>,
    lines: impl FnOnce(&mut Session<'_>) -> Exit,
) -> Exit {
    let mut client = Client::new(socket_path(ipc));
    let mut input = Input::new(io::stdin());
    let mut out = BufWriter::new(io::stdout().lock());
    let mut err = io::stderr();
    let exit = lines(&mut Session {
        ask: &mut client,
        names,
        input: &mut input,
        out: &mut out,
        err: &mut err,
        style,
    });
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(TOOL, format_args!("cannot write to standard output: {error}"));
            Exit::Refused
        }
        _ => exit,
    }
}

/// Does what `ipvsadm-restore` does with the words after its name.
pub fn restore(words: &[String]) -> Exit {
    let names = Names::system();
    let style = match style() {
        Ok(style) => style,
        Err(misuse) => return misused(&misuse),
    };
    run_lines(&names, style, None, |session| wrap::restore(words, session))
}

/// The words after the name of the program.
///
/// # Errors
///
/// The exit after a complaint, if one is not text.
pub fn words() -> Result<Vec<String>, Exit> {
    let words = std::env::args_os().skip(1).map(|word| {
        word.into_string()
            .map_err(|word| misused(&Misuse::line(format!("`{}` is not UTF-8", word.to_string_lossy()))))
    });
    words.collect()
}

fn style() -> Result<Style, Misuse> {
    match std::env::var(STYLE_VARIABLE).as_deref() {
        Err(_) | Ok("" | "stock") => Ok(Style::Stock),
        Ok("dpvs") => Ok(Style::Dpvs),
        Ok(other) => {
            Err(Misuse::line(format!("{STYLE_VARIABLE} `{other}` is unknown: stock or dpvs expected")))
        }
    }
}

fn misused(misuse: &Misuse) -> Exit {
    complain(TOOL, misuse);
    Exit::Status(misuse.status)
}

const TOOL: &str = "ipvsadm";

/// How shells ask for completion: this and then the words so far, the last one unfinished or empty.
const COMPLETE: &str = "--complete";
