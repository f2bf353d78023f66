// SPDX-License-Identifier: Apache-2.0
//! ICMP that the director itself sends: echo replies and errors about packets it cannot pass on.

use std::net::IpAddr;

use packet::icmp::{self, v4, v6};
use packet::{Buffer, checksum, ipv4, ipv6, proto};

use crate::synproxy::limit::PrefixLimiter;
use crate::tick::Tick;

/// What was wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// TTL or hop limit used up on the way through.
    TimeExceeded,
    /// Longer than this MTU, in bytes, and not to be fragmented.
    TooBig(u16),
    /// The last router, or the host itself, does not answer.
    Unreachable,
}

/// Which errors about packets of connections are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Source quench, which nobody should heed (RFC 6633).
    pub source_quench: bool,
    /// That IPv4 packets are too long for a link that takes fewer bytes than this, 68 to 1280: less is hardly ever true, and makes senders waste
    /// their time.
    pub least_mtu: u16,
    /// Errors to an address of services or towards servers that are about no connection go to the host's own stack.
    pub unrelated_to_host: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { source_quench: true, least_mtu: 68, unrelated_to_host: false }
    }
}

/// Limits how many errors leave, so that the director is no amplifier (RFC 1812 4.3.2.8, RFC 4443 2.4 f): in all, and towards one
/// neighbourhood (/24, /56), so that nobody takes those of the others.
#[derive(Clone, Debug)]
pub struct Limiter {
    tokens: u64,
    refilled: Tick,
    towards: PrefixLimiter,
}

/// Errors a second and worker. A traceroute needs three a hop, path-MTU discovery one a path.
const PER_SECOND: u64 = 1000;
/// Errors that may leave at once.
const BURST: u64 = 100;
/// Errors a second and worker towards one neighbourhood; as many at once.
const TOWARDS: u32 = 50;

impl Limiter {
    /// A limiter that has let nothing pass; `seed` keeps neighbourhoods from being made to share a limit.
    pub fn new(seed: u64) -> Self {
        Limiter { tokens: BURST * 1000, refilled: Tick(0), towards: PrefixLimiter::new(seed) }
    }

    /// Whether one more may leave towards `addr` now.
    pub fn allows(&mut self, addr: IpAddr, now: Tick) -> bool {
        if !self.towards.allows(addr, TOWARDS, now) {
            return false;
        }
        let earned = now.since(self.refilled).saturating_mul(PER_SECOND);
        self.tokens = self.tokens.saturating_add(earned).min(BURST * 1000);
        self.refilled = now;
        let allowed = self.tokens >= 1000;
        self.tokens -= if allowed { 1000 } else { 0 };
        allowed
    }
}

/// Whether an error may be sent about an IPv4 packet (RFC 1122 3.2.2, RFC 1812 4.3.2.7): not about ICMP errors and redirects, fragments
/// other than the first, what is for groups or everybody, and what comes from nobody in particular.
pub fn may_answer4(ip: &[u8]) -> bool {
    let Some(header) = ipv4::Header::parse(ip) else { return false };
    let one = |addr: u32| addr >> 28 < 14 && addr >> 24 != 0 && addr >> 24 != 127;
    let about_error =
        header.proto() == proto::ICMP && ip.get(header.header_len()).is_none_or(|&kind| v4::is_error(kind));
    one(header.src()) && one(header.dst()) && !header.is_later_fragment() && !about_error
}

/// Whether an error may be sent about an IPv6 packet (RFC 4443 2.4 e): not about ICMPv6 errors and redirects, fragments other than the
/// first, not to groups or nobody; about packets to groups only that they are too big.
pub fn may_answer6(ip: &[u8], problem: Problem) -> bool {
    let Some(header) = ipv6::Header::parse(ip) else { return false };
    let Some(upper) = ipv6::upper(ip, header.next_header()) else { return false };
    let about_error = upper.proto == proto::ICMPV6
        && ip.get(upper.offset).is_none_or(|&kind| v6::is_error(kind) || kind == v6::REDIRECT);
    let to_group = ipv6::is_multicast(header.dst()) && !matches!(problem, Problem::TooBig(_));
    // The unspecified address and the loopback address.
    let nobody = header.src() <= 1 || ipv6::is_multicast(header.src());
    !nobody && !to_group && !upper.later_fragment && !about_error
}

