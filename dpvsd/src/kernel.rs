// SPDX-License-Identifier: Apache-2.0
//! The way to the host's own stack: a tap interface beside each port, for what the director does not take.
//!
//! ```text
//!   wire ══ dpdk0 ── director ── what it does not take ──> dpdk0.kni ── kernel: SSH, BGP, VRRP
//!                 <───────────── unchanged ─────────────── (a tap)
//! ```
//!
//! What goes there is limited, so that a flood at the port does not become one of the kernel; the protocols that keep the network
//! itself alive have a budget of their own.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use dpdk::{Burst, Mbuf, TxQueue};
use engine::tick::Tick;
use packet::{Buffer, ether, proto};

/// Packets a second and port for protocols of the network itself, and for all others; all workers together.
const CONTROL_RATE: u32 = 20_000;
const REST_RATE: u32 = 50_000;

/// A worker's end of the way to the host's own stack behind one port.
pub struct Path {
    tap: Arc<Mutex<TxQueue>>,
    waiting: Burst,
    control: Budget,
    rest: Budget,
}

impl Path {
    /// The way by `tap`, which `workers` workers share.
    pub fn new(tap: Arc<Mutex<TxQueue>>, workers: u16) -> Path {
        let share = |rate: u32| Budget::new(rate / u32::from(workers.max(1)));
        Path { tap, waiting: Burst::new(), control: share(CONTROL_RATE), rest: share(REST_RATE) }
    }

    /// Takes a frame, or gives it back when the budget is spent or there is no room before the next [`Path::flush`].
    pub fn push(&mut self, pkt: Mbuf, now: Tick) -> Result<(), Mbuf> {
        let budget = if is_control(pkt.data()) { &mut self.control } else { &mut self.rest };
        if self.waiting.is_full() || !budget.take(now) {
            return Err(pkt);
        }
        self.waiting.push(pkt);
        Ok(())
    }

    /// Hands over what was taken; how many packets the kernel did not want.
    pub fn flush(&mut self) -> u64 {
        if self.waiting.is_empty() {
            return 0;
        }
        self.tap.lock().unwrap_or_else(PoisonError::into_inner).burst(&mut self.waiting);
        let lost = self.waiting.len() as u64;
        dpdk::free_bulk(&mut self.waiting);
        lost
    }
}

/// So many packets a second, a tenth of them at once.
#[derive(Debug)]
struct Budget {
    /// Packets a second.
    rate: u32,
    /// Thousandths of packets that may go now.
    left: u64,
    last: Tick,
}

impl Budget {
    fn new(rate: u32) -> Budget {
        Budget { rate, left: Budget::most(rate), last: Tick::default() }
    }

    fn most(rate: u32) -> u64 {
        u64::from(rate) * 100
    }

    fn take(&mut self, now: Tick) -> bool {
        let earned = now.since(self.last).saturating_mul(u64::from(self.rate));
        self.left = self.left.saturating_add(earned).min(Budget::most(self.rate));
        self.last = now;
        let enough = self.left >= 1000;
        self.left -= if enough { 1000 } else { 0 };
        enough
    }
}

/// Whether a frame belongs to what keeps the network itself alive: address resolution, link and neighbour discovery, routing
/// and redundancy protocols.
fn is_control(frame: &[u8]) -> bool {
    let Some(header) = ether::Header::parse(frame) else { return false };
    let ip = &frame[ether::header_len(header.vlan).min(frame.len())..];
    match header.kind {
        ether::IPV4 => match (ip.first(), ip.get(9)) {
            (Some(first), Some(&protocol)) => {
                is_control_protocol(protocol, ip.get(usize::from(first & 0xf) * 4..).unwrap_or_default())
            }
            _ => false,
        },
        ether::IPV6 => match ip.get(6) {
            Some(&proto::ICMPV6) => true,
            Some(&next) => is_control_protocol(next, ip.get(40..).unwrap_or_default()),
            None => false,
        },
        _ => true,
    }
}

/// IGMP, OSPF, PIM and VRRP; BGP over TCP; RIP, BFD and its multihop form over UDP.
fn is_control_protocol(protocol: u8, payload: &[u8]) -> bool {
    const IGMP: u8 = 2;
    const OSPF: u8 = 89;
    const PIM: u8 = 103;
    const VRRP: u8 = 112;
    let ports = payload
        .first_chunk::<4>()
        .map(|p| [u16::from_be_bytes([p[0], p[1]]), u16::from_be_bytes([p[2], p[3]])]);
    let either = |known: &[u16]| ports.is_some_and(|ports| ports.iter().any(|port| known.contains(port)));
    match protocol {
        IGMP | OSPF | PIM | VRRP => true,
        proto::TCP => either(&[179]),
        proto::UDP => either(&[520, 521, 3784, 3785, 4784]),
        _ => false,
    }
}

/// Addresses the kernel has on an interface, but those that only this link knows.
pub fn addresses(iface: &str) -> Vec<IpAddr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let of_iface = all.filter(|entry| entry.interface_name == iface).filter_map(|entry| entry.address);
    let ip = of_iface.filter_map(|address| match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    });
    ip.filter(|addr| !is_link_local(*addr)).collect()
}

fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_tenth_of_a_second_at_once_and_then_what_time_brings() {
        let mut budget = Budget::new(1000);
        let mut taken = |now, tries: u32| (0..tries).filter(|_| budget.take(Tick(now))).count();
        assert_eq!(taken(5000, 200), 100);
        assert_eq!(taken(5007, 200), 7);
        assert_eq!(taken(5007, 10), 0);
        assert_eq!(taken(60_000, 200), 100);
    }

    fn frame(kind: [u8; 2], ip: &[u8]) -> Vec<u8> {
        [&[0; 12], &kind[..], ip].concat()
    }

    fn ipv4(protocol: u8, sport: u16, dport: u16) -> Vec<u8> {
        let mut ip = vec![0; 24];
        (ip[0], ip[9]) = (0x45, protocol);
        ip[20..22].copy_from_slice(&sport.to_be_bytes());
        ip[22..].copy_from_slice(&dport.to_be_bytes());
        frame([8, 0], &ip)
    }

    #[test]
    fn what_keeps_the_network_alive_is_told_from_the_rest() {
        let mut solicitation = vec![0; 40];
        solicitation[6] = 58;
        let control = [
            frame([8, 6], &[]),
            frame([0x88, 0xcc], &[]),
            ipv4(112, 0, 0),
            ipv4(6, 40_000, 179),
            ipv4(6, 179, 40_000),
            ipv4(17, 49_152, 3784),
            frame([0x86, 0xdd], &solicitation),
        ];
        assert_eq!(control.map(|frame| is_control(&frame)), [true; 7]);
        let rest =
            [ipv4(6, 40_000, 22), ipv4(17, 53, 40_000), ipv4(1, 0, 179), frame([8, 0], &[0x45]), vec![0; 9]];
        assert_eq!(rest.map(|frame| is_control(&frame)), [false; 5]);
    }
}
