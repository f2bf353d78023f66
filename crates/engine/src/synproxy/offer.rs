// SPDX-License-Identifier: Apache-2.0
//! What a client offers in its SYN, as far as a cookie can remember it, and the TCP options that say so.

use packet::tcp::{self, option};

/// What a client offers in its SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Largest segment it takes, in bytes (RFC 9293 3.7.1); `None` when it does not say.
    pub mss: Option<u16>,
    /// How far its windows are shifted, 0 to 14 (RFC 7323 2); `None` when it offers no scaling. 0 and `None` are different:
    /// only who offers scaling may be answered with it.
    pub wscale: Option<u8>,
    /// It takes selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Its clock (RFC 7323 3); `None` when it has no timestamps.
    pub tsval: Option<u32>,
    /// It wants explicit congestion notification in the classic way (RFC 3168 6.1.1).
    pub ecn: bool,
}

/// What the proxy does with an option of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Understood and answered, as far as the configuration allows.
    Understood,
    /// Left out of the answer: the client goes on without it.
    Stripped,
    /// The connection cannot be proxied: both ends would have to agree on what only they know.
    Refused,
}

/// What becomes of an option by its kind.
///
/// A Fast Open request (RFC 7413) goes unanswered and its data unacknowledged, so the client sends them again; a multipath client
/// (RFC 8684) falls back to plain TCP when the SYN-ACK has no MP_CAPABLE. Signatures (RFC 2385, RFC 5925) cover addresses, ports
/// and sequence numbers that the proxy changes.
pub fn treatment(kind: u8) -> Treatment {
    match kind {
        option::MSS | option::WSCALE | option::SACK_PERMITTED | option::TIMESTAMPS => Treatment::Understood,
        option::MD5 | option::AUTHENTICATION => Treatment::Refused,
        _ => Treatment::Stripped,
    }
}

/// Reads the options of a SYN; `None` when one of them cannot be proxied.
#[inline(always)]
pub fn read(options: &[u8], flags: u8, ae: bool) -> Option<Offer> {
    let mut offer = Offer { ecn: flags & ECN == ECN && !ae, ..Offer::default() };
    // Most are of one of two forms: compared word by word, where a walk would decide at every byte.
    match options.as_chunks::<4>() {
        ([mss], []) if is_mss(mss) => return Some(Offer { mss: said_mss(mss), ..offer }),
        ([mss, sack, value, _, scale], []) if is_mss(mss) && is_usual(sack, scale) => {
            return Some(Offer {
                mss: said_mss(mss),
                wscale: Some(scale[3].min(MAX_WSCALE)),
                sack: true,
                tsval: Some(u32::from_be_bytes(*value)),
                ..offer
            });
        }
        _ => {}
    }
    for (kind, value) in tcp::options(options) {
        match (kind, value) {
            (option::MSS, &[high, low]) => offer.mss = said_mss(&[kind, 4, high, low]),
            // RFC 7323 2.3: a larger shift counts as 14.
            (option::WSCALE, &[shift]) => offer.wscale = Some(shift.min(MAX_WSCALE)),
            (option::SACK_PERMITTED, []) => offer.sack = true,
            (option::TIMESTAMPS, &[a, b, c, d, _, _, _, _]) => {
                offer.tsval = Some(u32::from_be_bytes([a, b, c, d]));
            }
            _ if treatment(kind) == Treatment::Refused => return None,
            _ => {}
        }
    }
    Some(offer)
}

/// Whether a word is the segment size.
#[inline(always)]
fn is_mss(word: &[u8; 4]) -> bool {
    u32::from_be_bytes(*word) & 0xffff_0000 == USUAL[0]
}

/// The size in such a word. A maximum of 0 is nonsense and counts as unsaid.
#[inline(always)]
fn said_mss([_, _, high, low]: &[u8; 4]) -> Option<u16> {
    Some(u16::from_be_bytes([*high, *low])).filter(|&mss| mss > 0)
}

/// Whether words are the second and the last of [`Said::usual`].
#[inline(always)]
fn is_usual(second: &[u8; 4], last: &[u8; 4]) -> bool {
    u32::from_be_bytes(*second) == USUAL[1] && u32::from_be_bytes(*last) & 0xffff_ff00 == USUAL[4]
}

