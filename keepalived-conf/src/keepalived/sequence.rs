// SPDX-License-Identifier: Apache-2.0
//! `~SEQ(VAR, START, STEP, END) text` and `~LST(VAR, v1, v2) text`: one line for many.

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag};
use nom::character::complete::{char, multispace0};
use nom::combinator::{opt, verify};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::define::name;

/// The runs of a line: each sets variables for the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Of numbers. Not expanded: there may be billions.
    Numbers {
        /// The variable.
        name: String,
        /// The next value; wide enough to step beyond any end.
        next: i128,
        /// Not zero, and towards `end`.
        step: i128,
        /// The last value is the last one not beyond it.
        end: i128,
        /// Whether the values are written in lower-case hexadecimal.
        hex: bool,
    },
    /// Of listed values.
    Lists {
        /// The variables, one or a tuple.
        names: Vec<String>,
        /// Their values per run, in reverse.
        rows: Vec<Vec<String>>,
    },
}

impl Iterator for Runs {
    /// The variables and their values.
    type Item = Vec<(String, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Runs::Numbers { name, next, step, end, hex } => {
                let value = *next;
                if (*step > 0 && value > *end) || (*step < 0 && value < *end) {
                    return None;
                }
                *next = value + *step;
                let text = if *hex { format!("{value:x}") } else { value.to_string() };
                Some(vec![(name.clone(), text)])
            }
            Runs::Lists { names, rows } => {
                let mut row = rows.pop()?.into_iter();
                Some(names.iter().map(|name| (name.clone(), row.next().unwrap_or_default())).collect())
            }
        }
    }
}

/// A line that begins with a sequence.
#[derive(Debug, PartialEq, Eq)]
pub enum Sequence<'a> {
    /// Its runs and the text that each is for.
    Good(Runs, &'a str),
    /// Not well-formed: the keyword to blame and the reason. The line is lost.
    Bad(&'static str, String),
}

/// Reads a line that begins with `~SEQ`, `~SEQx` or `~LST`, followed by blanks or `(`; `None` for all others.
/// `replace` puts definitions into what stands between the parentheses.
pub fn sequence(line: &str, replace: impl FnOnce(&str) -> String) -> Option<Sequence<'_>> {
    let (keyword, rest) = ["~SEQx", "~SEQ", "~LST"]
        .iter()
        .find_map(|keyword| Some((*keyword, line.strip_prefix(keyword)?)))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with(['(', ' ', '\t']))?;
    let blamed = if keyword == "~LST" { "~LST" } else { "~SEQ" };
    let bad = |reason: &str| Some(Sequence::Bad(blamed, reason.to_string()));
    let Some((inside, text)) = rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')'))
    else {
        return bad("`(` or `)` missing");
    };
    let inside = replace(inside);
    let runs = match keyword {
        "~LST" => lists(&inside),
        _ => numbers(&inside, keyword == "~SEQx"),
    };
    match runs {
        Ok(runs) => Some(Sequence::Good(runs, text.trim_matches(crate::lex::is_blank))),
        Err(reason) => bad(&reason),
    }
}

fn numbers(inside: &str, hex: bool) -> Result<Runs, String> {
    let mut parts = inside.split(',').map(str::trim);
    let name = parts.next().filter(|text| is_whole_name(text)).ok_or("the first word must be a name")?;
    let numbers = parts.map(number).collect::<Result<Vec<_>, _>>()?;
    let toward = |start: i128, end: i128| if end < start { -1 } else { 1 };
    let (next, step, end) = match numbers[..] {
        [end] if end > 0 => (1, 1, end),
        [0] => (1, -1, 0),
        [end] => (-1, -1, end),
        [start, end] => (start, toward(start, end), end),
        [start, step, end] => (start, step, end),
        _ => return Err("one to three numbers expected after the name".to_string()),
    };
    if step == 0 || (next != end && (step > 0) != (end > next)) {
        return Err(format!("step {step} never leads from {next} to {end}"));
    }
    if hex && next.min(end) < 0 {
        return Err("negative numbers cannot be written in hexadecimal".to_string());
    }
    Ok(Runs::Numbers { name: name.to_string(), next, step, end, hex })
}

fn is_whole_name(text: &str) -> bool {
    name(text).is_ok_and(|(rest, _)| rest.is_empty())
}

