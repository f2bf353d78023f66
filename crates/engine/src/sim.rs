// SPDX-License-Identifier: Apache-2.0
//! A director in memory: workers, rings and stations on virtual time, frames in and out as bytes.
//!
//! ```text
//!   stations ── frames ──> worker n ──> wire ──> stations that are asked for answer (ARP, ND)
//!                             │ ^                 the rest waits for the test to look at it
//!                             v │
//!                        other workers (rings, events)
//! ```
//!
//! After every step it checks that no packet went missing.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use arrayvec::ArrayVec;
use packet::{Buffer, Frame, arp, ether, icmp, ipv6, nd};

use crate::ids::{LcoreId, LinkId, PortId};
use crate::lcore::{BURST, Config, Lcore};
use crate::link::Mac;
use crate::pipeline::Origin;
use crate::sink::{Event, Sink};
use crate::snapshot::Snapshot;
use crate::tick::Tick;

/// A director and the stations around it.
pub struct Sim {
    /// What is configured; [`Sim::publish`] replaces it.
    pub snap: Snapshot,
    /// The workers.
    pub lcores: Vec<Lcore<Frame>>,
    /// Virtual time.
    pub now: Tick,
    /// Stations that answer questions for their address.
    pub stations: HashMap<IpAddr, Mac>,
    /// Whether the host's own stack takes packets.
    pub kernel: bool,
    /// The frames it took, in the order it got them.
    pub handed: Vec<Vec<u8>>,
    /// Whether the rings between workers have no room.
    pub rings_full: bool,
    /// Frames it was shown although they ended in the director.
    pub shown: usize,
    rings: Vec<VecDeque<(PortId, Frame)>>,
    wire: Vec<(PortId, Vec<u8>)>,
}

/// What one call of a worker gave out.
#[derive(Default)]
struct Outbox {
    kernel: bool,
    rings_full: bool,
    handed: Vec<Vec<u8>>,
    shown: usize,
    sent: Vec<(PortId, Frame)>,
    redirected: Vec<(LcoreId, PortId, Frame)>,
    events: Vec<Event>,
}

impl Sink<Frame> for Outbox {
    fn forward(&mut self, pkt: Frame, port: PortId) {
        self.sent.push((port, pkt));
    }

    fn kernel(&mut self, pkt: Frame, _: PortId) -> Result<(), Frame> {
        if !self.kernel {
            return Err(pkt);
        }
        self.handed.push(pkt.data().to_vec());
        Ok(())
    }

    fn show_kernel(&mut self, _: &Frame, _: PortId) {
        self.shown += 1;
    }

    fn redirect(&mut self, pkt: Frame, port: PortId, to: LcoreId) -> Result<(), Frame> {
        if self.rings_full {
            return Err(pkt);
        }
        self.redirected.push((to, port, pkt));
        Ok(())
    }

    fn discard(&mut self, _: Frame) {}

