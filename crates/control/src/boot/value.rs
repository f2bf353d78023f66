// SPDX-License-Identifier: Apache-2.0
//! What may follow a keyword, and how it is read.

use std::fmt;

use keepalived_conf::Block;

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A block.
    Block,
    /// A name and a block; may be repeated. The text says what is named.
    Named(&'static str),
    /// `on` or `off`; nothing is `on`.
    Switch,
    /// A number from the first to the second.
    Number(u64, u64),
    /// Several numbers up to this one.
    Numbers(u64),
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
    /// One word. The text says what it is.
    Word(&'static str),
    /// Several words. The text says which; may be repeated.
    Line(&'static str),
    /// Whatever it takes in DPVS, without effect: the text says why.
    Nothing(&'static str),
}

/// What followed a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Takes::Switch`].
    Switch(bool),
    /// Of [`Takes::Number`].
    Number(u64),
    /// Of [`Takes::Numbers`].
    Numbers(Vec<u64>),
    /// Of [`Takes::Choice`] (in lower case), [`Takes::Word`], [`Takes::Line`] and the name of [`Takes::Named`].
    Text(String),
    /// Of [`Takes::Block`].
    None,
}

/// Why a value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It makes no sense.
    Wrong(String),
    /// It is a number, but out of range: the default is used instead, as DPVS does.
    Range(String),
}

impl Takes {
    /// Reads what follows the keyword of `block`.
    pub fn read(self, block: &Block) -> Result<Value, Bad> {
        if matches!(self, Takes::Block | Takes::Named(_)) && block.children.is_none() {
            return Err(self.wrong(block, "a block in braces is missing"));
        }
        if !matches!(self, Takes::Block | Takes::Named(_) | Takes::Nothing(_))
            && let Some(children) = &block.children
        {
            let what =
                children.first().map(|child| format!(", such as {}", child.name())).unwrap_or_default();
            return Err(Bad::Wrong(format!("{} has no block{what}: {self} expected", block.name())));
        }
        let words: Vec<&str> = block.args.iter().map(|word| word.as_str()).collect();
        self.parse(&words).map_err(|bad| match bad {
            None => self.wrong(block, ""),
            Some(range) => Bad::Range(format!("{} {range}: {self} expected", block.name())),
        })
    }

    /// Reads a default as the table writes it.
    ///
    /// # Panics
    /// When the table contradicts itself.
    pub fn default(self, text: &str) -> Value {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        self.parse(&words).unwrap_or_else(|_| panic!("default `{text}` is no {self}"))
    }

    /// `Err(Some)` is a number out of range.
    fn parse(self, words: &[&str]) -> Result<Value, Option<String>> {
        match (self, words) {
            (Takes::Block, []) | (Takes::Nothing(_), _) => Ok(Value::None),
            (Takes::Switch, []) => Ok(Value::Switch(true)),
            (Takes::Switch, [word]) => match word.to_ascii_lowercase().as_str() {
                "on" | "enable" | "yes" | "true" => Ok(Value::Switch(true)),
                "off" | "disable" | "no" | "false" => Ok(Value::Switch(false)),
                _ => Err(None),
            },
            (Takes::Number(min, max), [word]) => number(word, min, max).map(Value::Number),
            (Takes::Numbers(max), [_, ..]) => {
                words.iter().map(|word| number(word, 0, max)).collect::<Result<_, _>>().map(Value::Numbers)
            }
            (Takes::Choice(choices), [word]) => {
                let word = word.to_ascii_lowercase();
                if choices.contains(&word.as_str()) { Ok(Value::Text(word)) } else { Err(None) }
            }
            (Takes::Word(_) | Takes::Named(_), [word]) if !word.is_empty() => Ok(Value::Text((*word).into())),
            (Takes::Line(_), [_, ..]) => Ok(Value::Text(words.join(" "))),
            _ => Err(None),
        }
    }

    fn wrong(self, block: &Block, what: &str) -> Bad {
        let value = block.value();
        let written = if value.is_empty() { String::new() } else { format!(" `{value}`") };
        let what = if what.is_empty() { String::new() } else { format!("{what}, ") };
        Bad::Wrong(format!("{}{written}: {what}{self} expected", block.name()))
    }
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::Block => f.write_str("{ ... }"),
            Takes::Named(what) => write!(f, "{what} {{ ... }}"),
            Takes::Switch => f.write_str("on or off"),
            Takes::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Takes::Numbers(max) => write!(f, "numbers from 0 to {max}"),
            Takes::Choice(choices) => write!(f, "{}", one_of(choices)),
            Takes::Word(what) | Takes::Line(what) => f.write_str(what),
            Takes::Nothing(_) => f.write_str("nothing"),
        }
    }
}

fn number(word: &str, min: u64, max: u64) -> Result<u64, Option<String>> {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(None);
    }
    // More digits than fit are out of range as well.
    match word.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Some(word.to_owned())),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}
