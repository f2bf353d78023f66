// SPDX-License-Identifier: Apache-2.0
//! How a device spreads packets over its receive queues.

/// Key and table with which a device chooses the queue of a TCP or UDP packet: the Toeplitz hash of source and
/// destination address, source and destination port, whose low bits index the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// Key of the hash; at least 40 bytes.
    pub key: Vec<u8>,
    /// Receive queue by low bits of the hash; a power of two of them.
    pub table: Vec<u16>,
}

impl Rss {
    /// The key set where nothing else is asked for. Any will do that is not all zeros; one that is the same on every start
    /// makes two directors choose alike. It is the key that the specification of RSS gives as its example.
    pub(crate) const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    /// A table of `size` entries over `queues` queues, evenly.
    pub(crate) fn spread(size: u16, queues: u16) -> Vec<u16> {
        (0..size).map(|entry| entry % queues.max(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_uses_every_queue_alike() {
        assert_eq!(Rss::spread(8, 3), [0, 1, 2, 0, 1, 2, 0, 1]);
    }
}
