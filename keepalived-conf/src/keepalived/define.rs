// SPDX-License-Identifier: Apache-2.0
//! Definitions, `$NAME=VALUE`, and the replacement of `$NAME` and `${NAME}`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use nom::branch::alt;
use nom::bytes::complete::{is_a, tag, take_while1};
use nom::character::complete::{char, digit1, space0, space1};
use nom::combinator::{eof, map_res, opt, peek, verify};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// Longest line in bytes, without its end. What would grow beyond it is left as it is.
pub const MAX_LINE: usize = 1023;
/// Replacements on one line: more than fit on one, so that only a value that contains itself gets there.
const MAX_PER_LINE: usize = 1024;

/// A definition's value: one line, or the lines of a multi-line definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Replaces a reference anywhere.
    Text(String),
    /// Replaces a reference at the end of a line only.
    Lines(Vec<String>),
}

/// The definitions so far. A name may be defined again; what holds at the time of use counts.
#[derive(Debug, Default)]
pub struct Definitions {
    values: HashMap<String, Value>,
}

/// What replacing the references of a line gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// The line.
    Line(String),
    /// A multi-line definition at its end: the line up to it, and the stored lines.
    Lines(String, Vec<String>),
    /// The line as it was: a definition contains itself.
    Endless,
}

/// Where a line stands: what the predefined names depend on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `${_PWD}`.
    pub directory: &'a str,
    /// `${_INSTANCE}`.
    pub config_id: &'a str,
    /// Tells one `${_RANDOM}` from another: the file and line.
    pub place: (&'a str, u32),
}

impl Definitions {
    /// Defines `name` from here on.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_string(), value);
    }

    /// Replaces every reference of `line`, and those in what replaces them. `budget` is the number of replacements
    /// still allowed; when it is used up the rest stays as it is.
    pub fn replace(&self, line: &str, context: &Context<'_>, budget: &mut u64) -> Replaced {
        let mut text = line.to_string();
        let mut from = 0;
        let mut count = 0usize;
        while let Some(at) = text[from..].find('$').map(|found| from + found) {
            from = at + 1;
            let Ok((rest, reference)) = reference(&text[at..]) else { continue };
            let end = text.len() - rest.len();
            let value = match self.find(&reference, context, count) {
                None => continue,
                Some(Value::Lines(_)) if !rest.trim_matches(crate::lex::is_blank).is_empty() => continue,
                Some(Value::Lines(lines)) => return Replaced::Lines(text[..at].to_string(), lines),
                Some(Value::Text(value)) => value,
            };
            if text.len() - (end - at) + value.len() > MAX_LINE {
                return Replaced::Line(line.to_string());
            }
            if count == MAX_PER_LINE {
                return Replaced::Endless;
            }
            if *budget == 0 {
                break;
            }
            *budget -= 1;
            count += 1;
            text.replace_range(at..end, &value);
            from = at;
        }
        Replaced::Line(text)
    }

    fn find(&self, reference: &Reference<'_>, context: &Context<'_>, count: usize) -> Option<Value> {
        if let Reference::Name(name) = reference
            && let Some(value) = self.values.get(*name)
        {
            return Some(value.clone());
        }
        let text = match *reference {
            Reference::Name("_PWD") => context.directory.to_string(),
            Reference::Name("_INSTANCE") => context.config_id.to_string(),
            Reference::Name("_HASH") => "#".to_string(),
            Reference::Name("_BANG") => "!".to_string(),
            Reference::Name("_RANDOM") => random(0, 32767, context, count).to_string(),
            Reference::Random(min, max) => random(min, max, context, count).to_string(),
            Reference::Environment(name) => std::env::var(name).ok()?,
            Reference::Name(_) => return None,
        };
        Some(Value::Text(text))
    }
}

/// A number that looks random and is the same whenever the same line is read for the same id: a reload changes nothing.
fn random(min: u64, max: u64, context: &Context<'_>, count: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (context.place, context.config_id, count).hash(&mut hasher);
    min + hasher.finish() % max.saturating_sub(min).saturating_add(1)
}

