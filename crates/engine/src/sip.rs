// SPDX-License-Identifier: Apache-2.0
//! What tells a SIP call: the Call-ID of its messages (RFC 3261 20.8), by which the persistence engine `sip` knows clients.

/// Longest identifier that counts, in bytes; that of LVS.
const MAX: usize = 255;

/// The identifier of the call that a datagram's payload is a message of, if it is one.
pub fn call_id(message: &[u8]) -> Option<&[u8]> {
    // The first line is the request or the status; an empty one ends the header.
    let lines = message.split(|&byte| byte == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        // The short form is of RFC 3261 7.3.3.
        let is_id = name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i");
        (is_id && (1..=MAX).contains(&value.len())).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(message: &str) -> Option<&str> {
        call_id(message.as_bytes()).map(|id| std::str::from_utf8(id).expect("it was text"))
    }

    #[test]
    fn both_forms_of_the_header_in_any_case_tell_the_call() {
        for header in
            ["Call-ID: a@b", "CALL-id :a@b", "i: a@b  ", "Via: x\r\ni:\ta@b", "I: a@b\r\nCall-ID: c@d"]
        {
            assert_eq!(id(&format!("INVITE sip:x SIP/2.0\r\n{header}\r\n\r\n")), Some("a@b"), "{header}");
            assert_eq!(id(&format!("SIP/2.0 200 OK\n{header}\n\n")), Some("a@b"), "{header}");
        }
    }

    #[test]
    fn what_is_no_message_has_no_call() {
        let long = format!("X\r\nCall-ID: {}\r\n\r\n", "a".repeat(256));
        for message in [
            "",
            "\r\n\r\n",
            "Call-ID: a@b\r\n",
            "X\r\n\r\nCall-ID: a@b",
            "X\r\nCall-ID:\r\n",
            "X\r\nVia: i",
            &long,
        ] {
            assert_eq!(id(message), None, "{message:?}");
        }
        assert!(id(&long.replacen("aa", "a", 1)).is_some());
    }
}
