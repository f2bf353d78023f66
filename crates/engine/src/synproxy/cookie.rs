// SPDX-License-Identifier: Apache-2.0
//! Cookies: initial sequence numbers that prove, when a client acknowledges them, that it received our SYN-ACK and what it had offered.
//!
//! ```text
//!   without timestamps   | MAC, 23 bits                     | mss 3 | wscale 4 | sack 1 | slot 1 |
//!   with timestamps      | MAC, 28 bits                                      | mss 3    | slot 1 |
//!                          and in the low bits of our timestamp    | ecn 1 | sack 1 | wscale 4 |
//! ```
//!
//! The MAC is SipHash-2-4 over addresses, ports, the client's sequence number and every encoded bit, under a key of the minute. Every
//! bit of the number is either checked or data under the check: a blind guess passes once in 2^32 / 512 tries without timestamps and
//! once in 2^32 / 16 with them. Keys follow from one master key and the number of the minute, so directors that share the master key
//! (and know the time to within a minute) accept each other's cookies.

use siphasher::sip::SipHasher24;

use super::config::MasterKey;
use super::mac::{self, Key};
use super::offer::{MAX_WSCALE, Offer};
use crate::conn::Tuple;

/// Seconds a key is used to make cookies; it is accepted for as long again.
pub const SLOT_SECS: u64 = 60;

/// Maximum segment sizes that a cookie can remember over IPv4, in bytes. In between, the next smaller one is taken. Ethernet, PPPoE,
/// common tunnels, jumbo frames; 536 for who says nothing (RFC 9293 3.7.1).
pub const MSS4: [u16; 8] = [536, 1220, 1300, 1360, 1400, 1440, 1460, 8960];

/// The same over IPv6, where the header takes twenty bytes more.
pub const MSS6: [u16; 8] = [536, 1220, 1300, 1360, 1400, 1420, 1440, 8940];

/// Makes and checks cookies; a worker's own, with the keys of the present minutes at hand.
#[derive(Clone, Debug)]
pub struct Cookies {
    master: MasterKey,
    keys: [(u64, Key); 4],
}

/// What goes into a SYN-ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its sequence number.
    pub isn: u32,
    /// Its timestamp, when the client has timestamps.
    pub tsval: Option<u32>,
}

/// What a good cookie proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the client had offered.
    pub offer: Offer,
    /// The minute the cookie was made in.
    pub slot: u64,
}

/// What a client's acknowledgement says.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The client's first sequence number: that of the segment, less one.
    pub isn: u32,
    /// Our first sequence number: the acknowledgement, less one.
    pub cookie: u32,
    /// Its timestamp and echo, if it has them.
    pub timestamps: Option<(u32, u32)>,
}

impl Cookies {
    /// Cookies under a master key.
    pub fn new(master: MasterKey) -> Self {
        // No minute has the largest number, so no slot of the cache is taken for filled.
        Cookies { master, keys: [(u64::MAX, [0; 2]); 4] }
    }

    /// The secret.
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// A cookie for a client whose SYN had sequence number `isn`. What the offer lacks or the caller took out of it will not come back.
    ///
    /// `unix_ms` is the time of day in milliseconds since 1970; our timestamps count it, so that they grow.
    #[inline(always)]
    pub fn make(&mut self, flow: &Tuple, isn: u32, offer: &Offer, unix_ms: u64) -> Cookie {
        let slot = slot(unix_ms);
        let key = self.key(slot);
        let mss = index_of(flow, offer.mss);
        match offer.tsval {
            None => {
                let data = pack(offer);
                let low = u32::from(mss) << 6 | u32::from(data & 31) << 1 | (slot & 1) as u32;
                let mac = mac(key, flow, isn, low, NO_TIMESTAMPS);
                Cookie { isn: mac << 9 | low, tsval: None }
            }
            Some(_) => {
                let data = pack(offer);
                let low = u32::from(mss) << 1 | (slot & 1) as u32;
                let mac = mac(key, flow, isn, low, data);
                Cookie { isn: mac << 4 | low, tsval: Some(stamp(unix_ms as u32, data)) }
            }
        }
    }

