// SPDX-License-Identifier: Apache-2.0
//! The PROXY protocol: a header before everything else tells the server whom a connection is from (`ipvsadm --proxy-protocol`).
//!
//! ```text
//!   client                       director                                server
//!     │ ─── SYN ───────────────────> │ ─── SYN ─────────────────────────────> │
//!     │ <────────────── SYN-ACK ──── │ <──────────────────────── SYN-ACK ──── │
//!     │ ─── ACK, perhaps data ─────> │ ─── header, by itself ───────────────> │
//!     │                              │ ─── ACK, data behind the header ─────> │
//! ```
//!
//! Servers that speak first have it as soon as they may speak. It is a segment of the director's own, so it never makes a packet too
//! long; it is kept and sent again until the server acknowledges it, and the client never hears of it: numbers are shifted by its
//! length for as long as the connection lives. A header that the client itself sends is cut out; or, where the service trusts its
//! clients ("insecure"), waited for, and passed on or translated. DPVS sends the header with the client's first data, and loses it with that.
//!
//! The first datagram of a UDP flow has the header in front of its payload.

mod datagram;
mod headers;

use std::ops::ControlFlow::Continue;

use model::options::{ProxyProtocol, ProxyVersion};
use packet::proxy::{self, Header, Version};
use packet::tcp::flag::{ACK, PSH, RST, SYN};
use packet::{Buffer, checksum, ipv4, ipv6, proto, tcp, udp};

pub(crate) use self::headers::Headers;
use self::headers::Sent;
use crate::conn::{ConnId, Dir};
use crate::flow::Parsed;
use crate::forward::Forwarding;
use crate::forward::rewrite::replace;
use crate::identity::Identity;
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::sink::Sink;
use crate::snapshot::Service;
use crate::synproxy::client::{Received, vouched};
use crate::synproxy::offer::{self, Said};
use crate::synproxy::segment::Segment;
use crate::verdict::{DropReason, Step, drop};

/// How often a header is sent again while nothing is heard, after 1, 2, 4, 8 and 16 seconds.
const REPEATS: u8 = 5;

/// How a connection's server is told who the client is, where that takes more than the packets themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Preface {
    /// Nothing, or nothing more.
    #[default]
    None,
    /// A header of version 1 comes first.
    V1,
    /// A header of version 2 comes first.
    V2,
    /// The client's header is passed on as version 1.
    V1Insecure,
    /// The client's header is passed on as version 2.
    V2Insecure,
    /// The header is on its way.
    Sent,
    /// Segments will tell the client's address once the server has answered.
    Toa,
    /// Segments tell the client's address until it has heard from the server.
    Telling,
    /// The first datagrams tell the client's address.
    Uoa,
}

impl Preface {
    /// What connections of a service begin with.
    pub(crate) fn of(svc: &Service, forwarding: Forwarding, protocol: u8, identity: &Identity) -> Preface {
        if forwarding != Forwarding::FullNat {
            // Elsewhere servers see the client itself.
            return Preface::None;
        }
        let trails = protocol == proto::UDP && identity.uoa_trail > 0;
        let Some(ProxyProtocol { version, insecure }) = svc.proxy_protocol else {
            return match protocol {
                proto::TCP if identity.toa => Preface::Toa,
                _ if trails => Preface::Uoa,
                _ => Preface::None,
            };
        };
        match (version, insecure) {
            (ProxyVersion::V1, false) if protocol == proto::TCP => Preface::V1,
            (ProxyVersion::V1, true) if protocol == proto::TCP => Preface::V1Insecure,
            (ProxyVersion::V2, false) if matches!(protocol, proto::TCP | proto::UDP) => Preface::V2,
            (ProxyVersion::V2, true) if matches!(protocol, proto::TCP | proto::UDP) => Preface::V2Insecure,
            // Version 1 has nothing for datagrams.
            _ if trails => Preface::Uoa,
            _ => Preface::None,
        }
    }

    /// Whether it is about the PROXY protocol.
    pub(crate) fn is_header(self) -> bool {
        !matches!(self, Preface::None | Preface::Toa | Preface::Telling | Preface::Uoa)
    }

    fn version(self) -> Version {
        if matches!(self, Preface::V1 | Preface::V1Insecure) { Version::V1 } else { Version::V2 }
    }

