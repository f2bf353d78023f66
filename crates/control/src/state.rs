// SPDX-License-Identifier: Apache-2.0
//! Everything configured. [`State::commit`] is the only thing that changes it, and it cannot fail.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use engine::ids::{DestId, LinkId, PortId, ServiceId};
use engine::persist::Templates;
use engine::proto::Timeouts;
use engine::snapshot::Options;
use engine::synproxy::config::MasterKey;
use engine::tick::{Clock, Tick};
use model::options::AccessSubject;
use model::rule::Marking;
use model::tunnel::{TunnelEnd, TunnelMode};
use model::{MacAddr, ServiceKey};
use sockopt::{Code, Status};

use crate::change::{Change, Row};
use crate::ordered::Ordered;
use crate::ports::PortFacts;
use crate::rows::{Addr, AddrKey, Dest, IpSet, Link, Route, RouteId, Service};
use crate::slots::Slots;
use crate::tables::Tables;

/// Who uses a local address.
#[derive(Clone, Copy, Debug)]
struct LaddrUse {
    link: LinkId,
    services: u32,
}

/// Everything configured.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) services: Slots<Box<Service>>,
    pub(crate) dests: Slots<Dest>,
    pub(crate) links: Slots<Link>,
    pub(crate) addrs: Ordered<AddrKey, Addr>,
    pub(crate) routes: Ordered<RouteId, Route>,
    pub(crate) neighs: Ordered<(LinkId, IpAddr), MacAddr>,
    pub(crate) sets: Ordered<String, IpSet>,
    pub(crate) timeouts: Timeouts,
    pub(crate) options: Options,
    /// What workers tell the time to.
    pub(crate) clock: Clock,
    /// What gives packets a mark, in the order it is asked.
    pub(crate) marks: Vec<Marking>,
    /// What workers remember of clients of persistent services; not configured, and never replaced once they run.
    pub(crate) templates: Arc<Templates>,
    pub(crate) ports: Vec<PortFacts>,
    /// Indexes over the rows above; only `commit` touches them.
    service_at: HashMap<ServiceKey, ServiceId>,
    dest_at: HashMap<(ServiceId, SocketAddr), DestId>,
    link_at: HashMap<String, LinkId>,
    addr_at: HashMap<IpAddr, Vec<AddrKey>>,
    laddr_uses: HashMap<IpAddr, LaddrUse>,
    pub(crate) tables: Tables,
    /// Sets as workers search them; one is made when it is first asked for after it changed.
    compiled_sets: HashMap<String, OnceLock<Arc<engine::set::Set>>>,
    /// The service of the present or last server in each slot, with the service's generation.
    parents: Vec<(ServiceId, u32)>,
    version: u64,
    routing: u32,
    now: Tick,
}

impl State {
    /// Nothing configured on these devices; each is a link of its name, and its number is its place in the list.
    ///
    /// # Panics
    /// With more than 65 535 devices.
    pub fn new(ports: Vec<PortFacts>) -> Self {
        let mut state = State {
            services: Slots::default(),
            dests: Slots::default(),
            links: Slots::default(),
            addrs: Ordered::default(),
            routes: Ordered::default(),
            neighs: Ordered::default(),
            sets: Ordered::default(),
            timeouts: Timeouts::default(),
            options: Options::default(),
            clock: Clock::default(),
            marks: Vec::new(),
            templates: Arc::default(),
            ports,
            service_at: HashMap::new(),
            dest_at: HashMap::new(),
            link_at: HashMap::new(),
            addr_at: HashMap::new(),
            laddr_uses: HashMap::new(),
            tables: Tables::default(),
            compiled_sets: HashMap::new(),
            parents: Vec::new(),
            version: 1,
            routing: 1,
            now: Tick::default(),
        };
        for at in 0..state.ports.len() {
            let id = u16::try_from(at).expect("devices are numbered by 16 bits");
            let link = Link::of_port(PortId(id), &state.ports[at]);
            state.write(Row::Link(LinkId(id), Some((1, link))));
        }
        state
    }

