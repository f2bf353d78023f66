// SPDX-License-Identifier: Apache-2.0
//! PING_CHECK: the server answers an ICMP echo.

use std::net::SocketAddr;

use socket2::{Protocol, Type};
use tokio::net::UdpSocket;

use super::Target;
use crate::health::random;

pub async fn test(target: &Target) -> Result<(), String> {
    let target = Target { addr: SocketAddr::new(target.addr.ip(), 0), ..target.clone() };
    let (socket, raw) = socket(&target).map_err(|error| format!("socket: {error}"))?;
    let token = random().to_be_bytes();
    let request = request(target.addr.is_ipv6(), token);
    target.within("echo request", socket.send(&request)).await?;
    let answer = async {
        let mut buffer = [0; 2048];
        loop {
            let size = socket.recv(&mut buffer).await?;
            if is_answer(&buffer[..size], target.addr.is_ipv6(), raw, token) {
                return Ok(());
            }
        }
    };
    target.within("echo reply", answer).await
}

/// The kernel's own echo sockets where this process may have them, else raw ones; whether it is raw.
fn socket(target: &Target) -> std::io::Result<(UdpSocket, bool)> {
    let protocol = if target.addr.is_ipv6() { Protocol::ICMPV6 } else { Protocol::ICMPV4 };
    match target.datagrams(Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok((socket, false)),
        Err(_) => Ok((target.datagrams(Type::RAW, Some(protocol))?, true)),
    }
}

/// An echo request with the token as data, identifier and sequence number (RFC 792, RFC 4443 4.1). The kernel makes the checksum of
/// ICMPv6.
fn request(v6: bool, token: [u8; 8]) -> Vec<u8> {
    let mut request = vec![if v6 { 128 } else { 8 }, 0, 0, 0];
    request.extend(&token[..4]);
    request.extend(token);
    if !v6 {
        let sum: u32 =
            request.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    request
}

/// Whether a datagram is the echo reply with the token. Raw IPv4 sockets give the IP header too.
fn is_answer(bytes: &[u8], v6: bool, raw: bool, token: [u8; 8]) -> bool {
    let skip = if raw && !v6 { bytes.first().map_or(0, |first| usize::from(first & 0xf) * 4) } else { 0 };
    let Some(icmp) = bytes.get(skip..) else { return false };
    icmp.first() == Some(&if v6 { 129 } else { 0 }) && icmp.get(8..16) == Some(&token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_ping() {
        // Checksum by hand: 0800 + 0102 + 0304 + 0102 + 0304 + 0506 + 0708 = 1c14, complement e3eb... of the words below.
        let request = request(false, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(&request[..2], [8, 0]);
        let words = request.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "RFC 1071: the sum over everything is all ones");
    }

    #[test]
    fn only_the_reply_with_the_token_counts() {
        let token = *b"12345678";
        let reply = [&[0, 0, 9, 9, 1, 1, 1, 1][..], &token].concat();
        assert!(is_answer(&reply, false, false, token));
        let raw = [&[0x45; 20][..], &reply].concat();
        assert!(is_answer(&raw, false, true, token));
        assert!(!is_answer(&raw, false, true, *b"12345679"));
        let request = [&[8, 0, 9, 9, 1, 1, 1, 1][..], &token].concat();
        assert!(!is_answer(&request, false, false, token));
        assert!(!is_answer(&[0x4f], false, true, token));
    }
}
