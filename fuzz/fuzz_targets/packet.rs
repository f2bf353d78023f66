// SPDX-License-Identifier: Apache-2.0
//! Frames of any content, in any order, on either of two workers: no panic, and no packet lost from the books (the simulation
//! checks that after every packet).
//!
//! An input is a sequence of frames, each behind three bytes: the worker and the time until the next frame, then the length.
//!
//! ```text
//!   0                1           3              3 + length
//!   | worker, pause  | length    | frame ...    | next ...
//!     bit 0   others   big endian
//! ```
#![no_main]

use engine::sim::world::{self, PORT};
use libfuzzer_sys::fuzz_target;

/// Milliseconds that one step of the pause stands for: the longest pause outlives every timer of the stack.
const PAUSE_MS: u64 = 500;

fuzz_target!(|bytes: &[u8]| {
    let mut sim = world::sim(2);
    let mut rest = bytes;
    while let Some((&[how, high, low], tail)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([high, low])).min(tail.len());
        let (frame, next) = tail.split_at(len);
        sim.receive(usize::from(how & 1), PORT, frame);
        sim.pass(u64::from(how >> 1) * PAUSE_MS);
        rest = next;
    }
});
