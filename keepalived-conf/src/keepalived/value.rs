// SPDX-License-Identifier: Apache-2.0
//! Values as keepalived's test mode reads them: the whole word counts, and what is out of range is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::bytes::complete::take_while;
use nom::character::complete::{char, digit0};
use nom::combinator::{all_consuming, opt};
use nom::{IResult, Parser};

/// A decimal number from `min` to `max`.
///
/// # Errors
///
/// The reason, for people.
pub fn unsigned(word: &str, min: u64, max: u64) -> Result<u64, String> {
    let text = word.trim_start_matches(crate::lex::is_blank);
    if text.starts_with('-') {
        return Err(format!("`{word}` must not be negative"));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{word}` is not a number"));
    }
    // All digits, so that only size can be wrong.
    let value = digits.parse().unwrap_or(u64::MAX);
    if (min..=max).contains(&value) { Ok(value) } else { Err(format!("{word} is not within {min} to {max}")) }
}

/// [`unsigned`] for values of 32 bits.
///
/// # Errors
///
/// The reason, for people.
pub fn unsigned32(word: &str, min: u32, max: u32) -> Result<u32, String> {
    let value = unsigned(word, u64::from(min), u64::from(max))?;
    Ok(u32::try_from(value).expect("within the range asked for"))
}

/// A decimal number with a sign or without, from `min` to `max`.
///
/// # Errors
///
/// The reason, for people.
pub fn signed(word: &str, min: i64, max: i64) -> Result<i64, String> {
    let text = word.trim_start_matches(crate::lex::is_blank);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{word}` is not a number"));
    }
    let value = text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX });
    if (min..=max).contains(&value) { Ok(value) } else { Err(format!("{word} is not within {min} to {max}")) }
}

/// The number that a word begins with; 0 for none. Bounded by the type.
pub fn leading(word: &str) -> i64 {
    let text = word.trim_start_matches(crate::lex::is_blank);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let value: i64 = match &digits[..end] {
        "" => 0,
        digits => digits.parse().unwrap_or(i64::MAX),
    };
    if text.starts_with('-') { -value } else { value }
}

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Microseconds, rounded.
    pub us: u64,
    /// Whether it was written with more than six decimals.
    pub rounded: bool,
}

/// Seconds with decimals: `3`, `3.`, `.5`, `0.25`.
///
/// # Errors
///
/// The reason, for people.
pub fn timer(word: &str) -> Result<Timer, String> {
    let bad = || format!("`{word}` is not a number of seconds");
    let (_, (whole, _, decimals)) =
        all_consuming(decimal).parse(word.trim_start_matches(crate::lex::is_blank)).map_err(|_| bad())?;
    let decimals = decimals.unwrap_or("");
    if whole.is_empty() && decimals.is_empty() {
        return Err(bad());
    }
    let too_long = || format!("{word} seconds are too long");
    let seconds: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
    let digit = |at: usize| decimals.as_bytes().get(at).map_or(0, |byte| u64::from(byte - b'0'));
    let micros = (0..6).fold(0, |sum, at| sum * 10 + digit(at)) + u64::from(digit(6) >= 5);
    let us = seconds.checked_mul(1_000_000).and_then(|us| us.checked_add(micros)).ok_or_else(too_long)?;
    Ok(Timer { us, rounded: decimals.len() > 6 })
}

fn decimal(input: &str) -> IResult<&str, (&str, Option<char>, Option<&str>)> {
    (digit0, opt(char('.')), opt(take_while(|c: char| c.is_ascii_digit()))).parse(input)
}

/// `true`, `on`, `yes`, `false`, `off`, `no`; no word means true.
///
/// # Errors
///
/// The reason, for people.
pub fn boolean(word: Option<&str>) -> Result<bool, String> {
    match word {
        None | Some("true" | "on" | "yes") => Ok(true),
        Some("false" | "off" | "no") => Ok(false),
        Some(word) => Err(format!("`{word}` is neither true, on, yes nor false, off, no")),
    }
}

/// One address. What follows a `-` or `/` is cut off.
///
/// # Errors
///
/// The reason, for people.
pub fn address(word: &str) -> Result<IpAddr, String> {
    let text = word.split(['-', '/']).next().unwrap_or_default();
    exact_address(text)
}

/// One address and nothing else.
///
/// # Errors
///
/// The reason, for people.
pub fn exact_address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address"))
}

/// A port from 1 to 65535; 0 stands for none, as does no word.
///
/// # Errors
///
/// The reason, for people.
pub fn port(word: Option<&str>) -> Result<u16, String> {
    let Some(word) = word else { return Ok(0) };
    let port = unsigned(word, 0, 65535).map_err(|reason| format!("port {reason}"))?;
    Ok(u16::try_from(port).expect("within the range asked for"))
}

/// First and last address of a range.
pub type Range = (IpAddr, IpAddr);