    /// Makes a change. The change that undoes it: commit that, and everything is as it was.
    pub fn commit(&mut self, change: Change) -> Change {
        self.version += 1;
        let mut undo: Vec<Row> = change.0.into_iter().map(|row| self.write(row)).collect();
        undo.reverse();
        Change(undo)
    }

    /// The change to these timeouts and switches, which come from the configuration file; it needs no decision. What
    /// [`State::set_cookies`] told stays.
    pub fn settings(&self, timeouts: Timeouts, mut options: Options) -> Change {
        let known = &self.options.syn_proxy;
        (options.syn_proxy.key, options.syn_proxy.epoch_ms) = (known.key, known.epoch_ms);
        vec![Row::Timeouts(timeouts), Row::Options(options)].into()
    }

    /// The change to these rules, which give packets their marks and come from the configuration file; it needs no decision.
    pub fn marking(&self, marks: Vec<Marking>) -> Change {
        vec![Row::Marks(marks)].into()
    }

    /// Tells, once at start, the secret that keys of SYN cookies follow from, and the time of day at tick 0 in milliseconds since 1970.
    pub fn set_cookies(&mut self, key: MasterKey, epoch_ms: u64) {
        (self.options.syn_proxy.key, self.options.syn_proxy.epoch_ms) = (key, epoch_ms);
    }

    /// Tells, once at start, where workers remember the clients of persistent services.
    pub fn set_templates(&mut self, templates: Templates) {
        self.templates = Arc::new(templates);
    }

    /// The changes that remove addresses whose lifetime has ended; one that a service uses as local address stays as long as it does.
    pub fn ended(&self) -> Vec<sockopt::Set> {
        let ended = |key: &AddrKey, addr: &Addr| {
            addr.until.is_some_and(|at| at <= self.now)
                && self.laddr_use(key.prefix.addr).is_none_or(|(link, _)| link != key.link)
        };
        let rows = self.addrs.rows().filter(|(key, addr)| ended(key, addr));
        rows.map(|(key, addr)| sockopt::Set::DelAddr { prefix: key.prefix, dev: addr.spec.dev.clone() })
            .collect()
    }

    /// Tells the time: lifetimes of addresses count from the time of the decision. Call it before each request.
    pub fn set_now(&mut self, now: Tick) {
        self.now = now;
    }

    /// Replaces what is known of a device: speed, peer, offloads. What operators configure is untouched.
    pub fn refresh(&mut self, port: PortId, facts: PortFacts) {
        if let Some(known) = self.ports.get_mut(port.index()) {
            *known = facts;
        }
    }

    /// Counts up with every commit, from 1.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Changes with every commit that touches links, addresses, routes, neighbours, access lists, sets, or servers
    /// whose connections end with them.
    pub fn routing(&self) -> u32 {
        self.routing
    }

    /// The devices, by [`PortId`].
    pub fn ports(&self) -> &[PortFacts] {
        &self.ports
    }

    /// Number of services.
    pub fn service_count(&self) -> usize {
        self.service_at.len()
    }

    /// Number of destinations of all services.
    pub fn dest_count(&self) -> usize {
        self.dest_at.len()
    }

    /// The name of a link, for logs.
    pub fn link_name(&self, id: LinkId) -> Option<&str> {
        self.links.get(id.0.into()).map(|link| link.name.as_str())
    }

    /// A service by its slot.
    pub fn service_in(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(id.0).map(|service| &**service)
    }

    /// A destination by its slot, with its generation.
    pub fn dest_in(&self, id: DestId) -> Option<(u32, &Dest)> {
        Some((self.dests.generation(id.0), self.dests.get(id.0)?))
    }

