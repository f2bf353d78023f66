// SPDX-License-Identifier: Apache-2.0
//! Whether the proxy stands before a service that has it only under load, and who passes by it even then.
//!
//! ```text
//!   aside ── many SYNs a second, or many that stay half-open ──> stands
//!     ^                                                            │
//!     └──────── calm seconds in a row with less than half of it ───┘
//! ```

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::FixedState;

use super::config::Auto;
use super::limit::{PrefixLimiter, neighbourhood};
use crate::tick::Tick;

/// Handshakes in a second from which on their share that stays half-open means anything.
const FEW: u32 = 64;

/// SYNs a second that pass by the proxy from one neighbourhood that has proved itself: somebody may have forged its addresses.
const KNOWN_RATE: u32 = 50;

/// Neighbourhoods remembered; of two that meet in one slot, the later.
const KNOWN: usize = 4096;

/// Seconds after stepping aside in which cookies may still come back.
const AFTERMATH: u64 = 2 * super::cookie::SLOT_SECS;

/// The handshakes of one service on one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Guard {
    /// The present second.
    second: u64,
    seen: Handshakes,
    before: Handshakes,
    /// The second from which on it stands aside.
    until: u64,
    standing: bool,
}

/// Handshakes of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Handshakes {
    begun: u32,
    proved: u32,
}

impl Handshakes {
    /// Whether at least `percent` of enough of them stay half-open.
    fn stay_open(self, percent: u32) -> bool {
        let open = u64::from(self.begun.saturating_sub(self.proved));
        self.begun >= FEW && open * 100 >= u64::from(self.begun) * u64::from(percent)
    }
}

/// What a SYN changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It stands, or stands aside, as before.
    Same,
    /// It steps before the service.
    On,
    /// It steps aside.
    Off,
}

impl Guard {
    /// Notes a SYN; one of `workers` sees its share of them.
    pub(crate) fn syn(&mut self, auto: &Auto, workers: u16, now: Tick) -> Turn {
        self.turn_to(now);
        self.seen.begun += 1;
        let rate = self.seen.begun.max(self.before.begun);
        // Hysteresis: half of what made it step forward keeps it there.
        let (share, percent) = match self.standing {
            false => (auto.syn_rate.div_ceil(workers.into()), u32::from(auto.half_open)),
            true => (auto.syn_rate.div_ceil(2 * u32::from(workers)), u32::from(auto.half_open).div_ceil(2)),
        };
        let by_share = auto.half_open < 100 && self.before.stay_open(percent);
        if auto.syn_rate > 0 && rate >= share || by_share {
            self.until = self.second + u64::from(auto.calm);
        }
        let stands = self.second < self.until;
        match (std::mem::replace(&mut self.standing, stands), stands) {
            (false, true) => Turn::On,
            (true, false) => Turn::Off,
            _ => Turn::Same,
        }
    }

    /// Notes that a client has completed its handshake.
    pub(crate) fn proved(&mut self, now: Tick) {
        self.turn_to(now);
        self.seen.proved += 1;
    }

    /// Whether it stands before the service.
    pub(crate) fn stands(&self, now: Tick) -> bool {
        now.0 / 1000 < self.until
    }

    /// Whether clients may still hold cookies of it.
    pub(crate) fn stood(&self, now: Tick) -> bool {
        self.until > 0 && now.0 / 1000 < self.until + AFTERMATH
    }

    fn turn_to(&mut self, now: Tick) {
        let second = now.0 / 1000;
        if second != self.second {
            self.before = if second == self.second + 1 { self.seen } else { Handshakes::default() };
            (self.second, self.seen) = (second, Handshakes::default());
        }
    }
}

/// Neighbourhoods of clients that have proved themselves lately. Fixed in size, whoever comes.
pub(crate) struct Known {
    slots: Box<[(u32, u32)]>,
    seed: FixedState,
    passing: PrefixLimiter,
}

impl Known {
    /// Nobody.
    pub(crate) fn new(seed: u64) -> Self {
        Known {
            slots: vec![(0, 0); KNOWN].into(),
            seed: FixedState::with_seed(seed),
            passing: PrefixLimiter::new(seed),
        }
    }

