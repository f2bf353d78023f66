// SPDX-License-Identifier: Apache-2.0
//! The control thread: it owns the state and does one thing after the other.
//!
//! Changes that wait are committed one by one, compiled and published together, and answered after every worker runs the
//! result: when a tool returns, packets obey. It sleeps when nobody asks, but for a look at the counters every two seconds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use control::{Change, Effect, Meter, Observed, State, WorkerReport, answer::Conns};
use crossbeam_channel::Sender;
use engine::ids::LcoreId;
use engine::tick::Tick;
use model::Prefix;
use model::net::{RouteKey, RouteScope, RouteSpec};
use sockopt::{Code, Get, Reply, Request, Set, Status};

use crate::clock::Clock;
use crate::effects::Devices;
use crate::listener::{Asked, Peer};
use crate::mailbox::{Letter, Mailboxes};
use crate::publish::Publisher;

/// Connections in a page of a listing.
const CONNS_PAGE: usize = 2048;

/// Changes made together that are still logged one by one.
const WORDY: usize = 50;

/// How long a change waits for workers to run it.
const SETTLE: Duration = Duration::from_secs(1);

/// How often to look whether they do.
const LOOK: Duration = Duration::from_micros(20);

/// Everything the control thread works with.
pub struct Controller {
    state: State,
    meter: Meter,
    publisher: Publisher,
    boxes: Mailboxes,
    devices: Devices,
    clock: Clock,
    started: Tick,
    waiting: Vec<Waiting>,
    /// Addresses of the host's own stack that have a route there, with the link they are behind.
    kernel: BTreeSet<(String, IpAddr)>,
    /// Addresses that never have one: virtual addresses, which a VRRP daemon may put there too.
    reserved: BTreeSet<IpAddr>,
}

/// A change that is committed and not published yet.
struct Waiting {
    effects: Vec<Effect>,
    reply: Option<Sender<Reply>>,
}

/// Who wants a change.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Somebody at the control socket.
    Peer(Peer),
    /// The configuration file.
    File(&'a std::path::Path),
    /// The keepalived.conf.
    Keepalived(&'a std::path::Path),
    /// Both files, read again.
    Files,
    /// What checks of servers found out.
    Health,
    /// Something that was configured for a limited time.
    Time,
    /// An address that the host's own stack got or lost.
    Kernel,
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Peer(peer) => peer.fmt(f),
            Source::File(path) => write!(f, "file={}", path.display()),
            Source::Keepalived(path) => write!(f, "keepalived={}", path.display()),
            Source::Files => f.write_str("source=reload"),
            Source::Health => f.write_str("source=health"),
            Source::Time => f.write_str("lifetime=ended"),
            Source::Kernel => f.write_str("source=kernel"),
        }
    }
}

impl Controller {
    /// A control thread for workers that run the snapshot of `state`.
    pub fn new(
        state: State,
        publisher: Publisher,
        boxes: Mailboxes,
        devices: Devices,
        clock: Clock,
    ) -> Controller {
        let started = clock.now();
        Controller {
            state,
            meter: Meter::default(),
            publisher,
            boxes,
            devices,
            clock,
            started,
            waiting: Vec::new(),
            kernel: BTreeSet::new(),
            reserved: BTreeSet::new(),
        }
    }

    /// Answers requests in order. Those that come together are published together.
    pub fn serve(&mut self, requests: impl Iterator<Item = Asked>) {
        requests.for_each(|asked| self.take(asked));
        self.settle();
    }

    /// What has to happen every two seconds.
    pub fn beat(&mut self) {
        self.feed();
        self.publisher.sweep();
        self.devices.refresh(&mut self.state);
        self.follow_kernel();
        self.state.set_now(self.clock.now());
        let ended = self.state.ended();
        if !ended.is_empty()
            && let Err(status) = self.apply(&ended, Source::Time)
        {
            log::warn!("an address whose lifetime ended cannot be removed: {status}");
        }
    }

