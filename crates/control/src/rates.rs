// SPDX-License-Identifier: Apache-2.0
//! Rates as IPVS operators know them: an exponential average of two-second samples, each new one counting a quarter.

use engine::tick::Tick;
use model::{Counters, Rates};

/// Milliseconds a sample covers.
pub const PERIOD_MS: u64 = 2000;

/// How much of the average a new sample leaves.
const KEEP: f64 = 0.75;

/// The averages of one set of counters, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimator {
    sampled: Counters,
    average: [f64; 5],
}

impl Estimator {
    /// Takes a sample `elapsed_ms` after the last one; later than [`PERIOD_MS`], it counts for all periods that have passed.
    /// Counters that went down were zeroed meanwhile and begin anew.
    pub fn sample(&mut self, counters: &Counters, elapsed_ms: u64) {
        if elapsed_ms == 0 {
            return;
        }
        let (old, new) = (fields(&self.sampled), fields(counters));
        let zeroed = old.iter().zip(&new).any(|(old, new)| new < old);
        let keep = KEEP.powf(elapsed_ms as f64 / PERIOD_MS as f64);
        for ((average, old), new) in self.average.iter_mut().zip(old).zip(new) {
            let grown = if zeroed { new } else { new - old };
            let rate = grown as f64 * 1000.0 / elapsed_ms as f64;
            *average = rate + (*average - rate) * keep;
        }
        self.sampled = *counters;
    }

    /// The averages.
    pub fn rates(&self) -> Averages {
        Averages(self.average)
    }
}

/// Averages that are not rounded yet, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages([f64; 5]);

impl Averages {
    /// Adds others.
    pub fn add(&mut self, other: Averages) {
        for (sum, part) in self.0.iter_mut().zip(other.0) {
            *sum += part;
        }
    }
}

impl From<Averages> for Rates {
    fn from(Averages(average): Averages) -> Self {
        let [cps, in_pps, out_pps, in_bps, out_bps] = average.map(|value| value.round() as u64);
        Rates { cps, in_pps, out_pps, in_bps, out_bps }
    }
}

/// Says when samples are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling(Option<Tick>);

impl Sampling {
    /// Milliseconds since the last sample when another one is due now. The first call starts the clock.
    pub fn due(&mut self, now: Tick) -> Option<u64> {
        let Some(last) = self.0 else {
            self.0 = Some(now);
            return None;
        };
        let elapsed = now.since(last);
        if elapsed < PERIOD_MS {
            return None;
        }
        self.0 = Some(now);
        Some(elapsed)
    }
}

fn fields(c: &Counters) -> [u64; 5] {
    [c.conns, c.in_packets, c.out_packets, c.in_bytes, c.out_bytes]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(in_packets: u64) -> Counters {
        Counters { in_packets, ..Counters::default() }
    }

    fn in_pps(estimator: &Estimator) -> u64 {
        Rates::from(estimator.rates()).in_pps
    }

    /// 1000 packets a second, as the averages of IPVS rise: a quarter of what is missing with each sample.
    #[test]
    fn a_steady_flow_is_approached_by_quarters() {
        let mut estimator = Estimator::default();
        let mut seen = Vec::new();
        for at in 1..=5 {
            estimator.sample(&packets(2000 * at), 2000);
            seen.push(in_pps(&estimator));
        }
        assert_eq!(seen, [250, 438, 578, 684, 763]);
    }

    #[test]
    fn it_fades_when_nothing_comes() {
        let mut estimator = Estimator::default();
        estimator.sample(&packets(8000), 2000);
        assert_eq!(in_pps(&estimator), 1000);
        estimator.sample(&packets(8000), 2000);
        assert_eq!(in_pps(&estimator), 750);
        estimator.sample(&packets(8000), 600_000);
        assert_eq!(in_pps(&estimator), 0);
    }

    #[test]
    fn a_late_sample_counts_as_the_two_it_stands_for() {
        let (mut late, mut timely) = (Estimator::default(), Estimator::default());
        late.sample(&packets(4000), 4000);
        timely.sample(&packets(2000), 2000);
        timely.sample(&packets(4000), 2000);
        assert_eq!((in_pps(&late), in_pps(&timely)), (438, 438));
    }

    #[test]
    fn zeroed_counters_begin_anew() {
        let mut estimator = Estimator::default();
        estimator.sample(&packets(8000), 2000);
        estimator.sample(&packets(80), 2000);
        assert_eq!(in_pps(&estimator), 760);
    }

    #[test]
    fn samples_are_due_every_two_seconds_from_the_first_look_on() {
        let mut sampling = Sampling::default();
        let due = [5000, 6999, 7000, 8000, 10_000].map(|now| sampling.due(Tick(now)));
        assert_eq!(due, [None, None, Some(2000), None, Some(3000)]);
    }
}