    fn fresh(&mut self) -> Option<Frame> {
        Some(Frame::with_room(2048))
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl Sim {
    /// A director of `workers` workers with room for `conns` connections each.
    pub fn new(workers: u16, conns: usize, snap: Snapshot) -> Sim {
        let config =
            |id| Config { id: LcoreId(id), workers, conns, neighs: 64, held: 256, seed: 7 + u64::from(id) };
        let mut sim = Sim {
            snap: Snapshot::default(),
            lcores: (0..workers).map(|id| Lcore::new(config(id))).collect(),
            now: Tick(1_000_000),
            stations: HashMap::new(),
            kernel: false,
            rings_full: false,
            handed: Vec::new(),
            shown: 0,
            rings: (0..workers).map(|_| VecDeque::new()).collect(),
            wire: Vec::new(),
        };
        sim.publish(snap);
        sim
    }

    /// Gives all workers a new snapshot.
    pub fn publish(&mut self, snap: Snapshot) {
        self.snap = snap;
        self.each(|lcore, snap, now, out| lcore.adopt(snap, now, out));
    }

    /// A frame comes in by `port` at worker `at`; everything that follows from it happens.
    pub fn receive(&mut self, at: usize, port: PortId, bytes: &[u8]) {
        self.receive_frame(at, port, Frame::new(bytes));
    }

    /// The same for a frame with what a device says about it.
    pub fn receive_frame(&mut self, at: usize, port: PortId, frame: Frame) {
        self.process(at, port, Origin::Wire, frame);
        self.settle();
    }

    /// The frames that nobody answered for, in the order they left.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire).into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// The one frame that left.
    ///
    /// # Panics
    /// When none or several left.
    pub fn sent_one(&mut self) -> Vec<u8> {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "one frame leaves: {sent:02x?}");
        sent.remove(0)
    }

    /// Time passes, a quarter of a second at a step.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while self.now < end {
            self.now = self.now.plus_ms(250).min(end);
            self.each(|lcore, snap, now, out| (0..16).for_each(|_| lcore.tick(snap, now, out)));
            self.settle();
        }
    }

    /// Tells everybody about an own address.
    pub fn announce(&mut self, at: usize, link: LinkId, addr: IpAddr) {
        let mut out = self.outbox();
        self.lcores[at].announce(link, addr, &self.snap, &mut out);
        self.dispatch(at, out);
    }

    /// A frame of the host's own stack leaves by `port`.
    pub fn relay(&mut self, at: usize, port: PortId, bytes: &[u8]) {
        let mut out = self.outbox();
        self.lcores[at].relay(Frame::new(bytes), port, &self.snap, &mut out);
        self.dispatch(at, out);
    }

    /// Packets dropped for a reason, all workers together.
    pub fn drops(&self, reason: crate::verdict::DropReason) -> u64 {
        self.lcores.iter().map(|lcore| lcore.traffic().drops_for(reason)).sum()
    }

    /// Connections, all workers together.
    pub fn conns(&self) -> usize {
        self.lcores.iter().map(Lcore::conn_count).sum()
    }

    fn outbox(&self) -> Outbox {
        Outbox { kernel: self.kernel, rings_full: self.rings_full, ..Outbox::default() }
    }

    fn each(&mut self, mut act: impl FnMut(&mut Lcore<Frame>, &Snapshot, Tick, &mut Outbox)) {
        for at in 0..self.lcores.len() {
            let mut out = self.outbox();
            act(&mut self.lcores[at], &self.snap, self.now, &mut out);
            self.dispatch(at, out);
        }
    }

    fn process(&mut self, at: usize, port: PortId, origin: Origin, frame: Frame) {
        let mut out = self.outbox();
        let mut burst: ArrayVec<Frame, BURST> = ArrayVec::new();
        burst.push(frame);
        self.lcores[at].process(port, origin, &mut burst, &self.snap, self.now, &mut out);
        self.dispatch(at, out);
    }

    fn dispatch(&mut self, at: usize, out: Outbox) {
        self.shown += out.shown;
        self.handed.extend(out.handed);
        for (to, port, frame) in out.redirected {
            self.rings[to.index()].push_back((port, frame));
        }
        for Event::Neighbour(heard) in out.events {
            for other in (0..self.lcores.len()).filter(|&other| other != at) {
                let mut answer = self.outbox();
                self.lcores[other].heard(heard, &self.snap, self.now, &mut answer);
                self.wire.extend(answer.sent.into_iter().map(|(port, frame)| (port, frame.data().to_vec())));
            }
        }
        self.wire.extend(out.sent.into_iter().map(|(port, frame)| (port, frame.data().to_vec())));
        self.check();
    }

    /// Runs rings and lets stations answer until nothing moves any more.
    fn settle(&mut self) {
        loop {
            let ringed = (0..self.rings.len()).find_map(|at| Some((at, self.rings[at].pop_front()?)));
            if let Some((at, (port, frame))) = ringed {
                self.process(at, port, Origin::Ring, frame);
                continue;
            }
            let answered =
                self.wire.iter().enumerate().find_map(|(n, (_, bytes))| Some((n, self.answer(bytes)?)));
            let Some((n, answer)) = answered else { return };
            let (port, _) = self.wire.remove(n);
            self.process(0, port, Origin::Wire, Frame::new(&answer));
        }
    }

    /// What a station says to a question for its address.
    fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let eth = ether::Header::parse(frame)?;
        let body = &frame[eth.len..];
        let header = |mac: Mac| {
            let mut bytes = vec![0; ether::header_len(eth.vlan)];
            ether::write(&mut bytes, eth.src, mac, eth.vlan, eth.kind);
            bytes
        };
        if let (ether::ARP, Some(q)) = (eth.kind, arp::Packet::parse(body)) {
            let mac = *self
                .stations
                .get(&IpAddr::V4(q.target.into()))
                .filter(|_| q.operation == arp::Operation::Request)?;
            let answer = arp::Packet {
                operation: arp::Operation::Reply,
                sender_mac: mac,
                sender: q.target,
                target_mac: q.sender_mac,
                target: q.sender,
            };
            let mut bytes = [0; arp::LEN];
            answer.emit(&mut bytes)?;
            return Some([&header(mac)[..], &bytes].concat());
        }
        let ip = ipv6::Header::parse(body)
            .filter(|ip| eth.kind == ether::IPV6 && ip.next_header() == packet::proto::ICMPV6)?;
        let q = nd::Message::parse(&body[ipv6::LEN..])
            .filter(|_| body.get(ipv6::LEN) == Some(&icmp::v6::NEIGHBOUR_SOLICITATION))?;
        let mac = *self.stations.get(&IpAddr::V6(q.target.into()))?;
        let kind = nd::Kind::Advertisement { solicited: true, overrides: true };
        let mut bytes = vec![0; ipv6::LEN + nd::LEN];
        let (src, dst) = (q.target, ip.src());
        let repr = ipv6::Repr {
            src,
            dst,
            next_header: packet::proto::ICMPV6,
            hop_limit: nd::HOP_LIMIT,
            payload_len: nd::LEN,
        };
        repr.emit(&mut bytes)?;
        nd::Message { kind, target: q.target, mac: Some(mac) }.emit(&mut bytes[ipv6::LEN..], src, dst)?;
        Some([header(mac), bytes].concat())
    }

    /// Every packet is somewhere.
    fn check(&self) {
        for lcore in &self.lcores {
            assert_eq!(
                lcore.traffic().missing(lcore.held()),
                0,
                "packets went missing: {:?}",
                lcore.traffic()
            );
        }
        let sum = |get: fn(&crate::counters::Traffic) -> u64| {
            self.lcores.iter().map(|l| get(l.traffic())).sum::<u64>()
        };
        let in_ring: usize = self.rings.iter().map(VecDeque::len).sum();
        assert_eq!(sum(|t| t.ring_out), sum(|t| t.ring_in) + in_ring as u64, "rings lose nothing");
    }
}

