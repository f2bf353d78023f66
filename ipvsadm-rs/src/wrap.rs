// SPDX-License-Identifier: Apache-2.0
//! The wrappers `ipvsadm-save` and `ipvsadm-restore`.

use cli::Exit;

use crate::args::Line;
use crate::options::{Command, Opt};
use crate::session::Session;

/// The line that `ipvsadm-save` stands for. Words without a dash mean nothing, as they always did.
///
/// # Errors
///
/// An option that it does not have.
pub fn save(words: &[String]) -> Result<Vec<String>, String> {
    let mut line = vec!["--save".to_owned()];
    for word in words.iter().filter(|word| word.starts_with('-')) {
        match word.as_str() {
            "-n" => line.push("--numeric".to_owned()),
            other => {
                return Err(format!(
                    "unknown option `{other}`: -n is the only one, numbers instead of names"
                ));
            }
        }
    }
    Ok(line)
}

/// Clears the table and runs the commands on standard input; lines that begin with `#` are notes. With `--replace` the
/// table is made equal to them at once instead. Other words mean nothing, as they always did.
pub fn restore(words: &[String], session: &mut Session<'_>) -> Exit {
    let has = |word: &str| words.iter().any(|given| given == word);
    let mut line = Line::new(Command::Restore);
    if has("--replace") {
        let wanted = [Opt::Replace].into_iter().chain(Some(Opt::DryRun).filter(|_| has("--dry-run")));
        for opt in wanted {
            line.given.add(opt).expect("each is added once");
        }
        return session.run(&line);
    }
    let cleared = session.run(&Line::new(Command::Clear));
    if cleared != Exit::Done {
        return cleared;
    }
    line.notes = true;
    session.run(&line)
}
