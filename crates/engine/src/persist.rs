// SPDX-License-Identifier: Apache-2.0
//! Persistence: the clients of one network go to the server one of them went to (`ipvsadm -p`).
//!
//! What remembers a network's server is a **template**. It lives while connections made from it do, and its service's time longer.
//! A client's connections may reach any worker, so workers share the templates: a lock, one of many, is taken when a connection of a persistent
//! service opens or closes, and never for a packet in between or for any other service.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::quality::FixedState;
use model::service::Granularity;
use model::{ConnEntry, ConnState, EngineData, Transport};
use siphasher::sip128::SipHasher13;

use crate::ids::{DestId, ServiceId};
use crate::tick::Tick;

/// Locks that the templates are shared out to.
const SHARDS: usize = 64;

/// Templates that a [`Templates::default`] has room for.
const FEW: usize = 16 * 1024;

/// How a service remembers clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// Seconds a network is remembered after its last connection, from 1.
    pub timeout: u32,
    /// Which clients are one network.
    pub granularity: Granularity,
    /// SIP datagrams are known by their call (`--pe sip`).
    pub sip: bool,
}

/// What a template is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The service.
    pub service: ServiceId,
    /// Tells the service from an earlier one in the same slot.
    pub generation: u32,
    /// Whom it is of.
    pub who: Who,
}

/// Whom a service remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The clients of a network.
    Network(IpAddr),
    /// The parties of a call, by a hash of its identifier ([`Templates::call`]).
    Call(u128),
}

/// A server, told from a later one in the same slot.
pub type Chosen = (DestId, u32);

/// What a template tells besides its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The client's network, or the client of a call.
    pub network: IpAddr,
    /// The identifier of the call.
    pub call: Option<Box<[u8]>>,
    /// The mark its service is found by.
    pub mark: Option<NonZeroU32>,
    /// Protocol of the connection it was made for.
    pub transport: Transport,
    /// What clients of the service send to; port 0 for any port.
    pub virt: SocketAddr,
    /// Where the server listens; port 0 for the port the client asks for.
    pub server: SocketAddr,
    /// Idle seconds.
    pub timeout: u32,
}

/// The number of a template while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateId(pub(crate) u32);

#[derive(Clone, Debug)]
struct Template {
    key: Key,
    dest: Chosen,
    about: About,
    /// When it ends, unless connections hold it.
    until: Tick,
    /// Connections made from it.
    held: u32,
    /// A connection made from it was answered.
    assured: bool,
    /// It is found by its key; otherwise another one took its place.
    found: bool,
}

impl Template {
    /// Whether its time is up. One that is held has a time again and again.
    fn is_over(&mut self, now: Tick) -> bool {
        if self.until > now {
            return false;
        }
        if self.held == 0 {
            return true;
        }
        let time = u64::from(self.about.timeout.max(1)) * 1000;
        self.until = self.until.plus_ms((now.since(self.until) / time + 1) * time);
        false
    }
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Option<Template>>,
    free: Vec<u32>,
    by_key: HashMap<Key, u32, FixedState>,
    /// Where the search for templates whose time is up goes on.
    swept: usize,
}

impl Shard {
    fn find(&mut self, key: &Key, now: Tick) -> Option<(u32, &mut Template)> {
        let at = *self.by_key.get(key)?;
        if self.slots[at as usize].as_mut().is_none_or(|template| template.is_over(now)) {
            self.remove(at);
            return None;
        }
        self.slots[at as usize].as_mut().map(|template| (at, template))
    }

