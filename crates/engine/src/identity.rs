// SPDX-License-Identifier: Apache-2.0
//! The client's address for servers behind FULLNAT, as a TCP option (TOA).
//!
//! ```text
//!   IPv4   fe 08 | client's port (2) | client's address (4)
//!   IPv6   fe 14 | client's port (2) | client's address (16)
//! ```
//!
//! Every segment of the client has it that acknowledges the server's SYN-ACK and nothing behind that: so the server learns it with the
//! handshake, whatever is lost, and a connection pays for it no longer than until its client has heard from the server. It goes in
//! front of the client's own options, which make room for it where there is none; timestamps never do. One of the client's own would
//! be believed, and is taken out. Where there is no room at all the segment goes on without it.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use packet::checksum::Delta;
use packet::tcp::flag::{ACK, RST, SYN};
use packet::{Buffer, ipv4, tcp};

use crate::conn::{ConnId, Dir};
use crate::flow::Parsed;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::preface::{Changed, Preface};

/// The option's kind, one of those for experiments (RFC 4727 6).
const KIND: u8 = 254;

/// Bytes of options that a TCP header has room for.
const MOST: usize = 40;

/// Bytes of the option for clients of IPv6, or of IPv4.
pub(crate) fn option_len(six: bool) -> u16 {
    if six { 20 } else { 8 }
}

/// How servers are told the addresses of clients, where the service has no PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// By an option of TCP.
    pub toa: bool,
    /// In the first datagrams of a UDP flow, and how many, 0 to 255.
    pub uoa_trail: u8,
    /// How in datagrams.
    pub uoa: Uoa,
}

/// How a datagram tells the address of its client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uoa {
    /// A header of its own between IP and UDP, IP protocol 248.
    #[default]
    Header,
    /// An IPv4 option.
    Option,
}

impl Default for Identity {
    fn default() -> Self {
        Identity { toa: true, uoa_trail: 0, uoa: Uoa::Header }
    }
}

impl<P: Buffer> Lcore<P> {
    /// A segment of a connection whose server is to know the client; `Some` when it tells it now. It may have `room` bytes.
    #[inline(never)]
    pub(crate) fn tell_client(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        parsed: &Parsed,
        ip: &Ip,
        room: u16,
    ) -> Option<Changed> {
        let preface = self.conns.get(id).preface;
        if !matches!(preface, Preface::Toa | Preface::Telling) {
            return None;
        }
        let l4 = &pkt.data()[parsed.l3..][usize::from(ip.header_len)..usize::from(ip.total_len)];
        let header = tcp::Header::parse(l4)?;
        let (flags, seq, ack) = (header.flags(), header.seq(), header.ack());
        if dir == Dir::Outbound {
            if flags & (SYN | ACK) == SYN | ACK && preface == Preface::Toa {
                self.conns.set_preface(id, Preface::Telling, seq.wrapping_add(1));
            }
            return None;
        }
        if preface == Preface::Toa || flags & (ACK | SYN | RST) != ACK {
            return None;
        }
        let beyond = ack.wrapping_sub(self.conns.preface_word(id)) as i32;
        if beyond != 0 {
            if beyond > 0 {
                self.conns.set_preface(id, Preface::None, 0);
            }
            return None;
        }
        let own = option(self.conns.tuple(id, Dir::Inbound).source());
        let old = l4.get(tcp::LEN..header.header_len())?;
        let most = MOST.min((old.len() + usize::from(room)).saturating_sub(usize::from(ip.total_len)));
        let new = with(&own, old, most)?;
        exchange_options(pkt, parsed, ip, &new)
    }
}

/// The option for a client.
fn option(client: SocketAddr) -> ArrayVec<u8, 20> {
    let mut option = ArrayVec::new();
    option.extend([KIND, option_len(client.is_ipv6()) as u8]);
    option.extend(client.port().to_be_bytes());
    match client {
        SocketAddr::V4(client) => option.extend(client.ip().octets()),
        SocketAddr::V6(client) => option.extend(client.ip().octets()),
    }
    option
}

/// The options of a segment with `own` in front, in `most` bytes; `None` when they stay as they are.
fn with(own: &[u8], old: &[u8], most: usize) -> Option<ArrayVec<u8, MOST>> {
    let forged = tcp::options(old).any(|(kind, _)| kind == KIND);
    if !forged && own.len() + old.len() <= most {
        return Some(own.iter().chain(old).copied().collect());
    }
    // What pads goes first, then what the client can do without.
    let mut kept: ArrayVec<(u8, &[u8]), MOST> = ArrayVec::new();
    let listed = tcp::options(old).places().filter(|(kind, _)| *kind != KIND);
    kept.extend(listed.take(MOST).map(|(kind, at)| (kind, &old[at])));
    let bytes = |kept: &[(u8, &[u8])]| kept.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let room = (most & !3).checked_sub(own.len());
    if let Some(room) = room {
        while bytes(&kept) > room {
            match kept.iter().position(|(kind, _)| *kind != tcp::option::TIMESTAMPS) {
                Some(at) => drop(kept.remove(at)),
                None => break,
            }
        }
    }
    let fits = room.is_some_and(|room| bytes(&kept) <= room);
    if !fits && !forged {
        return None;
    }
    let mut new = ArrayVec::new();
    new.extend(own.iter().copied().filter(|_| fits));
    new.extend(kept.iter().flat_map(|(_, bytes)| bytes.iter().copied()));
    while new.len() % 4 != 0 {
        new.push(tcp::option::END);
    }
    Some(new)
}