/// The value and echo of the timestamps option of a segment.
#[inline(always)]
pub fn timestamps(options: &[u8]) -> Option<(u32, u32)> {
    let (_, value) =
        tcp::options(options).find(|(kind, value)| *kind == option::TIMESTAMPS && value.len() == 8)?;
    let (value, echo) = value.split_first_chunk()?;
    Some((u32::from_be_bytes(*value), u32::from_be_bytes(*echo.first_chunk()?)))
}

/// What the options of a segment of the director's own say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Largest segment.
    pub mss: Option<u16>,
    /// Window shift.
    pub wscale: Option<u8>,
    /// Selective acknowledgements.
    pub sack: bool,
    /// Timestamp and echo.
    pub timestamps: Option<(u32, u32)>,
}

impl Said {
    /// Bytes of the options, padded to whole words.
    #[inline(always)]
    pub fn len(&self) -> usize {
        let words = match (self.timestamps, self.sack) {
            (Some(_), _) => 3,
            (None, sack) => usize::from(sack),
        };
        4 * (usize::from(self.mss.is_some()) + words + usize::from(self.wscale.is_some()))
    }

    /// All of them as words, where nothing is left out: what [`Said::words`] gives then, without a decision at every option.
    #[inline(always)]
    pub fn usual(&self) -> Option<[u32; 5]> {
        let (mss, shift, (value, echo)) = (self.mss?, self.wscale?, self.timestamps?);
        let [mss_is, sack_is, _, _, scale_is] = USUAL;
        let words = [mss_is | u32::from(mss), sack_is, value, echo, scale_is | u32::from(shift)];
        self.sack.then_some(words)
    }

    /// The segment size as a word, where nothing else is said.
    #[inline(always)]
    pub fn mss_alone(&self) -> Option<u32> {
        let alone = self.len() == 4;
        self.mss.filter(|_| alone).map(|mss| USUAL[0] | u32::from(mss))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The options as words, whose highest byte comes first, in the order and padding that Linux uses: MSS, SACK permitted, timestamps,
    /// window scale.
    #[inline(always)]
    pub fn words(&self, mut put: impl FnMut(u32)) {
        const SACK: [u8; 2] = [option::SACK_PERMITTED, 2];
        const NONE: [u8; 2] = [option::NOP; 2];
        let word = |[a, b]: [u8; 2], [c, d]: [u8; 2]| u32::from_be_bytes([a, b, c, d]);
        if let Some(mss) = self.mss {
            put(word([option::MSS, 4], mss.to_be_bytes()));
        }
        if let Some((value, echo)) = self.timestamps {
            put(word(if self.sack { SACK } else { NONE }, [option::TIMESTAMPS, 10]));
            put(value);
            put(echo);
        } else if self.sack {
            put(word(NONE, SACK));
        }
        if let Some(shift) = self.wscale {
            put(word([option::NOP, option::WSCALE], [3, shift]));
        }
    }
}

/// The options of most SYNs as words, in the order and padding that Linux uses, their values 0.
const USUAL: [u32; 5] = {
    use option::{MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WSCALE};
    let mss = u32::from_be_bytes([MSS, 4, 0, 0]);
    let sack = u32::from_be_bytes([SACK_PERMITTED, 2, TIMESTAMPS, 10]);
    let scale = u32::from_be_bytes([NOP, WSCALE, 3, 0]);
    [mss, sack, 0, 0, scale]
};

/// Largest window shift (RFC 7323 2.3).
pub const MAX_WSCALE: u8 = 14;

/// Both congestion bits of the flag byte: what a client sets that wants classic ECN.
const ECN: u8 = tcp::flag::ECE | tcp::flag::CWR;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(said: &Said) -> Vec<u8> {
        let mut bytes = Vec::new();
        said.words(|word| bytes.extend(word.to_be_bytes()));
        assert_eq!(bytes.len(), said.len());
        bytes
    }