    /// Takes a template from those that are found. It goes with the last connection made from it.
    fn forget(&mut self, at: u32) {
        let Some(Some(template)) = self.slots.get_mut(at as usize) else { return };
        if std::mem::take(&mut template.found) {
            self.by_key.remove(&template.key);
        }
        if template.held == 0 {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: u32) {
        if let Some(template) = self.slots[at as usize].take() {
            if template.found {
                self.by_key.remove(&template.key);
            }
            self.free.push(at);
        }
    }
}

/// The templates of all services.
#[derive(Debug)]
pub struct Templates {
    shards: Vec<Mutex<Shard>>,
    /// Templates in each shard, at most.
    room: usize,
    seed: FixedState,
    /// So that nobody makes two calls look like one.
    call_key: (u64, u64),
    /// There was ever one: most directors have no persistent service, and are not to pay for any.
    used: AtomicBool,
    /// Milliseconds: the latest [`Tick`] that any worker told.
    now: AtomicU64,
}

impl Default for Templates {
    fn default() -> Self {
        Templates::new(FEW, 0)
    }
}

impl Templates {
    /// Room for about `capacity` templates; `seed` makes their places unpredictable.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let shard = || {
            Mutex::new(Shard {
                by_key: HashMap::with_hasher(FixedState::with_seed(seed)),
                ..Shard::default()
            })
        };
        Templates {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            room: capacity.div_ceil(SHARDS).max(1),
            seed: FixedState::with_seed(!seed),
            call_key: (FixedState::with_seed(seed).hash_one(1), FixedState::with_seed(seed).hash_one(2)),
            used: AtomicBool::new(false),
            now: AtomicU64::new(0),
        }
    }

    /// A call, by its identifier.
    pub fn call(&self, id: &[u8]) -> Who {
        Who::Call(SipHasher13::new_with_keys(self.call_key.0, self.call_key.1).hash(id).as_u128())
    }

    /// The server of a network. One for which `serves` does not stand is forgotten.
    pub fn find(&self, key: &Key, now: Tick, serves: impl FnOnce(Chosen) -> bool) -> Option<Chosen> {
        let mut shard = self.lock(self.shard_of(key));
        let (at, template) = shard.find(key, now)?;
        let dest = template.dest;
        if serves(dest) {
            return Some(dest);
        }
        shard.forget(at);
        None
    }

    /// Remembers the server of a network, and tells which one it has now: another worker may have chosen in the meantime. `None` when
    /// there is no room.
    pub fn remember(&self, key: &Key, dest: Chosen, about: About, now: Tick) -> Option<Chosen> {
        self.used.store(true, Ordering::Relaxed);
        let mut shard = self.lock(self.shard_of(key));
        if let Some((_, template)) = shard.find(key, now) {
            return Some(template.dest);
        }
        let until = now.plus_secs(about.timeout);
        let template = Template { key: *key, dest, about, until, held: 0, assured: false, found: true };
        let at = match shard.free.pop() {
            Some(at) => {
                shard.slots[at as usize] = Some(template);
                at
            }
            None if shard.slots.len() < self.room => {
                shard.slots.push(Some(template));
                shard.slots.len() as u32 - 1
            }
            None => return None,
        };
        shard.by_key.insert(*key, at);
        Some(dest)
    }

    /// Forgets the server of a network, which is to have another one.
    pub fn forget(&self, key: &Key) {
        let mut shard = self.lock(self.shard_of(key));
        if let Some(&at) = shard.by_key.get(key) {
            shard.forget(at);
        }
    }

    /// A connection with `dest` was made from a template: that holds it, and its time begins anew. `assured` if the connection needs no
    /// answer to be one. `None` when the network has another server by now.
    pub fn hold(&self, key: &Key, dest: Chosen, assured: bool, now: Tick) -> Option<TemplateId> {
        let number = self.shard_of(key);
        let mut shard = self.lock(number);
        let (at, template) = shard.find(key, now).filter(|(_, template)| template.dest == dest)?;
        template.held += 1;
        template.until = now.plus_secs(template.about.timeout);
        template.assured |= assured;
        Some(TemplateId(at * SHARDS as u32 + number as u32))
    }

    /// A connection made from a template was answered.
    pub fn assure(&self, id: TemplateId) {
        self.with(id, |template| template.assured = true);
    }

    /// A connection made from a template is over.
    pub fn release(&self, id: TemplateId) {
        let now = Tick(self.now.load(Ordering::Relaxed));
        let mut shard = self.lock(id.0 as usize % SHARDS);
        let at = id.0 / SHARDS as u32;
        let Some(Some(template)) = shard.slots.get_mut(at as usize) else { return };
        // While it is held still: that gives it the time it has.
        let over = template.is_over(now);
        template.held = template.held.saturating_sub(1);
        if template.held == 0 && (over || !template.found) {
            shard.remove(at);
        }
    }

    fn with(&self, id: TemplateId, what: impl FnOnce(&mut Template)) {
        let mut shard = self.lock(id.0 as usize % SHARDS);
        if let Some(Some(template)) = shard.slots.get_mut(id.0 as usize / SHARDS) {
            what(template);
        }
    }

    /// Lets time pass for the part of the templates that is worker `worker`'s of `workers`: looks at up to `budget` of each lock's.
    pub fn sweep(&self, (worker, workers): (usize, usize), budget: usize, now: Tick) {
        if !self.used.load(Ordering::Relaxed) {
            return;
        }
        self.now.fetch_max(now.0, Ordering::Relaxed);
        for number in (worker..SHARDS).step_by(workers.max(1)) {
            let mut shard = self.lock(number);
            let from = if shard.swept < shard.slots.len() { shard.swept } else { 0 };
            let to = shard.slots.len().min(from + budget);
            for at in from..to {
                if shard.slots[at].as_mut().is_some_and(|template| template.is_over(now)) {
                    shard.remove(at as u32);
                }
            }
            shard.swept = to;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.guards().map(|shard| shard.by_key.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.guards().all(|shard| shard.by_key.is_empty())
    }

    /// How many each server has.
    pub fn by_server(&self) -> HashMap<Chosen, u32> {
        let mut counts = HashMap::new();
        for shard in self.guards() {
            for template in shard.slots.iter().flatten().filter(|template| template.found) {
                *counts.entry(template.dest).or_default() += 1;
            }
        }
        counts
    }

    /// The templates of the locks from number `from` on, until there are `max` of them or more, and the number to go on with; `None` at
    /// the end.
    pub fn list(&self, from: usize, max: usize, now: Tick) -> (Vec<ConnEntry>, Option<usize>) {
        let mut entries = Vec::new();
        for number in from..SHARDS {
            if entries.len() >= max {
                return (entries, Some(number));
            }
            let mut shard = self.lock(number);
            let templates = shard.slots.iter_mut().flatten().filter(|template| template.found);
            entries.extend(
                templates.filter_map(|template| (!template.is_over(now)).then(|| entry(template, now))),
            );
        }
        (entries, None)
    }

    fn guards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        (0..SHARDS).map(|number| self.lock(number))
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Shard> {
        // No worker panics while it holds one; if it did, what it left is as good as anything.
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard_of(&self, key: &Key) -> usize {
        (self.seed.hash_one(key) >> 32) as usize % SHARDS
    }
}

fn entry(template: &Template, now: Tick) -> ConnEntry {
    let about = &template.about;
    let data =
        |call: &[u8]| EngineData { name: "sip".to_owned(), data: String::from_utf8_lossy(call).into_owned() };
    ConnEntry {
        lcore: 0,
        transport: about.transport,
        state: if template.assured { ConnState::Established } else { ConnState::None },
        expires: (template.until.since(now) / 1000) as u32,
        client: (about.network, 0).into(),
        virt: about.virt,
        local: (about.network, 0).into(),
        dest: about.server,
        template: true,
        mark: about.mark,
        engine: about.call.as_deref().map(data),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEST: Chosen = (DestId(3), 1);

    fn key(n: u8) -> Key {
        Key { service: ServiceId(1), generation: 1, who: Who::Network(IpAddr::from([192, 0, 2, n])) }
    }

    fn about() -> About {
        let at = |last| SocketAddr::from(([10, 0, 0, last], 80));
        About {
            network: IpAddr::from([192, 0, 2, 0]),
            call: None,
            mark: None,
            transport: Transport::Tcp,
            virt: at(1),
            server: at(2),
            timeout: 10,
        }
    }

    fn at(secs: u64) -> Tick {
        Tick(secs * 1000)
    }

    #[test]
    fn a_template_ends_when_its_time_is_up() {
        let all = Templates::new(64, 1);
        assert_eq!(all.remember(&key(1), DEST, about(), at(0)), Some(DEST));
        assert_eq!(all.find(&key(1), at(9), |_| true), Some(DEST));
        assert_eq!(all.find(&key(2), at(9), |_| true), None);
        assert_eq!(all.find(&key(1), at(10), |_| true), None);
        assert!(all.is_empty());
    }

    #[test]
    fn connections_keep_it_and_each_begins_its_time_anew() {
        let all = Templates::new(64, 1);
        all.remember(&key(1), DEST, about(), at(0));
        let id = all.hold(&key(1), DEST, false, at(5)).expect("it is there");
        assert_eq!(all.hold(&key(1), (DestId(4), 1), false, at(5)), None, "its server is another one");
        all.sweep((0, 1), 100, at(1000));
        assert_eq!(all.find(&key(1), at(1000), |_| true), Some(DEST));
        all.release(id);
        // Held, it had a new time every 10 s from 15 s on: the last one ends at 1005 s.
        assert_eq!(all.list(0, 9, at(1000)).0[0].expires, 5);
        all.sweep((0, 1), 100, at(1005));
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn the_first_of_two_workers_decides() {
        let all = Templates::new(64, 1);
        all.remember(&key(1), DEST, about(), at(0));
        assert_eq!(all.remember(&key(1), (DestId(9), 1), about(), at(1)), Some(DEST));
        assert_eq!(all.by_server(), HashMap::from([(DEST, 1)]));
    }

    #[test]
    fn a_server_that_serves_no_more_is_forgotten_while_its_connections_last() {
        let all = Templates::new(10 * SHARDS, 1);
        all.remember(&key(1), DEST, about(), at(0));
        let old = all.hold(&key(1), DEST, true, at(0)).expect("it is there");
        assert_eq!(all.find(&key(1), at(1), |_| false), None);
        let other = (DestId(4), 1);
        assert_eq!(all.remember(&key(1), other, about(), at(1)), Some(other));
        all.release(old);
        assert_eq!((all.len(), all.find(&key(1), at(2), |_| true)), (1, Some(other)));
        assert_eq!(
            all.shards.iter().map(|s| s.lock().unwrap().slots.iter().flatten().count()).sum::<usize>(),
            1
        );
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let all = Templates::new(1, 1);
        let kept: Vec<u8> =
            (0..=255).filter(|&n| all.remember(&key(n), DEST, about(), at(0)).is_some()).collect();
        assert!((SHARDS / 2..=SHARDS).contains(&kept.len()), "one for each lock: {}", kept.len());
        (0..SHARDS).for_each(|worker| all.sweep((worker, SHARDS), 1, at(10)));
        assert!(all.is_empty());
        assert!(all.remember(&key(kept[0]), DEST, about(), at(10)).is_some());
    }
}
