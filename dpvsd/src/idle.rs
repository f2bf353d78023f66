// SPDX-License-Identifier: Apache-2.0
//! What a worker does when there is nothing to do.

use std::str::FromStr;
use std::time::Duration;

/// How a worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Look again at once: least delay, one CPU always busy.
    Spin,
    /// Look again after telling the CPU that this is a wait, which leaves more to its sibling thread.
    Pause,
    /// Sleep, longer the longer nothing comes: for virtual devices, which are slower than a sleep is long.
    Sleep,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "spin" => Ok(Policy::Spin),
            "pause" => Ok(Policy::Pause),
            "sleep" => Ok(Policy::Sleep),
            _ => Err(format!("`{word}` is no way to idle: spin, pause or sleep expected")),
        }
    }
}

/// One wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Pause,
    Yield,
    Sleep(Duration),
}

/// A worker's rest.
pub struct Idle {
    policy: Policy,
    /// Rounds of the loop since something came.
    rounds: u32,
}

/// Rounds before the first yield, and before the first sleep.
const PAUSES: u32 = 32;
const YIELDS: u32 = 96;

/// Rounds after which the sleep gets twice as long.
const STEP: u32 = 64;

/// The shortest and the longest sleep. The kernel adds some 50 us of its own.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);

impl Idle {
    /// Somebody who has just worked.
    pub fn new(policy: Policy) -> Idle {
        Idle { policy, rounds: 0 }
    }

    /// Ends a round of the loop in which there was something to do, or not.
    #[inline]
    pub fn rest(&mut self, worked: bool) {
        match self.next(worked) {
            Rest::Nothing => {}
            Rest::Pause => (0..8).for_each(|_| std::hint::spin_loop()),
            Rest::Yield => std::thread::yield_now(),
            Rest::Sleep(time) => std::thread::sleep(time),
        }
    }

    fn next(&mut self, worked: bool) -> Rest {
        self.rounds = if worked { 0 } else { self.rounds.saturating_add(1) };
        match self.policy {
            _ if worked => Rest::Nothing,
            Policy::Spin => Rest::Nothing,
            Policy::Pause => Rest::Pause,
            Policy::Sleep if self.rounds <= PAUSES => Rest::Pause,
            Policy::Sleep if self.rounds <= YIELDS => Rest::Yield,
            Policy::Sleep => {
                let doublings = ((self.rounds - YIELDS) / STEP).min(5);
                Rest::Sleep((SHORTEST * 2u32.pow(doublings)).min(LONGEST))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(policy: Policy, rounds: u32) -> Rest {
        let mut idle = Idle::new(policy);
        (0..rounds).for_each(|_| {
            idle.next(false);
        });
        idle.next(false)
    }

    #[test]
    fn sleeps_grow_to_a_millisecond_and_end_with_work() {
        assert_eq!(after(Policy::Sleep, 0), Rest::Pause);
        assert_eq!(after(Policy::Sleep, 40), Rest::Yield);
        assert_eq!(after(Policy::Sleep, 100), Rest::Sleep(Duration::from_micros(50)));
        assert_eq!(after(Policy::Sleep, 170), Rest::Sleep(Duration::from_micros(100)));
        assert_eq!(after(Policy::Sleep, 100_000), Rest::Sleep(Duration::from_millis(1)));
        let mut idle = Idle { policy: Policy::Sleep, rounds: 100_000 };
        assert_eq!(idle.next(true), Rest::Nothing);
        assert_eq!(idle.next(false), Rest::Pause);
    }

    #[test]
    fn spinning_never_rests() {
        assert_eq!(after(Policy::Spin, 100_000), Rest::Nothing);
        assert_eq!(after(Policy::Pause, 100_000), Rest::Pause);
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        assert_eq!("spin".parse(), Ok(Policy::Spin));
        assert_eq!(
            "doze".parse::<Policy>(),
            Err("`doze` is no way to idle: spin, pause or sleep expected".to_owned())
        );
    }
}