    /// What the client had offered, if its acknowledgement proves that it did.
    ///
    /// The maximum segment size is the one remembered, not greater than the one offered. The timestamp is that of the acknowledgement.
    #[inline(always)]
    pub fn check(&mut self, flow: &Tuple, claim: &Claim, unix_ms: u64) -> Option<Proof> {
        let now = slot(unix_ms);
        if claim.timestamps.is_some_and(|(_, echo)| !is_recent(echo, unix_ms as u32)) {
            return None;
        }
        let (low_bits, data) = match claim.timestamps {
            None => (9, NO_TIMESTAMPS),
            Some((_, echo)) => (4, (echo & STAMP_DATA) as u8),
        };
        let low = claim.cookie & ((1 << low_bits) - 1);
        let packed = match claim.timestamps {
            None => (low >> 1 & 31) as u8,
            Some(_) => data,
        };
        // The lowest bit says which of two neighbouring minutes it was.
        let slot = now.wrapping_sub((now ^ u64::from(low)) & 1);
        let mac = mac(self.key(slot), flow, claim.isn, low, data);
        if claim.cookie >> low_bits != mac & (u32::MAX >> low_bits) {
            return None;
        }
        let mss = match claim.timestamps {
            None => low >> 6,
            Some(_) => low >> 1,
        };
        let mss = table(flow).get(mss as usize).copied();
        let tsval = claim.timestamps.map(|(value, _)| value);
        Some(Proof { offer: Offer { mss, tsval, ..unpack(packed) }, slot })
    }

    /// Whether an acknowledgement that proves nothing would have, two to four minutes ago.
    pub fn is_late(&mut self, flow: &Tuple, claim: &Claim, unix_ms: u64) -> bool {
        // Two minutes on, a key's place in the cache and its bit in the cookie are another key's.
        self.check(flow, claim, unix_ms.saturating_sub(2 * SLOT_SECS * 1000)).is_some()
    }

    /// The key of a minute.
    #[inline(always)]
    fn key(&mut self, slot: u64) -> Key {
        let cached = self.keys[(slot & 3) as usize];
        if cached.0 == slot { cached.1 } else { self.new_key(slot) }
    }

    #[cold]
    fn new_key(&mut self, slot: u64) -> Key {
        let half = |which: u8| {
            let mut input = [0; 9];
            input[..8].copy_from_slice(&slot.to_be_bytes());
            input[8] = which;
            // Its bytes, in the order of a number on the wire.
            SipHasher24::new_with_key(&self.master.0).hash(&input).swap_bytes()
        };
        let key = [half(0), half(1)];
        self.keys[(slot & 3) as usize] = (slot, key);
        key
    }
}

/// The minute of a time in milliseconds.
pub fn slot(unix_ms: u64) -> u64 {
    unix_ms / 1000 / SLOT_SECS
}

/// Whether a timestamp may be one of ours that still counts: its two minutes are not over, for any of the clocks of directors that share
/// a key.
fn is_recent(stamp: u32, now: u32) -> bool {
    const MINUTE: u32 = SLOT_SECS as u32 * 1000;
    now.wrapping_add(MINUTE).wrapping_sub(stamp) <= 4 * MINUTE
}

/// Marks cookies whose data are in the sequence number alone: six bits never say this.
const NO_TIMESTAMPS: u8 = 0xff;

/// The low bits of our timestamps that carry data.
const STAMP_DATA: u32 = 63;

/// The value of the window-scale bits for a client that offers none.
const NO_WSCALE: u8 = 15;