    /// The service of a server that is or was last in a slot, with the service's generation.
    pub(crate) fn parent(&self, id: DestId, generation: u32) -> Option<(ServiceId, u32)> {
        let same = self.dests.generation(id.0) == generation;
        self.parents.get(id.index()).copied().filter(|_| same)
    }

    pub(crate) fn now(&self) -> Tick {
        self.now
    }

    /// # Errors
    /// `NoService`.
    pub(crate) fn service(&self, key: &ServiceKey) -> Result<(ServiceId, &Service), Status> {
        let found = self.service_at.get(key).and_then(|&id| Some((id, self.service_in(id)?)));
        found.ok_or_else(|| Status::new(Code::NoService, format!("no service {key}")))
    }

    pub(crate) fn find_service(&self, key: &ServiceKey) -> Option<ServiceId> {
        self.service_at.get(key).copied()
    }

    pub(crate) fn find_dest(&self, service: ServiceId, addr: SocketAddr) -> Option<(DestId, &Dest)> {
        let id = *self.dest_at.get(&(service, addr))?;
        Some((id, self.dests.get(id.0)?))
    }

    /// # Errors
    /// `NoDevice`, naming the links there are.
    pub(crate) fn link(&self, name: &str) -> Result<(LinkId, &Link), Status> {
        let found = self.link_at.get(name).and_then(|&id| Some((id, self.links.get(id.0.into())?)));
        found.ok_or_else(|| {
            let mut known: Vec<&str> =
                self.links.iter().map(|(_, link)| link.name.as_str()).take(9).collect();
            if known.len() == 9 {
                known[8] = "...";
            }
            Status::new(Code::NoDevice, format!("no link `{name}`: there are {}", known.join(", ")))
        })
    }

    pub(crate) fn find_link(&self, name: &str) -> Option<LinkId> {
        self.link_at.get(name).copied()
    }

    pub(crate) fn link_in(&self, id: LinkId) -> Option<&Link> {
        self.links.get(id.0.into())
    }

    /// The link of a port's untagged frames.
    pub(crate) fn link_of_port(&self, port: PortId) -> Option<&Link> {
        self.links.get(port.0.into())
    }

    /// VLANs of a port.
    pub(crate) fn vlans(&self, port: PortId) -> impl Iterator<Item = (LinkId, &Link)> {
        let links = self.links.iter().map(|(id, link)| (LinkId(id as u16), link));
        links.filter(move |(_, link)| link.port == port && link.vlan.is_some())
    }

    /// The MTU in force: a VLAN's is never above its port's, a tunnel's never above what its headers leave of that.
    pub(crate) fn mtu(&self, link: &Link) -> u16 {
        let port = self.link_of_port(link.port).map_or(link.mtu, |port| port.mtu);
        let front = link.tunnel.as_ref().map_or(0, |tunnel| self.tunnel(tunnel).overhead());
        let most = port.saturating_sub(front);
        if link.mtu == 0 { most } else { link.mtu.min(most) }
    }

    /// A tunnel as workers know it.
    pub(crate) fn tunnel(&self, tunnel: &crate::rows::Tunnel) -> engine::tunnel::Tunnel {
        let end = |end: &TunnelEnd| engine::tunnel::End { key: end.key, csum: end.csum, seq: end.seq };
        let spec = &tunnel.spec;
        engine::tunnel::Tunnel {
            gre: spec.mode == TunnelMode::Gre,
            local: spec.local,
            remote: spec.remote,
            ttl: spec.ttl,
            tos: (spec.tos != 1).then_some(spec.tos),
            input: end(&spec.input),
            output: end(&spec.output),
            sequence: tunnel.sequence.clone(),
            dev: spec.dev.as_ref().and_then(|dev| self.find_link(dev)),
            way: None,
        }
    }

    /// Tunnels, by the number of their link.
    pub(crate) fn tunnels(&self) -> impl Iterator<Item = (LinkId, &crate::rows::Tunnel)> {
        self.links.iter().filter_map(|(id, link)| Some((LinkId(id as u16), link.tunnel.as_ref()?)))
    }

