// SPDX-License-Identifier: Apache-2.0
//! Which worker a returning packet reaches: computed before the connection is opened, so that its local port
//! can be chosen for this worker, and computed again when a packet shows up somewhere else.

use crate::conn::Tuple;
use crate::ids::LcoreId;

/// Bytes of an RSS key that count for IPv6 with ports.
pub const KEY_LEN: usize = 40;

/// How a device spreads packets over its receive queues: Toeplitz hash and redirection table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    key: [u8; KEY_LEN],
    /// Worker by low bits of the hash; a power of two of them.
    workers: Vec<LcoreId>,
}

impl Rss {
    /// From the device's key and table, the table given as workers. `None` when the key is shorter than 40 bytes or the
    /// table's size is no power of two: then the device's choice cannot be predicted.
    pub fn new(key: &[u8], workers: Vec<LcoreId>) -> Option<Rss> {
        let key = *key.first_chunk::<KEY_LEN>()?;
        workers.len().is_power_of_two().then_some(Rss { key, workers })
    }

    /// The worker packets with this tuple reach.
    pub fn worker(&self, tuple: &Tuple) -> LcoreId {
        self.workers[toeplitz(&self.key, tuple) as usize & (self.workers.len() - 1)]
    }
}

/// The Toeplitz hash of source and destination address, source and destination port, in that order.
pub fn toeplitz(key: &[u8; KEY_LEN], tuple: &Tuple) -> u32 {
    let mut input = [0; 36];
    let len = match tuple {
        Tuple::V4(t) => {
            input[..4].copy_from_slice(&t.src.to_be_bytes());
            input[4..8].copy_from_slice(&t.dst.to_be_bytes());
            input[8..10].copy_from_slice(&t.sport.to_be_bytes());
            input[10..12].copy_from_slice(&t.dport.to_be_bytes());
            12
        }
        Tuple::V6(t) => {
            input[..16].copy_from_slice(&t.src.to_be_bytes());
            input[16..32].copy_from_slice(&t.dst.to_be_bytes());
            input[32..34].copy_from_slice(&t.sport.to_be_bytes());
            input[34..].copy_from_slice(&t.dport.to_be_bytes());
            36
        }
    };
    // The window is the 32 key bits that begin at the present input bit; the 32 bits after it move in from the right.
    let mut window = u64::from_be_bytes([key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7]]);
    let mut hash = 0;
    for (at, byte) in input[..len].iter().enumerate() {
        for bit in (0..8).rev() {
            if byte >> bit & 1 == 1 {
                hash ^= (window >> 32) as u32;
            }
            window <<= 1;
        }
        window |= u64::from(key.get(at + 8).copied().unwrap_or(0));
    }
    hash
}

/// The worker that owns a connection with this local port where the device's choice cannot be predicted.
#[inline(always)]
pub fn by_port(lport: u16, workers: u16) -> LcoreId {
    LcoreId(lport % workers.max(1))
}

/// The worker that has the SYN proxy's dealings with a client where the device's choice cannot be predicted: the same for all its
/// packets, whichever worker they reach.
pub fn by_client(tuple: &Tuple, workers: u16) -> LcoreId {
    let (addr, port) = match tuple {
        Tuple::V4(t) => (t.src, t.sport),
        Tuple::V6(t) => ((t.src ^ t.src >> 64) as u32, t.sport),
    };
    // Clients choose addresses and ports with patterns of their own; the high bits of a product with the golden ratio have none.
    let mixed = (u64::from(addr) << 16 | u64::from(port)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    LcoreId(((mixed * u64::from(workers.max(1))) >> 32) as u16)
}

/// The worker where the fragments of a datagram meet, whichever their devices give them to: the same on all of them.
pub(crate) fn by_datagram(ends: &[u128; 2], id: u32, workers: u16) -> LcoreId {
    let fold = |addr: u128| (addr ^ addr >> 64) as u64;
    let mixed = (fold(ends[0]).rotate_left(32) ^ fold(ends[1]) ^ u64::from(id) << 16)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    LcoreId(((mixed * u64::from(workers.max(1))) >> 32) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_two_hosts_are_spread_evenly() {
        for workers in [1, 2, 3, 4] {
            let mut counts = [0; 4];
            for id in 0..40_000 {
                counts[by_datagram(&[0x0a01_0001, 0x0a01_0064], id, workers).index()] += 1;
            }
            let fair = 40_000 / i32::from(workers);
            assert!(
                counts[..usize::from(workers)].iter().all(|n| (n - fair).abs() < fair / 10),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn clients_are_spread_evenly_whatever_their_ports_have_in_common() {
        for workers in [2, 3, 4] {
            let mut counts = [0; 4];
            // Linux gives connections ports of one parity.
            for port in (1025..61_025).step_by(2) {
                let client = format!("192.0.2.{}:{port}", port % 7);
                let tuple = Tuple::new(client.parse().unwrap(), "203.0.113.1:80".parse().unwrap())
                    .expect("one family");
                counts[by_client(&tuple, workers).index()] += 1;
            }
            let fair = 30_000 / i32::from(workers);
            assert!(
                counts[..usize::from(workers)].iter().all(|n| (n - fair).abs() < fair / 10),
                "{counts:?}"
            );
        }
    }

    /// The key and results that Microsoft publishes to verify implementations of RSS.
    const KEY: [u8; KEY_LEN] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn hash(src: &str, dst: &str) -> u32 {
        toeplitz(&KEY, &Tuple::new(src.parse().unwrap(), dst.parse().unwrap()).expect("one family"))
    }

    #[test]
    fn published_ipv4_vectors() {
        assert_eq!(hash("66.9.149.187:2794", "161.142.100.80:1766"), 0x51cc_c178);
        assert_eq!(hash("199.92.111.2:14230", "65.69.140.83:4739"), 0xc626_b0ea);
        assert_eq!(hash("24.19.198.95:12898", "12.22.207.184:38024"), 0x5c2b_394a);
    }

    #[test]
    fn published_ipv6_vectors() {
        assert_eq!(hash("[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766"), 0x4020_7d3d);
        assert_eq!(hash("[3ffe:501:8::260:97ff:fe40:efab]:14230", "[ff02::1]:4739"), 0xdde5_1bbf);
    }

    #[test]
    fn the_table_decides_by_low_bits() {
        let rss = Rss::new(&KEY, vec![LcoreId(0), LcoreId(1)]).expect("two is a power of two");
        let tuple =
            |s: &str, d: &str| Tuple::new(s.parse().unwrap(), d.parse().unwrap()).expect("one family");
        assert_eq!(rss.worker(&tuple("66.9.149.187:2794", "161.142.100.80:1766")), LcoreId(0));
        assert_eq!(Rss::new(&KEY[..39], vec![LcoreId(0)]), None);
        assert_eq!(Rss::new(&KEY, vec![LcoreId(0); 3]), None);
    }
}