/// The low bits of SipHash over all that a cookie vouches for.
#[inline(always)]
fn mac(key: Key, flow: &Tuple, isn: u32, low: u32, data: u8) -> u32 {
    match Message::of(flow, isn, low, data) {
        Message::V4(words, rest) => mac::siphash(key, words, rest) as u32,
        Message::V6(words, rest) => mac::siphash(key, words, rest) as u32,
    }
}

/// What is hashed, as words: addresses, ports and sequence number as on the wire, the encoded data; 19 and 43 bytes.
enum Message {
    V4([u64; 2], u64),
    V6([u64; 5], u64),
}

impl Message {
    #[inline(always)]
    fn of(flow: &Tuple, isn: u32, low: u32, data: u8) -> Message {
        let tail = |sport: u16, dport: u16| {
            u64::from(sport.swap_bytes())
                | u64::from(dport.swap_bytes()) << 16
                | u64::from(isn.swap_bytes()) << 32
        };
        let rest = u64::from((low as u16).swap_bytes()) | u64::from(data) << 16;
        match *flow {
            Tuple::V4(t) => {
                let addresses = u64::from(t.src.swap_bytes()) | u64::from(t.dst.swap_bytes()) << 32;
                Message::V4([addresses, tail(t.sport, t.dport)], rest | 19 << 56)
            }
            Tuple::V6(t) => {
                let (src, dst) = (t.src.swap_bytes(), t.dst.swap_bytes());
                let [a, b, c, d] = [src as u64, (src >> 64) as u64, dst as u64, (dst >> 64) as u64];
                Message::V6([a, b, c, d, tail(t.sport, t.dport)], rest | 43 << 56)
            }
        }
    }
}

/// Everything but the segment size in six bits: ECN, SACK, window scale.
fn pack(offer: &Offer) -> u8 {
    let wscale = offer.wscale.map_or(NO_WSCALE, |shift| shift.min(MAX_WSCALE));
    // Without timestamps there is room for five bits: scale above SACK, no ECN.
    match offer.tsval {
        None => wscale << 1 | u8::from(offer.sack),
        Some(_) => u8::from(offer.ecn) << 5 | wscale << 1 | u8::from(offer.sack),
    }
}

fn unpack(data: u8) -> Offer {
    let wscale = data >> 1 & 15;
    Offer {
        wscale: (wscale != NO_WSCALE).then_some(wscale),
        sack: data & 1 == 1,
        ecn: data >> 5 & 1 == 1,
        ..Offer::default()
    }
}

/// The latest time not after `now` whose low bits are `data`.
fn stamp(now: u32, data: u8) -> u32 {
    let value = now & !STAMP_DATA | u32::from(data);
    if value > now { value.wrapping_sub(STAMP_DATA + 1) } else { value }
}

fn table(flow: &Tuple) -> &'static [u16; 8] {
    match flow {
        Tuple::V4(_) => &MSS4,
        Tuple::V6(_) => &MSS6,
    }
}