    /// The Ethernet address in force.
    pub(crate) fn mac(&self, link: &Link) -> MacAddr {
        self.link_of_port(link.port).map_or(link.mac, |port| port.mac)
    }

    /// Whether the operator has it up, and its port as well.
    pub(crate) fn is_up(&self, link: &Link) -> bool {
        link.up && self.link_of_port(link.port).is_some_and(|port| port.up)
    }

    /// Where an address is: on which links, with which lengths.
    pub(crate) fn places_of(&self, addr: IpAddr) -> &[AddrKey] {
        self.addr_at.get(&addr).map_or(&[], Vec::as_slice)
    }

    /// Addresses of a link, in the order they were added.
    pub(crate) fn addrs_of(&self, link: LinkId, name: &str) -> impl Iterator<Item = (AddrKey, &Addr)> {
        let on_link = self.addrs.iter().filter(move |addr| addr.spec.dev == name);
        on_link.map(move |addr| (AddrKey { link, prefix: addr.spec.prefix }, addr))
    }

    /// The link a local address is used on and by how many services.
    pub(crate) fn laddr_use(&self, addr: IpAddr) -> Option<(LinkId, u32)> {
        self.laddr_uses.get(&addr).map(|used| (used.link, used.services))
    }

    /// Every local address in use and its link.
    pub(crate) fn laddrs(&self) -> impl Iterator<Item = (IpAddr, LinkId)> {
        self.laddr_uses.iter().map(|(&addr, used)| (addr, used.link))
    }

    /// The set as workers search it.
    pub(crate) fn compiled_set(&self, name: &str) -> Option<Arc<engine::set::Set>> {
        let set = self.sets.get(&name.to_owned())?;
        let compile = || {
            let link = |name: &str| self.find_link(name);
            Arc::new(engine::set::Set::compile(set.spec.kind, set.spec.family, set.members.iter(), link))
        };
        Some(self.compiled_sets.get(name)?.get_or_init(compile).clone())
    }

    /// The services with a set in their access lists, once for each list.
    pub(crate) fn set_users(&self, name: &str) -> Vec<&ServiceKey> {
        let names = |subject: &&AccessSubject| matches!(subject, AccessSubject::Set(set) if set == name);
        let uses = |service: &Service| service.block.iter().chain(&service.allow).filter(names).count();
        let users = self.services.iter().map(|(_, service)| (uses(service), &service.key));
        users.flat_map(|(uses, key)| std::iter::repeat_n(key, uses)).collect()
    }

    /// Replaces a row; the row that was there.
    fn write(&mut self, row: Row) -> Row {
        match row {
            Row::Service(id, new) => self.write_service(id, new),
            Row::Dest(id, new) => self.write_dest(id, new),
            Row::Link(id, new) => {
                self.routing += 1;
                if let Some((_, link)) = &new {
                    self.link_at.insert(link.name.clone(), id);
                }
                // Elements of sets may name it.
                self.compiled_sets.values_mut().for_each(|set| *set = OnceLock::new());
                let name = new.as_ref().map(|(_, link)| link.name.clone());
                let old = self.links.replace(id.0.into(), new);
                if let Some((_, link)) = &old
                    && name.as_ref() != Some(&link.name)
                {
                    self.link_at.remove(&link.name);
                }
                Row::Link(id, old)
            }
            Row::Addr(key, new) => self.write_addr(key, new),
            Row::Route(key, new) => {
                self.routing += 1;
                Row::Route(key, self.routes.replace(key, new))
            }
            Row::Neigh(key, new) => {
                self.routing += 1;
                Row::Neigh(key, self.neighs.replace(key, new))
            }
            Row::Set(name, new) => {
                self.routing += 1;
                match &new {
                    Some(_) => self.compiled_sets.insert(name.clone(), OnceLock::new()),
                    None => self.compiled_sets.remove(&name),
                };
                Row::Set(name.clone(), self.sets.replace(name, new))
            }
            Row::Member(name, element, new) => {
                self.routing += 1;
                self.compiled_sets.insert(name.clone(), OnceLock::new());
                let old = self.sets.get_mut(&name).and_then(|set| match new {
                    Some(member) => set.members.insert(element.clone(), member),
                    None => set.members.remove(&element),
                });
                Row::Member(name, element, old)
            }
            Row::Timeouts(new) => Row::Timeouts(std::mem::replace(&mut self.timeouts, new)),
            Row::Options(new) => Row::Options(std::mem::replace(&mut self.options, new)),
            Row::Marks(new) => Row::Marks(std::mem::replace(&mut self.marks, new)),
        }
    }

