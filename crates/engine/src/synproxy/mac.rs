// SPDX-License-Identifier: Apache-2.0
//! SipHash-2-4 (Aumasson and Bernstein, 2012) of a message at hand as words, for cookies.
//!
//! The crate `siphasher` takes bytes, whose number it must look at; a cookie's message is always as long as its family wants, so that
//! here everything stays in registers. Tests hold both against each other.

/// A key: its bytes as two little-endian numbers.
pub(super) type Key = [u64; 2];

/// The hash of `words`, little-endian, and the bytes behind them: fewer than eight, in the low bytes of `rest`, whose highest byte is
/// the length of the message.
#[inline(always)]
pub(super) fn siphash<const WORDS: usize>(key: Key, words: [u64; WORDS], rest: u64) -> u64 {
    let mut state = State::keyed(key);
    for word in words {
        state.absorb(word);
    }
    state.absorb(rest);
    state.finish()
}

struct State([u64; 4]);

impl State {
    #[inline(always)]
    fn keyed([k0, k1]: Key) -> State {
        // "somepseudorandomlygeneratedbytes"
        State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> u64 {
        self.0[2] ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32).wrapping_add(d);
        c = c.wrapping_add(b);
        d = d.rotate_left(21) ^ a;
        b = b.rotate_left(17) ^ c;
        self.0 = [a, b, c.rotate_left(32), d];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip::SipHasher24;

    use super::*;

    /// Appendix A of the paper: key 00 to 0f, message 00 to 0e.
    #[test]
    fn the_vector_of_the_paper() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let hash = siphash(key, [0x0706_0504_0302_0100], 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(hash, 0xa129_ca61_49be_45e5);
    }

    proptest! {
        #[test]
        fn it_agrees_with_another_implementation(key: [u8; 16], message: [u8; 43]) {
            let word = |at: &usize| u64::from_le_bytes(std::array::from_fn(|n| message[8 * at + n]));
            let rest = u64::from_le_bytes([message[40], message[41], message[42], 0, 0, 0, 0, 43]);
            let words = [0, 1, 2, 3, 4].map(|at| word(&at));
            let halves = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| key[at + n])));
            let hash = SipHasher24::new_with_key(&key).hash(&message);
            prop_assert_eq!(siphash(halves, words, rest), hash);
        }
    }
}