    /// Notes that a client has proved itself.
    pub(crate) fn note(&mut self, client: IpAddr, auto: &Auto, now: Tick) {
        let (slot, tag) = self.place(client);
        self.slots[slot] = (tag, (now.0 / 1000) as u32 + u32::from(auto.known));
    }

    /// Whether a client may pass by the proxy.
    pub(crate) fn passes(&mut self, client: IpAddr, now: Tick) -> bool {
        let (slot, tag) = self.place(client);
        let (known, until) = self.slots[slot];
        known == tag && ((now.0 / 1000) as u32) < until && self.passing.allows(client, KNOWN_RATE, now)
    }

    fn place(&self, client: IpAddr) -> (usize, u32) {
        let hash = self.seed.hash_one(neighbourhood(client));
        // An empty slot has tag 0.
        (hash as usize % KNOWN, (hash >> 32) as u32 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTO: Auto = Auto { syn_rate: 1000, half_open: 50, calm: 10, known: 60 };

    fn at(second: u64) -> Tick {
        Tick(1_000_000 + second * 1000)
    }

    fn syns(guard: &mut Guard, count: u32, second: u64) -> Vec<Turn> {
        (0..count).map(|_| guard.syn(&AUTO, 1, at(second))).filter(|&turn| turn != Turn::Same).collect()
    }

    #[test]
    fn many_syns_in_a_second_bring_it_forward_and_calm_sends_it_back() {
        let mut guard = Guard::default();
        assert_eq!(syns(&mut guard, 999, 0), []);
        assert_eq!(syns(&mut guard, 1, 0), [Turn::On]);
        // Half as many keep it there: more calm seconds than it takes, none of them calm.
        for second in 1..=20 {
            assert_eq!(syns(&mut guard, 500, second), [], "second {second}");
            (0..500).for_each(|_| guard.proved(at(second)));
        }
        for second in 21..=31 {
            assert_eq!(syns(&mut guard, 1, second), if second == 31 { vec![Turn::Off] } else { vec![] });
            guard.proved(at(second));
        }
        assert!(!guard.stands(at(31)) && guard.stood(at(150)) && !guard.stood(at(152)));
    }

    #[test]
    fn handshakes_that_stay_half_open_bring_it_forward_and_few_of_them_do_not() {
        let mut guard = Guard::default();
        assert_eq!(syns(&mut guard, 63, 0), []);
        assert_eq!(syns(&mut guard, 100, 1), [], "63 are too few to judge");
        (0..51).for_each(|_| guard.proved(at(1)));
        assert_eq!(syns(&mut guard, 100, 2), [], "49 of 100 stayed half-open");
        (0..50).for_each(|_| guard.proved(at(2)));
        assert_eq!(syns(&mut guard, 1, 3), [Turn::On], "50 of 100 did");
    }

    #[test]
    fn each_of_several_workers_sees_its_share() {
        let mut guard = Guard::default();
        let turns: Vec<_> = (0..250).map(|_| guard.syn(&AUTO, 4, at(0))).collect();
        assert_eq!(turns.iter().position(|&turn| turn == Turn::On), Some(249));
    }

    #[test]
    fn a_threshold_can_be_switched_off() {
        let auto = Auto { syn_rate: 0, half_open: 100, ..AUTO };
        let mut guard = Guard::default();
        for n in 0..10_000 {
            assert_eq!(guard.syn(&auto, 1, at(n / 5000)), Turn::Same);
        }
    }

    #[test]
    fn a_neighbourhood_that_has_proved_itself_passes_for_a_while_and_not_without_end() {
        let mut known = Known::new(3);
        let ip = |text: &str| text.parse::<IpAddr>().expect("a literal address");
        assert!(!known.passes(ip("192.0.2.1"), at(0)));
        known.note(ip("192.0.2.1"), &AUTO, at(0));
        known.note(ip("2001:db8::1"), &AUTO, at(0));
        let passed = (0..200).filter(|n| known.passes(ip(&format!("192.0.2.{n}")), at(1))).count();
        assert_eq!(passed, 50);
        assert!(known.passes(ip("2001:db8:0:f::1"), at(59)));
        assert!(!known.passes(ip("2001:db8::1"), at(60)) && !known.passes(ip("192.0.3.1"), at(1)));
    }
}
