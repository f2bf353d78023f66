// SPDX-License-Identifier: Apache-2.0
//! Hashes of the schedulers. They depend on addresses and ports alone, so that all workers and machines agree.

use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher13;

/// First key of Maglev: where a server's permutation starts, and where a client looks.
pub(super) const START: u64 = 2_654_435_761;
/// Second key of Maglev: how a server's permutation goes on.
pub(super) const SKIP: u64 = 2_654_446_892;

/// Hash of a sum of `offset`, port and address, as DPVS computes it.
pub(super) fn sum(key: u64, offset: u32, addr: IpAddr, port: u16) -> u32 {
    let sum = offset.wrapping_add(u32::from(port)).wrapping_add(fold(addr));
    let mut hasher = SipHasher13::new_with_keys(key, key);
    hasher.write(&sum.to_le_bytes());
    hasher.finish() as u32
}

/// Hash of all that there is of an address and a port.
pub(super) fn whole(offset: u32, addr: IpAddr, port: u16) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(START, START);
    match addr {
        IpAddr::V4(addr) => hasher.write(&addr.octets()),
        IpAddr::V6(addr) => hasher.write(&addr.octets()),
    }
    hasher.write(&port.to_le_bytes());
    hasher.write(&offset.to_le_bytes());
    hasher.finish()
}

/// An address as 32 bits, host byte order: the exclusive or of the words of IPv6.
pub(super) fn fold(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(addr) => addr.to_bits(),
        IpAddr::V6(addr) => {
            let bits = addr.to_bits();
            (bits >> 96) as u32 ^ (bits >> 64) as u32 ^ (bits >> 32) as u32 ^ bits as u32
        }
    }
}

/// The client's address, and its port where that counts.
pub(super) fn client(client: SocketAddr, with_port: bool) -> (IpAddr, u16) {
    (client.ip(), if with_port { client.port() } else { 0 })
}