/// Gives a segment other options, a multiple of four bytes; what was wrong with its checksum stays wrong. `None`, and nothing changed, when
/// the buffer has no room.
fn exchange_options<P: Buffer>(pkt: &mut P, parsed: &Parsed, ip: &Ip, new: &[u8]) -> Option<Changed> {
    let l4_at = parsed.l3 + usize::from(ip.header_len);
    let at = l4_at + tcp::LEN;
    let old_len = tcp::Header::parse(pkt.data().get(l4_at..)?)?.header_len() - tcp::LEN;
    let total_len = usize::from(ip.total_len) + new.len() - old_len;
    let new_total = u16::try_from(total_len).ok()?;
    let word = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let old = pkt.data().get(at..at + old_len)?;
    let mut delta = old.chunks_exact(2).fold(Delta::default(), |delta, old| delta.word(word(old), 0));
    delta = new.chunks_exact(2).fold(delta, |delta, new| delta.word(0, word(new)));
    // Of the pseudo header.
    delta = delta.word(ip.total_len - ip.header_len, new_total - ip.header_len);

    if let Some(room) = new.len().checked_sub(old_len) {
        pkt.prepend(room)?;
        pkt.data_mut().copy_within(room..room + at, 0);
    } else {
        let surplus = old_len - new.len();
        pkt.data_mut().copy_within(..at, surplus);
        pkt.adj(surplus);
    }
    let bytes = pkt.data_mut();
    bytes[at..at + new.len()].copy_from_slice(new);
    let h = bytes[l4_at..].first_chunk_mut::<{ tcp::LEN }>()?;
    let words = ((tcp::LEN + new.len()) / 4) as u8;
    let offset = h[12];
    h[12] = words << 4 | offset & 0xf;
    delta = delta.word(u16::from_be_bytes([offset, h[13]]), u16::from_be_bytes([h[12], h[13]]));
    let sum = u16::from_be_bytes([h[16], h[17]]);
    h[16..18].copy_from_slice(&delta.apply(sum).to_be_bytes());
    let ip = lengthen(&mut bytes[parsed.l3..], ip, new_total);
    Some(Changed { ip, parsed: Parsed { ip, ..*parsed } })
}

/// Tells the new length of a packet in its IP header, with which `bytes` begin.
pub(crate) fn lengthen(bytes: &mut [u8], ip: &Ip, total_len: u16) -> Ip {
    if ip.six {
        let payload = total_len - packet::ipv6::LEN as u16;
        bytes[4..6].copy_from_slice(&payload.to_be_bytes());
    } else {
        let sum = ipv4::at::CHECKSUM;
        let delta = Delta::default().word(u16::from_be_bytes([bytes[2], bytes[3]]), total_len);
        let old = u16::from_be_bytes([bytes[sum], bytes[sum + 1]]);
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        bytes[sum..sum + 2].copy_from_slice(&delta.apply(old).to_be_bytes());
    }
    Ip { total_len, ..*ip }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [u8; 8] = [254, 8, 0x9c, 0x40, 192, 0, 2, 10];
    const STAMPS: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
    /// NOP NOP and three blocks.
    const BLOCKS: [u8; 28] =
        [1, 1, 5, 26, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3];

    #[test]
    fn the_option_names_port_and_address() {
        assert_eq!(option("192.0.2.10:40000".parse().unwrap())[..], OWN);
        let six = option("[2001:db8::a]:40000".parse().unwrap());
        assert_eq!(six[..4], [254, 20, 0x9c, 0x40]);
        assert_eq!(six[4..], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa]);
    }

    #[test]
    fn it_comes_before_the_clients_own_options() {
        assert_eq!(with(&OWN, &STAMPS, 40).unwrap()[..], [&OWN[..], &STAMPS].concat());
        assert_eq!(with(&OWN, &[], 40).unwrap()[..], OWN);
    }

    #[test]
    fn padding_goes_first_then_blocks_and_timestamps_never() {
        // Timestamps without their padding leave 2 bytes, which end the list.
        let tight = [&OWN[..], &STAMPS[2..], &[0, 0]].concat();
        let full = [&STAMPS[..], &BLOCKS].concat();
        assert_eq!(full.len(), 40);
        assert_eq!(with(&OWN, &full, 40).unwrap()[..], tight);
        assert_eq!(with(&OWN, &STAMPS, 19), None, "timestamps stay");
        assert_eq!(with(&OWN, &[], 7), None);
    }

    #[test]
    fn one_of_the_clients_own_is_taken_out() {
        let forged = [254, 8, 1, 2, 3, 4, 5, 6];
        let old = [&forged[..], &STAMPS].concat();
        assert_eq!(with(&OWN, &old, 40).unwrap()[..], [&OWN[..], &STAMPS[2..], &[0, 0]].concat());
        // Also where there is no room for the true one.
        assert_eq!(with(&OWN, &old, 12).unwrap()[..], [&STAMPS[2..], &[0, 0]].concat());
    }
}
