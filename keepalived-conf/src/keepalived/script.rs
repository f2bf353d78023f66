// SPDX-License-Identifier: Apache-2.0
//! Command lines and regular expressions: text that is split a second time, and escapes.

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The command and its arguments; at least one.
    pub argv: Vec<String>,
    /// User and group as written, joined by a blank.
    pub user: Option<String>,
}

impl Script {
    /// The script that the statement `raw` names after its keyword: a command line, then a user and a group.
    ///
    /// # Errors
    ///
    /// The reason, for people: a quote without a partner, or nothing to run.
    pub fn parse(raw: &str) -> Result<Script, String> {
        let mut words = split(raw, Escapes::Kept)?.into_iter().skip(1);
        let argv = split(&words.next().unwrap_or_default(), Escapes::Replaced)?;
        let user: Vec<String> = words.take(2).filter(|word| !word.is_empty()).collect();
        if argv.is_empty() {
            return Err("empty command line".to_string());
        }
        Ok(Script { argv, user: (!user.is_empty()).then(|| user.join(" ")) })
    }
}

/// What a backslash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// A character like any other.
    Kept,
    /// The beginning of an escape.
    Replaced,
}

/// Splits at blanks. `"` and `'` keep blanks together, also when they begin or end inside a word.
///
/// # Errors
///
/// The reason, for people: a quote without a partner, or nothing after a backslash.
pub fn split(text: &str, escapes: Escapes) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) if escapes == Escapes::Replaced => {
                let c = unescape(&mut rest).ok_or("nothing to escape after the last backslash")?;
                word.get_or_insert_default().push(c);
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if crate::lex::is_blank(c) => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("quote {quote} without a partner"));
    }
    words.extend(word);
    Ok(words)
}

/// The character that the escape after a backslash stands for; `None` at the end of the text.
fn unescape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let c = rest.next()?;
    Some(match c {
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => digits(rest, 16, 2, 0).unwrap_or('x'),
        'c' => rest.next().map_or('c', |c| char::from((c as u32 & 0x1f) as u8)),
        '0'..='7' => digits(rest, 8, 2, c as u32 - '0' as u32).unwrap_or(c),
        c => c,
    })
}

/// The character whose number goes on with up to `most` digits; `None` where none follows and none came before.
fn digits(rest: &mut std::str::Chars<'_>, radix: u32, most: usize, first: u32) -> Option<char> {
    let mut value = first;
    let mut found = radix == 8;
    for _ in 0..most {
        let Some(digit) = rest.as_str().chars().next().and_then(|c| c.to_digit(radix)) else { break };
        value = value * radix + digit;
        found = true;
        rest.next();
    }
    found.then(|| char::from((value & 0xff) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, escapes: Escapes) -> Vec<String> {
        split(text, escapes).expect("balanced quotes")
    }

    #[test]
    fn quotes_begin_and_end_inside_words() {
        assert_eq!(words("abc\" def\"ghi -'a b'- ''", Escapes::Kept), ["abc defghi", "-a b-", ""]);
        assert_eq!(split("it's", Escapes::Kept), Err("quote ' without a partner".to_string()));
    }

    #[test]
    fn a_quoted_command_line_is_split_once_more() {
        let script = Script::parse("notify_up \"/sbin/x 'a b' c\" nobody nogroup").expect("a command");
        assert_eq!(script.argv, ["/sbin/x", "a b", "c"]);
        assert_eq!(script.user.as_deref(), Some("nobody nogroup"));
        let script = Script::parse("notify_up /sbin/x arg").expect("a command");
        assert_eq!((script.argv, script.user), (vec!["/sbin/x".to_string()], Some("arg".to_string())));
        assert_eq!(Script::parse("notify_up \"\""), Err("empty command line".to_string()));
    }

    #[test]
    fn escapes_stand_for_characters() {
        let expected = ["OKs+", "\\s", "A\x04g", "A", "\n\x01"];
        assert_eq!(words(r"OK\s+ \\s \x41\x4g \101 \n\cA", Escapes::Replaced), expected);
        assert!(split("a \\", Escapes::Replaced).is_err());
    }
}
