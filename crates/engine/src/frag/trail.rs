// SPDX-License-Identifier: Apache-2.0
//! The fragments behind the first: they go its way, whatever has become of its connection by then.

use std::net::IpAddr;

use packet::Buffer;

use super::table::{Course, Way};
use super::{At, flat};
use crate::flow::Parsed;
use crate::forward::tunnel::{self, Outside};
use crate::forward::{Forwarding, Plan, Room, cross};
use crate::l3::Ip;
use crate::lcore::Lcore;
use crate::output::{Ttl, count_down, readdress};
use crate::pipeline::Cx;
use crate::sink::Sink;
use crate::verdict::{DropReason, Goal, Step, Verdict, drop};

impl Course {
    /// What its next hop leaves for a fragment that came in with the header `ip`.
    pub(super) fn room(&self, ip: &Ip) -> Room {
        match (self.plan, self.forwarding) {
            (Plan::Wrap, Forwarding::Tunnel(kind)) => {
                let outer_six = self.receiver().is_ipv6();
                let mtu = self.hop.mtu.saturating_sub(tunnel::overhead(kind, outer_six));
                Room { mtu, whole: ip.df || outer_six }
            }
            (Plan::Cross, _) => Room { mtu: cross::room_for_part(ip, self.hop.mtu), whole: ip.df },
            _ => Room { mtu: self.hop.mtu, whole: ip.df },
        }
    }

    /// The outside of its tunnel.
    pub(super) fn outside(&self) -> Outside {
        Outside { forwarding: self.forwarding, server: self.receiver(), flow: self.flow }
    }

    /// Whom they are for: with tunnels and direct routing the server, which their addresses do not tell.
    fn receiver(&self) -> IpAddr {
        self.new.target_ip().to_canonical()
    }
}

impl<P: Buffer> Lcore<P> {
    /// A fragment other than the first.
    pub(super) fn trail(&mut self, mut pkt: P, parsed: &Parsed, at: At, cx: Cx<'_>, out: &mut impl Sink<P>) {
        let verdict = match self.fragments.way(at) {
            Way::Unknown => {
                return match self.fragments.hold(at, cx.port, pkt) {
                    Ok(()) => {}
                    Err(pkt) => self.throw(pkt, DropReason::FragmentTableFull, out),
                };
            }
            Way::Worker(worker) => Verdict::HandOn(Goal::of_worker(worker)),
            Way::Pass => flat(self.pass(&mut pkt, parsed, &parsed.ip, cx, out)),
            Way::Course(course) => flat(self.follow_course(&course, at, &mut pkt, parsed, cx, out)),
            Way::Lost(reason) => Verdict::Drop(reason),
        };
        self.finish(pkt, verdict, cx, out);
    }

    fn follow_course(
        &mut self,
        course: &Course,
        at: At,
        pkt: &mut P,
        parsed: &Parsed,
        cx: Cx<'_>,
        out: &mut impl Sink<P>,
    ) -> Step<Verdict> {
        let ip = &parsed.ip;
        let course = &self.still_there(course, at, cx)?;
        let ttl = course.plan.ttl(cx.snap);
        self.check_hop(pkt, parsed, ip, course.room(ip), ttl, cx, out)?;
        self.dests.carried(course.dest, course.dest_generation, course.dir, ip.total_len);
        match course.plan {
            Plan::Pass => self.leave(pkt, parsed, ip, course.hop, cx),
            Plan::Wrap => self.wrap(&course.outside(), pkt, parsed, course.hop, cx),
            Plan::Cross => {
                let Some(fragment) = packet_fragment(pkt, parsed) else {
                    return drop(DropReason::ExtensionHeader);
                };
                let crossed = self.cross_part(course, pkt, parsed, &fragment, ttl)?;
                self.leave(pkt, &crossed, &crossed.ip, course.hop, cx)
            }
            Plan::Rewrite => {
                let Some(fragment) = packet_fragment(pkt, parsed) else {
                    return drop(DropReason::ExtensionHeader);
                };
                let bytes = &mut pkt.data_mut()[parsed.l3..];
                readdress(bytes, ip.six, &course.new);
                fragment.renumber(bytes, course.id);
                if ttl == Ttl::Count {
                    count_down(bytes, ip.six);
                }
                self.leave(pkt, parsed, ip, course.hop, cx)
            }
        }
    }

    /// The course with a next hop that is still there: routes may have changed since the first fragment, and neighbours gone.
    fn still_there(&mut self, course: &Course, at: At, cx: Cx<'_>) -> Step<Course> {
        let mut course = *course;
        if course.routing != cx.snap.routing || !self.neighs.is_current(course.hop.neigh) {
            course.hop = self.hop_to(course.receiver(), course.forwarding, cx)?;
            course.routing = cx.snap.routing;
            self.fragments.lead(at, Way::Course(course));
        }
        Step::Continue(course)
    }
}

fn packet_fragment<P: Buffer>(pkt: &P, parsed: &Parsed) -> Option<packet::fragment::Fragment> {
    let bytes = &pkt.data()[parsed.l3..];
    match parsed.ip.six {
        true => packet::fragment::Fragment::parse6(bytes),
        false => packet::fragment::Fragment::parse4(bytes),
    }
}
