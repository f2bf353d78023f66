// SPDX-License-Identifier: Apache-2.0
//! Limits what is sent towards one neighbourhood of clients, so that nobody who forges sources can aim the director at somebody else.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::quality::FixedState;

use crate::tick::Tick;

/// Buckets; neighbourhoods that meet in one share its rate.
const BUCKETS: usize = 4096;

/// Token buckets by neighbourhood: /24 of IPv4, /56 of IPv6. Fixed in size, whoever comes.
#[derive(Clone, Debug)]
pub struct PrefixLimiter {
    buckets: Box<[Bucket]>,
    seed: FixedState,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Thousandths of a packet.
    tokens: u64,
    refilled: Tick,
}

impl PrefixLimiter {
    /// A limiter that allows nothing more than its first seconds' worth at once; `seed` keeps neighbourhoods from being made to meet.
    pub fn new(seed: u64) -> Self {
        let full = Bucket { tokens: u64::MAX, refilled: Tick(0) };
        PrefixLimiter { buckets: vec![full; BUCKETS].into(), seed: FixedState::with_seed(seed) }
    }

    /// Whether one more may leave towards `addr` where `rate` a second may; 0 for no limit. A second's worth may leave at once.
    #[inline(always)]
    pub fn allows(&mut self, addr: IpAddr, rate: u32, now: Tick) -> bool {
        if rate == 0 {
            return true;
        }
        let bucket = &mut self.buckets[self.seed.hash_one(neighbourhood(addr)) as usize % BUCKETS];
        let full = u64::from(rate) * 1000;
        let earned = now.since(bucket.refilled).saturating_mul(u64::from(rate));
        bucket.tokens = bucket.tokens.saturating_add(earned).min(full);
        bucket.refilled = now;
        let allowed = bucket.tokens >= 1000;
        bucket.tokens -= if allowed { 1000 } else { 0 };
        allowed
    }
}

/// The neighbourhood of an address: /24 of IPv4, /56 of IPv6.
#[inline(always)]
pub(crate) fn neighbourhood(addr: IpAddr) -> u64 {
    match addr {
        IpAddr::V4(addr) => u64::from(addr.to_bits() >> 8),
        IpAddr::V6(addr) => (addr.to_bits() >> 72) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("a literal address")
    }

    #[test]
    fn a_neighbourhood_gets_its_rate_and_others_theirs() {
        let mut limiter = PrefixLimiter::new(1);
        let now = Tick(1_000_000);
        let one = |limiter: &mut PrefixLimiter, now| {
            (0..100).filter(|n| limiter.allows(ip(&format!("192.0.2.{n}")), 10, now)).count()
        };
        assert_eq!(one(&mut limiter, now), 10);
        assert_eq!(one(&mut limiter, now.plus_ms(500)), 5);
        assert_eq!(one(&mut limiter, now.plus_secs(60)), 10);
        assert!(limiter.allows(ip("198.51.100.1"), 10, now.plus_secs(60)));
        let six = |limiter: &mut PrefixLimiter| {
            (0..100).filter(|n| limiter.allows(ip(&format!("2001:db8::{n}")), 10, now)).count()
        };
        assert_eq!(six(&mut limiter), 10);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let mut limiter = PrefixLimiter::new(1);
        assert!((0..1_000_000).all(|_| limiter.allows(ip("192.0.2.1"), 0, Tick(5))));
    }
}