/// The largest size remembered that is not above what was offered.
#[inline(always)]
fn index_of(flow: &Tuple, mss: Option<u16>) -> u8 {
    let mss = mss.unwrap_or(0);
    table(flow).iter().rposition(|&size| size <= mss).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASTER: MasterKey = MasterKey(*b"a secret of ours");
    /// Some second in 2026, ten seconds into its minute.
    const NOW: u64 = 1_767_225_610_000;

    fn v4() -> Tuple {
        Tuple::new("192.0.2.10:40000".parse().unwrap(), "203.0.113.80:80".parse().unwrap())
            .expect("one family")
    }

    fn v6() -> Tuple {
        Tuple::new("[2001:db8::10]:40000".parse().unwrap(), "[2001:db8:1::80]:80".parse().unwrap())
            .expect("one family")
    }

    fn claim(isn: u32, cookie: Cookie) -> Claim {
        Claim { isn, cookie: cookie.isn, timestamps: cookie.tsval.map(|echo| (7777, echo)) }
    }

    #[test]
    fn what_was_offered_comes_back_with_the_size_rounded_down() {
        let mut cookies = Cookies::new(MASTER);
        for (flow, offered, remembered) in [
            (v4(), Some(1460), 1460),
            (v4(), Some(1459), 1440),
            (v4(), Some(9000), 8960),
            (v4(), Some(100), 536),
            (v4(), None, 536),
            (v6(), Some(1440), 1440),
            (v6(), Some(1430), 1420),
            (v6(), Some(8940), 8940),
        ] {
            for tsval in [None, Some(5)] {
                for wscale in [None, Some(0), Some(7), Some(14)] {
                    let offer = Offer { mss: offered, wscale, sack: true, tsval, ecn: tsval.is_some() };
                    let cookie = cookies.make(&flow, 99, &offer, NOW);
                    let seen = cookies.check(&flow, &claim(99, cookie), NOW + 5000).map(|proof| proof.offer);
                    let tsval = tsval.map(|_| 7777);
                    assert_eq!(seen, Some(Offer { mss: Some(remembered), tsval, ..offer }));
                }
            }
        }
    }

    #[test]
    fn a_cookie_lives_through_one_change_of_key_and_not_through_two() {
        let mut cookies = Cookies::new(MASTER);
        for offer in [Offer::default(), Offer { tsval: Some(1), ..Offer::default() }] {
            let claim = claim(1, cookies.make(&v4(), 1, &offer, NOW));
            // Ten seconds of its minute have passed: fifty to the next, a hundred and ten to the one after.
            for (later, expected) in [
                (0, true),
                (49_999, true),
                (50_000, true),
                (109_999, true),
                (110_000, false),
                (230_000, false),
            ] {
                let seen = cookies.check(&v4(), &claim, NOW + later).is_some();
                assert_eq!(seen, expected, "after {later} ms");
            }
            assert_eq!(cookies.check(&v4(), &claim, NOW + 120_000), None);
            assert!(cookies.is_late(&v4(), &claim, NOW + 120_000));
            assert_eq!(cookies.check(&v4(), &claim, NOW + 900_000), None);
            assert!(!cookies.is_late(&v4(), &claim, NOW + 900_000));
        }
    }

    #[test]
    fn directors_that_share_the_master_key_accept_each_others_cookies() {
        let (mut one, mut other, mut stranger) =
            (Cookies::new(MASTER), Cookies::new(MASTER), Cookies::new(MasterKey(*b"another secret!!")));
        let offer = Offer { mss: Some(1460), wscale: Some(7), sack: true, ..Offer::default() };
        let claim = claim(1, one.make(&v6(), 1, &offer, NOW));
        // Their clocks may differ by some seconds.
        assert_eq!(other.check(&v6(), &claim, NOW + 3_000).map(|p| p.offer.wscale), Some(Some(7)));
        assert_eq!(stranger.check(&v6(), &claim, NOW), None);
    }

    /// Every sequence number stands for data, a minute and what follows from them: a number is accepted for each of those, and for
    /// no others.
    #[test]
    fn r04_no_more_than_512_or_16_values_are_accepted() {
        let mut cookies = Cookies::new(MASTER);
        for (timestamps, count, low_bits) in [(None, 512, 9), (Some((7, NOW as u32 & !63)), 16, 4)] {
            let mut accepted = std::collections::HashSet::new();
            for (at, minute) in [(NOW, "this"), (NOW - 60_000, "the last")] {
                for mss in MSS4 {
                    for bits in 0..32 {
                        let wscale = Some(bits >> 1).filter(|&shift| shift != NO_WSCALE);
                        let (sack, tsval) = (bits & 1 == 1, timestamps.map(|(value, _)| value));
                        let offer = match tsval {
                            None => Offer { mss: Some(mss), wscale, sack, tsval, ecn: false },
                            // The data are in the echo, which stays the same.
                            Some(_) => Offer { mss: Some(mss), wscale: Some(0), tsval, ..Offer::default() },
                        };
                        let isn = cookies.make(&v4(), 1, &offer, at).isn;
                        let claim = Claim { isn: 1, cookie: isn, timestamps };
                        assert!(cookies.check(&v4(), &claim, NOW).is_some(), "{offer:?} of {minute} minute");
                        accepted.insert(isn);
                    }
                }
            }
            assert_eq!(accepted.len(), count);
            // Below the MAC each of them has another value, so there is one MAC for each.
            let low: std::collections::HashSet<u32> =
                accepted.iter().map(|isn| isn & ((1 << low_bits) - 1)).collect();
            assert_eq!(low.len(), count);
        }
        // And for such a value no other MAC is right: all 2^23 are tried.
        let offer = Offer { mss: Some(1460), wscale: Some(7), sack: true, ..Offer::default() };
        let cookie = cookies.make(&v4(), 1, &offer, NOW);
        let accepted = (0..1 << 23)
            .filter(|mac| {
                let cookie = mac << 9 | cookie.isn & 511;
                cookies.check(&v4(), &Claim { isn: 1, cookie, timestamps: None }, NOW).is_some()
            })
            .count();
        assert_eq!(accepted, 1);
    }

    #[test]
    fn our_timestamps_never_go_back() {
        let mut last = 0;
        for now in (1000..5000).step_by(7) {
            let stamp = stamp(now, 63 - (now % 5) as u8);
            assert!(stamp <= now && now - stamp < 64, "{stamp} at {now}");
            assert!(stamp >= last || last - stamp < 64);
            last = stamp;
        }
        assert_eq!(stamp(3, 63), u32::MAX, "the clock wraps with the numbers");
    }

    proptest! {
        #[test]
        fn r04_any_forged_bit_fails(
            isn: u32, six: bool, ts: bool, bit in 0usize..300, mss in 500u16..9000,
            wscale in proptest::option::of(0u8..15), sack: bool,
        ) {
            let mut cookies = Cookies::new(MASTER);
            let flow = if six { v6() } else { v4() };
            let offer = Offer { mss: Some(mss), wscale, sack, tsval: ts.then_some(1), ecn: false };
            let cookie = cookies.make(&flow, isn, &offer, NOW);
            let mut claim = claim(isn, cookie);
            prop_assert!(cookies.check(&flow, &claim, NOW).is_some());
            let forged = match bit {
                0..32 => { claim.cookie ^= 1 << bit; flow }
                32..64 => { claim.isn ^= 1 << (bit - 32); flow }
                70..76 if ts => {
                    // Where the time of day is in the echo: more than two minutes away.
                    claim.timestamps = claim.timestamps.map(|(v, echo)| (v, echo ^ 1 << (bit - 70 + 26)));
                    flow
                }
                64..70 if ts => { claim.timestamps = claim.timestamps.map(|(v, echo)| (v, echo ^ 1 << (bit - 64))); flow }
                _ => flip(flow, bit % 96),
            };
            prop_assert_eq!(cookies.check(&forged, &claim, NOW), None);
        }
    }

    /// The flow with one bit of an address or port changed.
    fn flip(mut flow: Tuple, bit: usize) -> Tuple {
        match &mut flow {
            Tuple::V4(t) => match bit {
                0..32 => t.src ^= 1 << bit,
                32..64 => t.dst ^= 1 << (bit - 32),
                64..80 => t.sport ^= 1 << (bit - 64),
                _ => t.dport ^= 1 << (bit - 80),
            },
            Tuple::V6(t) => match bit {
                0..32 => t.src ^= 1 << (4 * bit),
                32..64 => t.dst ^= 1 << (4 * (bit - 32)),
                64..80 => t.sport ^= 1 << (bit - 64),
                _ => t.dport ^= 1 << (bit - 80),
            },
        }
        flow
    }
}
