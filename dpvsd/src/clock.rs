// SPDX-License-Identifier: Apache-2.0
//! Engine time in the daemon: one clock, shared by control and workers, read once a loop.

use std::time::{Duration, Instant};

use engine::tick::Tick;

/// Milliseconds since the daemon started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Tick {
        Tick::from(self.up())
    }

    /// Time since the start.
    pub fn up(&self) -> Duration {
        self.0.elapsed()
    }
}