/// Ready-made networks.
pub mod world {
    use std::net::{IpAddr, SocketAddr};

    use model::Transport;

    use super::Sim;
    use crate::ids::{DestId, LcoreId, LinkId, PortId, ServiceId};
    use crate::link::{Link, Mac, RxCsum};
    use crate::route::{Kind, Route, RouteTable};
    use crate::sched::Scheduler;
    use crate::snapshot::{Dest, Forwarding, Port, Service, Snapshot};

    /// The port everything is on.
    pub const PORT: PortId = PortId(0);
    /// Ethernet address of the director.
    pub const DIRECTOR: Mac = [2, 0, 0, 0, 0, 0xfe];
    /// Ethernet address of the client.
    pub const CLIENT: Mac = [2, 0, 0, 0, 0, 1];

    /// Ethernet address of server `n`.
    pub fn server_mac(n: u8) -> Mac {
        [2, 0, 0, 0, 1, n]
    }

    /// Names of one family.
    #[derive(Clone, Copy, Debug)]
    pub struct Names {
        /// The client.
        pub client: &'static str,
        /// The director's own address.
        pub own: &'static str,
        /// The virtual address.
        pub vip: &'static str,
        /// The local address.
        pub laddr: &'static str,
        /// The servers.
        pub servers: [&'static str; 2],
    }

    /// IPv4.
    pub const V4: Names = Names {
        client: "10.1.0.1",
        own: "10.1.0.254",
        vip: "10.1.0.100",
        laddr: "10.2.0.200",
        servers: ["10.2.0.1", "10.2.0.2"],
    };

    /// IPv6.
    pub const V6: Names = Names {
        client: "fd01::1",
        own: "fd01::fe",
        vip: "fd01::100",
        laddr: "fd02::200",
        servers: ["fd02::1", "fd02::2"],
    };

