// SPDX-License-Identifier: Apache-2.0
//! The neighbour table of one worker: who answers for a next hop, and which packets wait for it.
//!
//! Fixed in size: entries, and packets waiting in all entries together. States and their times follow what
//! operators of DPVS know: NONE, SEND, REACHABLE, PROBE, DELAY; entries made by hand never change.

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use crate::ids::LinkId;
use crate::link::Mac;
use crate::tick::Tick;
use crate::verdict::DropReason;

/// A slot of the worker's neighbour table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NeighId(pub u32);

/// A slot and the generation that tells its present entry from an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NeighRef {
    /// The slot.
    pub id: NeighId,
    /// Its generation.
    pub generation: u32,
}

impl NeighRef {
    /// Refers to nothing: no entry has this generation.
    pub const NONE: NeighRef = NeighRef { id: NeighId(0), generation: 0 };
}

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing known, nothing asked.
    None,
    /// Asked, no answer yet.
    Send,
    /// Answered or confirmed.
    Reachable,
    /// Not confirmed for a while; still used.
    Probe,
    /// Asked again, still used.
    Delay,
}

impl State {
    /// The word listings show.
    pub fn word(self) -> &'static str {
        match self {
            State::None => "NONE",
            State::Send => "SEND",
            State::Reachable => "REACHABLE",
            State::Probe => "PROBE",
            State::Delay => "DELAY",
        }
    }
}

/// One entry, as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The link.
    pub link: LinkId,
    /// The address asked for.
    pub addr: IpAddr,
    /// Its Ethernet address, once known.
    pub mac: Option<Mac>,
    /// The state.
    pub state: State,
    /// Made by hand.
    pub fixed: bool,
}

/// What the table asks of its owner while time passes.
#[derive(Debug, PartialEq, Eq)]
pub enum NeighEvent<P> {
    /// Ask for `addr`; straight at `mac` where one is known.
    Solicit {
        /// The link.
        link: LinkId,
        /// Whom to ask for.
        addr: IpAddr,
        /// The last known Ethernet address.
        mac: Option<Mac>,
    },
    /// A packet waited in vain.
    Lost(P),
}

struct Entry {
    link: LinkId,
    addr: IpAddr,
    mac: Option<Mac>,
    state: State,
    fixed: bool,
    /// When the state ends.
    until: Tick,
    /// Questions asked since the last answer.
    asked: u8,
    /// First and last of the waiting packets, and their number.
    head: u32,
    tail: u32,
    waiting: u16,
}

struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

struct Held<P> {
    packet: Option<P>,
    /// Longest IP packet towards there, in bytes.
    mtu: u16,
    next: u32,
}

/// Neighbours of one worker.
pub struct NeighTable<P> {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_addr: HashMap<(u16, u128), NeighId, RandomState>,
    held: Vec<Held<P>>,
    held_free: Vec<u32>,
    /// Where the next look for ended states begins.
    sweep: usize,
    /// Reachable without confirmation, in seconds.
    reachable: u32,
    /// Packets that may wait for one neighbour.
    queue: u16,
}

const NIL: u32 = u32::MAX;

/// Questions without an answer before what waits is given up (RFC 1122 2.3.2.1 asks for a limited rate, RFC 4861 10 for three).
const MAX_ASKED: u8 = 3;

/// Milliseconds between two questions (RFC 4861 10: RETRANS_TIMER).
const ASK_EVERY_MS: u64 = 1000;

/// Milliseconds an entry is kept that nobody answered for, so that packets to it fail fast.
const FAILED_MS: u64 = 2000;

impl<P> NeighTable<P> {
    /// A table for `entries` neighbours, 65536 at most, and `held` waiting packets in all.
    pub fn new(entries: usize, held: usize) -> Self {
        let entries = entries.min(1 << 16);
        NeighTable {
            slots: (0..entries).map(|_| Slot { generation: 0, entry: None }).collect(),
            free: (0..entries as u32).rev().collect(),
            by_addr: HashMap::with_capacity_and_hasher(entries, RandomState::default()),
            held: (0..held).map(|_| Held { packet: None, mtu: 0, next: NIL }).collect(),
            held_free: (0..held as u32).rev().collect(),
            sweep: 0,
            reachable: 60,
            queue: 128,
        }
    }

    /// Sets how long an answer counts, in seconds, and how many packets may wait for one neighbour.
    pub fn configure(&mut self, reachable: u32, queue: u16) {
        (self.reachable, self.queue) = (reachable, queue);
    }