    /// Lets routes to the host's own stack follow the addresses it has behind our ports, so that packets for them are not
    /// taken for somebody else's on the same network.
    fn follow_kernel(&mut self) {
        let mut now = self.devices.kernel_addresses();
        now.retain(|(_, addr)| !self.reserved.contains(addr));
        let gone: Vec<_> = self.kernel.difference(&now).cloned().collect();
        let came: Vec<_> = now.difference(&self.kernel).cloned().collect();
        for (dev, addr) in gone {
            let key = RouteKey {
                dst: Prefix::host(addr),
                dev: Some(dev.clone()),
                via: None,
                scope: Some(RouteScope::KniHost),
            };
            // An operator may have removed it already.
            let _ = self.apply(&[Set::DelRoute(key)], Source::Kernel);
            self.kernel.remove(&(dev, addr));
        }
        for (dev, addr) in came {
            let route = RouteSpec {
                dst: Prefix::host(addr),
                via: None,
                dev: dev.clone(),
                src: None,
                mtu: 0,
                scope: Some(RouteScope::KniHost),
                metric: 0,
            };
            match self.apply(&[Set::AddRoute(route)], Source::Kernel) {
                Ok(()) => drop(self.kernel.insert((dev, addr))),
                Err(status) => log::debug!("no route to the host's own {addr} behind {dev}: {status}"),
            }
        }
    }

    /// Makes changes that come from elsewhere than the control socket.
    ///
    /// # Errors
    /// The refusal; nothing is changed then.
    pub fn apply(&mut self, steps: &[Set], source: Source<'_>) -> Result<(), Status> {
        self.apply_with(steps, Change::default(), source)
    }

    /// The same together with timeouts and switches: workers see all of it at once.
    ///
    /// # Errors
    /// The refusal; nothing is changed then.
    pub fn apply_with(&mut self, steps: &[Set], settings: Change, source: Source<'_>) -> Result<(), Status> {
        self.state.set_now(self.clock.now());
        self.change(steps, source, None)?;
        if !settings.is_empty() {
            self.state.commit(settings);
        }
        self.settle();
        Ok(())
    }

    /// What is configured.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Addresses that are the director's while they are here, whatever the host's own stack has behind its ports.
    pub fn reserve(&mut self, addresses: BTreeSet<IpAddr>) {
        self.reserved = addresses;
    }

    fn take(&mut self, Asked { request, peer, reply }: Asked) {
        self.state.set_now(self.clock.now());
        let source = Source::Peer(peer);
        // Whoever asked may be gone: there is room for one reply, so sending never blocks.
        let answer = |text: Reply| drop(reply.try_send(text));
        match request {
            Request::Get(get) => {
                self.settle();
                answer(self.answer(&get));
            }
            Request::Transaction { steps, dry_run: true } => {
                answer(control::plan(&mut self.state, &steps).map_or_else(Reply::Refused, Reply::Plan));
            }
            Request::Transaction { steps, dry_run: false } => self.change_for(&steps, source, &reply),
            Request::Set(set) => self.change_for(&[set], source, &reply),
            // Whoever has the files answers these before.
            Request::Files(_) => {
                answer(Reply::Refused(Status::new(Code::NotSupported, "there are no files")))
            }
        }
    }

    fn change_for(&mut self, steps: &[Set], source: Source<'_>, reply: &Sender<Reply>) {
        if let Err(status) = self.change(steps, source, Some(reply.clone())) {
            log::info!("refused {source} code={:?} reason=\"{status}\"", status.code);
            let _ = reply.try_send(Reply::Refused(status));
        }
    }

    /// Commits changes and lets devices follow; the rest waits for [`Controller::settle`].
    fn change(
        &mut self,
        steps: &[Set],
        source: Source<'_>,
        reply: Option<Sender<Reply>>,
    ) -> Result<(), Status> {
        let applied = control::transact(&mut self.state, steps)?;
        if let Err(error) = self.devices.apply(&applied.effects) {
            self.state.commit(applied.undo);
            return Err(Status::new(Code::System, error.to_string()));
        }
        let level = if steps.len() > WORDY { log::Level::Debug } else { log::Level::Info };
        for step in steps {
            log::log!(level, "change=\"{}\" {source}", control::describe(step));
        }
        if steps.len() > WORDY {
            log::info!("changes={} {source}", steps.len());
        }
        self.waiting.push(Waiting { effects: applied.effects, reply });
        Ok(())
    }

    /// Publishes what waits, does what else it asks for, and answers.
    fn settle(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        // Before workers forget destinations that are gone.
        if waiting.iter().any(|change| change.effects.contains(&Effect::Retire)) {
            self.feed();
        }
        self.publish();
        for Waiting { effects, reply } in waiting {
            effects.into_iter().for_each(|effect| self.perform(effect));
            if let Some(reply) = reply {
                let _ = reply.try_send(Reply::Done);
            }
        }
    }

