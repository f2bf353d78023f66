// SPDX-License-Identifier: Apache-2.0
//! Headers of the PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`, 2.1 and 2.2): what tells a server whom a connection is
//! from.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::{ArrayString, ArrayVec};

/// Bytes of the longest header that is written or read: a line of version 1, its end included.
pub const MAX: usize = 107;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;

/// Which form a header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its form.
    pub version: Version,
    /// Bytes of it.
    pub len: usize,
    /// Source and target of the connection, where it tells them: it may be the sender's own, or of no family that is known here.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

impl Header {
    /// The header that a stream or datagram begins with; `None` when it begins with none, or not with the whole of it.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.starts_with(&SIGNATURE) { binary(bytes) } else { line(bytes) }
    }
}

/// A header; `datagram` for UDP. Both ends are of one family.
pub fn write(version: Version, (src, dst): (SocketAddr, SocketAddr), datagram: bool) -> ArrayVec<u8, MAX> {
    match version {
        Version::V1 => {
            let mut text = ArrayString::<MAX>::new();
            let family = if src.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (src.ip(), dst.ip());
            let written = write!(text, "PROXY {family} {from} {to} {} {}\r\n", src.port(), dst.port());
            debug_assert!(written.is_ok(), "the longest line is known");
            text.bytes().collect()
        }
        Version::V2 => {
            let mut all: ArrayVec<u8, MAX> = SIGNATURE.into_iter().collect();
            let protocol = if datagram { 2 } else { 1 };
            // Version 2, on behalf of somebody.
            all.push(0x21);
            match (src.ip(), dst.ip()) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => {
                    all.extend([0x10 | protocol, 0, 12]);
                    all.extend(src.octets().into_iter().chain(dst.octets()));
                }
                (src, dst) => {
                    all.extend([0x20 | protocol, 0, 36]);
                    all.extend(wide(src).into_iter().chain(wide(dst)));
                }
            }
            all.extend(src.port().to_be_bytes().into_iter().chain(dst.port().to_be_bytes()));
            all
        }
    }
}

fn wide(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
        IpAddr::V6(addr) => addr.octets(),
    }
}

fn binary(bytes: &[u8]) -> Option<Header> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
    let (command, family) = (fixed[12], fixed[13]);
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let addresses = rest.get(..len)?;
    // The sender's own (LOCAL) has no address that counts.
    if command != 0x20 && command != 0x21 {
        return None;
    }
    let ends = match family >> 4 {
        _ if command == 0x20 => None,
        1 => addresses.first_chunk::<12>().map(|a| {
            let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(a[at], a[at + 1], a[at + 2], a[at + 3]));
            ((ip(0), word(a, 8)).into(), (ip(4), word(a, 10)).into())
        }),
        2 => addresses.first_chunk::<36>().map(|a| {
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&a[at..at + 16]);
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            ((ip(0), word(a, 32)).into(), (ip(16), word(a, 34)).into())
        }),
        _ => None,
    };
    Some(Header { version: Version::V2, len: FIXED + len, ends })
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn line(bytes: &[u8]) -> Option<Header> {
    let window = &bytes[..bytes.len().min(MAX)];
    let end = window.windows(2).position(|pair| pair == b"\r\n")?;
    let mut words = std::str::from_utf8(&window[..end]).ok()?.strip_prefix("PROXY ")?.split(' ');
    let header = |ends| Some(Header { version: Version::V1, len: end + 2, ends });
    let four = match words.next()? {
        "TCP4" => true,
        "TCP6" => false,
        "UNKNOWN" => return header(None),
        _ => return None,
    };
    let ends = [words.next()?, words.next()?];
    let [src, dst] = [ends[0].parse::<IpAddr>().ok()?, ends[1].parse().ok()?];
    let mut port = || words.next()?.parse::<u16>().ok();
    let (sport, dport) = (port()?, port()?);
    let good = words.next().is_none() && src.is_ipv4() == four && dst.is_ipv4() == four;
    if good { header(Some(((src, sport).into(), (dst, dport).into()))) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(src: &str, dst: &str) -> (SocketAddr, SocketAddr) {
        (src.parse().unwrap(), dst.parse().unwrap())
    }

    /// The examples of the protocol's own document, 2.1 and 2.2.
    #[test]
    fn row140_headers_are_those_of_the_document() {
        let four = ends("192.168.0.1:56324", "192.168.0.11:443");
        assert_eq!(
            write(Version::V1, four, false)[..],
            *b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        );
        let six = ends("[2001:db8::1]:1", "[::1]:65535");
        assert_eq!(write(Version::V1, six, false)[..], *b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n");
        let binary = write(Version::V2, four, false);
        assert_eq!(binary[..16], *b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11\x00\x0c");
        assert_eq!(binary[16..], [192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 4, 1, 0xbb]);
        assert_eq!((write(Version::V2, four, true)[13], write(Version::V2, six, true)[13]), (0x12, 0x22));
        assert_eq!((write(Version::V2, six, false).len(), write(Version::V2, six, false)[13]), (52, 0x21));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("[{full}]:65535");
        for ends in
            [ends("1.2.3.4:5", "6.7.8.9:10"), ends("[fd00::1]:5", "[fd00::2]:10"), ends(&longest, &longest)]
        {
            for version in [Version::V1, Version::V2] {
                let mut bytes = write(version, ends, false).to_vec();
                let len = bytes.len();
                bytes.extend(b"PROXY data");
                assert_eq!(Header::parse(&bytes), Some(Header { version, len, ends: Some(ends) }));
                (0..len).for_each(|cut| assert_eq!(Header::parse(&bytes[..cut]), None, "{cut}"));
            }
        }
    }

    #[test]
    fn headers_without_addresses_are_headers_all_the_same() {
        let unknown = b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET";
        assert_eq!(Header::parse(unknown), Some(Header { version: Version::V1, len: 35, ends: None }));
        let fixed =
            |command, family, len: u8| [&SIGNATURE[..], &[command, family, 0, len], &[7; 40]].concat();
        let local = Some(Header { version: Version::V2, len: 28, ends: None });
        assert_eq!(Header::parse(&fixed(0x20, 0x11, 12)), local);
        // Of a family that is not known here, and with more behind the addresses.
        assert_eq!(Header::parse(&fixed(0x21, 0x31, 12)), local);
        let more = Header::parse(&fixed(0x21, 0x11, 20)).expect("a header");
        assert_eq!((more.len, more.ends), (36, Some(ends("7.7.7.7:1799", "7.7.7.7:1799"))));
    }

    #[test]
    fn what_is_no_header_is_none() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0",
            b"\r\n\r\n\0\r\nQUIT\n\x22\x11\0\0",
            b"\xff\xff\r\n",
        ] {
            assert_eq!(Header::parse(bytes), None, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
