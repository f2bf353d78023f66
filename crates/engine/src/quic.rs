// SPDX-License-Identifier: Apache-2.0
//! QUIC connections keep their server when a client's address changes (`ipvsadm --quic`): servers write their own address into the
//! connection identifiers they give out.
//!
//! ```text
//!   octet 0   free
//!   octet 1   bytes of address less one (3 bits), port follows (1 bit), then at bit 12:
//!             the low bytes of the server's address, its port if it follows, and whatever else
//! ```
//!
//! For example `XX 36 FD E1 F5 DX`: two bytes of address and a port, 111.222 and 8029. Where the identifier is in a packet holds for every
//! version (RFC 8999 5).

use std::net::{IpAddr, SocketAddr};

/// Longest connection identifier (RFC 9000 17.2).
const LONGEST: usize = 20;
/// Shortest one that tells a server.
const SHORTEST: usize = 7;
/// In the first byte of packets that open or close a connection.
const LONG: u8 = 0x80;
/// In the first byte of every packet (RFC 9000 17).
const FIXED: u8 = 0x40;

/// What an identifier tells of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The last bytes of its address.
    suffix: u64,
    /// How many: 1 to 8.
    len: u8,
    /// Its port.
    port: Option<u16>,
}

impl Hint {
    /// What the identifier in a datagram's payload tells; `None` when it tells nothing, as those do that clients make up.
    pub fn read(payload: &[u8]) -> Option<Hint> {
        let first = *payload.first().filter(|first| *first & FIXED != 0)?;
        if first & LONG == 0 {
            return Hint::of(payload.get(1..)?);
        }
        // A version, which is not 0 where a connection is meant, then the identifier's length.
        let version = payload.get(1..5)?;
        let len = usize::from(*payload.get(5)?);
        let told = version.iter().any(|byte| *byte != 0) && (SHORTEST..=LONGEST).contains(&len);
        if told { Hint::of(payload.get(6..6 + len)?) } else { None }
    }

    fn of(id: &[u8]) -> Option<Hint> {
        let head = *id.get(1)?;
        let (len, with_port) = ((head >> 5) + 1, head & 0x10 != 0);
        let half = |at: usize| {
            Some(u64::from(if at.is_multiple_of(2) { id.get(at / 2)? >> 4 } else { id.get(at / 2)? & 15 }))
        };
        let number = |from: usize, halves: usize| {
            (from..from + halves).try_fold(0, |all, at| Some(all << 4 | half(at)?))
        };
        let halves = usize::from(len) * 2;
        let suffix = number(3, halves)?;
        let port = if with_port { Some(number(3 + halves, 4)? as u16) } else { None };
        Some(Hint { suffix, len, port })
    }

    /// Whether it tells of the server at `addr`; port 0 there is any.
    pub fn means(&self, addr: SocketAddr) -> bool {
        let (bits, bytes) = match addr.ip() {
            IpAddr::V4(ip) => (u64::from(ip.to_bits()), 4),
            IpAddr::V6(ip) => (ip.to_bits() as u64, 8),
        };
        let mask = u64::MAX >> (64 - 8 * u32::from(self.len));
        let port = self.port.is_none_or(|port| addr.port() == 0 || addr.port() == port);
        self.len <= bytes && bits & mask == self.suffix && port
    }
}

/// The identifier of a connection of the first QUIC, before the RFCs, which conhash hashes (`--hash-target qid`).
pub fn old_id(payload: &[u8]) -> Option<u64> {
    let (first, rest) = payload.split_first()?;
    let id = rest.first_chunk::<8>()?;
    (first & 8 != 0).then_some(u64::from_le_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(payload: &[u8], addr: &str) -> Option<bool> {
        Hint::read(payload).map(|hint| hint.means(addr.parse().unwrap()))
    }

    /// The example of the layout's document.
    const ID: [u8; 10] = [0xaa, 0x36, 0xfd, 0xe1, 0xf5, 0xd7, 1, 2, 3, 4];

    fn short(id: &[u8]) -> Vec<u8> {
        [&[0x40][..], id].concat()
    }

    fn long(version: u32, id: &[u8]) -> Vec<u8> {
        [&[0xc3][..], &version.to_be_bytes(), &[id.len() as u8], id, &[0, 0]].concat()
    }

    #[test]
    fn row154_long_and_short_headers_tell_the_server() {
        for payload in [short(&ID), short(&ID[..6]), long(1, &ID), long(0x6b33_43cf, &ID)] {
            assert_eq!(means(&payload, "192.168.111.222:8029"), Some(true), "{payload:02x?}");
            assert_eq!(means(&payload, "[fd00::6fde]:8029"), Some(true));
            assert_eq!(means(&payload, "192.168.111.223:8029"), Some(false));
            assert_eq!(means(&payload, "192.168.111.222:8030"), Some(false));
            assert_eq!(means(&payload, "192.168.111.222:0"), Some(true));
        }
    }

    #[test]
    fn row154_without_port_any_port_is_meant() {
        let id = [0, 0x2 << 4 | 0x6, 0xfd, 0xe0, 0, 0, 0];
        assert_eq!(means(&short(&id), "10.0.111.222:1"), Some(true));
    }

    #[test]
    fn row154_every_length_of_address() {
        let octets = 0x0102_0304_0506_0708_u64.to_be_bytes();
        for len in 1..=8usize {
            let mut halves = vec![0, 0, (len as u8 - 1) << 1];
            halves.extend(octets[8 - len..].iter().flat_map(|byte| [byte >> 4, byte & 15]));
            halves.resize(40, 0);
            let id: Vec<u8> = halves.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            assert_eq!(means(&short(&id), "[fd00::102:304:506:708]:9"), Some(true), "{len}");
            // Longer than an address of IPv4 is none of those.
            assert_eq!(means(&short(&id), "5.6.7.8:9"), Some(len <= 4), "{len}");
        }
    }

    #[test]
    fn row154_what_tells_nothing_is_nothing() {
        for payload in [
            &[][..],
            &short(&ID[..5]),
            &[0x00, 0xaa, 0x36, 0xfd, 0xe1, 0xf5, 0xd7],
            &long(0, &ID),
            &long(1, &ID[..6]),
            &long(1, &[7; 21]),
            &long(1, &ID)[..12],
            &[0xc0, 0, 0],
        ] {
            assert_eq!(Hint::read(payload), None, "{payload:02x?}");
        }
    }

    #[test]
    fn row149_identifiers_of_the_first_quic_are_read_as_they_lie() {
        assert_eq!(old_id(&[8, 1, 0, 0, 0, 0, 0, 0, 2, 9]), Some(0x0200_0000_0000_0001));
        assert_eq!(old_id(&[7, 1, 0, 0, 0, 0, 0, 0, 2]), None);
        assert_eq!(old_id(&[8, 1, 0, 0, 0, 0, 0, 0]), None);
    }
}
