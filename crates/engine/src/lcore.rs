// SPDX-License-Identifier: Apache-2.0
//! What one worker owns, and how the rest of the daemon speaks to it.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arrayvec::ArrayVec;
use foldhash::quality::FixedState;
use model::{ConnEntry, Transport};
use packet::{Buffer, ether, proto};

use crate::conn::{ConnId, ConnTable, Dir};
use crate::counters::{DestCounters, DestTable, LinkCounters, Traffic};
use crate::flow::Parsed;
use crate::forward::Forwarding;
use crate::frag::Fragments;
use crate::icmp::Limiter;
use crate::ids::{DestId, LcoreId, LinkId, PortId};
use crate::laddr::{Lease, Leases, Usage};
use crate::link::{Link, Mac};
use crate::neigh::{Listed, NeighEvent, NeighRef, NeighTable};
use crate::persist::Templates;
use crate::pipeline::{Context, Origin};
use crate::preface::{Headers, Preface};
use crate::proto::listed;
use crate::sched::Cursor;
use crate::sink::{Heard, Sink};
use crate::snapshot::Snapshot;
use crate::synproxy::limit::PrefixLimiter;
use crate::synproxy::{self, Proxy};
use crate::tick::Tick;
use crate::verdict::DropReason;
use crate::{arp, nd};

/// Packets processed at a time, at most.
pub const BURST: usize = 32;

/// Packets that a neighbour kept waiting whose senders hear of it in one call of [`Lcore::tick`].
const TOLD: usize = 8;

/// Connections and neighbours looked at in one call of [`Lcore::tick`].
const TICK_BUDGET: u32 = 256;

/// Templates of each lock looked at in one call of [`Lcore::tick`].
const TEMPLATE_BUDGET: usize = 16;

/// Fragmented datagrams looked at in one call of [`Lcore::tick`].
const FRAGMENT_BUDGET: usize = 256;

/// Sizes and identity of a worker.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its number.
    pub id: LcoreId,
    /// How many workers there are, this one included.
    pub workers: u16,
    /// Connections it can hold.
    pub conns: usize,
    /// Neighbours it can know.
    pub neighs: usize,
    /// Packets that can wait for neighbours, as many for servers, and as many for first fragments.
    pub held: usize,
    /// Source of all its randomness.
    pub seed: u64,
}

/// One worker's part of the director.
pub struct Lcore<P> {
    pub(crate) config: Config,
    pub(crate) conns: ConnTable,
    pub(crate) neighs: NeighTable<P>,
    pub(crate) leases: Leases,
    pub(crate) cursors: Vec<Cursor>,
    pub(crate) laddr_cursors: Vec<u32>,
    pub(crate) dests: DestTable,
    pub(crate) traffic: Traffic,
    pub(crate) links: Vec<LinkCounters>,
    pub(crate) errors: Limiter,
    pub(crate) relayed: PrefixLimiter,
    pub(crate) echoes: PrefixLimiter,
    pub(crate) secret: FixedState,
    pub(crate) dice: u64,
    pub(crate) proxy: Proxy<P>,
    /// Fragmented datagrams, and fragments that wait for the first one.
    pub(crate) fragments: Fragments<P>,
    /// Headers of the PROXY protocol on their way to servers.
    pub(crate) headers: Headers,
    /// Those of the snapshot, which are the same in every one.
    pub(crate) templates: Arc<Templates>,
    /// When it was called last.
    pub(crate) now: Tick,
    /// What the first pass over a burst found; [`BURST`] of them.
    pub(crate) parsed: Vec<Parsed>,
}