    fn publish(&mut self) {
        if self.state.version() == self.publisher.current().version {
            return;
        }
        // Whoever lags already is not waited for again.
        let patience = if self.publisher.settled() { SETTLE } else { Duration::ZERO };
        self.publisher.publish(control::compile(&self.state));
        let deadline = Instant::now() + patience;
        while !self.publisher.settled() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        for worker in self.publisher.behind() {
            log::warn!("worker {worker} does not take the new configuration yet");
        }
        self.publisher.sweep();
    }

    /// Does what a change asks for besides devices.
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Device { .. } | Effect::Retire => {}
            Effect::Announce { link, addr } => self.boxes.tell(0, Letter::Announce(link, addr)),
            Effect::ForgetNeighbours { link, addr } => {
                self.boxes.tell_all(|| Letter::Forget(link, addr));
            }
            Effect::Zero { services, dests } => {
                let dests: std::sync::Arc<[_]> = dests.into();
                self.boxes.tell_all(|| Letter::Zero(std::sync::Arc::clone(&dests)));
                self.meter.zero(&self.state, &services);
            }
        }
    }

    /// Lets the meter see what workers counted.
    fn feed(&mut self) {
        let told = self.boxes.ask_all(Letter::Dests);
        let now = self.clock.now();
        for (worker, dests) in (0..).zip(told) {
            if let Some(dests) = dests {
                self.meter.feed(&self.state, LcoreId(worker), &dests, now);
            }
        }
    }

    fn answer(&mut self, get: &Get) -> Reply {
        self.try_answer(get).unwrap_or_else(Reply::Refused)
    }

    /// The answer, or a refusal where a worker does not say its part: half a listing would be taken for the whole.
    fn try_answer(&mut self, get: &Get) -> Result<Reply, Status> {
        let wants = control::wants(get);
        if wants.dests {
            self.feed();
        }
        let workers = self.reports(&wants)?;
        let mut seen = Observed::new(&self.meter, self.started);
        seen.workers = workers;
        if wants.ports {
            seen.ports = self.devices.reports();
        }
        match wants.conns {
            Some(Conns::From(worker, from)) if worker.index() < self.boxes.len() => {
                let page = |reply| Letter::Conns { from, max: CONNS_PAGE, reply };
                let told = self.boxes.ask(worker.index(), page);
                (seen.conns, seen.conns_next) = told.ok_or_else(|| silent(worker.index()))?;
            }
            Some(Conns::Of(transport, source, target)) => {
                let found = self.boxes.ask_all(|reply| Letter::Conn { transport, source, target, reply });
                seen.conns = all(found)?.into_iter().flatten().collect();
            }
            _ => {}
        }
        Ok(control::answer(&self.state, &seen, get, self.clock.now()))
    }

    fn reports(&self, wants: &control::answer::Wants) -> Result<Vec<WorkerReport>, Status> {
        let mut reports = if wants.workers { all(self.boxes.ask_all(Letter::Report))? } else { Vec::new() };
        reports.resize_with(self.boxes.len(), WorkerReport::default);
        if wants.neighs {
            for (report, neighs) in reports.iter_mut().zip(all(self.boxes.ask_all(Letter::Neighbours))?) {
                report.neighs = neighs;
            }
        }
        if wants.laddrs {
            for (report, usage) in reports.iter_mut().zip(all(self.boxes.ask_all(Letter::Usage))?) {
                report.laddrs = usage.into_iter().collect();
            }
        }
        if wants.syn_proxy {
            for (report, told) in reports.iter_mut().zip(all(self.boxes.ask_all(Letter::SynProxy))?) {
                report.syn_proxy = told;
            }
        }
        Ok(reports)
    }
}

/// What all workers said, or which of them said nothing.
fn all<T>(told: Vec<Option<T>>) -> Result<Vec<T>, Status> {
    told.into_iter().enumerate().map(|(worker, said)| said.ok_or_else(|| silent(worker))).collect()
}

fn silent(worker: usize) -> Status {
    Status::new(Code::Busy, format!("worker {worker} does not answer in time: is its CPU taken? try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_one_worker_is_refused_not_cut_short() {
        assert_eq!(all(vec![Some(1), Some(2)]), Ok(vec![1, 2]));
        let refused = all(vec![Some(1), None]).expect_err("a worker is missing");
        assert_eq!(refused.code, Code::Busy);
        assert_eq!(refused.text, "worker 1 does not answer in time: is its CPU taken? try again");
    }
}
