// SPDX-License-Identifier: Apache-2.0
//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// The one's complement sum of `bytes` as big-endian 16-bit words, an odd last byte padded with zero; not folded, below 2^33.
///
/// One's complement addition does not care how wide the words are. Sixty-four bits with the carry brought round are fewest steps for
/// what is summed most: headers.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, mut rest) = bytes.as_chunks::<8>();
    let mut total = 0;
    for word in words {
        total = add(total, u64::from_be_bytes(*word));
    }
    // The rest as the upper bytes of a word, whose lower ones are zero.
    let mut last = 0;
    if let Some((four, fewer)) = rest.split_first_chunk::<4>() {
        last = u64::from(u32::from_be_bytes(*four)) << 32;
        rest = fewer;
    }
    if let Some((two, fewer)) = rest.split_first_chunk::<2>() {
        total = add(total, u64::from(u16::from_be_bytes(*two)));
        rest = fewer;
    }
    if let [odd] = *rest {
        total = add(total, u64::from(odd) << 8);
    }
    total = add(total, last);
    (total & 0xffff_ffff) + (total >> 32)
}

/// One's complement addition.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

/// Folds a sum into 16 bits; 0 only of 0.
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    // The upper half of a number and the same turned round is both halves, and the carry out of them.
    let half = (sum.wrapping_add(sum.rotate_right(32)) >> 32) as u32;
    (half.wrapping_add(half.rotate_right(16)) >> 16) as u16
}

/// The checksum of `bytes`, whose own checksum field must be zero; 0 when they hold a right checksum already.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The pseudo header of IPv4 (RFC 793 3.1): addresses, protocol and length of the upper layer.
#[inline]
pub fn pseudo4(src: u32, dst: u32, proto: u8, len: usize) -> u64 {
    u64::from(src) + u64::from(dst) + u64::from(proto) + len as u64
}

/// The pseudo header of IPv6 (RFC 8200 8.1).
#[inline]
pub fn pseudo6(src: u128, dst: u128, proto: u8, len: usize) -> u64 {
    words(src) + words(dst) + u64::from(proto) + len as u64
}

#[inline]
fn words(addr: u128) -> u64 {
    (0..4).map(|n| u64::from((addr >> (32 * n)) as u32)).sum()
}

/// The checksum after two folded changes, 0 for none: [`Delta::apply`] for the case that matters most.
#[inline(always)]
pub fn shift_by(checksum: u16, delta: u16, other: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(delta) + u32::from(other);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// The UDP checksum after a folded change: 0 means none was made (RFC 768) and stays, a computed 0 is sent as all ones.
#[inline(always)]
pub fn udp_shift_by(checksum: u16, delta: u16) -> u16 {
    match (checksum, shift_by(checksum, delta, 0)) {
        (0, _) => 0,
        (_, 0) => 0xffff,
        (_, new) => new,
    }
}

/// A change of summed fields, made once and applied to many checksums: the folded sum of old words inverted
/// and new words (RFC 1624, equation 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    /// A 16-bit field changes.
    #[inline(always)]
    pub fn word(self, old: u16, new: u16) -> Delta {
        Delta(self.0 + u64::from(!old) + u64::from(new))
    }

    /// A 32-bit field at an even offset changes.
    #[inline(always)]
    pub fn long(self, old: u32, new: u32) -> Delta {
        Delta(self.0 + u64::from(!old) + u64::from(new))
    }

    /// Fields of whole 32-bit words at even offsets are replaced by others, perhaps fewer or more.
    pub fn longs(self, old: &[u32], new: &[u32]) -> Delta {
        // In one's complement, a word's inverse takes it away: all ones count as nothing.
        let gone: u64 = old.iter().map(|&word| u64::from(!word)).sum();
        Delta(self.0 + gone + new.iter().map(|&word| u64::from(word)).sum::<u64>())
    }

    /// An IPv6 address changes.
    pub fn address6(self, old: u128, new: u128) -> Delta {
        Delta(self.0 + words(!old) + words(new))
    }

    /// Sixteen bits that say the same.
    #[inline(always)]
    pub fn fold(self) -> u16 {
        fold(self.0)
    }

    /// What [`Delta::fold`] gave.
    #[inline(always)]
    pub fn from_folded(folded: u16) -> Delta {
        Delta(u64::from(folded))
    }

    /// The checksum after the change.
    #[inline(always)]
    pub fn apply(self, checksum: u16) -> u16 {
        !fold(self.0 + u64::from(!checksum))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn a_known_ipv4_header() {
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0x00, 0x01, 0xc0,
            0xa8, 0x00, 0xc7,
        ];
        assert_eq!(checksum(&header), 0xb861);
    }

    #[test]
    fn a_udp_checksum_of_zero_stays_none() {
        assert_eq!(udp_shift_by(0, Delta::default().word(1, 2).fold()), 0);
        // Sum 0xfffe, one more makes 0xffff, whose complement 0 is sent as all ones.
        assert_eq!(udp_shift_by(!0xfffe, Delta::default().word(0, 1).fold()), 0xffff);
    }

    /// As RFC 1071 4.1 has it: words one by one, carries brought round at the end.
    fn plain(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |&b| u64::from(b)));
        let mut sum: u64 = words.sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn any_bytes_sum_to_what_their_words_do(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0)], 0..70),
        ) {
            prop_assert_eq!(fold(sum(&bytes)), plain(&bytes));
        }

        #[test]
        fn folding_is_the_sum_of_the_parts(sum: u64) {
            prop_assert_eq!(fold(sum), plain(&sum.to_be_bytes()));
        }

        #[test]
        fn incremental_equals_full(mut bytes in proptest::collection::vec(any::<u8>(), 40..90), at in 0usize..9, new: u32, addr: u128) {
            // A sum of zero words only has two representations; real packets never sum to nothing.
            bytes[38] = 0x45;
            let before = checksum(&bytes);
            let at = at * 2;
            let old = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
            bytes[at..at + 4].copy_from_slice(&new.to_be_bytes());
            let old6 = u128::from_be_bytes(bytes[22..38].try_into().unwrap());
            bytes[22..38].copy_from_slice(&addr.to_be_bytes());
            let delta = Delta::default().long(old, new).address6(old6, addr);
            prop_assert_eq!(delta.apply(before), checksum(&bytes));
            prop_assert_eq!(Delta::from_folded(delta.fold()).apply(before), checksum(&bytes));
            prop_assert_eq!(shift_by(before, delta.fold(), 0), checksum(&bytes));
            // The address goes, and a shorter one takes its place.
            let words: Vec<u32> = bytes[22..38].chunks(4).map(|w| u32::from_be_bytes(w.try_into().unwrap())).collect();
            let mut shorter = bytes.clone();
            shorter.splice(22..38, new.to_be_bytes());
            let delta = Delta::default().longs(&words, &[new]);
            prop_assert_eq!(delta.apply(checksum(&bytes)), checksum(&shorter));
            // One less in the upper half of a word, as a TTL.
            let before = checksum(&bytes);
            bytes[38] -= 1;
            prop_assert_eq!(shift_by(before, !0x0100, 0), checksum(&bytes));
        }
    }
}