impl<P: Buffer> Lcore<P> {
    /// A worker without connections.
    pub fn new(config: Config) -> Self {
        Lcore {
            config,
            conns: ConnTable::new(config.conns, config.seed),
            neighs: NeighTable::new(config.neighs, config.held),
            leases: Leases::default(),
            cursors: Vec::new(),
            laddr_cursors: Vec::new(),
            dests: DestTable::default(),
            traffic: Traffic::default(),
            links: Vec::new(),
            errors: Limiter::new(config.seed.rotate_left(41)),
            relayed: PrefixLimiter::new(config.seed.rotate_left(47)),
            echoes: PrefixLimiter::new(config.seed.rotate_left(53)),
            secret: FixedState::with_seed(config.seed.rotate_left(32)),
            dice: config.seed | 1,
            proxy: Proxy::new(config.conns, config.held, config.seed.rotate_left(17)),
            fragments: Fragments::new(config.held, config.seed.rotate_left(11)),
            headers: Headers::new(config.conns),
            templates: Arc::default(),
            now: Tick(0),
            parsed: vec![Parsed::NOTHING; BURST],
        }
    }

    /// Takes note of a new snapshot, before the first burst that is processed with it.
    pub fn adopt(&mut self, snap: &Snapshot, now: Tick, out: &mut impl Sink<P>) {
        self.dests.adopt(snap);
        self.templates = Arc::clone(&snap.templates);
        self.proxy.adopt(&snap.services, &snap.options.syn_proxy);
        self.links.resize(snap.links.len().max(self.links.len()), LinkCounters::default());
        for (counters, _) in self.links.iter_mut().zip(&snap.links).filter(|(_, link)| link.is_none()) {
            *counters = LinkCounters::default();
        }
        let services = snap.services.len();
        if self.cursors.len() < services {
            self.cursors.resize(services, Cursor::default());
            self.laddr_cursors.resize(services, 0);
        }
        self.neighs.configure(snap.options.neigh_timeout, snap.options.neigh_queue);
        let gone = |n: &Listed| {
            snap.link(n.link).is_none()
                || n.fixed && !snap.neighs.iter().any(|&(l, a, _)| (l, a) == (n.link, n.addr))
        };
        let lost = &mut self.traffic.drops[DropReason::NeighUnreachable as usize];
        self.neighs.remove_if(gone, |pkt| {
            *lost += 1;
            out.discard(pkt);
        });
        for &(link, addr, mac) in &snap.neighs {
            // A full table is a reason of its own when a packet needs the entry.
            if let Ok(at) = self.neighs.set_fixed(link, addr, mac, now) {
                self.release_held(at, snap, out);
            }
        }
        self.leases.sweep();
    }

    /// Lets time pass: expires connections, ages neighbours. Call at least a few times a second; the work of one call is bounded.
    pub fn tick(&mut self, snap: &Snapshot, now: Tick, out: &mut impl Sink<P>) {
        self.now = now;
        self.expire(snap, now, out);
        self.expire_fragments(now, FRAGMENT_BUDGET, out);
        let me = (self.config.id.index(), usize::from(self.config.workers));
        snap.clock.tell(now);
        self.templates.sweep(me, TEMPLATE_BUDGET, now);
        let mut events: ArrayVec<NeighEvent<P>, BURST> = ArrayVec::new();
        // One entry gives up a whole queue at most; what does not fit is handled at once.
        let mut lost: ArrayVec<P, TOLD> = ArrayVec::new();
        let (traffic, neighs) = (&mut self.traffic, &mut self.neighs);
        neighs.expire(now, BURST / 4, |event| match event {
            NeighEvent::Lost(pkt) => {
                traffic.drops[DropReason::NeighUnreachable as usize] += 1;
                if let Err(full) = lost.try_push(pkt) {
                    out.discard(full.element());
                }
            }
            ask => {
                let room = events.try_push(ask);
                debug_assert!(room.is_ok(), "at most one question for each entry looked at");
            }
        });
        for event in events {
            if let NeighEvent::Solicit { link, addr, mac } = event {
                self.solicit(link, addr, mac, snap, out);
            }
        }
        for pkt in lost {
            self.tell_unreachable(&pkt, snap, now, out);
            out.discard(pkt);
        }
    }

