// SPDX-License-Identifier: Apache-2.0
//! Errors that get other headers: towards the other family (RFC 7915 4.2, 5.2), and out of a tunnel (RFC 2003 4, RFC 2473 8).
//!
//! ```text
//!   came in    Ethernet | IP | ICMP | header ........ | what the quote carries | extensions
//!   goes out        Ethernet | IP | ICMP | header ... | what the quote carries | extensions
//! ```
//!
//! What the quote carries stays where it is, what lies before it is written anew. Extensions stay aligned with the length that tells where
//! they begin (RFC 4884 4).

use packet::error::{LEAST_BEFORE_EXTENSIONS, Report, length_field, unit};
use packet::icmp::{CHECKSUM, LEN};
use packet::proto::{ICMP, ICMPV6};
use packet::{Buffer, checksum, ipv4, ipv6};

use crate::conn::Tuple;
use crate::flow::Parsed;
use crate::l3::Ip;

/// What an error shall be.
pub(super) struct New<'a> {
    /// Where it comes from and goes to; ports do not matter.
    pub(super) ends: Tuple,
    pub(super) report: Report,
    /// In front of what is kept of the quote.
    pub(super) header: &'a [u8],
    pub(super) class: u8,
    pub(super) ttl: u8,
}

/// Which bytes of an error are kept.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    /// Bytes of the quote that are not.
    pub(super) skipped: usize,
    /// Bytes of the quote.
    pub(super) quoted: usize,
}

/// Bytes of an error without extensions at most (RFC 1812 4.3.2.3, RFC 4443 2.4 c).
fn longest(six: bool) -> usize {
    if six { 1280 } else { 576 }
}

/// Makes the error in `pkt` another one; what it then is, or `None` when there is no room.
pub(super) fn rebuild<P: Buffer>(pkt: &mut P, parsed: &Parsed, kept: Kept, new: &New<'_>) -> Option<Parsed> {
    let old = &parsed.ip;
    let six = matches!(new.ends, Tuple::V6(_));
    let ip_len = if six { ipv6::LEN } else { ipv4::LEN };
    let end = parsed.l3 + usize::from(old.total_len);
    pkt.trim(pkt.data().len().checked_sub(end)?).then_some(())?;
    let mut keep = parsed.l3 + usize::from(old.header_len) + LEN + kept.skipped;
    let front = ip_len + LEN + new.header.len();
    if let Some(missing) = front.checked_sub(keep).filter(|&missing| missing > 0) {
        pkt.prepend(missing)?;
        keep += missing;
    }
    let start = keep - front;
    let quote = new.header.len() + kept.quoted.checked_sub(kept.skipped)?;
    let length = fit(pkt, start + ip_len + LEN, quote, new.report.kind, six)?;
    let total_len = pkt.data().len() - start;
    let bytes = &mut pkt.data_mut()[start..];
    emit(bytes, new, total_len - ip_len)?;
    let (header, message) = bytes.split_at_mut(ip_len);
    debug_assert_eq!(header.len(), ip_len);
    message[..LEN].copy_from_slice(&new.report.header(six, length));
    message[LEN..LEN + new.header.len()].copy_from_slice(new.header);
    let pseudo = match new.ends {
        Tuple::V4(_) => 0,
        Tuple::V6(t) => checksum::pseudo6(t.src, t.dst, ICMPV6, message.len()),
    };
    let sum = !checksum::fold(pseudo + checksum::sum(message));
    message[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    let ip = Ip {
        six,
        proto: if six { ICMPV6 } else { ICMP },
        ttl: new.ttl,
        fragment: false,
        df: true,
        header_len: ip_len as u16,
        total_len: u16::try_from(total_len).ok()?,
    };
    Some(Parsed { l3: start, ip, ..*parsed })
}

fn emit(bytes: &mut [u8], new: &New<'_>, payload_len: usize) -> Option<()> {
    match new.ends {
        Tuple::V4(t) => {
            let (tos, ttl, flags) = (new.class, new.ttl, ipv4::DF);
            ipv4::Repr { src: t.src, dst: t.dst, proto: ICMP, ttl, tos, id: 0, flags, payload_len }
                .emit(bytes)
        }
        Tuple::V6(t) => {
            let (src, dst) = (t.src, t.dst);
            ipv6::Repr { src, dst, next_header: ICMPV6, hop_limit: new.ttl, payload_len }.emit(bytes)?;
            (bytes[0], bytes[1]) = (0x60 | new.class >> 4, new.class << 4);
            Some(())
        }
    }
}

/// Makes a quote of `len` bytes at `at` fit: extensions behind it begin where a length can tell, which is returned; without, errors are no
/// longer than they may be.
fn fit<P: Buffer>(pkt: &mut P, at: usize, len: usize, kind: u8, six: bool) -> Option<u8> {
    let ip_len = if six { ipv6::LEN } else { ipv4::LEN };
    let extensions = pkt.data().len().checked_sub(at + len)?;
    let told =
        if len < LEAST_BEFORE_EXTENSIONS { LEAST_BEFORE_EXTENSIONS } else { len / unit(six) * unit(six) };
    let length = length_field(kind, six, told).filter(|_| extensions > 0);
    let Some(length) = length.filter(|_| ip_len + LEN + told + extensions <= longest(six)) else {
        // Types of the other family may tell no length: then nothing follows.
        let most = longest(six) - ip_len - LEN;
        return pkt.trim(pkt.data().len() - at - len.min(most)).then_some(0);
    };
    if let Some(padding) = told.checked_sub(len) {
        pkt.append(padding)?;
        let bytes = &mut pkt.data_mut()[at..];
        bytes.copy_within(len..len + extensions, told);
        bytes[len..told].fill(0);
    } else {
        pkt.data_mut()[at..].copy_within(len.., told);
        pkt.trim(len - told).then_some(())?;
    }
    Some(length)
}