/// Bytes of an IPv4 error at most (RFC 1812 4.3.2.3).
const MAX_ERROR4: usize = 576;
/// Bytes of an IPv6 error at most (RFC 4443 2.4 c).
const MAX_ERROR6: usize = 1280;

/// Writes an IPv4 error about `ip` (header first, padding cut off) from `src` into an empty packet; `None` when it has no room.
pub fn error4<P: Buffer>(out: &mut P, ip: &[u8], problem: Problem, src: u32, ttl: u8) -> Option<()> {
    let about = ipv4::Header::parse(ip)?;
    let (kind, code, rest) = match problem {
        Problem::TimeExceeded => (v4::TIME_EXCEEDED, 0, 0),
        Problem::TooBig(mtu) => (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, u32::from(mtu)),
        Problem::Unreachable => (v4::UNREACHABLE, v4::HOST_UNREACHABLE, 0),
    };
    let quoted = &ip[..ip.len().min(MAX_ERROR4 - ipv4::LEN - icmp::LEN)];
    let message = icmp::LEN + quoted.len();
    let bytes = out.append(ipv4::LEN + message)?;
    // Precedence "internetwork control" (RFC 1812 4.3.2.5).
    let tos = about.tos() & 0x1e | 0xc0;
    let header = ipv4::Repr {
        src,
        dst: about.src(),
        proto: proto::ICMP,
        ttl,
        tos,
        id: 0,
        flags: 0,
        payload_len: message,
    };
    header.emit(bytes)?;
    fill(&mut bytes[ipv4::LEN..], kind, code, rest, quoted, 0);
    Some(())
}

/// Writes an IPv6 error about `ip` from `src` into an empty packet; `None` when it has no room.
pub fn error6<P: Buffer>(out: &mut P, ip: &[u8], problem: Problem, src: u128, ttl: u8) -> Option<()> {
    let about = ipv6::Header::parse(ip)?;
    let (kind, code, rest) = match problem {
        Problem::TimeExceeded => (v6::TIME_EXCEEDED, 0, 0),
        Problem::TooBig(mtu) => (v6::PACKET_TOO_BIG, 0, u32::from(mtu)),
        Problem::Unreachable => (v6::UNREACHABLE, v6::ADDRESS_UNREACHABLE, 0),
    };
    let quoted = &ip[..ip.len().min(MAX_ERROR6 - ipv6::LEN - icmp::LEN)];
    let message = icmp::LEN + quoted.len();
    let dst = about.src();
    let bytes = out.append(ipv6::LEN + message)?;
    let header = ipv6::Repr { src, dst, next_header: proto::ICMPV6, hop_limit: ttl, payload_len: message };
    header.emit(bytes)?;
    fill(
        &mut bytes[ipv6::LEN..],
        kind,
        code,
        rest,
        quoted,
        checksum::pseudo6(src, dst, proto::ICMPV6, message),
    );
    Some(())
}

