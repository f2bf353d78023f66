// SPDX-License-Identifier: Apache-2.0
//! Addresses and ports replaced within one family: FULLNAT and NAT, both directions.
//!
//! ```text
//!   FULLNAT  client  --- caddr:cport -> vaddr:vport --->  director  --- laddr:lport -> daddr:dport --->  server
//!                    <-- vaddr:vport -> caddr:cport ----            <-- daddr:dport -> laddr:lport -----
//!   NAT      client  --- caddr:cport -> vaddr:vport --->  director  --- caddr:cport -> daddr:dport --->  server
//!                    <-- vaddr:vport -> caddr:cport ----            <-- daddr:dport -> caddr:cport -----
//! ```
//!
//! What changes in checksums is computed once per connection. With FULLNAT many clients share a local port over time, and a server
//! remembers the last one for a while. So the client's initial sequence number is replaced by one that grows with time, and its
//! timestamps are taken out of the SYN: otherwise the server would take a new connection for an old one.

use std::net::IpAddr;

use packet::checksum::{Delta, shift_by, udp_shift_by};
use packet::{ipv4, ipv6, proto, sctp, tcp, udp};

use crate::conn::{Conn, Dir, Tuple};
use crate::forward::Forwarding;
use crate::l3::Ip;
use crate::output::Ttl;

/// What changes in checksums when packets with tuple `old` get the addresses and ports of `new`: in the IPv4 header, and in the
/// upper layer.
pub fn deltas(old: &Tuple, new: &Tuple) -> (u16, u16) {
    let (addrs, ports) = match (old, new) {
        (Tuple::V4(o), Tuple::V4(n)) => {
            let addrs = Delta::default().long(o.src, n.src).long(o.dst, n.dst);
            (addrs, addrs.word(o.sport, n.sport).word(o.dport, n.dport))
        }
        (Tuple::V6(o), Tuple::V6(n)) => {
            let addrs = Delta::default().address6(o.src, n.src).address6(o.dst, n.dst);
            (addrs, addrs.word(o.sport, n.sport).word(o.dport, n.dport))
        }
        // Of two families: the header is another one, the upper layer's pseudo header has other addresses.
        _ => {
            let (old, new) = ((old.source(), old.target()), (new.source(), new.target()));
            let addrs = Delta::default()
                .longs(&words(old.0.ip()), &words(new.0.ip()))
                .longs(&words(old.1.ip()), &words(new.1.ip()));
            (Delta::default(), addrs.word(old.0.port(), new.0.port()).word(old.1.port(), new.1.port()))
        }
    };
    (addrs.fold(), ports.fold())
}

/// An address in 32-bit words, those that IPv4 has not being zero, which counts as nothing.
fn words(addr: IpAddr) -> [u32; 4] {
    match addr {
        IpAddr::V4(addr) => [addr.to_bits(), 0, 0, 0],
        IpAddr::V6(addr) => [0, 1, 2, 3].map(|n| (addr.to_bits() >> (32 * n)) as u32),
    }
}

/// Rewrites a packet of `conn` going `dir` so that it carries `new`; `bytes` begin with the IP header.
#[inline(always)]
pub(crate) fn rewrite(bytes: &mut [u8], ip: &Ip, conn: &Conn, dir: Dir, new: &Tuple, ttl: Ttl) {
    let hops = u8::from(ttl == Ttl::Count);
    match new {
        Tuple::V4(t) => {
            let Some(h) = bytes.first_chunk_mut::<{ ipv4::LEN }>() else { return };
            h[ipv4::at::TTL] = ip.ttl - hops;
            let old = u16::from_be_bytes([h[10], h[11]]);
            // One hop less is always the same change: the TTL is the upper half of its word.
            let less = if ttl == Ttl::Count { !0x0100 } else { 0 };
            h[10..12].copy_from_slice(&shift_by(old, conn.l3_delta[dir as usize], less).to_be_bytes());
            h[ipv4::at::SRC..ipv4::at::SRC + 4].copy_from_slice(&t.src.to_be_bytes());
            h[ipv4::at::DST..ipv4::at::DST + 4].copy_from_slice(&t.dst.to_be_bytes());
            upper(bytes, ip, conn, dir, t.sport, t.dport);
        }
        Tuple::V6(t) => {
            let Some(h) = bytes.first_chunk_mut::<{ ipv6::LEN }>() else { return };
            h[ipv6::at::HOP_LIMIT] = ip.ttl - hops;
            h[ipv6::at::SRC..ipv6::at::SRC + 16].copy_from_slice(&t.src.to_be_bytes());
            h[ipv6::at::DST..ipv6::at::DST + 16].copy_from_slice(&t.dst.to_be_bytes());
            upper(bytes, ip, conn, dir, t.sport, t.dport);
        }
    }
}

