// SPDX-License-Identifier: Apache-2.0
//! The largest segment that two ends agree on, lowered to what fits on both sides of the director.

use packet::{Buffer, ipv4, ipv6, tcp};

use crate::conn::{ConnId, Dir};
use crate::flow::Parsed;
use crate::forward::rewrite::replace;
use crate::identity::option_len;
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::pipeline::Cx;
use crate::preface::Preface;
use crate::route::Kind;

/// No segment size is lowered below this, in bytes.
const LEAST: u16 = 64;

impl<P: Buffer> Lcore<P> {
    /// Lowers the maximum in a SYN or SYN-ACK: whoever reads it must not send more than passes the way to its sender, nor leave no
    /// room for what the director adds.
    #[cold]
    #[inline(never)]
    pub(crate) fn fit_mss(&self, id: ConnId, dir: Dir, pkt: &mut P, parsed: &Parsed, ip: &Ip, cx: Cx<'_>) {
        // Segments go the other way.
        let receiver = match dir {
            Dir::Inbound => self.conns.tuple(id, Dir::Inbound).source().ip(),
            Dir::Outbound => self.conns.server(id),
        };
        let route = cx.snap.routes.find(receiver).filter(|route| route.kind == Kind::Out);
        let link = route.and_then(|route| cx.snap.link(route.link));
        let header_len = if ip.six { ipv6::LEN } else { ipv4::LEN };
        let headers = (header_len + tcp::LEN) as u16;
        let path = link.zip(route).map_or(u16::MAX, |(link, route)| {
            if route.mtu == 0 { link.mtu } else { route.mtu.min(link.mtu) }.saturating_sub(headers)
        });
        let tells = matches!(self.conns.get(id).preface, Preface::Toa | Preface::Telling);
        let added = if tells && dir == Dir::Outbound {
            option_len(self.conns.get(id).is_ipv6(Dir::Inbound))
        } else {
            0
        };

        let range = parsed.l3 + usize::from(ip.header_len)..parsed.l3 + usize::from(ip.total_len);
        let Some(l4) = pkt.data_mut().get_mut(range) else { return };
        let Some(header) = tcp::Header::parse(l4) else { return };
        let options = &l4[tcp::LEN..header.header_len()];
        let found =
            tcp::options(options).places().find(|(kind, at)| *kind == tcp::option::MSS && at.len() == 4);
        let Some((_, at)) = found else { return };
        let at = tcp::LEN + at.start + 2;
        let said = u16::from_be_bytes([l4[at], l4[at + 1]]);
        let fits = said.min(path).saturating_sub(added).max(said.min(LEAST));
        if fits != said {
            replace(l4, at, &fits.to_be_bytes());
        }
    }
}