    const LINUX: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];

    #[test]
    fn what_linux_offers_is_read() {
        let offer = read(&LINUX, tcp::flag::SYN, false).expect("nothing to refuse");
        let expected = Offer { mss: Some(1460), wscale: Some(7), sack: true, tsval: Some(256), ecn: false };
        assert_eq!(offer, expected);
    }

    #[test]
    fn what_is_not_offered_is_told_from_zero() {
        assert_eq!(read(&[], 2, false), Some(Offer::default()));
        let zero = read(&[2, 4, 0, 0, 1, 3, 3, 0], 2, false).expect("nothing to refuse");
        assert_eq!((zero.mss, zero.wscale), (None, Some(0)));
        let large = read(&[1, 3, 3, 200], 2, false).expect("nothing to refuse");
        assert_eq!(large.wscale, Some(14));
    }

    #[test]
    fn classic_ecn_needs_both_bits_and_not_the_third() {
        let ecn = |flags, ae| read(&[], flags, ae).expect("nothing to refuse").ecn;
        assert!(ecn(0xc2, false));
        assert!(!ecn(0xc2, true), "accurate ECN (RFC 9768) is answered as by a host without it");
        assert!(!ecn(0x42, false) && !ecn(0x82, false));
    }

    #[test]
    fn signatures_refuse_and_everything_unknown_is_stripped() {
        let mut md5 = [0; 20];
        md5[..2].copy_from_slice(&[19, 18]);
        assert_eq!(read(&md5, 2, false), None);
        assert_eq!(read(&[29, 4, 1, 1], 2, false), None);
        // Fast Open, MP_CAPABLE, user timeout, an experiment, one nobody knows.
        for kind in [34, 30, 28, 253, 99] {
            assert_eq!(treatment(kind), Treatment::Stripped);
            assert_eq!(read(&[kind, 4, 0, 0], 2, false), Some(Offer::default()), "kind {kind}");
        }
    }

    /// Byte by byte, as a list that has another form because of its padding.
    #[test]
    fn lists_of_the_common_forms_say_what_they_say_in_others() {
        let walked = |list: &[u8]| {
            let mut padded = list.to_vec();
            padded.extend([option::NOP; 4]);
            read(&padded, 2, false)
        };
        for (at, value) in (0..LINUX.len()).flat_map(|at| (0..=255).map(move |value| (at, value))) {
            let mut list = LINUX;
            list[at] = value;
            assert_eq!(read(&list, 2, false), walked(&list), "{list:?}");
            assert_eq!(read(&list[..4], 2, false), walked(&list[..4]), "{:?}", &list[..4]);
        }
    }

    #[test]
    fn options_of_the_wrong_length_are_not_believed() {
        for list in [&[2u8, 3, 5][..], &[3, 4, 7, 7], &[4, 3, 0], &[8, 9, 0, 0, 0, 1, 0, 0, 0], &[2, 4]] {
            assert_eq!(read(list, 2, false), Some(Offer::default()), "{list:?}");
        }
    }

    #[test]
    fn all_that_can_be_said_is_what_linux_says() {
        let said = Said { mss: Some(1460), wscale: Some(7), sack: true, timestamps: Some((256, 0)) };
        assert_eq!(bytes(&said), LINUX);
        assert!(Said::default().is_empty() && !said.is_empty());
        let words = said.usual().expect("nothing is left out");
        assert_eq!(words.map(u32::to_be_bytes).concat(), LINUX);
        assert_eq!(
            (said.mss_alone(), Said { mss: Some(1460), ..Said::default() }.mss_alone()),
            (None, Some(0x0204_05b4))
        );
    }

    #[test]
    fn whatever_is_said_fills_whole_words_and_is_read_back() {
        for bits in 0..16_u8 {
            let has = |bit: u8| bits & bit != 0;
            let said = Said {
                mss: has(1).then_some(1400),
                wscale: has(2).then_some(3),
                sack: has(4),
                timestamps: has(8).then_some((0x0102_0304, 0x0506_0708)),
            };
            let options = bytes(&said);
            let offer = read(&options, 2, false).expect("nothing to refuse");
            let back = Said {
                mss: offer.mss,
                wscale: offer.wscale,
                sack: offer.sack,
                timestamps: timestamps(&options),
            };
            assert_eq!(back, said);
        }
    }
}
