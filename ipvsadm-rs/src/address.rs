// SPDX-License-Identifier: Apache-2.0
//! Addresses, ports and masks as they are typed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Transport;

use crate::names::Names;

/// An address, and a port if one was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address.
    pub addr: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// Reads `HOST[:PORT]`, `[IPV6]:PORT` or `IPV6`. Names of ports are those of `transport`.
///
/// # Errors
///
/// What is wrong with it.
pub fn host_port(text: &str, transport: Option<Transport>, names: &Names) -> Result<HostPort, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("HOST[:PORT] or [IPV6]:PORT expected".to_owned());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (addr, port) = rest
            .split_once(']')
            .and_then(|(addr, rest)| Some((addr, rest.strip_prefix(':')?)))
            .ok_or_else(|| "after `[` an IPv6 address, `]:` and a port are expected".to_owned())?;
        let addr: Ipv6Addr = addr.parse().map_err(|_| format!("`{addr}` is not an IPv6 address"))?;
        return Ok(HostPort { addr: addr.into(), port: Some(self::port(port, transport, names)?) });
    }
    if let Ok(addr) = text.parse::<Ipv6Addr>() {
        return Ok(HostPort { addr: addr.into(), port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let addr = classic_ipv4(host)
        .or_else(|| names.ipv4(host))
        .ok_or_else(|| format!("`{host}` is neither an address nor a known host"))?;
    let port = port.map(|port| self::port(port, transport, names)).transpose()?;
    Ok(HostPort { addr: addr.into(), port })
}

fn port(text: &str, transport: Option<Transport>, names: &Names) -> Result<u16, String> {
    if let Some(port) = decimal(text).and_then(|n| u16::try_from(n).ok()) {
        return Ok(port);
    }
    let known = transport.and_then(|transport| names.port_of(text, transport));
    known.ok_or_else(|| match transport {
        Some(transport) => format!("`{text}` is neither a port from 0 to 65535 nor a {transport} service"),
        None => format!("`{text}` is not a port from 0 to 65535"),
    })
}

/// A decimal number as C's `strtol` reads it: blanks before, a sign, and nothing after. Saturates far outside any range.
pub fn decimal(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -number } else { number })
}

/// An IPv4 address in any of the classic forms: one to four numbers, decimal, octal with `0` or hexadecimal with `0x`
/// before; the last fills the bytes that are left.
pub fn classic_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(classic_number).collect::<Option<_>>()?;
    let (&last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|&byte| byte > 255) {
        return None;
    }
    let left = 8 * (4 - bytes.len() as u32);
    if left < 32 && last >> left != 0 {
        return None;
    }
    let high = bytes.iter().fold(0, |addr, &byte| addr << 8 | byte);
    Some(Ipv4Addr::from_bits(high.checked_shl(left).unwrap_or(0) | last))
}

fn classic_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let names = Names::from_texts("10.0.0.1 vip\n::1 six\n", "http 80/tcp\n");
        let HostPort { addr, port } = host_port(text, Some(Transport::Tcp), &names)?;
        Ok(match port {
            Some(port) => format!("{addr} {port}"),
            None => addr.to_string(),
        })
    }

    #[test]
    fn addresses_have_the_forms_that_scripts_use() {
        for (text, seen) in [
            ("10.0.0.1:80", "10.0.0.1 80"),
            ("10.0.0.1", "10.0.0.1"),
            ("vip:http", "10.0.0.1 80"),
            ("[2001:db8::1]:443", "2001:db8::1 443"),
            ("2001:db8::1", "2001:db8::1"),
            ("[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1 80"),
            ("10:80", "0.0.0.10 80"),
            ("10.0.0:80", "10.0.0.0 80"),
            ("0xa000003:80", "10.0.0.3 80"),
            ("010.0.0.2:080", "8.0.0.2 80"),
            ("10.0.0.1:+80", "10.0.0.1 80"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(seen), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "10",
            "167772161",
            ":80",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1:-1",
            "10.0.0.256:80",
            "10.0.0.:80",
            ".10.0.0:80",
            "10.0.0.1.1:80",
            "[2001:db8::1]",
            "[::1:80",
            "[::1]80",
            "::1:80x",
            "[10.0.0.1]:80",
            "[::1%lo]:80",
            "10.0.0.1/24",
            "nosuchhost:80",
            "vip:nosuch",
            "10.0.0.1:0x50",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number) in
            [("5", 5), ("+5", 5), (" 5", 5), ("-1", -1), ("007", 7), ("99999999999999999999", i64::MAX)]
        {
            assert_eq!(decimal(text), Some(number), "{text}");
        }
        for text in ["", "-", "1x", "1.5", "5 ", "0x5", "--1"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