    /// Closes connections whose time is up. They are taken in bursts, so that the memory each needs is on its way before the first
    /// is closed.
    fn expire(&mut self, snap: &Snapshot, now: Tick, out: &mut impl Sink<P>) {
        let context = Context { snap, now, port: PortId(0), origin: Origin::Wire, inside: false };
        let cx = context.cx();
        let mut budget = TICK_BUDGET;
        let mut expired: ArrayVec<ConnId, BURST> = ArrayVec::new();
        loop {
            expired.extend(std::iter::from_fn(|| self.conns.next_expired(now, &mut budget)).take(BURST));
            black_box(expired.iter().fold(0, |mix, &id| mix ^ self.conns.warm_removal(id)));
            for &id in &expired {
                if self.expires_unanswered(id) && !self.is_pending(id) {
                    self.blame(id, cx);
                }
                if self.conns.get(id).preface == Preface::Sent && self.repeat_header(id, cx, out) {
                    continue;
                }
                if self.is_pending(id) && self.ask_again(id, cx, out) {
                    continue;
                }
                self.tell_both(id, cx, out);
                self.close(id, out);
            }
            if expired.len() < BURST {
                return;
            }
            expired.clear();
        }
    }

    /// Removes a connection and gives back what it held.
    pub(crate) fn close(&mut self, id: ConnId, out: &mut impl Sink<P>) {
        let conn = *self.conns.get(id);
        if conn.is_proxied() {
            self.drop_held(conn.session, out);
            self.proxy.sessions.remove(conn.session);
        }
        if let Some(range) = conn.lease() {
            let dir = if conn.forwarding == Forwarding::Snat { Dir::Inbound } else { Dir::Outbound };
            self.leases.release(Lease { port: self.conns.tuple(id, dir).target_port(), range });
        }
        self.forget_header(id);
        if let Some(template) = self.conns.template(id) {
            self.release_template(template);
        }
        self.dests.closed(conn.dest, conn.dest_generation, conn.active);
        self.conns.remove(id);
    }

    /// Notes what another worker heard from a neighbour.
    pub fn heard(&mut self, heard: Heard, snap: &Snapshot, now: Tick, out: &mut impl Sink<P>) {
        if let Some(at) = self.neighs.learn(heard.link, heard.addr, heard.mac, heard.asking, now) {
            self.release_held(at, snap, out);
        }
    }

    /// Sends the packets that waited for a neighbour.
    pub(crate) fn release_held(&mut self, at: NeighRef, snap: &Snapshot, out: &mut impl Sink<P>) {
        let Some(mac) = self.neighs.mac(at) else { return };
        while let Some((mut pkt, mtu)) = self.neighs.take_held(at) {
            let vlan = ether::Header::parse(pkt.data()).and_then(|h| h.vlan);
            // The link is told by its Ethernet address and tag, which were written when the packet began to wait.
            let link = self.neighs.link_of(at).and_then(|id| snap.link(id)).filter(|link| link.vlan == vlan);
            match (link, pkt.data_mut().first_chunk_mut::<6>()) {
                (Some(link), Some(dst)) => {
                    *dst = mac;
                    if pkt.data().len() > ether::header_len(vlan) + usize::from(mtu) {
                        self.send_fragments(pkt, link, mtu, out);
                    } else {
                        self.send(pkt, link, out);
                    }
                }
                _ => self.throw(pkt, DropReason::LinkDown, out),
            }
        }
    }

    /// Tells everybody on a link that `addr` is here: gratuitous ARP, or an unsolicited advertisement.
    pub fn announce(&mut self, link: LinkId, addr: IpAddr, snap: &Snapshot, out: &mut impl Sink<P>) {
        // The one station of a tunnel knows where we are.
        let Some(link) = snap.link(link).filter(|link| link.up && link.tunnel.is_none()) else { return };
        self.generate(link, out, |pkt| match addr {
            IpAddr::V4(addr) => arp::announce(pkt, link, addr.to_bits()),
            IpAddr::V6(addr) => nd::announce(pkt, link, addr.to_bits()),
        });
    }

