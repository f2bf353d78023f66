// SPDX-License-Identifier: Apache-2.0
//! The prompt: a line is a command line without the tool's name, read by the tool's own parser.
//!
//! Where standard input is no terminal, lines are read from it without prompt, history or completion.

use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::exit::{Exit, complain};

/// What the prompt needs of a tool.
pub trait Commands {
    /// Does one command; prints its output and its complaints.
    fn run(&mut self, words: &[String]) -> Exit;

    /// The words that may follow `before`. `word` is what is written of the next one; what does not begin with it is
    /// left out afterwards.
    fn complete(&mut self, before: &[String], word: &str) -> Vec<String>;
}

/// Reads and does commands until `exit`, `quit` or the end of the input. Ends as the last command that failed did;
/// at a terminal, with [`Exit::Done`].
pub fn run(tool: &str, commands: &mut impl Commands) -> Exit {
    let read = match io::stdin().is_terminal() {
        true => interact(tool, commands).map(|()| Exit::Done),
        false => feed(tool, io::stdin().lock(), commands),
    };
    read.unwrap_or_else(|reason| {
        complain(tool, format_args!("cannot read from standard input: {reason}"));
        Exit::Usage
    })
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Nothing: blank, or a comment.
    Nothing,
    /// To end.
    End,
    /// A command.
    Command(Vec<String>),
    /// A quote or backslash is left open.
    Open,
}

impl Line {
    /// Words are quoted as in a shell, `#` begins a comment, and the name of the tool may stand in front.
    fn read(tool: &str, line: &str) -> Self {
        let Some(mut words) = shlex::split(line) else { return Line::Open };
        if words.first().is_some_and(|word| word == tool) {
            words.remove(0);
        }
        match words.first().map(String::as_str) {
            None => Line::Nothing,
            Some("exit" | "quit") => Line::End,
            Some(_) => Line::Command(words),
        }
    }
}

fn feed(tool: &str, input: impl BufRead, commands: &mut impl Commands) -> io::Result<Exit> {
    let mut last = Exit::Done;
    for line in input.lines() {
        let exit = match Line::read(tool, &line?) {
            Line::Nothing => continue,
            Line::End => break,
            Line::Command(words) => commands.run(&words),
            Line::Open => open_quote(tool),
        };
        if exit != Exit::Done {
            last = exit;
        }
    }
    Ok(last)
}

fn open_quote(tool: &str) -> Exit {
    complain(tool, "a quote is left open");
    Exit::Usage
}

fn interact(tool: &str, commands: &mut impl Commands) -> io::Result<()> {
    let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true).build();
    let mut editor: Editor<Prompt<'_, _>, FileHistory> =
        Editor::with_config(config).map_err(io::Error::other)?;
    editor.set_helper(Some(Prompt { tool, commands: RefCell::new(commands) }));
    let history = history(tool);
    if let Some(path) = &history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    let ended = converse(tool, &mut editor);
    if let Some(path) = &history {
        // A home that cannot be written costs the history and nothing else.
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = editor.save_history(path);
    }
    ended
}

fn converse<C: Commands>(tool: &str, editor: &mut Editor<Prompt<'_, C>, FileHistory>) -> io::Result<()> {
    loop {
        let line = match editor.readline(&format!("{tool}> ")) {
            Ok(line) => line,
            // Control-C gives up the line, control-D ends.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        };
        match (Line::read(tool, &line), editor.helper()) {
            (Line::End, _) => return Ok(()),
            (Line::Command(words), Some(prompt)) => {
                prompt.commands.borrow_mut().run(&words);
            }
            (Line::Open, _) => {
                open_quote(tool);
            }
            (Line::Nothing | Line::Command(_), _) => {}
        }
    }
}

/// The user's state directory is where histories belong: `$XDG_STATE_HOME`, else `~/.local/state`.
fn history(tool: &str) -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    Some(state.join("dpvs").join(format!("{tool}_history")))
}

/// What the line editor asks.
struct Prompt<'a, C> {
    tool: &'a str,
    commands: RefCell<&'a mut C>,
}

impl<C: Commands> Prompt<'_, C> {
    /// Where the word to be completed begins, and what it may become.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let (before, word) = line.split_at(start);
        let Some(mut before) = shlex::split(before) else { return (start, Vec::new()) };
        if before.first().is_some_and(|first| first == self.tool) {
            before.remove(0);
        }
        let mut words = self.commands.borrow_mut().complete(&before, word);
        if before.is_empty() {
            words.extend(["exit", "quit"].map(str::to_owned));
        }
        words.retain(|candidate| candidate.starts_with(word));
        words.sort();
        words.dedup();
        (start, words)
    }
}

impl<C: Commands> Completer for Prompt<'_, C> {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut words) = self.candidates(&line[..pos]);
        if let [only] = words.as_mut_slice() {
            only.push(' ');
        }
        Ok((start, words))
    }
}

impl<C: Commands> Hinter for Prompt<'_, C> {
    type Hint = String;
}
impl<C: Commands> Highlighter for Prompt<'_, C> {}
impl<C: Commands> Validator for Prompt<'_, C> {}
impl<C: Commands> Helper for Prompt<'_, C> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what it was asked; `bad` fails.
    #[derive(Default)]
    struct Recorder {
        ran: Vec<String>,
        completed: Vec<String>,
    }

    impl Commands for Recorder {
        fn run(&mut self, words: &[String]) -> Exit {
            self.ran.push(words.join("|"));
            if words[0] == "bad" { Exit::Refused } else { Exit::Done }
        }

        fn complete(&mut self, before: &[String], word: &str) -> Vec<String> {
            self.completed.push(format!("{}<{word}", before.join("|")));
            ["show", "stats", "set", "dpdk0"].map(str::to_owned).to_vec()
        }
    }

    fn fed(input: &str) -> (Exit, Vec<String>) {
        let mut recorder = Recorder::default();
        let exit = feed("tool", input.as_bytes(), &mut recorder).unwrap();
        (exit, recorder.ran)
    }

    #[test]
    fn each_line_is_a_command_line_with_or_without_the_name_of_the_tool() {
        let input = "one two\n\n  # a remark\ntool three 'fo ur'  # and why\nexit\nnot this\n";
        assert_eq!(fed(input), (Exit::Done, vec!["one|two".into(), "three|fo ur".into()]));
    }

    #[test]
    fn input_goes_on_after_a_failure_and_ends_with_its_status() {
        assert_eq!(fed("bad\ngood\n"), (Exit::Refused, vec!["bad".into(), "good".into()]));
        assert_eq!(fed("good 'open\ngood\n"), (Exit::Usage, vec!["good".into()]));
    }

    #[test]
    fn completion_is_about_the_last_word_and_what_begins_like_it() {
        let mut recorder = Recorder::default();
        let prompt = Prompt { tool: "tool", commands: RefCell::new(&mut recorder) };
        assert_eq!(prompt.candidates("link s"), (5, vec!["set".into(), "show".into(), "stats".into()]));
        assert_eq!(prompt.candidates("tool link set d"), (14, vec!["dpdk0".into()]));
        assert_eq!(prompt.candidates("e"), (0, vec!["exit".into()]));
        assert_eq!(prompt.candidates("'open s"), (6, vec![]));
        assert_eq!(recorder.completed, ["link<s", "link|set<d", "<e"]);
    }
}
