// SPDX-License-Identifier: Apache-2.0
//! The secret that keys of SYN cookies follow from: drawn at start, or shared by file between directors.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::synproxy::config::MasterKey;

use crate::clock::Clock;

/// Bytes of the secret.
const LEN: usize = 16;

/// The secret in a file, or a new one without a file.
///
/// # Errors
/// The file cannot be read or holds anything but 32 hexadecimal digits; it is named.
pub fn master_key(file: Option<&Path>) -> io::Result<MasterKey> {
    let Some(path) = file else { return draw() };
    let named =
        |kind, reason: &dyn std::fmt::Display| io::Error::new(kind, format!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(error.kind(), &error))?;
    parse(text.trim()).ok_or_else(|| {
        named(ErrorKind::InvalidData, &"32 hexadecimal digits expected, as `openssl rand -hex 16` makes them")
    })
}

/// Time of day when the clock began, in milliseconds since 1970.
pub fn epoch_ms(clock: Clock) -> u64 {
    // Before 1970 the clock is wrong anyway; cookies then only differ from those of other directors.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(clock.up()).as_millis()).unwrap_or(u64::MAX)
}

fn draw() -> io::Result<MasterKey> {
    let mut key = [0; LEN];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(MasterKey(key))
}

fn parse(text: &str) -> Option<MasterKey> {
    let mut key = [0; LEN];
    if text.len() != 2 * LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(MasterKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_32_hexadecimal_digits() {
        let key = MasterKey([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
        assert_eq!(parse("00010203040506070809AAbbccddeeff"), Some(key));
        for text in [
            "",
            "00",
            "00010203040506070809aabbccddeefg",
            "00010203040506070809aabbccddeeff0",
            "+0010203040506070809aabbccddeefff",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_start_draws_another_secret() {
        let draw = || master_key(None).expect("the system has random numbers").0;
        assert_ne!(draw(), draw());
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let error = master_key(Some(Path::new("/nonexistent/key"))).expect_err("no such file");
        assert_eq!(
            (error.kind(), error.to_string().starts_with("/nonexistent/key: ")),
            (ErrorKind::NotFound, true)
        );
        let error = master_key(Some(Path::new("/dev/null"))).expect_err("it is empty");
        assert!(error.to_string().starts_with("/dev/null: 32 hexadecimal digits expected"), "{error}");
    }
}
