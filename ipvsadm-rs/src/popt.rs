// SPDX-License-Identifier: Apache-2.0
//! Words into options, by the rules of the popt library that scripts rely on: letters may be bundled, a value may be
//! attached, attached with `=`, or the next word whatever it looks like; an optional value is the next word only if that
//! does not begin with a dash; other words may stand anywhere and are collected; after `--` every word is one of those.

use crate::options::{Command, Found, Value, find_long, find_short};

/// An option as it was written.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// What it is.
    pub found: Found,
    /// Its value, if it has one.
    pub value: Option<&'a str>,
    /// `-b` or `--sched-flags`, for messages.
    pub name: String,
}

/// Why a word is no option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing has this name.
    #[error("unknown option `{0}`")]
    Unknown(String),
    /// A value is missing.
    #[error("option `{0}` needs a value")]
    NoValue(String),
    /// A value is given to an option that has none.
    #[error("option `{0}` has no value")]
    UnwantedValue(String),
}

/// Reads the words of one command line, from left to right.
#[derive(Debug)]
pub struct Words<'a> {
    words: &'a [String],
    next: usize,
    bundle: &'a str,
    only_words: bool,
    leftovers: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// Reads `words`, which begin after the name of the program.
    pub fn new(words: &'a [String]) -> Self {
        Words { words, next: 0, bundle: "", only_words: false, leftovers: Vec::new() }
    }

    /// Words that belong to no option, as far as they were read.
    pub fn leftovers(&self) -> &[&'a str] {
        &self.leftovers
    }

    /// The next option, read as in a line with this command, if it is known already.
    ///
    /// # Errors
    ///
    /// [`WordError`] for a word that begins with a dash and is no option.
    pub fn option(&mut self, command: Option<Command>) -> Result<Option<Written<'a>>, WordError> {
        if !self.bundle.is_empty() {
            return self.letter(command).map(Some);
        }
        while let Some(word) = self.words.get(self.next) {
            self.next += 1;
            match word.strip_prefix('-') {
                None | Some("") => self.leftovers.push(word),
                Some(_) if self.only_words => self.leftovers.push(word),
                Some("-") => self.only_words = true,
                Some(rest) => match rest.strip_prefix('-') {
                    Some(long) => return self.long(long).map(Some),
                    None => {
                        self.bundle = rest;
                        return self.letter(command).map(Some);
                    }
                },
            }
        }
        Ok(None)
    }

    fn letter(&mut self, command: Option<Command>) -> Result<Written<'a>, WordError> {
        let mut letters = self.bundle.chars();
        let letter = letters.next().expect("the caller saw a letter");
        let name = format!("-{letter}");
        let Some(found) = find_short(letter, command) else {
            self.bundle = letters.as_str();
            return Err(WordError::Unknown(name));
        };
        let rest = letters.as_str();
        self.bundle = rest.strip_prefix('=').unwrap_or(rest);
        let attached = match found.value() {
            Value::None => None,
            _ if self.bundle.is_empty() => None,
            _ => Some(std::mem::take(&mut self.bundle)),
        };
        self.written(found, attached, name)
    }

    fn long(&mut self, text: &'a str) -> Result<Written<'a>, WordError> {
        let (long, attached) = match text.split_once('=') {
            Some((long, value)) => (long, Some(value)),
            None => (text, None),
        };
        let name = format!("--{long}");
        let found = find_long(long).ok_or_else(|| WordError::Unknown(name.clone()))?;
        self.written(found, attached, name)
    }

    fn written(
        &mut self,
        found: Found,
        attached: Option<&'a str>,
        name: String,
    ) -> Result<Written<'a>, WordError> {
        let value = match (found.value(), attached) {
            (Value::None, Some(_)) => return Err(WordError::UnwantedValue(name)),
            (Value::None, None) => None,
            (_, Some(value)) => Some(value),
            (Value::Required(_), None) => match self.take(|_| true) {
                Some(value) => Some(value),
                None => return Err(WordError::NoValue(name)),
            },
            (Value::Optional(_), None) => self.take(|word| !word.starts_with('-')),
        };
        Ok(Written { found, value, name })
    }

    fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Option<&'a str> {
        let word = self.words.get(self.next).filter(|word| wanted(word))?;
        self.next += 1;
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a line, as `NAME[=VALUE]` and `!ERROR`, and the words left over.
    fn read(line: &[&str]) -> (Vec<String>, Vec<String>) {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let mut reader = Words::new(&words);
        let mut seen = Vec::new();
        let mut command = None;
        loop {
            match reader.option(command) {
                Ok(None) => break,
                Ok(Some(Written { found, value, name })) => {
                    if let Found::Command(def) = found {
                        command = Some(def.command);
                    }
                    seen.push(value.map_or(name.clone(), |value| format!("{name}={value}")));
                }
                Err(error) => {
                    seen.push(format!("!{error}"));
                    break;
                }
            }
        }
        (seen, reader.leftovers().iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn letters_are_bundled_and_the_last_takes_the_rest_or_the_next_word() {
        assert_eq!(read(&["-Ln"]).0, ["-L", "-n"]);
        assert_eq!(read(&["-at", "v:80", "-rweb", "-mw5"]).0, ["-a", "-t=v:80", "-r=web", "-m", "-w=5"]);
        assert_eq!(read(&["-list"]).0, ["-l", "-i", "-s=t"]);
        assert_eq!(read(&["-a", "-w=5"]).0, ["-a", "-w=5"]);
        assert_eq!(read(&["-A", "-t", "-s", "rr"]), (vec!["-A".into(), "-t=-s".into()], vec!["rr".into()]));
    }

    #[test]
    fn an_optional_value_is_no_word_with_a_dash() {
        assert_eq!(read(&["-A", "-p", "-s", "rr"]).0, ["-A", "-p", "-s=rr"]);
        assert_eq!(read(&["-A", "-p", "60"]).0, ["-A", "-p=60"]);
        assert_eq!(read(&["-A", "-p60"]).0, ["-A", "-p=60"]);
        assert_eq!(read(&["-A", "--persistent=60", "-p"]).0, ["-A", "--persistent=60", "-p"]);
    }

    #[test]
    fn words_may_stand_anywhere_and_all_are_words_after_two_dashes() {
        assert_eq!(read(&["x", "-L", "y", "-", ""]).1, ["x", "y", "-", ""]);
        assert_eq!(read(&["-L", "--", "-n", "--"]), (vec!["-L".into()], vec!["-n".into(), "--".into()]));
    }

    #[test]
    fn what_is_no_option_is_named() {
        assert_eq!(read(&["-LT"]).0, ["-L", "!unknown option `-T`"]);
        assert_eq!(read(&["--lis"]).0, ["!unknown option `--lis`"]);
        assert_eq!(read(&["-A", "-t"]).0, ["-A", "!option `-t` needs a value"]);
        assert_eq!(read(&["--set=10"]).0, ["!option `--set` has no value"]);
        assert_eq!(read(&["--set", "-1", "1", "1"]).0, ["--set", "!unknown option `-1`"]);
    }
}