    /// Asks for a neighbour.
    pub(crate) fn solicit(
        &mut self,
        link: LinkId,
        addr: IpAddr,
        mac: Option<Mac>,
        snap: &Snapshot,
        out: &mut impl Sink<P>,
    ) {
        if let Some(link) = snap.link(link) {
            self.ask_for(link, addr, mac, out);
        }
    }

    /// The same on a link at hand.
    pub(crate) fn ask_for(&mut self, link: &Link, addr: IpAddr, mac: Option<Mac>, out: &mut impl Sink<P>) {
        let Some(src) = link.source_for(addr) else { return };
        self.generate(link, out, |pkt| match (addr, src) {
            (IpAddr::V4(addr), IpAddr::V4(src)) => {
                arp::solicit(pkt, link, src.to_bits(), addr.to_bits(), mac)
            }
            (IpAddr::V6(addr), IpAddr::V6(src)) => nd::solicit(pkt, link, src.to_bits(), addr.to_bits(), mac),
            _ => None,
        });
    }

    /// Sends a frame of the director's own out of `link`.
    pub(crate) fn generate(
        &mut self,
        link: &Link,
        out: &mut impl Sink<P>,
        write: impl FnOnce(&mut P) -> Option<()>,
    ) {
        self.traffic.generated += 1;
        let Some(mut pkt) = out.fresh() else {
            self.traffic.drops[DropReason::NoBuffer as usize] += 1;
            return;
        };
        if write(&mut pkt).is_none() {
            return self.throw(pkt, DropReason::NoHeadroom, out);
        }
        self.send(pkt, link, out);
    }

    /// Throws a packet away.
    #[inline(always)]
    pub(crate) fn throw(&mut self, pkt: P, reason: DropReason, out: &mut impl Sink<P>) {
        self.traffic.drops[reason as usize] += 1;
        out.discard(pkt);
    }

    /// Corrects the books: a device did not take `packets` frames of `bytes` in all that were counted as sent.
    pub fn not_sent(&mut self, packets: u64, bytes: u64) {
        self.traffic.tx -= packets;
        self.traffic.tx_bytes -= bytes;
        self.traffic.drops[DropReason::TxQueueFull as usize] += packets;
    }

    /// Corrects the books: the host's own stack did not take `packets` frames that were counted as handed to it.
    pub fn not_handed(&mut self, packets: u64) {
        self.traffic.kernel -= packets;
        self.traffic.drops[DropReason::TxQueueFull as usize] += packets;
    }

    /// Sends a complete frame of the host's own stack out of `port`. It counts as made here.
    pub fn relay(&mut self, pkt: P, port: PortId, snap: &Snapshot, out: &mut impl Sink<P>) {
        self.traffic.generated += 1;
        let vlan = ether::Header::parse(pkt.data()).and_then(|h| h.vlan);
        // The host may use tags that no link here has.
        let link = snap.link_of(port, vlan).or_else(|| snap.link_of(port, None));
        match link.filter(|link| link.up) {
            Some(link) => self.send(pkt, link, out),
            None => self.throw(pkt, DropReason::LinkDown, out),
        }
    }

    /// Forgets the neighbours learned on a link, or one of them.
    pub fn forget_neighbours(&mut self, link: LinkId, addr: Option<IpAddr>, out: &mut impl Sink<P>) {
        let lost = &mut self.traffic.drops[DropReason::NeighUnreachable as usize];
        let gone = |n: &Listed| n.link == link && !n.fixed && addr.is_none_or(|addr| addr == n.addr);
        self.neighs.remove_if(gone, |pkt| {
            *lost += 1;
            out.discard(pkt);
        });
    }

    /// Where every packet went.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What links carried here, by [`LinkId`].
    pub fn link_counters(&self) -> &[LinkCounters] {
        &self.links
    }

