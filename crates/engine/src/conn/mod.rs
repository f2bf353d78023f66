// SPDX-License-Identifier: Apache-2.0
//! The connection table of one worker: a slab of connections, one hash index for both directions, a timer wheel.
//!
//! Sized at the start: a full table refuses new connections. Nobody else ever looks into it.

pub mod entry;
mod index;
pub mod tuple;
pub mod wheel;
mod wide;

use std::net::IpAddr;

use foldhash::quality::FixedState;

pub use entry::{Conn, ConnId, Dir, Egress, Ends, NewConn};
pub use tuple::{Tuple, Tuple4, Tuple6};

use crate::forward::Forwarding;
use crate::persist::TemplateId;
use crate::preface::Preface;
use crate::tick::Tick;
use crate::verdict::DropReason;
use entry::{NIL, Traits};
use index::{Guess, Index};
use wheel::Wheel;
use wide::Wide;

/// Connections of one worker.
pub struct ConnTable {
    conns: Vec<Conn>,
    wide: Wide,
    /// The templates held for connections, by slot. Asked for zeroed, so that only persistent services cost memory.
    templates: Vec<u32>,
    /// Idle seconds of the established state instead of the protocol's, by slot. Likewise.
    own_timeouts: Vec<u32>,
    /// What belongs to each [`Conn::preface`]: the first number of the client's data, or the slot of a header on its way. Likewise.
    prefaces: Vec<u32>,
    /// Free slots below the end of `conns`; the one freed last is taken first.
    free: Vec<u32>,
    capacity: usize,
    index: Index,
    wheel: Wheel,
    seed: FixedState,
    /// Connections were opened since hints were last begun.
    grown: bool,
}

/// What a search is made with: hashed once, used for warming and finding.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// The packet's addresses and ports.
    pub tuple: Tuple,
    /// The packet's IP protocol.
    pub proto: u8,
    hash: u64,
    /// What a look at the index told.
    hint: Guess,
}

impl Probe {
    /// Finds nothing.
    pub const NOTHING: Probe = Probe {
        tuple: Tuple::V4(Tuple4 { src: 0, dst: 0, sport: 0, dport: 0 }),
        proto: 0,
        hash: 0,
        hint: Guess::Unknown,
    };

    /// For a packet whose connection is nobody's concern.
    #[inline(always)]
    pub(crate) fn unhashed(tuple: Tuple, proto: u8) -> Probe {
        Probe { tuple, proto, ..Probe::NOTHING }
    }
}