    fn write_dest(&mut self, id: DestId, new: Option<(u32, Dest)>) -> Row {
        let key = new.as_ref().map(|(_, dest)| (dest.service, dest.addr));
        if let Some(key) = key {
            self.dest_at.insert(key, id);
            self.parents.resize(self.parents.len().max(id.index() + 1), (ServiceId(0), 0));
            self.parents[id.index()] = (key.0, self.services.generation(key.0.0));
        }
        let old = self.dests.replace(id.0, new);
        if let Some((_, dest)) = &old
            && key != Some((dest.service, dest.addr))
        {
            self.dest_at.remove(&(dest.service, dest.addr));
        }
        Row::Dest(id, old)
    }

    fn write_service(&mut self, id: ServiceId, new: Option<(u32, Box<Service>)>) -> Row {
        if let Some((_, service)) = &new {
            self.service_at.insert(service.key.clone(), id);
        }
        let old = self.services.replace(id.0, new);
        let now = self.services.get(id.0);
        match (&old, now) {
            (Some((generation, old)), Some(now))
                if (*generation, old.revision) == (self.services.generation(id.0), now.revision) => {}
            (_, Some(_)) => self.tables.renew(id),
            (_, None) => self.tables.forget(id),
        }
        if let (Some((_, old)), Some(now)) = (&old, now)
            && ((&old.block, &old.allow) != (&now.block, &now.allow)
                || now.spec.options.expire_quiescent
                    && (old.revision != now.revision || !old.spec.options.expire_quiescent))
        {
            // Connections that are open are judged anew.
            self.routing += 1;
        }
        let (gained, lost) = match (&old, now) {
            (Some((_, old)), Some(now)) if old.laddrs == now.laddrs => (Vec::new(), Vec::new()),
            (old, now) => (
                now.map(|service| service.laddrs.clone()).unwrap_or_default(),
                old.as_ref().map(|(_, service)| service.laddrs.clone()).unwrap_or_default(),
            ),
        };
        if let Some((_, old)) = &old
            && now.is_none_or(|now| now.key != old.key)
        {
            self.service_at.remove(&old.key);
        }
        for (addr, link) in gained {
            let used = self.laddr_uses.entry(addr).or_insert(LaddrUse { link, services: 0 });
            (used.link, used.services) = (link, used.services + 1);
        }
        for (addr, _) in lost {
            if let Some(used) = self.laddr_uses.get_mut(&addr) {
                used.services -= 1;
                if used.services == 0 {
                    self.laddr_uses.remove(&addr);
                }
            }
        }
        Row::Service(id, old)
    }

    fn write_addr(&mut self, key: AddrKey, new: Option<crate::ordered::Placed<Addr>>) -> Row {
        self.routing += 1;
        let present = new.is_some();
        let old = self.addrs.replace(key, new);
        let places = self.addr_at.entry(key.prefix.addr).or_default();
        match (old.is_some(), present) {
            (false, true) => places.push(key),
            (true, false) => places.retain(|&place| place != key),
            _ => {}
        }
        if places.is_empty() {
            self.addr_at.remove(&key.prefix.addr);
        }
        Row::Addr(key, old)
    }
}