fn fill(message: &mut [u8], kind: u8, code: u8, rest: u32, quoted: &[u8], pseudo: u64) {
    message[..4].copy_from_slice(&[kind, code, 0, 0]);
    message[4..8].copy_from_slice(&rest.to_be_bytes());
    message[icmp::LEN..].copy_from_slice(quoted);
    let sum = !checksum::fold(pseudo + checksum::sum(message));
    message[icmp::CHECKSUM..icmp::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Turns an IPv4 echo request into its reply; `false`, and nothing changed, when it is none or its checksum is wrong.
pub fn echo4(ip: &mut [u8], header_len: usize, ttl: u8) -> bool {
    let Some(message) = ip.get_mut(header_len..) else { return false };
    if message.len() < icmp::LEN || message[..2] != [v4::ECHO, 0] || checksum::checksum(message) != 0 {
        return false;
    }
    reply(message, v4::ECHO_REPLY);
    icmp::settle_zeros(message);
    let (src, dst) = ip[ipv4::at::SRC..ipv4::LEN].split_at_mut(4);
    src.swap_with_slice(dst);
    ip[ipv4::at::TTL] = ttl;
    ip[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].fill(0);
    let sum = checksum::checksum(&ip[..header_len]);
    ip[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    true
}

/// Lets an IPv4 packet of our own be cut on its way: takes "do not fragment" away and gives it an identification (RFC 6864 4.1);
/// `false` when it is no IPv4 packet.
pub fn allow_fragments(ip: &mut [u8], id: u16) -> bool {
    let Some(h) = ip.first_chunk_mut::<{ ipv4::LEN }>() else { return false };
    let old = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
    let new = u32::from(id) << 16 | old & 0xffff & !u32::from(ipv4::DF);
    h[4..8].copy_from_slice(&new.to_be_bytes());
    let at = ipv4::at::CHECKSUM;
    let sum = checksum::Delta::default().long(old, new).apply(u16::from_be_bytes([h[at], h[at + 1]]));
    h[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    h[0] >> 4 == 4
}

/// Turns an ICMPv6 echo request into its reply; `false`, and nothing changed, when it is none. The checksum was verified.
pub fn echo6(ip: &mut [u8], header_len: usize, hop_limit: u8) -> bool {
    let Some(message) = ip.get_mut(header_len..).filter(|m| m.len() >= icmp::LEN && m[..2] == [v6::ECHO, 0])
    else {
        return false;
    };
    reply(message, v6::ECHO_REPLY);
    let (src, dst) = ip[ipv6::at::SRC..ipv6::LEN].split_at_mut(16);
    src.swap_with_slice(dst);
    ip[ipv6::at::HOP_LIMIT] = hop_limit;
    true
}

fn reply(message: &mut [u8], kind: u8) {
    let old = u16::from_be_bytes([message[0], message[1]]);
    let sum = u16::from_be_bytes([message[2], message[3]]);
    let sum = checksum::Delta::default().word(old, u16::from_be_bytes([kind, 0])).apply(sum);
    message[0] = kind;
    message[icmp::CHECKSUM..icmp::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use packet::{Frame, build};

    use super::*;

    const MACS: build::Macs = ([2; 6], [4; 6]);

    fn udp4() -> Vec<u8> {
        build::udp(MACS, "10.0.0.1:5".parse().unwrap(), "10.0.0.2:6".parse().unwrap(), &[7; 1400])[14..]
            .to_vec()
    }

    fn udp6() -> Vec<u8> {
        build::udp(MACS, "[fd00::1]:5".parse().unwrap(), "[fd00::2]:6".parse().unwrap(), &[7; 1400])[14..]
            .to_vec()
    }

    #[test]
    fn an_ipv4_error_quotes_what_fits_576_bytes_and_tells_the_mtu() {
        let mut out = Frame::new(&[]);
        error4(&mut out, &udp4()[..300], Problem::TooBig(1400), 0x0a00_0002, 64).unwrap_or_default();
        assert!(out.data().is_empty(), "a frame for tests has 128 bytes of room only");
        let mut out = Frame::with_room(1500);
        error4(&mut out, &udp4(), Problem::TooBig(1400), 0x0a00_0002, 64).expect("room for 1500 bytes");
        let bytes = out.data();
        assert_eq!(bytes.len(), 576);
        assert_eq!(bytes[20..28], [3, 4, bytes[22], bytes[23], 0, 0, 0x05, 0x78]);
        assert_eq!(checksum::checksum(&bytes[..20]), 0);
        assert_eq!(checksum::checksum(&bytes[20..]), 0);
        assert_eq!(bytes[28..], udp4()[..548]);
        assert_eq!(bytes[12..20], [10, 0, 0, 2, 10, 0, 0, 1]);
    }

    #[test]
    fn an_ipv6_error_fits_1280_bytes() {
        let mut out = Frame::with_room(1500);
        error6(&mut out, &udp6(), Problem::TooBig(1300), 0xfd00 << 112 | 2, 64).expect("room for 1500 bytes");
        let bytes = out.data();
        assert_eq!(bytes.len(), 1280);
        assert_eq!(bytes[40..48], [2, 0, bytes[42], bytes[43], 0, 0, 0x05, 0x14]);
        let pseudo = checksum::pseudo6(0xfd00 << 112 | 2, 0xfd00 << 112 | 1, 58, 1240);
        assert_eq!(checksum::fold(pseudo + checksum::sum(&bytes[40..])), 0xffff);
    }

    #[test]
    fn no_error_about_errors_fragments_and_groups() {
        assert!(may_answer4(&udp4()) && may_answer6(&udp6(), Problem::TimeExceeded));
        let mut error = Frame::with_room(1500);
        error4(&mut error, &udp4(), Problem::TimeExceeded, 0x0a00_0002, 64).expect("room");
        assert!(!may_answer4(error.data()));
        let mut error = Frame::with_room(1500);
        error6(&mut error, &udp6(), Problem::TimeExceeded, 0xfd00 << 112 | 2, 64).expect("room");
        assert!(!may_answer6(error.data(), Problem::TimeExceeded));
        let mut fragment = udp4();
        fragment[7] = 1;
        assert!(!may_answer4(&fragment));
        let mut group = udp4();
        group[16] = 224;
        assert!(!may_answer4(&group));
        let mut group = udp6();
        group[24] = 0xff;
        assert!(!may_answer6(&group, Problem::TimeExceeded) && may_answer6(&group, Problem::TooBig(1280)));
    }

    #[test]
    fn echo_requests_become_replies_with_right_checksums() {
        let mut ip =
            build::echo(MACS, "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 7, 1, b"abc")[14..]
                .to_vec();
        assert!(echo4(&mut ip, 20, 64));
        assert_eq!((checksum::checksum(&ip[..20]), checksum::checksum(&ip[20..])), (0, 0));
        assert_eq!((ip[20], &ip[12..20]), (0, &[10, 0, 0, 2, 10, 0, 0, 1][..]));
        assert!(!echo4(&mut ip, 20, 64), "a reply is no request");
        let mut ip = build::echo(MACS, "fd00::1".parse().unwrap(), "fd00::2".parse().unwrap(), 7, 1, b"abc")
            [14..]
            .to_vec();
        assert!(echo6(&mut ip, 40, 64));
        let pseudo = checksum::pseudo6(0xfd00 << 112 | 2, 0xfd00 << 112 | 1, 58, 11);
        assert_eq!(checksum::fold(pseudo + checksum::sum(&ip[40..])), 0xffff);
    }

    #[test]
    fn a_reply_of_nothing_but_zeros_has_a_right_checksum() {
        let (src, dst) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut ip = build::echo(MACS, src, dst, 0, 0, &[0; 4]).split_off(14);
        ip[26..28].fill(0);
        ip[22..24].copy_from_slice(&[0xf7, 0xff]);
        assert_eq!(checksum::checksum(&ip[20..]), 0, "the question's is right");
        assert!(echo4(&mut ip, 20, 64));
        assert_eq!((checksum::checksum(&ip[20..]), &ip[20..24]), (0, &[0, 0, 0xff, 0xff][..]));
    }

    #[test]
    fn a_request_with_a_wrong_checksum_gets_no_reply() {
        let mut ip =
            build::echo(MACS, "10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 7, 1, b"abc")[14..]
                .to_vec();
        ip[30] ^= 1;
        assert!(!echo4(&mut ip, 20, 64));
    }

    #[test]
    fn errors_are_limited_in_all_and_towards_a_neighbourhood() {
        let mut limiter = Limiter::new(1);
        let ip = |n: u32| IpAddr::V4((0x0a00_0001 + (n << 8)).into());
        let one = |limiter: &mut Limiter, now| (0..1000).filter(|_| limiter.allows(ip(0), now)).count();
        let all = |limiter: &mut Limiter, now| (0..1000).filter(|&n| limiter.allows(ip(n), now)).count();
        assert_eq!(one(&mut limiter, Tick(0)), 50);
        assert_eq!(
            all(&mut limiter, Tick(0)),
            50,
            "what one neighbourhood took is gone, but no more than that"
        );
        assert_eq!(all(&mut limiter, Tick(10)), 10);
        assert_eq!(one(&mut limiter, Tick(1_000_000)), 50);
        assert_eq!(all(&mut limiter, Tick(2_000_000)), 100);
    }
}