    /// An address written down.
    ///
    /// # Panics
    /// When it is none.
    pub fn ip(text: &str) -> IpAddr {
        text.parse().expect("a literal address")
    }

    /// An address and port.
    pub fn at(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(ip(text), port)
    }

    /// Client network untagged on `dpdk0`, server network on `dpdk0.102`, TCP and UDP services of both families at port 80
    /// of the virtual address, server `n` listening on port 8080 with weight `n`.
    pub fn snapshot() -> Snapshot {
        let link = |id: u16, vlan: Option<u16>, addrs: &[(&str, u8)]| Link {
            id: LinkId(id),
            name: if vlan.is_some() { "dpdk0.102".into() } else { "dpdk0".into() },
            port: PORT,
            vlan,
            mac: DIRECTOR,
            mtu: 1500,
            up: true,
            rx_csum: RxCsum::Verify,
            tunnel: None,
            addrs: addrs.iter().map(|&(addr, len)| (ip(addr), len)).collect(),
        };
        let outside = [(V4.own, 24), (V4.vip, 32), (V6.own, 64), (V6.vip, 128)];
        let inside = [(V4.laddr, 24), (V6.laddr, 64)];
        let mut snap = Snapshot { version: 1, routing: 1, ..Snapshot::default() };
        // Tests of the option switch it on; the others see the segments that the peers sent.
        snap.options.identity.toa = false;
        snap.links = vec![Some(link(0, None, &outside)), Some(link(1, Some(102), &inside))];
        snap.ports = vec![Port {
            untagged: Some(LinkId(0)),
            vlans: vec![(102, LinkId(1))],
            queues: vec![LcoreId(0)],
            rss: None,
        }];
        snap.routes = RouteTable::compile(routes(&snap.links));
        for names in [V4, V6] {
            snap.laddrs.insert(ip(names.laddr), LinkId(1));
            for transport in [Transport::Tcp, Transport::Udp] {
                add_service(&mut snap, names, transport);
            }
        }
        snap.index()
    }

    /// Own addresses and connected networks of links.
    pub fn routes(links: &[Option<Link>]) -> Vec<Route> {
        let route =
            |prefix, link, kind| Route { prefix, via: None, link, src: None, mtu: 0, kind, metric: 0 };
        let of = |link: &Link| {
            let id = link.id;
            let own = link
                .addrs
                .iter()
                .map(move |&(addr, _)| route((addr, if addr.is_ipv4() { 32 } else { 128 }), id, Kind::Local));
            let nets = link.addrs.iter().map(move |&prefix| route(prefix, id, Kind::Out));
            own.chain(nets).collect::<Vec<_>>()
        };
        links.iter().flatten().flat_map(of).collect()
    }

    fn add_service(snap: &mut Snapshot, names: Names, transport: Transport) {
        let service = ServiceId(snap.services.len() as u32);
        let mut dests = Vec::new();
        for (n, server) in names.servers.iter().enumerate() {
            let id = DestId(snap.dests.len() as u32);
            dests.push(id);
            snap.dests.push(Some(Dest {
                id,
                generation: 1,
                service,
                addr: at(server, 8080),
                forwarding: Forwarding::FullNat,
                weight: n as u32 + 1,
                limit: None,
                check: None,
            }));
        }
        snap.services.push(Some(Service {
            id: service,
            generation: 1,
            transport,
            vip: at(names.vip, 80),
            scheduler: Scheduler::Rr,
            hashing: Default::default(),
            revision: 1,
            dests,
            laddrs: vec![ip(names.laddr)],
            syn_proxy: false,
            proxying: Default::default(),
            access: None,
            conn_timeout: 0,
            one_packet: false,
            expire_quiescent: false,
            throttle: None,
            persistence: None,
            proxy_protocol: None,
            quic: false,
            weights: (0, 1),
            masquerades: false,
            echo: Default::default(),
            alive: 0,
            rule: None,
            mark: None,
        }));
    }

    /// The network of [`snapshot`] with everybody at home.
    pub fn sim(workers: u16) -> Sim {
        let mut sim = Sim::new(workers, 1024, snapshot());
        for names in [V4, V6] {
            sim.stations.insert(ip(names.client), CLIENT);
            for (n, server) in (1..).zip(names.servers) {
                sim.stations.insert(ip(server), server_mac(n));
            }
        }
        sim
    }
}
