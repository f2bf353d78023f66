// SPDX-License-Identifier: Apache-2.0
//! Recorded transcripts of a command-line tool: what was typed, and what came of it.
//!
//! The format is described beside the recordings, in `tests/golden/ipvsadm/README.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Commands that ran one after the other, from a clean table.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file and the name of the case in it, as `list/numeric`.
    pub name: String,
    /// Its commands.
    pub commands: Vec<Command>,
}

/// One command and what it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it read.
    pub stdin: String,
    /// What it did.
    pub seen: Seen,
}

/// What a command did, as far as transcripts say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it wrote on standard output; `None` for something of its own.
    pub stdout: Option<String>,
    /// Whether it wrote on standard error.
    pub complained: bool,
    /// Its exit status.
    pub status: i32,
}

/// Where the recordings of ipvsadm are.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/ipvsadm")
}

/// All cases of the `.txt` files in `dir`, by name of file.
///
/// # Errors
///
/// When a file cannot be read or is no transcript.
pub fn cases(dir: &Path) -> Result<Vec<Case>> {
    let files = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "txt"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let theme = path.file_stem().unwrap_or_default().to_string_lossy();
        all.extend(read(&theme, &text).with_context(|| format!("in {}", path.display()))?);
    }
    Ok(all)
}

fn read(theme: &str, text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        take(theme, line, &mut cases).with_context(|| format!("line {}: {line}", number + 1))?;
    }
    Ok(cases)
}

fn take(theme: &str, line: &str, cases: &mut Vec<Case>) -> Result<()> {
    if let Some(name) = line.strip_prefix("=== case ") {
        cases.push(Case { name: format!("{theme}/{name}"), commands: Vec::new() });
        return Ok(());
    }
    if line.is_empty() || line.starts_with("# ") {
        return Ok(());
    }
    let commands = &mut cases.last_mut().context("before the first case")?.commands;
    if let Some(argv) = line.strip_prefix("$ ") {
        let argv = shlex::split(argv).context("a quote is left open")?;
        commands.push(Command {
            argv,
            seen: Seen { stdout: Some(String::new()), ..Seen::default() },
            ..Command::default()
        });
        return Ok(());
    }
    let command = commands.last_mut().context("before the first command")?;
    let stdout = command.seen.stdout.as_mut();
    match (line.split_at_checked(2).unwrap_or((line, "")), stdout) {
        (("< " | "<", text), _) => writeln!(command.stdin, "{text}")?,
        (("<|", text), _) => command.stdin += text.strip_prefix(' ').unwrap_or(text),
        (("> " | ">", text), Some(stdout)) => writeln!(stdout, "{text}")?,
        ((">|", text), Some(stdout)) => *stdout += text.strip_prefix(' ').unwrap_or(text),
        (("~", ""), _) => command.seen.stdout = None,
        (("! ", _), _) => command.seen.complained = true,
        (("? ", status), _) => command.seen.status = status.parse()?,
        _ => bail!("no line of a transcript"),
    }
    Ok(())
}

/// How what was seen differs from what was recorded; `None` where they agree.
pub fn difference(recorded: &Seen, seen: &Seen) -> Option<String> {
    let mut text = String::new();
    if recorded.status != seen.status {
        let _ = writeln!(text, "status {} instead of {}", seen.status, recorded.status);
    }
    if recorded.complained != seen.complained {
        let word = if seen.complained { "complained" } else { "did not complain" };
        let _ = writeln!(text, "{word}");
    }
    let stdout = seen.stdout.clone().unwrap_or_default();
    match &recorded.stdout {
        Some(wanted) if normalised(wanted) != normalised(&stdout) => {
            let _ = writeln!(text, "printed\n{stdout}instead of\n{wanted}");
        }
        _ => {}
    }
    (!text.is_empty()).then_some(text)
}

/// Whether ours differs from what was recorded in a case, on purpose: [`golden`]`/DIFFERENCES.md` says why.
pub fn differs_on_purpose(case: &str) -> bool {
    let list =
        std::fs::read_to_string(golden().join("DIFFERENCES.md")).expect("the list is beside the recordings");
    list.lines().any(|line| line.split('`').nth(1) == Some(case))
}

/// The size of the connection table is the machine's.
fn normalised(text: &str) -> String {
    let line = |line: &str| match line.split_once(" (size=") {
        Some((banner, _)) if banner.starts_with("IP Virtual Server") => format!("{banner} (size=)\n"),
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_read_line_by_line() {
        let text = "# a theme\n\n=== case one\n$ tool -t '' \"a b\"\n< in\n<\n<| end\n> out \n>\n! *\n? 2\n$ tool\n~\n? 0\n";
        let cases = read("theme", text).unwrap();
        assert_eq!(cases.len(), 1);
        assert_eq!(cases[0].name, "theme/one");
        let first = &cases[0].commands[0];
        assert_eq!(first.argv, ["tool", "-t", "", "a b"]);
        assert_eq!(first.stdin, "in\n\nend");
        let seen = Seen { stdout: Some("out \n\n".into()), complained: true, status: 2 };
        assert_eq!(first.seen, seen);
        assert_eq!(cases[0].commands[1].seen, Seen::default());
    }

    #[test]
    fn only_the_table_size_may_differ() {
        let seen = |stdout: &str| Seen { stdout: Some(stdout.into()), complained: false, status: 0 };
        let banner = |size| seen(&format!("IP Virtual Server version 1.2.1 (size={size})\nx \n"));
        assert_eq!(difference(&banner(4096), &banner(7)), None);
        assert!(difference(&seen("x \n"), &seen("x\n")).is_some());
    }
}
