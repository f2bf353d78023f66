// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy: a real server hears of a client only once the client has proved that it receives our answers.
//!
//! ```text
//!   1  client -> vip     SYN       seq C
//!   2  vip -> client     SYN,ACK   seq K, ack C+1    K is a cookie: nothing is remembered, packet 1's buffer is used
//!   3  client -> vip     ACK       seq C+1, ack K+1  the cookie is checked; only now there is a connection
//!   4  laddr -> server   SYN       seq F             with what the client had offered
//!   5  server -> laddr   SYN,ACK   seq R, ack F+1    not passed on; from now on sequence numbers are shifted by K - R
//!   6  laddr -> server   ACK       seq F+1, ack R+1  packet 3, and whatever the client sent since
//! ```
//!
//! `client` has steps 1 to 3, `server` 4 to 6, `translate` what follows.

pub(crate) mod client;
pub mod config;
pub mod cookie;
pub mod counters;
mod guard;
pub mod limit;
mod mac;
pub mod offer;
pub mod segment;
mod server;
pub mod session;
pub mod translate;

use crate::ids::ServiceId;
use crate::snapshot::Service;
use crate::tick::Tick;
use config::Config;
use cookie::Cookies;
use counters::Counters;
use guard::{Guard, Known, Turn};
use limit::PrefixLimiter;
use session::Sessions;

/// What one worker's proxy owns.
pub(crate) struct Proxy<P> {
    pub(crate) cookies: Cookies,
    pub(crate) sessions: Sessions<P>,
    pub(crate) syn_acks: PrefixLimiter,
    pub(crate) resets: PrefixLimiter,
    known: Known,
    fronts: Vec<Front>,
    /// What services that are gone have counted.
    gone: Counters,
}

/// What the proxy has to do with one service, by [`ServiceId`].
struct Front {
    /// The service these are about.
    generation: u32,
    counters: Counters,
    lesson: Lesson,
    /// It has the proxy only under load.
    auto: bool,
    guard: Guard,
}

/// What one worker's proxy has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections it keeps numbers for.
    pub sessions: usize,
    /// Packets that wait for servers.
    pub held: usize,
    /// Bytes of them.
    pub held_bytes: u64,
    /// What services that are gone have counted.
    pub gone: Counters,
    /// Its services, by [`ServiceId`].
    pub services: Vec<Told>,
}

/// What one worker's proxy has to tell about a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The service it is about.
    pub generation: u32,
    /// What it has counted.
    pub counters: Counters,
    /// Whether it stands before the service, which has it only under load.
    pub standing: bool,
}

/// What is agreed on with clients of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The window shift; `None` declines scaling.
    pub(crate) wscale: Option<u8>,
    /// Whether timestamps are agreed on.
    pub(crate) timestamps: bool,
}

/// What the servers of a service were seen to do, and the window shift announced in the present minute and the one before: a cookie
/// tells its minute, so what was announced with it need not be in it.
#[derive(Clone, Copy, Debug)]
struct Lesson {
    wscale: Option<Option<u8>>,
    timestamps: Option<bool>,
    announced: [(u64, Option<u8>); 2],
}

impl Front {
    fn new(generation: u32) -> Self {
        Front {
            generation,
            counters: Counters::default(),
            // No minute has this number.
            lesson: Lesson { wscale: None, timestamps: None, announced: [(u64::MAX, None); 2] },
            auto: false,
            guard: Guard::default(),
        }
    }
}

impl<P> Proxy<P> {
    /// Room for `sessions` connections and `packets` waiting packets.
    pub(crate) fn new(sessions: usize, packets: usize, seed: u64) -> Self {
        Proxy {
            cookies: Cookies::new(config::MasterKey::default()),
            sessions: Sessions::new(sessions, packets),
            syn_acks: PrefixLimiter::new(seed),
            resets: PrefixLimiter::new(!seed),
            known: Known::new(seed.rotate_left(23)),
            fronts: Vec::new(),
            gone: Counters::default(),
        }
    }

    /// Takes note of a new snapshot.
    pub(crate) fn adopt(&mut self, services: &[Option<Service>], config: &Config) {
        if *self.cookies.master() != config.key {
            self.cookies = Cookies::new(config.key);
        }
        let room = services.len().max(self.fronts.len());
        self.fronts.resize_with(room, || Front::new(0));
        for (front, svc) in self.fronts.iter_mut().zip(services) {
            let Some(svc) = svc else { continue };
            if svc.generation != front.generation {
                self.gone += front.counters;
                *front = Front::new(svc.generation);
            }
            front.auto = svc.syn_proxy && svc.proxying.auto;
            if !front.auto {
                front.guard = Guard::default();
            }
        }
    }