    /// Packets waiting.
    pub fn held(&self) -> usize {
        self.held.len() - self.held_free.len()
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The Ethernet address behind a reference, while its entry lives and is usable.
    #[inline(always)]
    pub fn mac(&self, at: NeighRef) -> Option<Mac> {
        let slot = self.slots.get(at.id.0 as usize)?;
        if slot.generation != at.generation { None } else { slot.entry.as_ref()?.mac }
    }

    /// Whether a reference still means the entry it was made for.
    #[inline(always)]
    pub fn is_current(&self, at: NeighRef) -> bool {
        self.slots
            .get(at.id.0 as usize)
            .is_some_and(|slot| slot.generation == at.generation && slot.entry.is_some())
    }

    /// The link of the neighbour a reference means, while its entry lives.
    pub fn link_of(&self, at: NeighRef) -> Option<LinkId> {
        self.entry(at).map(|entry| entry.link)
    }

    /// The entry for a next hop, if there is one.
    pub fn find(&self, link: LinkId, addr: IpAddr) -> Option<NeighRef> {
        let id = *self.by_addr.get(&key(link, addr))?;
        Some(NeighRef { id, generation: self.slots[id.0 as usize].generation })
    }

    /// The entry for a next hop, made if need be.
    ///
    /// # Errors
    /// `NeighTableFull`.
    pub fn resolve(&mut self, link: LinkId, addr: IpAddr, now: Tick) -> Result<NeighRef, DropReason> {
        if let Some(found) = self.find(link, addr) {
            return Ok(found);
        }
        let at = self.free.pop().ok_or(DropReason::NeighTableFull)?;
        let slot = &mut self.slots[at as usize];
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.entry = Some(Entry {
            link,
            addr,
            mac: None,
            state: State::None,
            fixed: false,
            until: now.plus_ms(FAILED_MS),
            asked: 0,
            head: NIL,
            tail: NIL,
            waiting: 0,
        });
        let generation = slot.generation;
        self.by_addr.insert(key(link, addr), NeighId(at));
        Ok(NeighRef { id: NeighId(at), generation })
    }

    /// Lets a packet wait for an unresolved neighbour; it goes on in pieces of `mtu` bytes then. The link and
    /// address to ask for when that has to be done now.
    ///
    /// # Errors
    /// The packet and why it cannot wait: too many do already, or the neighbour has just failed to answer.
    pub fn hold(
        &mut self,
        at: NeighId,
        packet: P,
        mtu: u16,
        now: Tick,
    ) -> Result<Option<(LinkId, IpAddr)>, (P, DropReason)> {
        let Some(entry) = self.slots.get_mut(at.0 as usize).and_then(|slot| slot.entry.as_mut()) else {
            return Err((packet, DropReason::NeighUnreachable));
        };
        if entry.state == State::None && entry.asked >= MAX_ASKED {
            return Err((packet, DropReason::NeighUnreachable));
        }
        let room = self.held_free.last().filter(|_| entry.waiting < self.queue);
        let Some(&place) = room else { return Err((packet, DropReason::NeighQueueFull)) };
        self.held_free.pop();
        self.held[place as usize] = Held { packet: Some(packet), mtu, next: NIL };
        match std::mem::replace(&mut entry.tail, place) {
            NIL => entry.head = place,
            last => self.held[last as usize].next = place,
        }
        entry.waiting += 1;
        let ask = entry.state == State::None;
        if ask {
            (entry.state, entry.asked, entry.until) = (State::Send, 1, now.plus_ms(ASK_EVERY_MS));
        }
        Ok(ask.then_some((entry.link, entry.addr)))
    }

    /// Takes the packets out that wait for a neighbour, in the order they came, each with the MTU it waits with.
    pub fn take_held(&mut self, at: NeighRef) -> Option<(P, u16)> {
        let entry = self.entry_mut(at)?;
        let place = entry.head;
        if place == NIL {
            return None;
        }
        let Held { mtu, next, .. } = self.held[place as usize];
        let packet = self.held[place as usize].packet.take();
        self.held_free.push(place);
        let entry = self.entry_mut(at)?;
        entry.waiting -= 1;
        entry.head = next;
        if next == NIL {
            entry.tail = NIL;
        }
        packet.map(|packet| (packet, mtu))
    }

    /// Notes an answer: `mac` speaks for `addr`. Entries are made only for those that ask us (`asking`): an answer
    /// nobody waits for makes none, and never changes one entered by hand.
    pub fn learn(
        &mut self,
        link: LinkId,
        addr: IpAddr,
        mac: Mac,
        asking: bool,
        now: Tick,
    ) -> Option<NeighRef> {
        let at = match self.find(link, addr) {
            Some(at) => at,
            None if asking => self.resolve(link, addr, now).ok()?,
            None => return None,
        };
        let until = now.plus_secs(self.reachable);
        let entry = self.entry_mut(at)?;
        if !entry.fixed {
            (entry.mac, entry.state, entry.asked, entry.until) = (Some(mac), State::Reachable, 0, until);
        }
        Some(at)
    }

    /// Enters a neighbour by hand.
    ///
    /// # Errors
    /// `NeighTableFull`.
    pub fn set_fixed(
        &mut self,
        link: LinkId,
        addr: IpAddr,
        mac: Mac,
        now: Tick,
    ) -> Result<NeighRef, DropReason> {
        let at = self.resolve(link, addr, now)?;
        if let Some(entry) = self.entry_mut(at) {
            (entry.mac, entry.state, entry.fixed, entry.asked) = (Some(mac), State::Reachable, true, 0);
        }
        Ok(at)
    }

    /// Removes the entries for which `gone` holds; packets that wait there go to `lost`.
    pub fn remove_if(&mut self, mut gone: impl FnMut(&Listed) -> bool, mut lost: impl FnMut(P)) {
        for at in 0..self.slots.len() {
            if self.slots[at].entry.as_ref().is_some_and(|entry| gone(&entry.listed())) {
                self.remove(at, &mut lost);
            }
        }
    }

    fn remove(&mut self, at: usize, lost: &mut impl FnMut(P)) {
        let reference = NeighRef { id: NeighId(at as u32), generation: self.slots[at].generation };
        while let Some((packet, _)) = self.take_held(reference) {
            lost(packet);
        }
        if let Some(entry) = self.slots[at].entry.take() {
            self.by_addr.remove(&key(entry.link, entry.addr));
            self.free.push(at as u32);
        }
    }

    /// Lets time pass: looks at up to `budget` entries whose state may have ended.
    pub fn expire(&mut self, now: Tick, budget: usize, mut event: impl FnMut(NeighEvent<P>)) {
        for _ in 0..budget.min(self.slots.len()) {
            let at = self.sweep;
            self.sweep = (self.sweep + 1) % self.slots.len();
            let ended = self.slots[at].entry.as_ref().is_some_and(|entry| !entry.fixed && entry.until <= now);
            if ended {
                self.end_state(at, now, &mut event);
            }
        }
    }

    fn end_state(&mut self, at: usize, now: Tick, event: &mut impl FnMut(NeighEvent<P>)) {
        let Some(entry) = self.slots[at].entry.as_mut() else { return };
        let (link, addr) = (entry.link, entry.addr);
        match entry.state {
            State::None => self.remove(at, &mut |packet| event(NeighEvent::Lost(packet))),
            State::Reachable => (entry.state, entry.until) = (State::Probe, now),
            State::Probe => {
                (entry.state, entry.asked, entry.until) = (State::Delay, 1, now.plus_ms(ASK_EVERY_MS));
                event(NeighEvent::Solicit { link, addr, mac: entry.mac });
            }
            State::Send | State::Delay if entry.asked < MAX_ASKED => {
                entry.asked += 1;
                entry.until = now.plus_ms(ASK_EVERY_MS);
                // The last question goes to everybody: the neighbour may have another Ethernet address now.
                let mac = entry.mac.filter(|_| entry.asked < MAX_ASKED);
                event(NeighEvent::Solicit { link, addr, mac });
            }
            State::Send | State::Delay => {
                (entry.state, entry.mac, entry.until) = (State::None, None, now.plus_ms(FAILED_MS));
                let reference = NeighRef { id: NeighId(at as u32), generation: self.slots[at].generation };
                while let Some((packet, _)) = self.take_held(reference) {
                    event(NeighEvent::Lost(packet));
                }
            }
        }
    }

    /// Every entry.
    pub fn iter(&self) -> impl Iterator<Item = Listed> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref().map(Entry::listed))
    }

    fn entry(&self, at: NeighRef) -> Option<&Entry> {
        let slot = self.slots.get(at.id.0 as usize)?;
        if slot.generation == at.generation { slot.entry.as_ref() } else { None }
    }

    fn entry_mut(&mut self, at: NeighRef) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(at.id.0 as usize)?;
        if slot.generation == at.generation { slot.entry.as_mut() } else { None }
    }
}

