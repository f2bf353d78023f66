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
pub mod limit;
pub mod offer;
pub mod segment;
mod server;
pub mod session;
pub mod translate;

use crate::snapshot::Service;
use config::Config;
use cookie::Cookies;
use counters::Counters;
use limit::PrefixLimiter;
use session::Sessions;

/// What one worker's proxy owns.
pub(crate) struct Proxy<P> {
    pub(crate) cookies: Cookies,
    pub(crate) sessions: Sessions<P>,
    pub(crate) counters: Counters,
    pub(crate) syn_acks: PrefixLimiter,
    pub(crate) resets: PrefixLimiter,
    lessons: Vec<Lesson>,
}

/// What is agreed on with clients of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The window shift; `None` declines scaling.
    pub(crate) wscale: Option<u8>,
    /// Whether timestamps are agreed on.
    pub(crate) timestamps: bool,
}

/// What the servers of a service were seen to do, and what was announced in the present minute and the one before: a cookie
/// tells its minute, so what was announced with it need not be in it.
#[derive(Clone, Copy, Debug)]
struct Lesson {
    generation: u32,
    wscale: Option<Option<u8>>,
    timestamps: Option<bool>,
    announced: [(u64, Announced); 2],
}

impl<P> Proxy<P> {
    /// Room for `sessions` connections and `packets` waiting packets.
    pub(crate) fn new(sessions: usize, packets: usize, seed: u64) -> Self {
        Proxy {
            cookies: Cookies::new(config::MasterKey::default()),
            sessions: Sessions::new(sessions, packets),
            counters: Counters::default(),
            syn_acks: PrefixLimiter::new(seed),
            resets: PrefixLimiter::new(!seed),
            lessons: Vec::new(),
        }
    }

    /// Takes note of a new snapshot.
    pub(crate) fn adopt(&mut self, services: &[Option<Service>], config: &Config) {
        if *self.cookies.master() != config.key {
            self.cookies = Cookies::new(config.key);
        }
        let nothing = Announced { wscale: None, timestamps: false };
        let blank = |generation| Lesson {
            generation,
            wscale: None,
            timestamps: None,
            // No minute has this number.
            announced: [(u64::MAX, nothing); 2],
        };
        self.lessons.resize(services.len().max(self.lessons.len()), blank(0));
        for (lesson, svc) in self.lessons.iter_mut().zip(services) {
            if let Some(svc) = svc.as_ref().filter(|svc| svc.generation != lesson.generation) {
                *lesson = blank(svc.generation);
            }
        }
    }

    /// What to announce to a client of `svc` in minute `slot`: the same all through the minute.
    fn announce(&mut self, svc: &Service, config: &Config, slot: u64) -> Announced {
        let Some(lesson) = self.lessons.get_mut(svc.id.index()).filter(|_| config.learn) else {
            return configured(config);
        };
        let (minute, announced) = lesson.announced[(slot & 1) as usize];
        if minute == slot {
            return announced;
        }
        let announced = Announced {
            // Operators who decline are not overruled.
            wscale: config.wscale.and_then(|scale| lesson.wscale.unwrap_or(Some(scale))),
            timestamps: config.timestamps && lesson.timestamps.unwrap_or(true),
        };
        lesson.announced[(slot & 1) as usize] = (slot, announced);
        announced
    }

    /// What was announced to a client of `svc` whose cookie is of minute `slot`.
    fn announced_in(&self, svc: &Service, config: &Config, slot: u64) -> Announced {
        let lesson = self.lessons.get(svc.id.index()).filter(|_| config.learn);
        let noted = lesson.map(|lesson| lesson.announced[(slot & 1) as usize]);
        noted
            .filter(|&(minute, _)| minute == slot)
            .map_or_else(|| configured(config), |(_, announced)| announced)
    }

    /// Notes what a server answered to an offer of window scaling and of timestamps.
    fn learn(&mut self, svc: &Service, wscale: Option<Option<u8>>, timestamps: Option<bool>) {
        if let Some(lesson) = self.lessons.get_mut(svc.id.index()) {
            lesson.wscale = wscale.or(lesson.wscale);
            lesson.timestamps = timestamps.or(lesson.timestamps);
        }
    }
}

fn configured(config: &Config) -> Announced {
    Announced { wscale: config.wscale, timestamps: config.timestamps }
}