    /// The counters of a service.
    #[inline(always)]
    pub(crate) fn count(&mut self, service: ServiceId) -> &mut Counters {
        match self.fronts.get_mut(service.index()) {
            Some(front) => &mut front.counters,
            // A worker that has not adopted this snapshot yet.
            None => &mut self.gone,
        }
    }

    /// The counters of all services, gone ones included.
    pub(crate) fn counted(&self) -> Counters {
        let mut sum = self.gone;
        self.fronts.iter().for_each(|front| sum += front.counters);
        sum
    }

    /// What there is to tell.
    pub(crate) fn report(&self, now: Tick) -> Report {
        let told = |front: &Front| Told {
            generation: front.generation,
            counters: front.counters,
            standing: front.auto && front.guard.stands(now),
        };
        Report {
            sessions: self.sessions.len(),
            held: self.sessions.held(),
            held_bytes: self.sessions.held_bytes(),
            gone: self.gone,
            services: self.fronts.iter().map(told).collect(),
        }
    }

    /// Whether a SYN from `client` to `svc`, which has the proxy only under load, is answered by it.
    #[cold]
    #[inline(never)]
    pub(crate) fn steps_forward(
        &mut self,
        svc: &Service,
        client: std::net::IpAddr,
        config: &Config,
        workers: u16,
        now: Tick,
    ) -> bool {
        let Some(front) = self.fronts.get_mut(svc.id.index()) else { return true };
        match front.guard.syn(&config.auto, workers, now) {
            Turn::On => front.counters.auto_on += 1,
            Turn::Off => front.counters.auto_off += 1,
            Turn::Same => {}
        }
        let stands = front.guard.stands(now) && !self.known.passes(client, now);
        front.counters.passed_by += u64::from(!stands);
        stands
    }

    /// Whether clients of `svc`, which has the proxy only under load, may hold cookies.
    #[cold]
    #[inline(never)]
    pub(crate) fn stood(&self, svc: &Service, now: Tick) -> bool {
        self.fronts.get(svc.id.index()).is_some_and(|front| front.guard.stood(now))
    }

    /// Whether a service has the proxy only under load, so that it must be told of clients that complete their handshakes.
    #[inline(always)]
    pub(crate) fn is_auto(&self, service: ServiceId) -> bool {
        self.fronts.get(service.index()).is_some_and(|front| front.auto)
    }

    /// Notes that a client of a service that has the proxy only under load has completed its handshake.
    #[cold]
    pub(crate) fn proved(
        &mut self,
        service: ServiceId,
        client: std::net::IpAddr,
        config: &Config,
        now: Tick,
    ) {
        if let Some(front) = self.fronts.get_mut(service.index()) {
            front.guard.proved(now);
            self.known.note(client, &config.auto, now);
        }
    }

    /// What to announce to a client of `svc` in minute `slot`: the same window shift all through the minute.
    #[inline(always)]
    fn announce(&mut self, svc: &Service, config: &Config, slot: u64) -> Announced {
        let Some(Front { lesson, .. }) = self.fronts.get_mut(svc.id.index()).filter(|_| config.learn) else {
            return configured(config);
        };
        // Whether they were agreed on, a client's acknowledgement says by itself.
        let timestamps = config.timestamps && lesson.timestamps.unwrap_or(true);
        let (minute, wscale) = lesson.announced[(slot & 1) as usize];
        if minute == slot {
            return Announced { wscale, timestamps };
        }
        // Operators who decline are not overruled.
        let wscale = config.wscale.and_then(|scale| lesson.wscale.unwrap_or(Some(scale)));
        lesson.announced[(slot & 1) as usize] = (slot, wscale);
        Announced { wscale, timestamps }
    }

    /// The window shift announced to a client of `svc` whose cookie is of minute `slot`.
    fn announced_in(&self, svc: &Service, config: &Config, slot: u64) -> Option<u8> {
        let front = self.fronts.get(svc.id.index()).filter(|_| config.learn);
        let noted = front.map(|front| front.lesson.announced[(slot & 1) as usize]);
        noted.filter(|&(minute, _)| minute == slot).map_or(config.wscale, |(_, wscale)| wscale)
    }

    /// Notes what a server answered to an offer of window scaling and of timestamps.
    fn learn(&mut self, svc: &Service, wscale: Option<Option<u8>>, timestamps: Option<bool>) {
        if let Some(Front { lesson, .. }) = self.fronts.get_mut(svc.id.index()) {
            lesson.wscale = wscale.or(lesson.wscale);
            lesson.timestamps = timestamps.or(lesson.timestamps);
        }
    }
}

fn configured(config: &Config) -> Announced {
    Announced { wscale: config.wscale, timestamps: config.timestamps }
}