impl ConnTable {
    /// A table for `capacity` connections; `seed` makes its hash unpredictable.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, (u32::MAX / 2 - 1) as usize);
        ConnTable {
            conns: Vec::with_capacity(capacity),
            wide: Wide::new(capacity),
            templates: vec![0; capacity],
            own_timeouts: vec![0; capacity],
            prefaces: vec![0; capacity],
            free: Vec::with_capacity(capacity),
            capacity,
            index: Index::new(2 * capacity),
            wheel: Wheel::new(NIL),
            seed: FixedState::with_seed(seed),
            grown: false,
        }
    }

    /// Before the probes of a burst are made: hints of earlier ones do not count any more.
    #[inline(always)]
    pub fn begin_hints(&mut self) {
        self.grown = false;
    }

    /// Connections in it.
    pub fn len(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// Whether it has no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes set aside for it, both directions and the index included.
    pub fn bytes(&self) -> usize {
        let each = size_of::<Conn>() + 3 * size_of::<u32>();
        self.index.bytes() + self.wide.bytes() + self.conns.capacity() * each
    }

    /// A search for the connection a packet belongs to.
    #[inline(always)]
    pub fn probe(&self, tuple: Tuple, proto: u8) -> Probe {
        Probe { tuple, proto, hash: tuple.place(proto, &self.seed), hint: Guess::Unknown }
    }

    /// Touches the index line `probe` will need.
    #[inline(always)]
    pub fn warm_index(&self, probe: &Probe) -> u16 {
        self.index.warm(probe.hash)
    }

    /// Touches the lines of the connection `probe` will probably find, and notes which it is; of the slot a new one would get when
    /// there is none. `new` counts those.
    #[inline(always)]
    pub fn warm_conn(&self, probe: &mut Probe, new: &mut usize) -> u32 {
        probe.hint = self.index.guess(probe.hash);
        let id = match probe.hint {
            Guess::Perhaps(reference) => Some(ConnId(reference >> 1)),
            Guess::Absent | Guess::Unknown => {
                *new += 1;
                self.free.len().checked_sub(*new).map(|at| ConnId(self.free[at]))
            }
        };
        let Some(id) = id else { return 0 };
        let wide = if let Tuple::V6(_) = probe.tuple { self.wide.warm(id) } else { 0 };
        let conn = self.get(id);
        conn.last_seen ^ conn.next ^ wide as u32
    }

    /// Touches the index lines that a removal will need.
    #[inline(always)]
    pub fn warm_removal(&self, id: ConnId) -> u16 {
        let proto = self.get(id).proto;
        let hash = |dir| self.tuple(id, dir).place(proto, &self.seed);
        self.index.warm(hash(Dir::Inbound)) ^ self.index.warm(hash(Dir::Outbound))
    }

    /// The connection and direction of a packet.
    #[inline(always)]
    pub fn find(&self, probe: &Probe) -> Option<(ConnId, Dir)> {
        match probe.hint {
            // Whatever happened since the hint was taken: a connection with this tuple is the one.
            Guess::Perhaps(reference) if self.is(reference, probe) => {
                return Some((ConnId(reference >> 1), dir_of(reference)));
            }
            Guess::Absent if !self.grown => return None,
            _ => {}
        }
        let reference = self.index.find(probe.hash, |reference| self.is(reference, probe))?;
        Some((ConnId(reference >> 1), dir_of(reference)))
    }

    #[inline(always)]
    fn is(&self, reference: u32, probe: &Probe) -> bool {
        let (id, dir) = (ConnId(reference >> 1), dir_of(reference));
        let conn = self.get(id);
        let (own, six) = (conn.tuples[dir as usize], conn.six[dir as usize]);
        conn.proto == probe.proto
            && match probe.tuple {
                Tuple::V4(tuple) => !six && own == tuple,
                Tuple::V6(Tuple6 { src, dst, sport, dport }) => {
                    six && (own.sport, own.dport) == (sport, dport) && self.wide.get(id, dir) == (src, dst)
                }
            }
    }

    /// What packets of a direction carry.
    #[inline(always)]
    pub fn tuple(&self, id: ConnId, dir: Dir) -> Tuple {
        let conn = self.get(id);
        let own = conn.tuples[dir as usize];
        if conn.is_ipv6(dir) {
            let (src, dst) = self.wide.get(id, dir);
            Tuple::V6(Tuple6 { src, dst, sport: own.sport, dport: own.dport })
        } else {
            Tuple::V4(own)
        }
    }

    /// The address of a connection's server.
    pub fn server(&self, id: ConnId) -> IpAddr {
        self.tuple(id, Dir::Outbound).source().ip().to_canonical()
    }

    /// A connection.
    #[inline(always)]
    pub fn get(&self, id: ConnId) -> &Conn {
        &self.conns[id.0 as usize]
    }

    /// A connection, to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, id: ConnId) -> &mut Conn {
        &mut self.conns[id.0 as usize]
    }

    /// Whether a packet with this tuple would find a connection.
    pub fn is_taken(&self, tuple: Tuple, proto: u8) -> bool {
        self.find(&self.probe(tuple, proto)).is_some()
    }

    /// Opens a connection that idles out after `timeout_secs`, plus `jitter` (0 to 15) sixteenths of a second.
    ///
    /// # Errors
    /// `ConnTableFull`, or `ConnClash` when either tuple belongs to another connection already. Nothing changed then.
    pub fn insert(
        &mut self,
        new: &NewConn,
        timeout_secs: u32,
        jitter: u8,
        now: Tick,
    ) -> Result<ConnId, DropReason> {
        if self.len() >= self.capacity {
            return Err(DropReason::ConnTableFull);
        }
        let probes = [self.probe(new.inbound, new.proto), self.probe(new.outbound, new.proto)];
        let found = found(new.forwarding, new.one_packet);
        if found.iter().any(|&dir| self.find(&probes[dir as usize]).is_some()) {
            return Err(DropReason::ConnClash);
        }
        self.grown = true;
        let id = self.fill(new, now);
        for &dir in found {
            if !self.index.insert(probes[dir as usize].hash, id.0 << 1 | dir as u32) {
                if found.len() == 2 && dir == Dir::Outbound {
                    self.index.remove(probes[0].hash, id.0 << 1);
                }
                self.give_back(id);
                return Err(DropReason::ConnTableFull);
            }
        }
        let conn = self.get_mut(id);
        conn.timeout = wheel::secs(timeout_secs);
        conn.jitter = jitter & 15;
        self.arm(id);
        Ok(id)
    }

    fn fill(&mut self, new: &NewConn, now: Tick) -> ConnId {
        let conn = Conn {
            proto: new.proto,
            service: new.service,
            dest: new.dest,
            dest_generation: new.dest_generation,
            forwarding: new.forwarding,
            preface: new.preface,
            plans: new.plans,
            lease: new.lease.unwrap_or(NIL),
            last_seen: wheel::ticks(now),
            traits: Traits(
                if new.one_packet { Traits::ONE_PACKET } else { 0 }
                    | if new.conn_timeout != 0 { Traits::OWN_TIMEOUT } else { 0 },
            ),
            ..Conn::FREE
        };
        let id = self.take_slot();
        *self.get_mut(id) = conn;
        if new.conn_timeout != 0 {
            self.own_timeouts[id.0 as usize] = new.conn_timeout;
        }
        self.write(id, Dir::Inbound, new.inbound);
        self.write(id, Dir::Outbound, new.outbound);
        id
    }

    fn take_slot(&mut self) -> ConnId {
        self.free.pop().map(ConnId).unwrap_or_else(|| {
            self.conns.push(Conn::FREE);
            ConnId(self.conns.len() as u32 - 1)
        })
    }

    fn write(&mut self, id: ConnId, dir: Dir, tuple: Tuple) {
        let conn = self.get_mut(id);
        match tuple {
            Tuple::V4(tuple) => conn.tuples[dir as usize] = tuple,
            Tuple::V6(Tuple6 { src, dst, sport, dport }) => {
                conn.tuples[dir as usize] = Tuple4 { src: 0, dst: 0, sport, dport };
                conn.six[dir as usize] = true;
                self.wide.set(id, dir, (src, dst));
            }
        }
    }

    fn give_back(&mut self, id: ConnId) {
        *self.get_mut(id) = Conn::FREE;
        self.free.push(id.0);
    }

    /// Removes a connection.
    pub fn remove(&mut self, id: ConnId) {
        self.disarm(id);
        let conn = *self.get(id);
        let (proto, forwarding) = (conn.proto, conn.forwarding);
        for &dir in found(forwarding, conn.is_one_packet()) {
            let hash = self.tuple(id, dir).place(proto, &self.seed);
            let there = self.index.remove(hash, id.0 << 1 | dir as u32);
            debug_assert!(there, "what packets find a connection by is in the index");
        }
        self.give_back(id);
    }

    /// A template is held for a connection.
    pub(crate) fn set_template(&mut self, id: ConnId, template: TemplateId) {
        self.get_mut(id).traits.0 |= Traits::PERSISTENT;
        self.templates[id.0 as usize] = template.0;
    }

    /// Says what a connection has to do with the PROXY protocol, and what belongs to that.
    pub(crate) fn set_preface(&mut self, id: ConnId, preface: Preface, word: u32) {
        self.get_mut(id).preface = preface;
        self.prefaces[id.0 as usize] = word;
    }

    /// What belongs to a connection's [`Conn::preface`].
    pub(crate) fn preface_word(&self, id: ConnId) -> u32 {
        self.prefaces[id.0 as usize]
    }

    /// The template held for a connection, if any.
    #[inline(always)]
    pub(crate) fn template(&self, id: ConnId) -> Option<TemplateId> {
        self.get(id).traits.has(Traits::PERSISTENT).then(|| TemplateId(self.templates[id.0 as usize]))
    }

    /// Idle seconds of a connection's established state instead of the protocol's; 0 for the protocol's.
    #[inline(always)]
    pub(crate) fn own_timeout(&self, id: ConnId) -> u32 {
        if self.get(id).traits.has(Traits::OWN_TIMEOUT) { self.own_timeouts[id.0 as usize] } else { 0 }
    }

    /// Notes that a connection was used.
    #[inline(always)]
    pub fn touch(&mut self, id: ConnId, now: Tick) {
        self.get_mut(id).last_seen = wheel::ticks(now);
    }

    /// Gives a connection another idle time. The wheel is only told when it has to come earlier.
    #[inline(always)]
    pub fn set_timeout(&mut self, id: ConnId, timeout_secs: u32) {
        let timeout = wheel::secs(timeout_secs);
        if timeout != self.get(id).timeout {
            self.change_timeout(id, timeout);
        }
    }

    #[inline(never)]
    fn change_timeout(&mut self, id: ConnId, timeout: u32) {
        let shorter = timeout < self.get(id).timeout;
        self.get_mut(id).timeout = timeout;
        if shorter {
            self.disarm(id);
            self.arm(id);
        }
    }

    /// Gives a connection that was taken off the wheel another idle time and puts it back.
    pub fn restart(&mut self, id: ConnId, timeout_secs: u32) {
        self.disarm(id);
        self.get_mut(id).timeout = wheel::secs(timeout_secs);
        self.arm(id);
    }

    /// Seconds until a connection expires if nothing more is seen.
    pub fn expires_in(&self, id: ConnId, now: Tick) -> u32 {
        let left = due(self.get(id)).wrapping_sub(wheel::ticks(now)) as i32;
        wheel::in_secs(left.max(0) as u32)
    }

    /// The next connection whose time is up, removed from the wheel but not from the table; look at no more than
    /// `budget` connections, which is counted down. `None` when time has caught up or the budget is used.
    pub fn next_expired(&mut self, now: Tick, budget: &mut u32) -> Option<ConnId> {
        let now = wheel::ticks(now);
        while (now.wrapping_sub(self.wheel.at) as i32) >= 0 {
            let head = self.wheel.head(NIL);
            if head == NIL {
                self.wheel.at = self.wheel.at.wrapping_add(1);
                continue;
            }
            if *budget == 0 {
                return None;
            }
            *budget -= 1;
            let id = ConnId(head);
            self.disarm(id);
            if (due(self.get(id)).wrapping_sub(now) as i32) <= 0 {
                return Some(id);
            }
            self.arm_after(id, 1);
        }
        None
    }

    /// Every connection from slot `from` on, with its number.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = ConnId> {
        (from..self.conns.len()).filter(|&at| self.conns[at].proto != 0).map(|at| ConnId(at as u32))
    }

    /// Puts a connection back on the wheel, for instance when its expiry is put off.
    pub fn arm(&mut self, id: ConnId) {
        self.arm_after(id, 0);
    }

    fn arm_after(&mut self, id: ConnId, ahead: u32) {
        let due = due(self.get(id));
        let soonest = self.wheel.at.wrapping_add(ahead);
        let due = if (due.wrapping_sub(soonest) as i32) < 0 { soonest } else { due };
        let slot = self.wheel.slot(due, id.0);
        let head = self.wheel.heads[usize::from(slot)];
        let conn = self.get_mut(id);
        (conn.slot, conn.prev, conn.next) = (slot, NIL, head);
        if head != NIL {
            self.conns[head as usize].prev = id.0;
        }
        self.wheel.heads[usize::from(slot)] = id.0;
    }

    fn disarm(&mut self, id: ConnId) {
        let Conn { slot, prev, next, .. } = *self.get(id);
        match prev {
            NIL if self.wheel.heads[usize::from(slot)] == id.0 => self.wheel.heads[usize::from(slot)] = next,
            NIL => return,
            prev => self.conns[prev as usize].next = next,
        }
        if next != NIL {
            self.conns[next as usize].prev = prev;
        }
        let conn = self.get_mut(id);
        (conn.prev, conn.next) = (NIL, NIL);
    }
}

/// The directions whose packets find a connection. Nobody searches for what never comes, and a client's next datagram must not find one that
/// was for a single packet.
fn found(forwarding: Forwarding, one_packet: bool) -> &'static [Dir] {
    match (forwarding.is_two_way(), one_packet) {
        (true, false) => &[Dir::Inbound, Dir::Outbound],
        (false, false) => &[Dir::Inbound],
        (true, true) => &[Dir::Outbound],
        (false, true) => &[],
    }
}

/// When a connection expires if nothing more is seen, in wheel ticks.
fn due(conn: &Conn) -> u32 {
    conn.last_seen.wrapping_add(conn.timeout).wrapping_add(u32::from(conn.jitter))
}

#[inline(always)]
fn dir_of(reference: u32) -> Dir {
    if reference & 1 == 0 { Dir::Inbound } else { Dir::Outbound }
}

#[cfg(test)]
mod tests;
