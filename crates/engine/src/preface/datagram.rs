// SPDX-License-Identifier: Apache-2.0
//! The header in front of the first datagram of a flow.

use std::net::SocketAddr;
use std::ops::ControlFlow::Continue;

use packet::proxy::{self, Header};
use packet::{Buffer, ipv4, ipv6, proto, udp};

use super::{Changed, exchange};
use crate::conn::{ConnId, Dir, Tuple};
use crate::l3::Ip;
use crate::l4;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::sink::Sink;
use crate::synproxy::client::Received;
use crate::verdict::{DropReason, Step, drop};

impl<P: Buffer> Lcore<P> {
    /// The first datagram of a flow.
    pub(super) fn preface_datagram(
        &mut self,
        id: ConnId,
        pkt: &mut P,
        received: Received<'_>,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Option<Changed>> {
        let Received { parsed, ip, .. } = received;
        let preface = std::mem::take(&mut self.conns.get_mut(id).preface);
        let start = usize::from(ip.header_len) + udp::LEN;
        let payload = pkt.data()[parsed.l3..].get(start..usize::from(ip.total_len)).unwrap_or_default();
        let own = Header::parse(payload);
        if preface.trusts() && own.is_some_and(|own| own.version == preface.version()) {
            return Continue(None);
        }
        let tuple = self.conns.tuple(id, Dir::Inbound);
        let connected: (SocketAddr, SocketAddr) = (tuple.source(), tuple.target());
        let told = own.filter(|_| preface.trusts()).and_then(|own| own.ends);
        let header = proxy::write(preface.version(), told.unwrap_or(connected), true);
        let cut = own.map_or(0, |own| own.len);
        let mtu = self.next_hop(id, Dir::Inbound, cx)?.mtu;
        if usize::from(ip.total_len) + header.len() > usize::from(mtu) + cut {
            // Too long with it: the header goes ahead by itself.
            self.send_datagram(id, &header, cx, out);
            return Continue((cut > 0).then(|| exchange(pkt, received, cut, &[])).flatten());
        }
        match exchange(pkt, received, cut, &header) {
            Some(changed) => Continue(Some(changed)),
            None => drop(DropReason::NoHeadroom),
        }
    }

    fn send_datagram(&mut self, id: ConnId, payload: &[u8], cx: Cx<'_>, out: &mut impl Sink<P>) {
        let tuple = self.conns.tuple(id, Dir::Outbound).reversed();
        let len = udp::LEN + payload.len();
        let ttl = cx.snap.options.default_ttl;
        let write = |bytes: &mut [u8]| {
            let (sport, dport) = tuple.ports();
            let header_len = match tuple {
                Tuple::V4(t) => {
                    let (src, dst) = (t.src, t.dst);
                    let header = ipv4::Repr {
                        src,
                        dst,
                        proto: proto::UDP,
                        ttl,
                        tos: 0,
                        id: 0,
                        flags: ipv4::DF,
                        payload_len: len,
                    };
                    header.emit(bytes)?;
                    ipv4::LEN
                }
                Tuple::V6(t) => {
                    let header = ipv6::Repr {
                        src: t.src,
                        dst: t.dst,
                        next_header: proto::UDP,
                        hop_limit: ttl,
                        payload_len: len,
                    };
                    header.emit(bytes)?;
                    ipv6::LEN
                }
            };
            let total_len = (header_len + len) as u16;
            let l4 = bytes.get_mut(header_len..usize::from(total_len))?;
            l4[..2].copy_from_slice(&sport.to_be_bytes());
            l4[2..4].copy_from_slice(&dport.to_be_bytes());
            l4[4..6].copy_from_slice(&(len as u16).to_be_bytes());
            // Anything but zero, which says that there is none.
            l4[udp::CHECKSUM..udp::LEN].fill(0xff);
            l4[udp::LEN..].copy_from_slice(payload);
            let six = header_len == ipv6::LEN;
            let ip = Ip { six, proto: proto::UDP, header_len: header_len as u16, total_len, ..Ip::NOTHING };
            l4::recompute(bytes, &ip);
            Some(())
        };
        self.send_made(id, Dir::Inbound, tuple, proto::UDP, len, ttl, write, cx, out);
    }
}
