// SPDX-License-Identifier: Apache-2.0
//! What schedulers look up. It follows from servers and weights, and is made by control when these change, never by a worker.

use std::net::SocketAddr;

use super::{Scheduler, maglev, ring, strongest};

/// The table of one revision of a service. Servers are named by their position in the service's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Table {
    /// Maglev's: a server by slot.
    Slots(Box<[u32]>),
    /// Points and their servers, ascending.
    Ring(Box<[(i64, u32)]>),
    /// Shares by weight.
    Shares(Shares),
    /// Servers by weight, the greatest first; of equals the one added first.
    Order(Box<[u32]>),
}

impl Table {
    /// The table of these servers (address and weight, in the service's order); `None` for schedulers that need none.
    ///
    /// Takes up to tens of milliseconds with thousands of servers.
    pub fn compile(scheduler: Scheduler, servers: impl Iterator<Item = (SocketAddr, u32)>) -> Option<Table> {
        match scheduler {
            Scheduler::Mh => Some(Table::Slots(maglev::slots(&servers.collect::<Vec<_>>()))),
            Scheduler::Conhash => Some(Table::Ring(ring::points(&servers.collect::<Vec<_>>()))),
            Scheduler::Sh => Some(Table::Shares(Shares::of(servers.map(|(_, weight)| weight.max(1))))),
            Scheduler::Twos => Some(Table::Shares(Shares::of(servers.map(|(_, weight)| weight)))),
            Scheduler::Fo | Scheduler::Ovf => {
                Some(Table::Order(strongest::order(servers.map(|(_, weight)| weight))))
            }
            Scheduler::Rr
            | Scheduler::Wrr
            | Scheduler::Lc
            | Scheduler::Wlc
            | Scheduler::Sed
            | Scheduler::Nq
            | Scheduler::Dh
            | Scheduler::Lblc
            | Scheduler::Lblcr
            | Scheduler::None => None,
        }
    }
}

/// Which part of a whole is whose: running sums of weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares(Box<[u64]>);

impl Shares {
    fn of(weights: impl Iterator<Item = u32>) -> Shares {
        let sums = weights.scan(0, |sum: &mut u64, weight| {
            *sum += u64::from(weight);
            Some(*sum)
        });
        Shares(sums.collect())
    }

    /// Whose share the evenly distributed `hash` falls in; `None` when all weights are 0.
    pub(super) fn at(&self, hash: u64) -> Option<usize> {
        let all = *self.0.last().filter(|&&all| all > 0)?;
        let place = ((u128::from(hash) * u128::from(all)) >> 64) as u64;
        Some(self.0.partition_point(|&sum| sum <= place))
    }
}

pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
