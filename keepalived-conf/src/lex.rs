// SPDX-License-Identifier: Apache-2.0
//! One line into words and braces. Knows nothing of blocks, files or keywords.
//!
//! Words are separated by blanks. `"..."` is one word without its quotes, has no escapes and may be empty; a quote
//! also ends an unquoted word. `{` and `}` are structural wherever they stand outside quotes. Every byte is looked at
//! a fixed number of times, and nothing here fails: what cannot be read is reported beside the tokens before it.

use nom::branch::alt;
use nom::bytes::complete::{take_till, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{map, recognize};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Offset, Parser};

/// The two files written in the language differ in what may stand around a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// dpvs.conf: `#` and `!` begin a comment only where a word may begin, `<...>` there is an annotation, skipped.
    Dpvs,
    /// keepalived.conf: comments begin anywhere outside quotes and are taken off by [`strip_comment`] beforehand.
    Keepalived,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word as written.
    Word,
    /// A word from between double quotes.
    Quoted,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// One word or brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its text without quotes.
    pub text: &'a str,
    /// Byte offset of its first character, or of its opening quote, in the line.
    pub offset: usize,
}

/// What ended a line early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// A double quote without a partner, at this offset.
    Quote(usize),
    /// A `<` without a `>`, at this offset.
    Annotation(usize),
}

/// The tokens of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// In order; those before the unfinished one where there is one.
    pub tokens: Vec<Token<'a>>,
    /// What was opened and not closed. The rest of the line from there is lost.
    pub unfinished: Option<Unfinished>,
}

/// Splits one line, which holds no line end.
pub fn line(text: &str, dialect: Dialect) -> Line<'_> {
    let mut read = Line::default();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_blank);
        if rest.is_empty() || (dialect == Dialect::Dpvs && rest.starts_with(['#', '!'])) {
            return read;
        }
        let offset = text.offset(rest);
        if dialect == Dialect::Dpvs && rest.starts_with('<') {
            let Ok((after, _)) = annotation(rest) else {
                read.unfinished = Some(Unfinished::Annotation(offset));
                return read;
            };
            rest = after;
            continue;
        }
        let Ok((after, (kind, text))) = token(rest) else {
            // Only an unmatched quote is left: every other character begins a token.
            read.unfinished = Some(Unfinished::Quote(offset));
            return read;
        };
        read.tokens.push(Token { kind, text, offset });
        rest = after;
    }
}

/// Takes a keepalived comment, `#` or `!` outside double quotes, and the blanks around what is left off a line.
/// After a quote without a partner nothing is a comment any more.
pub fn strip_comment(line: &str) -> &str {
    let mut in_quotes = false;
    let end = line.bytes().position(|byte| {
        in_quotes ^= byte == b'"';
        !in_quotes && matches!(byte, b'#' | b'!')
    });
    line[..end.unwrap_or(line.len())].trim_matches(is_blank)
}

/// Blanks that separate words: ASCII white space, form feed and vertical tab included.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

fn token(input: &str) -> IResult<&str, (Kind, &str)> {
    alt((
        map(quoted, |text| (Kind::Quoted, text)),
        map(recognize(char('{')), |text| (Kind::Open, text)),
        map(recognize(char('}')), |text| (Kind::Close, text)),
        map(take_while1(|c| !is_blank(c) && !matches!(c, '"' | '{' | '}')), |text| (Kind::Word, text)),
    ))
    .parse(input)
}

fn quoted(input: &str) -> IResult<&str, &str> {
    delimited(char('"'), take_while(|c| c != '"'), char('"')).parse(input)
}

fn annotation(input: &str) -> IResult<&str, char> {
    preceded(take_till(|c| c == '>'), one_of(">")).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, dialect: Dialect) -> Vec<&str> {
        line(text, dialect).tokens.iter().map(|token| token.text).collect()
    }

    #[test]
    fn a_quote_ends_a_word_and_keeps_blanks_together() {
        assert_eq!(texts("ab\"cd ef\"gh", Dialect::Keepalived), ["ab", "cd ef", "gh"]);
        assert_eq!(texts("a \"\" b", Dialect::Keepalived), ["a", "", "b"]);
        assert_eq!(texts("'a b'", Dialect::Keepalived), ["'a", "b'"]);
    }

    #[test]
    fn braces_stand_alone_even_when_glued_to_a_word() {
        assert_eq!(texts("80{ x}", Dialect::Keepalived), ["80", "{", "x", "}"]);
        assert_eq!(texts("\"8{0\"", Dialect::Keepalived), ["8{0"]);
    }

    #[test]
    fn an_unmatched_quote_keeps_the_words_before_it() {
        let read = line("weight 5 \"x y", Dialect::Keepalived);
        assert_eq!(read.tokens.len(), 2);
        assert_eq!(read.unfinished, Some(Unfinished::Quote(9)));
    }

    #[test]
    fn dpvs_comments_and_annotations_begin_where_a_word_may_begin() {
        assert_eq!(texts("<init> mtu 1500 <0-9000> # x", Dialect::Dpvs), ["mtu", "1500"]);
        assert_eq!(texts("a#b c!d !e", Dialect::Dpvs), ["a#b", "c!d"]);
        assert_eq!(line("a <b", Dialect::Dpvs).unfinished, Some(Unfinished::Annotation(2)));
    }

    #[test]
    fn keepalived_comments_begin_anywhere_outside_quotes() {
        assert_eq!(strip_comment(" weight 5#x"), "weight 5");
        assert_eq!(strip_comment("a \"#!\" b ! c"), "a \"#!\" b");
        assert_eq!(strip_comment("a\\#b"), "a\\");
        assert_eq!(strip_comment("a \"b # c"), "a \"b # c");
    }
}
