// SPDX-License-Identifier: Apache-2.0
//! How much a service may carry: a bandwidth, or a share of its packets.
//!
//! Workers share a service's bandwidth by one number for each direction, the time at which what was let through so far would have been
//! carried at that rate. A packet may be early by a tenth of a second and is dropped otherwise, so that TCP finds its rate; nothing is queued.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use packet::Buffer;

use crate::conn::{ConnId, Dir};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::tick::Tick;
use crate::verdict::{DropReason, Step, drop};

/// How far a service may run ahead of its bandwidth, in nanoseconds: a tenth of a second, which is what one round trip of a TCP flow may
/// bring at once.
const DEPTH_NS: u64 = 100_000_000;

/// The limit of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Throttle {
    /// What is carried at most.
    bandwidth: Option<Bandwidth>,
    /// Percentage of packets that pass, 1 to 100.
    passes: u8,
}

#[derive(Clone, Debug)]
struct Bandwidth {
    /// Megabits a second, from 1.
    mbps: u32,
    /// When what was let through would have been carried, in nanoseconds of engine time, by direction.
    carried: Arc<[AtomicU64; 2]>,
}

impl PartialEq for Bandwidth {
    /// Limits are the same that say the same.
    fn eq(&self, other: &Self) -> bool {
        self.mbps == other.mbps
    }
}

impl Throttle {
    /// A limit of `mbps` megabits (10^6) a second in each direction, 0 for none, and of `percent` of the packets; `None` where
    /// neither limits anything. A new one has its whole depth to spend.
    pub fn new(mbps: u32, percent: u8) -> Option<Throttle> {
        let passes = percent.clamp(1, 100);
        let bandwidth = (mbps > 0).then(|| Bandwidth { mbps, carried: Arc::default() });
        (bandwidth.is_some() || passes < 100).then_some(Throttle { bandwidth, passes })
    }

    /// Whether an IP packet of `len` bytes may go on; `dice` is a random number.
    fn admits(&self, dir: Dir, len: u16, dice: u64, now: Tick) -> Result<(), DropReason> {
        // The upper half of the product is 0 to 99, each as often as the other.
        let percent = (u128::from(dice) * 100) >> 64;
        if percent >= u128::from(self.passes) {
            return Err(DropReason::Proportion);
        }
        match &self.bandwidth {
            Some(bandwidth) if !bandwidth.carries(dir, len, now) => Err(DropReason::Bandwidth),
            _ => Ok(()),
        }
    }
}

impl Bandwidth {
    fn carries(&self, dir: Dir, len: u16, now: Tick) -> bool {
        let now = now.0.saturating_mul(1_000_000);
        let takes = u64::from(len) * 8_000 / u64::from(self.mbps);
        let next = |carried: u64| {
            let carried = carried.max(now);
            (carried <= now + DEPTH_NS).then_some(carried + takes)
        };
        self.carried[dir as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

impl<P: Buffer> Lcore<P> {
    /// Whether a packet of a connection is within the limits of its service.
    #[cold]
    #[inline(never)]
    pub(crate) fn within_limits(&mut self, id: ConnId, dir: Dir, ip: &Ip, cx: Cx<'_>) -> Step<()> {
        let service = self.conns.get(id).service;
        let svc = cx.snap.services.get(service.index()).and_then(Option::as_ref);
        let Some(throttle) = svc.and_then(|svc| svc.throttle.as_ref()) else {
            return Step::Continue(());
        };
        let dice = self.roll();
        match throttle.admits(dir, ip.total_len, dice, cx.now) {
            Ok(()) => Step::Continue(()),
            Err(reason) => drop(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_limits_nothing_is_no_limit() {
        assert_eq!(Throttle::new(0, 100), None);
        assert!(Throttle::new(1, 100).is_some() && Throttle::new(0, 99).is_some());
    }

    #[test]
    fn a_megabit_a_second_is_carried_and_not_more() {
        let throttle = Throttle::new(1, 100).expect("a limit");
        // 1 250 bytes take 10 ms. A hundred times a second twice that is offered, for ten seconds.
        let pass = |dir| {
            let admits = |n: u64| throttle.admits(dir, 1250, 0, Tick(5000 + n * 10)).is_ok();
            let of = |n: u64| usize::from(admits(n)) + usize::from(admits(n));
            (0..1000).map(of).sum::<usize>()
        };
        // A thousand, and the depth.
        assert_eq!(pass(Dir::Inbound), 1010);
    }

    #[test]
    fn directions_do_not_share() {
        let throttle = Throttle::new(1, 100).expect("a limit");
        let fill = |dir| (0..100).filter(|_| throttle.admits(dir, 1250, 0, Tick(7)).is_ok()).count();
        assert_eq!((fill(Dir::Inbound), fill(Dir::Outbound), fill(Dir::Inbound)), (11, 11, 0));
    }

    #[test]
    fn exactly_the_percentage_passes() {
        for percent in [1, 30, 99] {
            let throttle = Throttle::new(0, percent).expect("a limit");
            // Numbers spread evenly over the whole range.
            let step = u64::MAX / 10_000;
            let passed =
                (0..10_000).filter(|n| throttle.admits(Dir::Inbound, 60, n * step, Tick(0)).is_ok()).count();
            assert!(passed.abs_diff(usize::from(percent) * 100) <= 1, "{percent}: {passed}");
        }
    }
}