    /// Packets waiting for a neighbour, for a server that the SYN proxy asked, or for the first fragment.
    pub fn held(&self) -> usize {
        self.neighs.held() + self.proxy.sessions.held() + self.fragments.held()
    }

    /// What the SYN proxy counted.
    pub fn proxy_counters(&self) -> synproxy::counters::Counters {
        self.proxy.counted()
    }

    /// What the SYN proxy has to tell.
    pub fn proxy_report(&self, now: Tick) -> synproxy::Report {
        self.proxy.report(now)
    }

    /// What destinations carry here, by [`DestId`].
    pub fn dest_counters(&self) -> &[DestCounters] {
        self.dests.all()
    }

    /// Zeroes what a destination has carried.
    pub fn zero(&mut self, dest: DestId) {
        self.dests.zero(dest);
    }

    /// Leases of a local address.
    pub fn usage(&self, laddr: IpAddr) -> Usage {
        self.leases.usage(laddr)
    }

    /// Neighbours.
    pub fn neighbours(&self) -> impl Iterator<Item = Listed> {
        self.neighs.iter()
    }

    /// Connections in the table.
    pub fn conn_count(&self) -> usize {
        self.conns.len()
    }

    /// Connections the table can hold.
    pub fn conn_capacity(&self) -> usize {
        self.conns.capacity()
    }

    /// Bytes set aside for the connection table.
    pub fn conn_bytes(&self) -> usize {
        self.conns.bytes()
    }

    /// Up to `max` connections, or one entry more, from slot `from` on, and the slot to go on with; `None` at the end.
    pub fn list_conns(&self, from: usize, max: usize, now: Tick) -> (Vec<ConnEntry>, Option<usize>) {
        let mut ids = self.conns.iter_from(from);
        let mut entries = Vec::new();
        while entries.len() < max
            && let Some(id) = ids.next()
        {
            entries.push(self.listed(id, Dir::Inbound, now));
            let conn = self.conns.get(id);
            // Question and answer are a pair of entries with one lifetime.
            if conn.proto() == proto::ICMP && conn.forwarding.is_two_way() {
                entries.push(self.listed(id, Dir::Outbound, now));
            }
        }
        (entries, ids.next().map(|id| id.0 as usize))
    }

    /// The connection of packets from `source` to `target`, in either direction.
    pub fn find_conn(
        &self,
        transport: Transport,
        source: SocketAddr,
        target: SocketAddr,
        now: Tick,
    ) -> Option<ConnEntry> {
        let tuple = crate::conn::Tuple::new(source, target)?;
        let proto = if transport == Transport::Icmpv6 { proto::ICMP } else { transport.number() };
        let (id, dir) = self.conns.find(&self.conns.probe(tuple, proto))?;
        let dir = if proto == proto::ICMP { dir } else { Dir::Inbound };
        Some(self.listed(id, dir, now))
    }

    /// A connection as seen from where packets of `dir` come from.
    fn listed(&self, id: ConnId, dir: Dir, now: Tick) -> ConnEntry {
        let conn = self.conns.get(id);
        let (inbound, outbound) = (self.conns.tuple(id, dir), self.conns.tuple(id, dir.opposite()));
        let transport = match conn.proto() {
            proto::TCP => Transport::Tcp,
            proto::SCTP => Transport::Sctp,
            proto::ICMP if conn.is_ipv6(dir) => Transport::Icmpv6,
            proto::ICMP => Transport::Icmp,
            _ => Transport::Udp,
        };
        ConnEntry {
            lcore: self.config.id.0,
            transport,
            state: listed(transport, conn.state),
            expires: self.conns.expires_in(id, now),
            client: inbound.source(),
            virt: inbound.target(),
            local: canonical(outbound.target()),
            dest: canonical(outbound.source()),
            template: false,
            mark: None,
            engine: None,
        }
    }

    /// The next of a sequence of numbers that looks random (xorshift).
    pub(crate) fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }
}

/// An address as its own family writes it.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
