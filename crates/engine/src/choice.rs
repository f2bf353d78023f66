// SPDX-License-Identifier: Apache-2.0
//! The server of a new connection: the one its client's network has, or else the one whose turn it is.

use std::ops::ControlFlow::Continue;

use packet::{Buffer, proto};

use crate::conn::{ConnId, Probe};
use crate::forward::Forwarding;
use crate::lcore::Lcore;
use crate::persist::{About, Chosen, Key, Persistence, TemplateId, Who};
use crate::pipeline::Cx;
use crate::quic::{self, Hint};
use crate::sched::{self, Ask, Load};
use crate::sip;
use crate::snapshot::{Dest, Service};
use crate::verdict::{DropReason, Step, drop};

/// A server, and what remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'s> {
    /// The server.
    pub(crate) dest: &'s Dest,
    /// What the template is found by, where the service has any.
    pub(crate) template: Option<Key>,
}

impl<P: Buffer> Lcore<P> {
    /// The server of the connection that `probe` asks for.
    pub(crate) fn schedule<'s>(&mut self, svc: &Service, probe: &Probe, cx: Cx<'s>) -> Step<Choice<'s>> {
        self.schedule_for(svc, probe, None, cx)
    }

    /// The same for a datagram with this payload, by which some services go.
    pub(crate) fn schedule_for<'s>(
        &mut self,
        svc: &Service,
        probe: &Probe,
        payload: Option<&[u8]>,
        cx: Cx<'s>,
    ) -> Step<Choice<'s>> {
        let Some(persistence) = svc.persistence else {
            let dest = match payload.and_then(|payload| told(svc, payload, cx)) {
                Some(dest) => dest,
                None => self.turn(svc, probe, payload, cx)?,
            };
            return Continue(Choice { dest, template: None });
        };
        let call = payload.filter(|_| persistence.sip).and_then(sip::call_id);
        let key = key(svc, persistence, probe, call, cx);
        let quiesce = cx.snap.options.expire_quiescent_template;
        let serves = |(id, generation)| {
            cx.snap
                .dest(id, generation)
                .is_some_and(|dest| !quiesce || dest.weight > 0 && !dest.is_inhibited())
        };
        let chosen = match cx.snap.templates.find(&key, cx.now, serves) {
            Some(chosen) => chosen,
            None => {
                let dest = self.turn(svc, probe, payload, cx)?;
                let about = about(svc, persistence, probe, call, dest);
                self.remember(key, dest, about, cx)?
            }
        };
        match cx.snap.dest(chosen.0, chosen.1) {
            Some(dest) => Continue(Choice { dest, template: Some(key) }),
            // Another worker chose one that this worker's snapshot does not have any more, or not yet.
            None => drop(DropReason::NoDest),
        }
    }

    /// The server in place of `not`, which does not answer.
    pub(crate) fn schedule_other<'s>(
        &mut self,
        svc: &Service,
        probe: &Probe,
        not: Chosen,
        cx: Cx<'s>,
    ) -> Option<Choice<'s>> {
        /// Schedulers that go by the client's address choose the same server again and again.
        const TRIES: usize = 16;
        let dest = (0..TRIES).find_map(|_| match self.turn(svc, probe, None, cx) {
            Continue(dest) if dest.id != not.0 && dest.forwarding.is_two_way() => Some(dest),
            _ => None,
        })?;
        let Some(persistence) = svc.persistence else { return Some(Choice { dest, template: None }) };
        let key = key(svc, persistence, probe, None, cx);
        // The client's next connections are to meet a server that answers, unless another worker found them one.
        cx.snap.templates.find(&key, cx.now, |chosen| chosen != not);
        let about = about(svc, persistence, probe, None, dest);
        let Continue(chosen) = self.remember(key, dest, about, cx) else { return None };
        let dest = cx.snap.dest(chosen.0, chosen.1).filter(|dest| dest.forwarding.is_two_way())?;
        Some(Choice { dest, template: Some(key) })
    }

    fn remember(&self, key: Key, dest: &Dest, about: About, cx: Cx<'_>) -> Step<Chosen> {
        match cx.snap.templates.remember(&key, (dest.id, dest.generation), about, cx.now) {
            Some(chosen) => Continue(chosen),
            None => drop(DropReason::TemplatesFull),
        }
    }

    /// The server whose turn it is.
    fn turn<'s>(
        &mut self,
        svc: &Service,
        probe: &Probe,
        payload: Option<&[u8]>,
        cx: Cx<'s>,
    ) -> Step<&'s Dest> {
        let ask = Ask {
            tuple: probe.tuple,
            worker: self.config.id.index(),
            workers: self.config.workers.into(),
            now: cx.now,
            dice: self.roll(),
            quic_id: payload.filter(|_| svc.hashing.quic_id).and_then(quic::old_id),
        };
        let (cursors, dests) = (&mut self.cursors, &self.dests);
        let load = |id| {
            let counters = dests.get(id);
            counters.map_or(Load::default(), |c| Load { active: c.active, inactive: c.inactive })
        };
        // A worker that has not adopted this snapshot yet has no cursor for the service.
        let Some(cursor) = cursors.get_mut(svc.id.index()) else { return drop(DropReason::NoService) };
        match sched::pick(svc, cx.snap, cursor, &ask, load) {
            Some(dest) => Continue(dest),
            None => drop(DropReason::NoDest),
        }
    }

    /// A connection was opened: its template lasts at least as long.
    pub(crate) fn hold_template(&mut self, id: ConnId, key: &Key, dest: &Dest, cx: Cx<'_>) {
        // Nothing tells datagrams of a client that means it from others.
        let conn = self.conns.get(id);
        let assured = !matches!(conn.proto(), proto::TCP | proto::SCTP) && !conn.is_one_packet();
        let held = cx.snap.templates.hold(key, (dest.id, dest.generation), assured, cx.now);
        if let Some(template) = held {
            self.conns.set_template(id, template);
        }
    }

    /// A connection is established: its template is of a client that means it.
    pub(crate) fn assure_template(&self, id: ConnId) {
        if let Some(template) = self.conns.template(id) {
            self.templates.assure(template);
        }
    }

    /// A connection is over.
    pub(crate) fn release_template(&self, template: TemplateId) {
        self.templates.release(template);
    }
}

/// The server that a QUIC datagram's identifier tells of: clients stay with one even if it has weight 0.
fn told<'s>(svc: &Service, payload: &[u8], cx: Cx<'s>) -> Option<&'s Dest> {
    if !svc.quic {
        return None;
    }
    let hint = Hint::read(payload)?;
    let mut dests = svc.dests.iter().filter_map(|id| cx.snap.dests.get(id.index())?.as_ref());
    dests.find(|dest| dest.forwarding != Forwarding::Snat && hint.means(dest.addr))
}

fn key(svc: &Service, persistence: Persistence, probe: &Probe, call: Option<&[u8]>, cx: Cx<'_>) -> Key {
    let who = match call {
        Some(id) => cx.snap.templates.call(id),
        None => Who::Network(persistence.granularity.network(probe.tuple.source().ip())),
    };
    Key { service: svc.id, generation: svc.generation, who }
}

fn about(svc: &Service, persistence: Persistence, probe: &Probe, call: Option<&[u8]>, dest: &Dest) -> About {
    let client = probe.tuple.source().ip();
    About {
        network: if call.is_some() { client } else { persistence.granularity.network(client) },
        call: call.map(Into::into),
        mark: svc.mark,
        transport: svc.transport,
        virt: svc.vip,
        server: dest.addr,
        timeout: persistence.timeout,
    }
}