/// The key of an entry: IPv4 addresses as IPv6 maps them, so that both hash fast.
fn key(link: LinkId, addr: IpAddr) -> (u16, u128) {
    let addr = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    (link.0, addr)
}

impl Entry {
    fn listed(&self) -> Listed {
        Listed { link: self.link, addr: self.addr, mac: self.mac, state: self.state, fixed: self.fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkId = LinkId(0);
    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn events(table: &mut NeighTable<u32>, now: u64) -> Vec<NeighEvent<u32>> {
        let mut seen = Vec::new();
        table.expire(Tick(now), usize::MAX, |event| seen.push(event));
        seen
    }

    fn solicit(mac: Option<Mac>) -> NeighEvent<u32> {
        NeighEvent::Solicit { link: LINK, addr: ip(1), mac }
    }

    #[test]
    fn the_first_packet_asks_and_an_answer_releases_all_in_order() {
        let mut table = NeighTable::new(4, 8);
        let at = table.resolve(LINK, ip(1), Tick(0)).expect("room for 4");
        assert_eq!(table.hold(at.id, 1, 1500, Tick(0)), Ok(Some((LINK, ip(1)))));
        assert_eq!(table.hold(at.id, 2, 1500, Tick(0)), Ok(None));
        assert_eq!((table.mac(at), table.held()), (None, 2));
        assert_eq!(table.learn(LINK, ip(1), MAC, false, Tick(5)), Some(at));
        assert_eq!(table.mac(at), Some(MAC));
        let packets: Vec<u32> =
            std::iter::from_fn(|| table.take_held(at)).map(|(packet, _)| packet).collect();
        assert_eq!((packets, table.held()), (vec![1, 2], 0));
    }

    #[test]
    fn nobody_answers_and_what_waits_is_lost_after_three_questions() {
        let mut table = NeighTable::new(4, 8);
        let at = table.resolve(LINK, ip(1), Tick(0)).expect("room for 4");
        assert_eq!(table.hold(at.id, 7, 1500, Tick(0)), Ok(Some((LINK, ip(1)))));
        assert_eq!(events(&mut table, 999), []);
        assert_eq!(events(&mut table, 1000), [solicit(None)]);
        assert_eq!(events(&mut table, 2000), [solicit(None)]);
        assert_eq!(events(&mut table, 3000), [NeighEvent::Lost(7)]);
        assert_eq!(table.hold(at.id, 8, 1500, Tick(3000)), Err((8, DropReason::NeighUnreachable)));
        assert_eq!(events(&mut table, 5000), []);
        assert!(table.is_empty());
        assert!(!table.is_current(at));
    }

    #[test]
    fn a_neighbour_is_asked_again_before_it_is_given_up() {
        let mut table = NeighTable::<u32>::new(4, 8);
        let at = table.learn(LINK, ip(1), MAC, true, Tick(0)).expect("it asked us");
        assert_eq!(events(&mut table, 59_999), []);
        assert_eq!(events(&mut table, 60_000), []);
        assert_eq!(events(&mut table, 60_001), [solicit(Some(MAC))]);
        assert_eq!(table.mac(at), Some(MAC), "used while it is asked about");
        table.learn(LINK, ip(1), MAC, false, Tick(60_500));
        assert_eq!(events(&mut table, 100_000), []);
    }

    #[test]
    fn an_answer_nobody_waits_for_makes_no_entry() {
        let mut table = NeighTable::<u32>::new(4, 8);
        assert_eq!(table.learn(LINK, ip(1), MAC, false, Tick(0)), None);
        assert!(table.is_empty());
    }

    #[test]
    fn entries_made_by_hand_neither_change_nor_age() {
        let mut table = NeighTable::<u32>::new(4, 8);
        let at = table.set_fixed(LINK, ip(1), MAC, Tick(0)).expect("room for 4");
        table.learn(LINK, ip(1), [9; 6], true, Tick(1));
        assert_eq!(events(&mut table, 10_000_000), []);
        assert_eq!(table.mac(at), Some(MAC));
    }

    #[test]
    fn tables_and_queues_are_bounded() {
        let mut table = NeighTable::new(1, 3);
        table.configure(60, 2);
        let at = table.resolve(LINK, ip(1), Tick(0)).expect("room for 1");
        assert_eq!(table.resolve(LINK, ip(2), Tick(0)), Err(DropReason::NeighTableFull));
        assert!(table.hold(at.id, 1, 1500, Tick(0)).is_ok());
        assert!(table.hold(at.id, 2, 1500, Tick(0)).is_ok());
        assert_eq!(table.hold(at.id, 3, 1500, Tick(0)), Err((3, DropReason::NeighQueueFull)));
    }

    #[test]
    fn removal_hands_back_what_waits_and_outdates_references() {
        let mut table = NeighTable::new(2, 4);
        let at = table.resolve(LINK, ip(1), Tick(0)).expect("room for 2");
        assert!(table.hold(at.id, 1, 1500, Tick(0)).is_ok());
        let mut lost = Vec::new();
        table.remove_if(|entry| entry.link == LINK, |packet| lost.push(packet));
        assert_eq!((lost, table.len(), table.held()), (vec![1], 0, 0));
        let again = table.resolve(LINK, ip(1), Tick(0)).expect("room for 2");
        assert_ne!(at, again);
        assert_eq!(table.mac(at), None);
    }
}
