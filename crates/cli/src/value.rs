// SPDX-License-Identifier: Apache-2.0
//! Values of options and keywords: strictly read, with errors that name what was given and what would be right.

use std::fmt::Display;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Why a value is refused. `what` names the option or keyword it was given to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No decimal number, or out of range.
    #[error("{what} `{text}` is not a number from {min} to {max}")]
    Number {
        /// Name of the option or keyword.
        what: String,
        /// What was given.
        text: String,
        /// The smallest allowed.
        min: String,
        /// The largest allowed.
        max: String,
    },
    /// No IP address.
    #[error("{what} `{text}` is not an IPv4 or IPv6 address")]
    Ip {
        /// Name of the option or keyword.
        what: String,
        /// What was given.
        text: String,
    },
    /// None of the words that are allowed.
    #[error("{what} `{text}` is unknown: one of {} expected", .words.join(", "))]
    Word {
        /// Name of the option or keyword.
        what: String,
        /// What was given.
        text: String,
        /// All that are allowed.
        words: Vec<&'static str>,
    },
}

/// A decimal number within `range`: digits only, no sign, no blanks.
///
/// # Errors
///
/// [`ValueError::Number`] for anything else.
pub fn number<T>(what: &str, text: &str, range: RangeInclusive<T>) -> Result<T, ValueError>
where
    T: FromStr + PartialOrd + Display,
{
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && range.contains(n)).ok_or_else(|| ValueError::Number {
        what: what.to_owned(),
        text: text.to_owned(),
        min: range.start().to_string(),
        max: range.end().to_string(),
    })
}

/// An IP address of either family.
///
/// # Errors
///
/// [`ValueError::Ip`] for anything else.
pub fn ip(what: &str, text: &str) -> Result<IpAddr, ValueError> {
    text.parse().map_err(|_| ValueError::Ip { what: what.to_owned(), text: text.to_owned() })
}

/// What one of several words stands for.
///
/// # Errors
///
/// [`ValueError::Word`], which lists the words, for any other.
pub fn word<T: Clone>(what: &str, text: &str, words: &[(&'static str, T)]) -> Result<T, ValueError> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone()).ok_or_else(|| {
        ValueError::Word {
            what: what.to_owned(),
            text: text.to_owned(),
            words: words.iter().map(|(word, _)| *word).collect(),
        }
    })
}

/// `on` or `off`.
///
/// # Errors
///
/// [`ValueError::Word`] for any other word.
pub fn on_off(what: &str, text: &str) -> Result<bool, ValueError> {
    word(what, text, &[("on", true), ("off", false)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_digits_only_and_lies_in_its_range() {
        assert_eq!(number("mtu", "1500", 68..=9000_u16), Ok(1500));
        for text in ["", "+1500", "-1", " 1500", "1500 ", "0x5dc", "1e3", "67", "9001", "99999999999"] {
            assert_eq!(
                number("mtu", text, 68..=9000_u16).unwrap_err().to_string(),
                format!("mtu `{text}` is not a number from 68 to 9000")
            );
        }
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        assert_eq!(on_off("promisc", "off"), Ok(false));
        assert_eq!(
            on_off("promisc", "of").unwrap_err().to_string(),
            "promisc `of` is unknown: one of on, off expected"
        );
    }

    #[test]
    fn an_address_of_either_family_is_read() {
        assert_eq!(ip("via", "10.0.0.1").unwrap().to_string(), "10.0.0.1");
        assert_eq!(ip("via", "fd00::1").unwrap().to_string(), "fd00::1");
        assert_eq!(
            ip("via", "10.0.0").unwrap_err().to_string(),
            "via `10.0.0` is not an IPv4 or IPv6 address"
        );
    }
}