/// The name and value of a line that is a definition.
pub fn definition(line: &str) -> Option<(&str, &str)> {
    let (value, name) = delimited(char('$'), name, (char('='), space0)).parse(line).ok()?;
    Some((name, value))
}

/// A name: letters, digits and `_`, not a digit first.
pub fn name(input: &str) -> IResult<&str, &str> {
    verify(take_while1(is_name), |text: &str| !text.starts_with(|c: char| c.is_ascii_digit())).parse(input)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[derive(Debug, PartialEq, Eq)]
enum Reference<'a> {
    Name(&'a str),
    Random(u64, u64),
    Environment(&'a str),
}

/// `${NAME}`, `${_RANDOM MIN MAX}`, `${_ENV NAME}`, or `$NAME` before a blank, comma, parenthesis or the line's end.
fn reference(input: &str) -> IResult<&str, Reference<'_>> {
    let braced = delimited(char('{'), alt((random_of, environment, name.map(Reference::Name))), char('}'));
    let bare = terminated(name.map(Reference::Name), peek(alt((eof, is_a(" \t,)")))));
    preceded(char('$'), alt((braced, bare))).parse(input)
}

fn random_of(input: &str) -> IResult<&str, Reference<'_>> {
    let number = || preceded(space1, map_res(digit1, str::parse::<u64>));
    let (rest, (_, min, max, _)) = (tag("_RANDOM"), number(), opt(number()), space0).parse(input)?;
    Ok((rest, Reference::Random(min, max.unwrap_or(32767))))
}

fn environment(input: &str) -> IResult<&str, Reference<'_>> {
    delimited((tag("_ENV"), space1), name, space0).map(Reference::Environment).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: Context<'static> = Context { directory: "/etc", config_id: "lb1", place: ("x", 1) };

    fn replaced(definitions: &[(&str, &str)], line: &str) -> Replaced {
        let mut all = Definitions::default();
        for (name, value) in definitions {
            all.set(name, Value::Text(value.to_string()));
        }
        all.replace(line, &CONTEXT, &mut 100_000)
    }

    #[test]
    fn a_bare_name_needs_an_end_and_a_braced_one_does_not() {
        let text = "$A.x $A/x \"$A\" ${A}x $A,$A) $A";
        let expected = "$A.x $A/x \"$A\" 1x 1,1) 1";
        assert_eq!(replaced(&[("A", "1")], text), Replaced::Line(expected.into()));
    }

    #[test]
    fn values_are_looked_up_at_the_time_of_use() {
        let line = replaced(&[("A", "<${B}>"), ("B", "2")], "${A} $UNDEFINED ${_INSTANCE}");
        assert_eq!(line, Replaced::Line("<2> $UNDEFINED lb1".into()));
    }

    #[test]
    fn a_value_that_contains_itself_ends() {
        assert_eq!(replaced(&[("A", "${A}")], "x $A"), Replaced::Endless);
        assert_eq!(replaced(&[("A", "y${A}")], "x $A"), Replaced::Line("x $A".into()));
    }

    #[test]
    fn random_numbers_stay_within_their_bounds_and_the_same() {
        let Replaced::Line(first) = replaced(&[], "${_RANDOM 5 7}") else { panic!("one line") };
        assert!(["5", "6", "7"].contains(&first.as_str()), "{first}");
        assert_eq!(replaced(&[], "${_RANDOM 5 7}"), Replaced::Line(first));
        assert_eq!(replaced(&[], "${_RANDOM 9 9}"), Replaced::Line("9".into()));
    }

    #[test]
    fn a_definition_has_no_blank_before_its_equals_sign() {
        assert_eq!(definition("$A=  x y"), Some(("A", "x y")));
        assert_eq!(definition("$A="), Some(("A", "")));
        assert_eq!(definition("$A = x"), None);
        assert_eq!(definition("$1=x"), None);
    }
}