/// A range of a group: `ADDR`, `A.B.C.D-E`, `IPV6-H`, `ADDR1-ADDR2`, `ADDR/LEN`.
///
/// # Errors
///
/// The reason, for people.
pub fn range(word: &str) -> Result<Range, String> {
    if let Some((first, len)) = word.split_once('/') {
        return network(exact_address(first)?, len);
    }
    let Some((first, end)) = word.split_once('-') else {
        return exact_address(word).map(|addr| (addr, addr));
    };
    let first = exact_address(first)?;
    if !end.contains(['.', ':']) {
        let last = last_part(first, end, u16::MAX)?;
        return if last > first {
            Ok((first, last))
        } else {
            Err(format!("{word} does not end after its start"))
        };
    }
    let last = exact_address(end)?;
    if first.is_ipv4() != last.is_ipv4() {
        return Err(format!("{word} has ends of two families"));
    }
    if last < first { Err(format!("{word} ends before its start")) } else { Ok((first, last)) }
}

/// A range of a DPVS address group: `ADDR` or `ADDR-E`, E from 1 to 254 and not below the start.
///
/// # Errors
///
/// The reason, for people.
pub fn short_range(word: &str) -> Result<Range, String> {
    let Some((first, end)) = word.split_once('-') else {
        return exact_address(word).map(|addr| (addr, addr));
    };
    let first = exact_address(first)?;
    let last = last_part(first, end, 254)?;
    if last < first { Err(format!("{word} ends before its start")) } else { Ok((first, last)) }
}

/// `first` with its last octet or 16-bit group replaced by `end`, decimal or hexadecimal, at most `max`.
fn last_part(first: IpAddr, end: &str, max: u16) -> Result<IpAddr, String> {
    let (radix, max) = if first.is_ipv4() { (10, max.min(255)) } else { (16, max) };
    let good = !end.is_empty() && end.bytes().all(|byte| char::from(byte).is_digit(radix));
    let value = u16::from_str_radix(end, radix).ok().filter(|value| good && *value <= max);
    let value = value.ok_or_else(|| format!("`{end}` is no end of a range after {first}"))?;
    if max == 254 && value == 0 {
        return Err(format!("`{end}` is no end of a range after {first}"));
    }
    Ok(match first {
        IpAddr::V4(addr) => IpAddr::V4(Ipv4Addr::from(u32::from(addr) & !0xff | u32::from(value))),
        IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from(u128::from(addr) & !0xffff | u128::from(value))),
    })
}

fn network(first: IpAddr, len: &str) -> Result<Range, String> {
    let bits = if first.is_ipv4() { 32 } else { 128 };
    let len = unsigned32(len, 1, bits).map_err(|reason| format!("prefix length {reason}"))?;
    let host = u128::MAX.checked_shr(128 - (bits - len)).unwrap_or(0);
    let number = match first {
        IpAddr::V4(addr) => u128::from(u32::from(addr)),
        IpAddr::V6(addr) => u128::from(addr),
    };
    if number & host != 0 {
        return Err(format!("{first}/{len} has host bits that are not zero"));
    }
    let last = number | host;
    Ok(match first {
        // The host bits of an IPv4 prefix are at most 31.
        IpAddr::V4(_) => (first, IpAddr::V4(Ipv4Addr::from(last as u32))),
        IpAddr::V6(_) => (first, IpAddr::V6(Ipv6Addr::from(last))),
    })
}

/// An IPv4 mask as inet_aton(3) reads it: one to four parts, each decimal, `0x` hexadecimal or `0` octal; the last
/// one fills what is left.
///
/// # Errors
///
/// The reason, for people.
pub fn ipv4_mask(word: &str) -> Result<Ipv4Addr, String> {
    let bad = || format!("`{word}` is not an IPv4 mask");
    let parts = word.split('.').map(part).collect::<Option<Vec<u32>>>().ok_or_else(bad)?;
    let (last, init) = parts.split_last().ok_or_else(bad)?;
    if init.len() > 3 || init.iter().any(|part| *part > 255) {
        return Err(bad());
    }
    let left = 32 - 8 * init.len() as u32;
    if u64::from(*last) >= 1u64 << left {
        return Err(bad());
    }
    let head = init.iter().fold(0u64, |sum, part| sum << 8 | u64::from(*part)) << left;
    Ok(Ipv4Addr::from(head as u32 | last))
}

