// SPDX-License-Identifier: Apache-2.0
//! When a checker tests, and what its tests mean: no clock and no I/O. Whoever runs it waits as long as it says, tests the page it
//! names, and tells it the outcome.

use std::time::Duration;

/// The times of a checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Between tests.
    pub delay_loop: Duration,
    /// Longest random delay of the first test, which is after a second.
    pub warmup: Duration,
    /// Failures tolerated before the one that counts.
    pub retry: u32,
    /// Between a tolerated failure and the next test.
    pub delay_before_retry: Duration,
    /// What is tested in turn; 1 for all but HTTP.
    pub pages: usize,
    /// Whether a page that failed is asked alone until it answers, and all pages after it once more before the checker is content.
    pub verifies: bool,
    /// Whether pages follow each other at once until the checker is content.
    pub fast_recovery: bool,
}

/// A checker's mind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    rules: Rules,
    up: bool,
    /// Whether all pages were good once since it came up, or since the start.
    confirmed: bool,
    failures: u32,
    page: usize,
    /// The page failed, and is asked alone.
    stuck: bool,
}

/// What follows from a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// How long to wait for the next test.
    pub wait: Duration,
    /// Whether the checker changed its mind, and into which.
    pub turn: Option<bool>,
}

impl Machine {
    /// A checker before its first test; with `alpha` it counts as failed until then. The first failure is not tolerated.
    pub fn new(rules: Rules, alpha: bool) -> Machine {
        Machine { up: !alpha, confirmed: false, failures: rules.retry, page: 0, stuck: false, rules }
    }

    /// The wait before the first test, by a random number from 0 to 1.
    pub fn first(&self, random: f64) -> Duration {
        Duration::from_secs(1) + self.rules.warmup.mul_f64(random.clamp(0.0, 1.0))
    }

    /// What is to be tested.
    pub fn page(&self) -> usize {
        self.page
    }

    /// Other times from now on. What is known stays; a failure that has been tolerated too often by the new rules is the last one.
    pub fn retime(&mut self, rules: Rules) {
        self.failures = self.failures.min(rules.retry);
        self.page = self.page.min(rules.pages.saturating_sub(1));
        self.rules = rules;
    }

    /// Takes the outcome of a test.
    pub fn told(&mut self, good: bool) -> Next {
        if good { self.good() } else { self.bad() }
    }

    fn good(&mut self) -> Next {
        self.failures = 0;
        if self.stuck && self.rules.verifies {
            (self.stuck, self.page) = (false, 0);
            return Next { wait: self.between(), turn: None };
        }
        self.page += 1;
        if self.page < self.rules.pages {
            return Next { wait: self.between(), turn: None };
        }
        let turn = (!self.up).then_some(true);
        (self.page, self.stuck, self.up, self.confirmed) = (0, false, true, true);
        Next { wait: self.rules.delay_loop, turn }
    }

    fn bad(&mut self) -> Next {
        let Rules { delay_loop, delay_before_retry, .. } = self.rules;
        if self.up && self.failures < self.rules.retry {
            self.failures += 1;
            return Next { wait: delay_before_retry, turn: None };
        }
        let turn = self.up.then_some(false);
        (self.up, self.confirmed, self.stuck) = (false, false, true);
        let wait = if self.rules.verifies { delay_loop.max(delay_before_retry) } else { delay_loop };
        Next { wait, turn }
    }

    /// The wait between two pages.
    fn between(&self) -> Duration {
        let at_once = self.rules.fast_recovery && !self.confirmed;
        if at_once { Duration::ZERO } else { self.rules.delay_loop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECS: fn(u64) -> Duration = Duration::from_secs;

    fn rules() -> Rules {
        Rules {
            delay_loop: SECS(6),
            warmup: SECS(10),
            retry: 2,
            delay_before_retry: SECS(1),
            pages: 1,
            verifies: false,
            fast_recovery: false,
        }
    }

    /// Runs tests on virtual time: each is `(second, page)`, and `up`, `down` where the mind changed.
    fn play(machine: &mut Machine, outcomes: &str) -> String {
        let mut now = machine.first(0.0);
        let mut seen = Vec::new();
        for outcome in outcomes.chars() {
            let page = machine.page();
            let next = machine.told(outcome == '+');
            let turn = next.turn.map_or("", |up| if up { "up" } else { "down" });
            seen.push(format!("{}/{page}{turn}", now.as_secs()));
            now += next.wait;
        }
        seen.join(" ")
    }

    #[test]
    fn the_first_failure_counts_at_once_and_later_ones_after_retries() {
        let mut machine = Machine::new(rules(), false);
        assert_eq!(play(&mut machine, "--++"), "1/0down 7/0 13/0up 19/0");
        assert_eq!(play(&mut machine, "+---+"), "1/0 7/0 8/0 9/0down 15/0up");
        // A success forgets the failures before it.
        assert_eq!(play(&mut machine, "--+--+---"), "1/0 2/0 3/0 9/0 10/0 11/0 17/0 18/0 19/0down");
    }

    #[test]
    fn a_first_success_confirms_and_alpha_waits_for_it() {
        assert_eq!(play(&mut Machine::new(rules(), false), "+-"), "1/0 7/0");
        let mut alpha = Machine::new(rules(), true);
        assert_eq!(play(&mut alpha, "-+"), "1/0 7/0up");
    }

    #[test]
    fn the_first_test_is_after_a_second_and_part_of_the_warm_up() {
        let machine = Machine::new(rules(), false);
        assert_eq!(machine.first(0.0), SECS(1));
        assert_eq!(machine.first(0.5), SECS(6));
        assert_eq!(machine.first(7.0), SECS(11));
    }

    #[test]
    fn pages_are_asked_in_turn_and_a_failed_one_alone_until_it_answers() {
        let http = Rules { pages: 3, verifies: true, delay_before_retry: SECS(8), retry: 1, ..rules() };
        let mut machine = Machine::new(http, false);
        assert_eq!(play(&mut machine, "++++"), "1/0 7/1 13/2 19/0");
        // Page 1 fails twice, is asked every 8 s, answers; then all three, and only then it is up.
        assert_eq!(play(&mut machine, "---+++++"), "1/1 9/1down 17/1 25/1 31/0 37/1 43/2up 49/0");
        // A failure on the way back starts over.
        let mut machine = Machine::new(http, true);
        assert_eq!(play(&mut machine, "+-++++"), "1/0 7/1 15/1 21/0 27/1 33/2up");
    }

    #[test]
    fn fast_recovery_leaves_out_waits_until_it_is_content() {
        let http = Rules { pages: 2, verifies: true, fast_recovery: true, retry: 0, ..rules() };
        let mut machine = Machine::new(http, false);
        assert_eq!(play(&mut machine, "++++"), "1/0 1/1 7/0 13/1");
        assert_eq!(play(&mut machine, "-+++++"), "1/0down 7/0 7/0 7/1up 13/0 19/1");
    }

    #[test]
    fn other_times_leave_what_is_known() {
        let mut machine = Machine::new(Rules { retry: 9, ..rules() }, false);
        assert_eq!(play(&mut machine, "+---"), "1/0 7/0 8/0 9/0");
        machine.retime(Rules { retry: 1, delay_loop: SECS(2), ..rules() });
        assert_eq!(play(&mut machine, "-+"), "1/0down 3/0up");
    }
}