    fn trusts(self) -> bool {
        matches!(self, Preface::V1Insecure | Preface::V2Insecure)
    }
}

/// A packet that lost or gained bytes.
pub(crate) struct Changed {
    /// Its IP header, which is also in `parsed`.
    pub(crate) ip: Ip,
    /// The packet.
    pub(crate) parsed: Parsed,
}

impl<P: Buffer> Lcore<P> {
    /// A packet of a connection that has to do with the PROXY protocol; `Some` when it is another one now.
    #[cold]
    #[inline(never)]
    pub(crate) fn meet_preface(
        &mut self,
        id: ConnId,
        dir: Dir,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Option<Changed>> {
        if !self.conns.get(id).preface.is_header() {
            return Continue(None);
        }
        let Received { parsed, ip, link, .. } = received;
        // What is changed gets a new checksum, which must not hide that the old one was wrong.
        if dir == Dir::Inbound && !vouched(pkt, link) && !l4::checksum_ok(&pkt.data()[parsed.l3..], ip) {
            return drop(DropReason::L4Checksum);
        }
        match (ip.proto, dir) {
            (proto::TCP, Dir::Inbound) => self.preface_client(id, pkt, received, cx, out),
            (proto::TCP, Dir::Outbound) => {
                self.preface_server(id, pkt, received, cx, out);
                Continue(None)
            }
            (proto::UDP, Dir::Inbound) => self.preface_datagram(id, pkt, received, cx, out),
            _ => Continue(None),
        }
    }

    /// A client's segment.
    fn preface_client(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Option<Changed>> {
        let Received { parsed, ip, .. } = received;
        let l4 = &pkt.data()[parsed.l3..][usize::from(ip.header_len)..usize::from(ip.total_len)];
        let Some(segment) = tcp::Header::parse(l4) else { return drop(DropReason::L4Header) };
        if segment.flags() & (ACK | SYN | RST) != ACK {
            return Continue(None);
        }
        let (seq, head) = (segment.seq(), segment.header_len());
        let data = l4.get(head..).unwrap_or_default();
        let preface = self.conns.get(id).preface;
        if preface != Preface::Sent {
            let base = self.first_number(id);
            let first = seq.wrapping_add(self.conns.get(id).seq_delta) == base && !data.is_empty();
            if preface.trusts() && !first {
                // Whether the client has a header is not known before its first data.
                return if data.is_empty() { Continue(None) } else { drop(DropReason::ProxyHeader) };
            }
            let own = if preface.trusts() { Header::parse(data) } else { None };
            if own.is_some_and(|own| own.version == preface.version()) {
                self.conns.get_mut(id).preface = Preface::None;
                return Continue(None);
            }
            let tuple = self.conns.tuple(id, Dir::Inbound);
            let ends = own.and_then(|own| own.ends).unwrap_or((tuple.source(), tuple.target()));
            let stamps = offer::read(&l4[tcp::LEN..head], 0, false)
                .and_then(|said| Some((said.tsval?, tsecr(&l4[tcp::LEN..head]))));
            let sent = Sent {
                header: proxy::write(preface.version(), ends, false),
                base,
                ack: segment.ack(),
                window: segment.window(),
                stamps,
                cut: own.map_or(0, |own| own.len as u32),
                repeats: 0,
                acknowledged: false,
                looked: preface.trusts(),
            };
            let grown = (sent.header.len() as u32).wrapping_sub(sent.cut);
            let Some(at) = self.headers.insert(sent) else { return drop(DropReason::ProxyHeader) };
            self.conns.set_preface(id, Preface::Sent, at);
            self.send_header(id, cx, out);
            let conn = self.conns.get_mut(id);
            conn.seq_delta = conn.seq_delta.wrapping_add(grown);
        }
        let l4 = &pkt.data()[parsed.l3..][usize::from(ip.header_len)..usize::from(ip.total_len)];
        let data = l4.get(head..).unwrap_or_default();
        self.cut(id, seq, head, data.len(), Header::parse(data), pkt, received)
    }

    /// Cuts the client's own header out of a segment with `len` bytes of data, which may begin with the header `own`.
    #[allow(clippy::too_many_arguments)] // what was read of one segment
    fn cut(
        &mut self,
        id: ConnId,
        seq: u32,
        head: usize,
        len: usize,
        own: Option<Header>,
        pkt: &mut P,
        received: Received<'_>,
    ) -> Step<Option<Changed>> {
        let at = self.conns.preface_word(id);
        let delta = self.conns.get(id).seq_delta;
        let Some(sent) = self.headers.get_mut(at) else { return Continue(None) };
        // Where in the client's stream the segment begins.
        let grown = (sent.header.len() as u32).wrapping_sub(sent.cut);
        let offset = seq.wrapping_add(delta).wrapping_sub(grown).wrapping_sub(sent.base);
        if !sent.looked && len > 0 {
            if offset != 0 {
                // It would go to the wrong place if the data before it has a header.
                return drop(DropReason::ProxyHeader);
            }
            sent.looked = true;
            sent.cut = own.map_or(0, |own| own.len as u32);
            let conn = self.conns.get_mut(id);
            conn.seq_delta = conn.seq_delta.wrapping_sub(sent.cut);
        }
        let (cut, done) = (sent.cut, sent.acknowledged && sent.looked);
        let surplus = cut.saturating_sub(offset);
        // Numbers before the stream's beginning are those of keep-alive probes.
        let changed = if len == 0 || offset >= cut || (offset as i32) < 0 {
            None
        } else {
            Some(shorten(pkt, received, head, (surplus as usize).min(len)))
        };
        if done {
            self.end_preface(id);
        }
        Continue(changed)
    }

    /// A server's segment while the header is on its way to it: it tells whether it has the header, and the client is told nothing of it.
    fn preface_server(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) {
        let Received { parsed, ip, .. } = received;
        let at = self.conns.preface_word(id);
        if self.conns.get(id).preface != Preface::Sent {
            return;
        }
        let Some(sent) = self.headers.get_mut(at).filter(|sent| !sent.acknowledged) else { return };
        let range = parsed.l3 + usize::from(ip.header_len)..parsed.l3 + usize::from(ip.total_len);
        let l4 = &mut pkt.data_mut()[range];
        let Some(segment) = tcp::Header::parse(l4).filter(|segment| segment.flags() & ACK != 0) else {
            return;
        };
        let behind = sent.base.wrapping_add(sent.header.len() as u32);
        if segment.ack().wrapping_sub(behind) as i32 >= 0 {
            sent.acknowledged = true;
            return if sent.looked { self.end_preface(id) } else { self.usual_timeout(id, cx) };
        }
        replace(l4, tcp::at::ACK, &behind.to_be_bytes());
        if segment_resets(l4) {
            return;
        }
        self.send_header(id, cx, out);
    }

    /// The time of a connection is up whose server has not acknowledged the header: `true` when it was sent again.
    #[cold]
    pub(crate) fn repeat_header(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) -> bool {
        let at = self.conns.preface_word(id);
        let Some(sent) = self.headers.get_mut(at).filter(|sent| !sent.acknowledged) else { return false };
        if sent.repeats >= REPEATS {
            return false;
        }
        sent.repeats += 1;
        let secs = 1 << sent.repeats;
        self.conns.touch(id, cx.now);
        self.conns.restart(id, secs);
        self.send_header(id, cx, out);
        true
    }

    /// While the header is on its way the wheel looks after a second, or whatever the last repeat said.
    #[cold]
    pub(crate) fn watch_header(&mut self, id: ConnId) {
        let at = self.conns.preface_word(id);
        if self.conns.get(id).preface == Preface::Sent
            && let Some(sent) = self.headers.get_mut(at).filter(|sent| !sent.acknowledged)
        {
            let secs = 1 << sent.repeats;
            self.conns.set_timeout(id, secs);
        }
    }

    /// A connection ends.
    pub(crate) fn forget_header(&mut self, id: ConnId) {
        if self.conns.get(id).preface == Preface::Sent {
            self.headers.remove(self.conns.preface_word(id));
        }
    }

    fn end_preface(&mut self, id: ConnId) {
        self.headers.remove(self.conns.preface_word(id));
        self.conns.set_preface(id, Preface::None, 0);
    }

    /// The first number of the client's data, as the server counts.
    fn first_number(&self, id: ConnId) -> u32 {
        let delta = self.conns.get(id).seq_delta;
        self.session(id).map_or(self.conns.preface_word(id), |session| {
            session.client_isn.wrapping_add(1).wrapping_add(delta)
        })
    }

    fn usual_timeout(&mut self, id: ConnId, cx: Cx<'_>) {
        let conn = self.conns.get(id);
        let own = if conn.active { self.conns.own_timeout(id) } else { 0 };
        let usual = cx.snap.timeouts.tcp.get(usize::from(conn.state)).copied().unwrap_or_default();
        self.conns.set_timeout(id, if own == 0 { usual } else { own });
    }

    fn send_header(&mut self, id: ConnId, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let at = self.conns.preface_word(id);
        let tuple = self.conns.tuple(id, Dir::Outbound).reversed();
        let Some(sent) = self.headers.get_mut(at) else { return };
        let header = sent.header.clone();
        let segment = Segment {
            tuple,
            seq: sent.base,
            ack: sent.ack,
            flags: ACK | PSH,
            window: sent.window,
            options: Said { timestamps: sent.stamps, ..Said::default() },
            ttl: cx.snap.options.default_ttl,
        };
        self.send_data(id, Dir::Inbound, &segment, &header, cx, out);
    }
}

/// The echo of a segment's timestamps.
fn tsecr(options: &[u8]) -> u32 {
    offer::timestamps(options).map_or(0, |(_, echo)| echo)
}

fn segment_resets(l4: &[u8]) -> bool {
    tcp::Header::parse(l4).is_some_and(|segment| segment.flags() & RST != 0)
}

/// Takes the first `surplus` bytes of data out of a segment, whose headers have `head` bytes.
fn shorten<P: Buffer>(pkt: &mut P, received: Received<'_>, head: usize, surplus: usize) -> Changed {
    let Received { parsed, ip, .. } = received;
    let end = parsed.l3 + usize::from(ip.header_len) + head;
    pkt.data_mut().copy_within(..end, surplus);
    let moved = pkt.adj(surplus);
    debug_assert!(moved, "the data is in the packet");
    let bytes = &mut pkt.data_mut()[parsed.l3..];
    let at = usize::from(ip.header_len) + tcp::at::SEQ;
    if let Some(number) = bytes.get_mut(at..at + 4) {
        let seq = u32::from_be_bytes([number[0], number[1], number[2], number[3]]);
        number.copy_from_slice(&seq.wrapping_add(surplus as u32).to_be_bytes());
    }
    resized(bytes, parsed, ip, usize::from(ip.total_len) - surplus)
}

/// Puts `header` in place of the first `cut` bytes of a datagram's payload; `None`, and nothing changed, when there is no room.
fn exchange<P: Buffer>(pkt: &mut P, received: Received<'_>, cut: usize, header: &[u8]) -> Option<Changed> {
    let Received { parsed, ip, .. } = received;
    let end = parsed.l3 + usize::from(ip.header_len) + udp::LEN;
    let total_len = usize::from(ip.total_len) + header.len() - cut;
    u16::try_from(total_len).ok()?;
    if let Some(room) = header.len().checked_sub(cut) {
        pkt.prepend(room)?;
        pkt.data_mut().copy_within(room..room + end, 0);
    } else {
        let surplus = cut - header.len();
        pkt.data_mut().copy_within(..end, surplus);
        pkt.adj(surplus);
    }
    pkt.data_mut()[end..end + header.len()].copy_from_slice(header);
    let bytes = &mut pkt.data_mut()[parsed.l3..];
    let len = (total_len - usize::from(ip.header_len)) as u16;
    let at = usize::from(ip.header_len) + 4;
    bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
    Some(resized(bytes, parsed, ip, total_len))
}

/// Tells a packet's new length in its IP header and sums everything up anew; `bytes` begin with that header.
fn resized(bytes: &mut [u8], parsed: &Parsed, ip: &Ip, total_len: usize) -> Changed {
    let ip = Ip { total_len: total_len as u16, ..*ip };
    if ip.six {
        let payload = (total_len - ipv6::LEN) as u16;
        bytes[4..6].copy_from_slice(&payload.to_be_bytes());
    } else {
        bytes[2..4].copy_from_slice(&ip.total_len.to_be_bytes());
        let header = &mut bytes[..usize::from(ip.header_len)];
        header[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].fill(0);
        let sum = checksum::checksum(header);
        header[ipv4::at::CHECKSUM..ipv4::at::CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
    }
    l4::recompute(bytes, &ip);
    Changed { ip, parsed: Parsed { ip, ..*parsed } }
}