fn part(text: &str) -> Option<u32> {
    let (digits, radix) = if let Some(hex) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        (hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    };
    // from_str_radix would take a sign.
    if digits.starts_with(['+', '-']) { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// Bytes, and which of their bits are wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The bytes; wildcard digits are 0.
    pub bytes: Vec<u8>,
    /// As long as `bytes`, with `f` for every wildcard digit; `None` without wildcards.
    pub mask: Option<Vec<u8>>,
}

/// Hexadecimal digits in free format: paired within a word, a single last digit of a word is a byte of its own.
/// `x` is a wildcard digit where `wildcards`.
///
/// # Errors
///
/// The reason, for people.
pub fn hex(words: &[String], wildcards: bool) -> Result<Pattern, String> {
    let mut bytes = Vec::new();
    let mut mask = Vec::new();
    for word in words.iter().flat_map(|word| word.split(crate::lex::is_blank)) {
        let digits: Vec<(u8, u8)> = word
            .chars()
            .map(|c| match c.to_digit(16) {
                Some(digit) => Ok((digit as u8, 0)),
                None if wildcards && matches!(c, 'x' | 'X') => Ok((0, 0xf)),
                None => Err(format!("`{c}` is not a hexadecimal digit")),
            })
            .collect::<Result<_, _>>()?;
        for pair in digits.chunks(2) {
            let join = |half: fn(&(u8, u8)) -> u8| pair.iter().fold(0, |byte, digit| byte << 4 | half(digit));
            bytes.push(join(|digit| digit.0));
            mask.push(join(|digit| digit.1));
        }
    }
    if bytes.is_empty() {
        return Err("hexadecimal digits expected".to_string());
    }
    let mask = mask.iter().any(|bits| *bits != 0).then_some(mask);
    Ok(Pattern { bytes, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_words_in_decimal() {
        assert_eq!(unsigned("007", 1, 9), Ok(7));
        assert_eq!(unsigned(" +5", 1, 9), Ok(5));
        for word in ["5x", "-1", "3.5", "abc", "0x10", "", "10", "99999999999999999999999"] {
            assert!(unsigned(word, 1, 9).is_err(), "{word}");
        }
        assert_eq!(signed("-5", -254, 254), Ok(-5));
        assert!(signed("-255", -254, 254).is_err());
        assert_eq!([leading("100M"), leading("x"), leading("-3s")], [100, 0, -3]);
    }

    #[test]
    fn times_have_six_decimals() {
        let us = |word| timer(word).map(|timer| timer.us);
        assert_eq!(
            [us("3"), us("3."), us(".5"), us("0.25")],
            [3_000_000, 3_000_000, 500_000, 250_000].map(Ok)
        );
        assert_eq!(timer("1.2345678"), Ok(Timer { us: 1_234_568, rounded: true }));
        for word in [".", "", "-1", "+1", "1e3", "5s", "1.2.3", "99999999999999999999"] {
            assert!(timer(word).is_err(), "{word}");
        }
    }

    #[test]
    fn ranges_of_groups_go_up() {
        let text = |word| range(word).map(|(first, last)| format!("{first} {last}"));
        assert_eq!(text("192.0.2.10-12"), Ok("192.0.2.10 192.0.2.12".into()));
        assert_eq!(text("192.0.2.250-192.0.3.3"), Ok("192.0.2.250 192.0.3.3".into()));
        assert_eq!(text("192.0.2.64/29"), Ok("192.0.2.64 192.0.2.71".into()));
        assert_eq!(text("2001:db8::1-f"), Ok("2001:db8::1 2001:db8::f".into()));
        assert_eq!(text("2001:db8:5::/120"), Ok("2001:db8:5:: 2001:db8:5::ff".into()));
        assert_eq!(text("8000::/1"), Ok("8000:: ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".into()));
        for word in [
            "192.0.2.5-5",
            "192.0.2.5-256",
            "192.0.2.5/30",
            "192.0.2.0/0",
            "192.0.2.0/33",
            "1.2.3.4-::1",
            "::1-+f",
        ] {
            assert!(range(word).is_err(), "{word}");
        }
        assert!(short_range("198.51.100.1-255").is_err() && short_range("198.51.100.5-5").is_ok());
    }

    #[test]
    fn masks_are_what_inet_aton_takes() {
        let text = |word| ipv4_mask(word).map(|mask| mask.to_string());
        assert_eq!(text("24"), Ok("0.0.0.24".into()));
        assert_eq!(text("255.255.255"), Ok("255.255.0.255".into()));
        assert_eq!(text("0xffffff00"), Ok("255.255.255.0".into()));
        for word in ["255.255.255.256", "1.2.3.4.5", "x", "", "1..2"] {
            assert!(ipv4_mask(word).is_err(), "{word}");
        }
    }

    #[test]
    fn hexadecimal_digits_pair_within_a_word() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let read = hex(&words("Ab12f 3 456"), false).map(|pattern| pattern.bytes);
        assert_eq!(read, Ok(vec![0xab, 0x12, 0x0f, 0x03, 0x45, 0x06]));
        let read = hex(&words("6F xX 1x"), true).expect("good digits");
        assert_eq!((read.bytes, read.mask), (vec![0x6f, 0, 0x10], Some(vec![0, 0xff, 0x0f])));
        assert!(hex(&words("6X"), false).is_err());
    }
}
