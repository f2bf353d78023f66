// SPDX-License-Identifier: Apache-2.0
//! Servers that passing packets show to be dead take no new connections for a while (`ipvsadm --dest-check`).
//!
//! A connection that a server refuses or never answers counts against it. With `down` of these within `wait` seconds it is inhibited: for the
//! shortest time at first, each time twice as long up to the longest; connections that succeed afterwards halve the next time. All workers
//! judge together.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::options::PassiveCheck;
use packet::Buffer;

use crate::conn::{ConnId, Ends};
use crate::forward::Forwarding;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::proto::{tcp, udp};
use crate::tick::{Clock, Tick};

/// Inhibitions double until they are this long, in seconds.
const DOUBLED: u64 = 3600;

/// Whether a server is inhibited, and what led to it. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clock: Clock,
    /// It is inhibited until this tick.
    until: AtomicU64,
    /// Successes that are still to halve the next inhibition.
    confirm: AtomicU8,
    record: Mutex<Record>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Failures, and until when they count together.
    failures: u8,
    window: Tick,
    /// Seconds of the next inhibition; 0 for the shortest.
    next: u64,
}

impl PartialEq for Health {
    /// Whether it is the same one.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Health {
    /// Of a server of which nothing is known; `clock` is the one that workers tell the time.
    pub fn new(clock: &Clock) -> Self {
        Health(Arc::new(Inner { clock: clock.clone(), ..Inner::default() }))
    }

    /// Whether the server takes no new connections now.
    #[inline]
    pub fn is_inhibited(&self) -> bool {
        let until = self.0.until.load(Ordering::Relaxed);
        until != 0 && until > self.0.clock.now().0
    }

    /// A connection with the server failed.
    pub fn failed(&self, check: &PassiveCheck, now: Tick) {
        if self.is_inhibited() {
            return;
        }
        let mut record = self.0.record.lock().unwrap_or_else(PoisonError::into_inner);
        if record.failures == 0 || record.window <= now {
            *record = Record { failures: 0, window: now.plus_secs(check.wait.into()), ..*record };
        }
        record.failures = record.failures.saturating_add(1);
        if record.failures < check.down {
            return;
        }
        record.failures = 0;
        let Some(recovery) = check.recovery else {
            return self.0.until.store(u64::MAX, Ordering::Relaxed);
        };
        let secs = record.next.clamp(recovery.min.into(), recovery.max.into());
        record.next = if secs < DOUBLED { secs * 2 } else { secs };
        self.0.confirm.store(recovery.up, Ordering::Relaxed);
        self.0.until.store(now.plus_ms(secs * 1000).0, Ordering::Relaxed);
    }

    /// A connection with the server succeeded.
    #[inline]
    pub fn succeeded(&self, check: &PassiveCheck) {
        if self.0.confirm.load(Ordering::Relaxed) != 0 {
            self.confirmed(check);
        }
    }

    #[cold]
    fn confirmed(&self, check: &PassiveCheck) {
        let mut record = self.0.record.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.0.confirm.load(Ordering::Relaxed);
        if self.is_inhibited() || left == 0 {
            // An older connection says nothing about now.
            return;
        }
        self.0.confirm.store(left - 1, Ordering::Relaxed);
        record.next = (record.next / 2).max(check.recovery.map_or(0, |recovery| recovery.min.into()));
    }
}

/// How a server is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// When it is inhibited, and for how long.
    pub rule: PassiveCheck,
    /// What is known of it.
    pub health: Health,
}

impl<P: Buffer> Lcore<P> {
    /// A connection came to state `new` from `old`; both are numbers of its protocol's states.
    #[cold]
    #[inline(never)]
    pub(crate) fn judge(&self, id: ConnId, old: u8, new: u8, cx: Cx<'_>) {
        let Some(check) = self.check_of(id, cx) else { return };
        let tcp = self.conns.get(id).proto() == packet::proto::TCP;
        match (tcp, old, new) {
            (true, _, new) if new == tcp::State::Established as u8 => check.health.succeeded(&check.rule),
            (true, old, new) if old == tcp::State::SynRecv as u8 && new == tcp::State::Close as u8 => {
                check.health.failed(&check.rule, cx.now);
            }
            (false, _, new) if new == udp::State::Normal as u8 => check.health.succeeded(&check.rule),
            _ => {}
        }
    }