/// Decimal, `0x` hexadecimal or `0` octal, with a sign or without, within 64 bits.
fn number(text: &str) -> Result<i128, String> {
    let unsigned = text.trim_start_matches(['-', '+']);
    let digits = if text.len() - unsigned.len() > 1 { "" } else { unsigned };
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    // from_str_radix would take a second sign.
    let plain = !digits.contains(['+', '-']);
    let value = value.ok().filter(|_| plain).ok_or_else(|| format!("`{text}` is not a number"))?;
    let value = i64::try_from(value).map_err(|_| format!("{text} is too large"))?;
    Ok(i128::from(if text.starts_with('-') { -value } else { value }))
}

fn lists(inside: &str) -> Result<Runs, String> {
    let (rest, names) = row(inside).map_err(|_| "a name expected".to_string())?;
    if !names.iter().all(|text| is_whole_name(text)) {
        return Err("the first word must be a name, or names in braces".to_string());
    }
    let list = preceded((multispace0, char::<&str, _>(',')), separated_list1(char(','), row)).parse(rest);
    let (rest, mut rows) = list.map_err(|_| "values expected after the name".to_string())?;
    if !rest.trim().is_empty() {
        return Err(format!("`{}` is out of place", rest.trim()));
    }
    if let Some(row) = rows.iter().find(|row| row.len() > names.len()) {
        return Err(format!("{} values for {} names", row.len(), names.len()));
    }
    rows.reverse();
    Ok(Runs::Lists { names, rows })
}

/// One value or several in braces, with blanks around.
fn row(input: &str) -> IResult<&str, Vec<String>> {
    let value = || delimited(multispace0, opt(is_not(" \t,{}()")), multispace0);
    let owned = |text: Option<&str>| text.unwrap_or_default().to_string();
    let tuple = delimited(
        (multispace0, char('{')),
        separated_list1(char(','), value().map(owned)),
        (char('}'), multispace0),
    );
    let single = verify(value(), |text: &Option<&str>| text.is_some()).map(move |text| vec![owned(text)]);
    // An empty value between two commas is a value too.
    let empty = preceded(multispace0, nom::combinator::peek(tag(","))).map(|_| vec![String::new()]);
    alt((tuple, single, empty)).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> String {
        match sequence(line, str::to_string) {
            Some(Sequence::Good(runs, text)) => {
                let runs: Vec<String> = runs
                    .take(9)
                    .map(|run| run.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("/"))
                    .collect();
                format!("{} {text}", runs.join(" "))
            }
            Some(Sequence::Bad(keyword, _)) => format!("bad {keyword}"),
            None => "other".to_string(),
        }
    }

    #[test]
    fn numbers_count_to_the_last_one_not_beyond_the_end() {
        assert_eq!(values("~SEQ(A,3) x"), "1 2 3 x");
        assert_eq!(values("~SEQ(A,0) x"), "1 0 x");
        assert_eq!(values("~SEQ(A,-3) x"), "-1 -2 -3 x");
        assert_eq!(values("~SEQ(A, 10 ,5, 22) x"), "10 15 20 x");
        assert_eq!(values("~SEQ (A,0x10,-1,010) x"), "16 15 14 13 12 11 10 9 8 x");
        assert_eq!(values("~SEQx(A,8,11) x"), "8 9 a b x");
        assert_eq!(values("~SEQ(A,1,9223372036854775807) x"), "1 2 3 4 5 6 7 8 9 x");
        assert_eq!(values("~SEQ(A,4,4) x"), "4 x");
    }

    #[test]
    fn numbers_that_lead_nowhere_are_refused() {
        for line in
            ["~SEQ(A)", "~SEQ(A,1,0,5)", "~SEQ(A,1,-1,5)", "~SEQ(A,a)", "~SEQ(A,1", "~SEQ", "~SEQx(A,-1)"]
        {
            assert_eq!(values(line), "bad ~SEQ", "{line}");
        }
        assert_eq!(values("~FOO(A,1)"), "other");
        assert_eq!(values("~SEQy(A,1)"), "other");
    }

    #[test]
    fn lists_set_one_variable_or_several() {
        assert_eq!(values("~LST(A, 1, 5,9) x"), "1 5 9 x");
        assert_eq!(values("~LST({A,B}, {1,2},{ 3 , 4 },{5}) x"), "1/2 3/4 5/ x");
        assert_eq!(values("~LST(A) x"), "bad ~LST");
        assert_eq!(values("~LST"), "bad ~LST");
        assert_eq!(values("~LST({A,B},{1,2,3}) x"), "bad ~LST");
        assert_eq!(values("~LST(A, a b) x"), "bad ~LST");
    }
}
