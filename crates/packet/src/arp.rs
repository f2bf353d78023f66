// SPDX-License-Identifier: Apache-2.0
//! ARP for IPv4 over Ethernet (RFC 826).

use crate::{get16, get32};

/// Bytes of the packet after the Ethernet header.
pub const LEN: usize = 28;

/// What is asked or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has it.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// Ethernet address of the sender.
    pub sender_mac: [u8; 6],
    /// Its address.
    pub sender: u32,
    /// Ethernet address of the target; zero in requests.
    pub target_mac: [u8; 6],
    /// Its address.
    pub target: u32,
}

const PREFIX: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

impl Packet {
    /// The packet; `None` when it is truncated or about anything but IPv4 over Ethernet.
    pub fn parse(bytes: &[u8]) -> Option<Packet> {
        let p = bytes.first_chunk::<LEN>()?;
        let operation = match (p[..6] == PREFIX, get16(p, 6)) {
            (true, 1) => Operation::Request,
            (true, 2) => Operation::Reply,
            _ => return None,
        };
        let mac = |at: usize| [p[at], p[at + 1], p[at + 2], p[at + 3], p[at + 4], p[at + 5]];
        Some(Packet {
            operation,
            sender_mac: mac(8),
            sender: get32(p, 14),
            target_mac: mac(18),
            target: get32(p, 24),
        })
    }

    /// Writes the packet; `None` when `bytes` is shorter than 28.
    pub fn emit(&self, bytes: &mut [u8]) -> Option<()> {
        let p = bytes.first_chunk_mut::<LEN>()?;
        p[..6].copy_from_slice(&PREFIX);
        let operation: u16 = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        p[6..8].copy_from_slice(&operation.to_be_bytes());
        p[8..14].copy_from_slice(&self.sender_mac);
        p[14..18].copy_from_slice(&self.sender.to_be_bytes());
        p[18..24].copy_from_slice(&self.target_mac);
        p[24..28].copy_from_slice(&self.target.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_round_trip_and_others_are_none() {
        let packet = Packet {
            operation: Operation::Reply,
            sender_mac: [2; 6],
            sender: 0x0a00_0001,
            target_mac: [4; 6],
            target: 0x0a00_0002,
        };
        let mut bytes = [0; LEN];
        packet.emit(&mut bytes).expect("28 bytes");
        assert_eq!(Packet::parse(&bytes), Some(packet));
        assert_eq!(Packet::parse(&bytes[..27]), None);
        for (at, value) in [(1, 6), (2, 9), (4, 8), (5, 16), (7, 3)] {
            let mut other = bytes;
            other[at] = value;
            assert_eq!(Packet::parse(&other), None, "byte {at}");
        }
    }
}
