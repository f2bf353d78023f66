// SPDX-License-Identifier: Apache-2.0
//! The words behind `dpip OBJECT COMMAND`, read one by one.

use std::slice;

use crate::failure::Failure;

/// The words not read yet.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    rest: slice::Iter<'a, String>,
}

impl<'a> Words<'a> {
    /// All of `words`.
    pub fn new(words: &'a [String]) -> Self {
        Words { rest: words.iter() }
    }

    /// The value that has to follow `keyword`.
    pub fn value(&mut self, keyword: &str) -> Result<&'a str, Failure> {
        self.next().ok_or_else(|| Failure::usage(format!("`{keyword}` needs a value")))
    }

    /// That nothing is left.
    pub fn end(mut self) -> Result<(), Failure> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(unknown(word)),
        }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.rest.next().map(String::as_str)
    }
}

/// A word that means nothing where it stands.
pub fn unknown(word: &str) -> Failure {
    Failure::usage(format!("unexpected `{word}`"))
}

/// A word that was left out.
pub fn missing(what: &str) -> Failure {
    Failure::usage(format!("{what} is missing"))
}

/// The name that `dev` has to give.
pub fn device(dev: Option<&str>) -> Result<String, Failure> {
    dev.map(str::to_owned).ok_or_else(|| missing("the device: `dev IF`"))
}

/// Reads what may only be `dev IF`, or nothing.
pub fn only_device<'a>(mut words: Words<'a>) -> Result<Option<&'a str>, Failure> {
    let mut dev = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => dev = Some(words.value(word)?),
            _ => return Err(unknown(word)),
        }
    }
    Ok(dev)
}

/// Reads what may only be `[dev] IF`, or nothing.
pub fn only_name(mut words: Words<'_>) -> Result<Option<&str>, Failure> {
    let name = match words.next() {
        Some("dev") => Some(words.value("dev")?),
        other => other,
    };
    words.end()?;
    Ok(name)
}