    /// The server of a connection refused it, or let its time pass without an answer.
    #[cold]
    #[inline(never)]
    pub(crate) fn blame(&self, id: ConnId, cx: Cx<'_>) {
        if let Some(check) = self.check_of(id, cx) {
            check.health.failed(&check.rule, cx.now);
        }
    }

    /// The time of a connection is up: whether its server is to blame.
    pub(crate) fn expires_unanswered(&self, id: ConnId) -> bool {
        let conn = self.conns.get(id);
        // A server that was heard is not dead, whatever became of the client.
        let unheard = !conn.is_proxied() && conn.ends == Ends::default();
        match conn.proto() {
            _ if conn.forwarding == Forwarding::Snat => false,
            packet::proto::TCP => {
                let state = tcp::State::from_number(conn.state);
                matches!(state, tcp::State::SynRecv | tcp::State::SynSent) && unheard
            }
            packet::proto::UDP => {
                udp::State::from_number(conn.state) == udp::State::OneWay && conn.forwarding.is_two_way()
            }
            _ => false,
        }
    }

    fn check_of<'s>(&self, id: ConnId, cx: Cx<'s>) -> Option<&'s Check> {
        let conn = self.conns.get(id);
        let dest = cx.snap.dest(conn.dest, conn.dest_generation).filter(|dest| dest.weight > 0)?;
        dest.check.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use model::options::Recovery;

    use super::*;

    const RULE: PassiveCheck =
        PassiveCheck { down: 2, wait: 3, recovery: Some(Recovery { up: 2, min: 5, max: 40 }) };

    fn at(clock: &Clock, secs: u64) -> Tick {
        clock.tell(Tick(secs * 1000));
        Tick(secs * 1000)
    }

    /// How many seconds from `from` on it is inhibited after two failures.
    fn inhibited(health: &Health, clock: &Clock, from: u64) -> u64 {
        health.failed(&RULE, at(clock, from));
        assert!(!health.is_inhibited(), "one failure is none");
        health.failed(&RULE, at(clock, from));
        (0..100)
            .take_while(|secs| {
                at(clock, from + secs);
                health.is_inhibited()
            })
            .count() as u64
    }

    #[test]
    fn row152_failures_count_together_for_a_while_only() {
        let clock = Clock::default();
        let health = Health::new(&clock);
        for secs in [10, 13, 16, 19] {
            health.failed(&RULE, at(&clock, secs));
        }
        assert!(!health.is_inhibited());
        health.failed(&RULE, at(&clock, 21));
        assert!(health.is_inhibited());
    }

    #[test]
    fn row152_inhibitions_double_up_to_the_longest_and_successes_halve_them() {
        let clock = Clock::default();
        let health = Health::new(&clock);
        let times: Vec<u64> = (1..=6).map(|n| inhibited(&health, &clock, n * 1000)).collect();
        assert_eq!(times, [5, 10, 20, 40, 40, 40]);
        // The next would be 80: 40 after one success, 20 after two, and a third says no more.
        (0..3).for_each(|_| health.succeeded(&RULE));
        assert_eq!(inhibited(&health, &clock, 8000), 20);
        for n in 9..20 {
            (0..2).for_each(|_| health.succeeded(&RULE));
            inhibited(&health, &clock, n * 1000);
        }
        (0..2).for_each(|_| health.succeeded(&RULE));
        assert_eq!(inhibited(&health, &clock, 30_000), 5, "never shorter than the shortest");
    }

    #[test]
    fn row152_successes_during_an_inhibition_say_nothing() {
        let clock = Clock::default();
        let health = Health::new(&clock);
        assert_eq!(inhibited(&health, &clock, 1000), 5);
        health.failed(&RULE, at(&clock, 2000));
        health.failed(&RULE, at(&clock, 2000));
        (0..2).for_each(|_| health.succeeded(&RULE));
        at(&clock, 2010);
        assert_eq!(inhibited(&health, &clock, 3000), 20);
    }

    #[test]
    fn row152_without_recovery_it_is_for_good() {
        let rule = PassiveCheck { down: 1, wait: 3, recovery: None };
        let clock = Clock::default();
        let health = Health::new(&clock);
        health.failed(&rule, at(&clock, 1));
        at(&clock, 1_000_000_000);
        assert!(health.is_inhibited());
    }
}