/// Replaces the ports and what else of the upper layer changes; `bytes` begin with the IP header `ip`, already replaced.
#[inline(always)]
pub(crate) fn upper(bytes: &mut [u8], ip: &Ip, conn: &Conn, dir: Dir, sport: u16, dport: u16) {
    let delta = conn.l4_delta[dir as usize];
    let Some(l4) = bytes.get_mut(usize::from(ip.header_len)..usize::from(ip.total_len)) else { return };
    if ip.proto == proto::UDP {
        let Some(h) = l4.first_chunk_mut::<{ udp::LEN }>() else { return };
        h[..2].copy_from_slice(&sport.to_be_bytes());
        h[2..4].copy_from_slice(&dport.to_be_bytes());
        let old = u16::from_be_bytes([h[6], h[7]]);
        h[6..8].copy_from_slice(&udp_shift_by(old, delta).to_be_bytes());
        return;
    }
    if ip.proto == proto::SCTP {
        return renumber_sctp(l4, sport, dport);
    }
    let Some(h) = l4.first_chunk_mut::<{ tcp::LEN }>() else { return };
    h[..2].copy_from_slice(&sport.to_be_bytes());
    h[2..4].copy_from_slice(&dport.to_be_bytes());
    let old = u16::from_be_bytes([h[16], h[17]]);
    let flags = h[13];
    let delta = Delta::from_folded(delta);
    let delta = match dir {
        Dir::Inbound => shift(h, tcp::at::SEQ, conn.seq_delta, delta),
        Dir::Outbound if flags & tcp::flag::ACK != 0 => {
            shift(h, tcp::at::ACK, conn.seq_delta.wrapping_neg(), delta)
        }
        Dir::Outbound => delta,
    };
    let options = match dir {
        Dir::Inbound => flags & tcp::flag::SYN != 0 && conn.forwarding == Forwarding::FullNat,
        Dir::Outbound => conn.seq_delta != 0 && h[12] > 5 << 4,
    };
    h[16..18].copy_from_slice(&delta.apply(old).to_be_bytes());
    if options {
        rewrite_options(l4, conn, dir);
    }
}

/// Replaces the ports of an SCTP packet, whose checksum covers everything and nothing else.
#[cold]
#[inline(never)]
fn renumber_sctp(l4: &mut [u8], sport: u16, dport: u16) {
    if let Some(ports) = l4.first_chunk_mut::<4>() {
        ports[..2].copy_from_slice(&sport.to_be_bytes());
        ports[2..].copy_from_slice(&dport.to_be_bytes());
        sctp::sum_up(l4);
    }
}

/// Adds `by` to the 32-bit number at `at`.
#[inline(always)]
fn shift(h: &mut [u8; tcp::LEN], at: usize, by: u32, delta: Delta) -> Delta {
    let old = u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
    let new = old.wrapping_add(by);
    h[at..at + 4].copy_from_slice(&new.to_be_bytes());
    delta.long(old, new)
}

/// Takes timestamps out of a client's SYN; shifts selective acknowledgements to the client.
fn rewrite_options(l4: &mut [u8], conn: &Conn, dir: Dir) {
    let end = usize::from(l4[12] >> 4) * 4;
    let wanted = match dir {
        Dir::Inbound => tcp::option::TIMESTAMPS,
        Dir::Outbound => tcp::option::SACK,
    };
    let Some((_, at)) =
        l4.get(tcp::LEN..end).and_then(|list| tcp::options(list).places().find(|(kind, _)| *kind == wanted))
    else {
        return;
    };
    let at = tcp::LEN + at.start..tcp::LEN + at.end;
    match dir {
        Dir::Inbound => replace(l4, at.start, &[tcp::option::NOP; 10][..at.len().min(10)]),
        Dir::Outbound => {
            for edge in (at.start + 2..at.end.saturating_sub(3)).step_by(4) {
                let old = u32::from_be_bytes([l4[edge], l4[edge + 1], l4[edge + 2], l4[edge + 3]]);
                replace(l4, edge, &old.wrapping_sub(conn.seq_delta).to_be_bytes());
            }
        }
    }
}

/// Overwrites bytes of a TCP segment and keeps its checksum right, at even and odd offsets.
pub(crate) fn replace(l4: &mut [u8], at: usize, new: &[u8]) {
    let sum = tcp::at::CHECKSUM;
    let mut delta = Delta::default();
    for (n, &byte) in new.iter().enumerate() {
        let old = std::mem::replace(&mut l4[at + n], byte);
        let high = (at + n).is_multiple_of(2);
        let word = |b: u8| if high { u16::from(b) << 8 } else { u16::from(b) };
        delta = delta.word(word(old), word(byte));
    }
    let old = u16::from_be_bytes([l4[sum], l4[sum + 1]]);
    l4[sum..sum + 2].copy_from_slice(&delta.apply(old).to_be_bytes());
}
