// SPDX-License-Identifier: Apache-2.0
//! What may arrive on the control socket, on either end: a stream of any bytes, in pieces of any size, gives messages or an error.
//! What was understood is written again and must come back the same.
//!
//! The first byte of an input is the size of the pieces, the second says which end reads: even for the daemon.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use sockopt::frame::{self, FrameReader};
use sockopt::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[size, end], stream)) = bytes.split_first_chunk::<2>() else { return };
    let mut reader = FrameReader::new();
    for piece in stream.chunks(usize::from(size).max(1)) {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) if end & 1 == 0 => again::<Request>(&frame.body),
                Ok(Some(frame)) => again::<Reply>(&frame.body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    // A body without its frame: the fuzzer need not find the header first.
    again::<Request>(stream);
    again::<Reply>(stream);
});

fn again<T: bincode::Encode + bincode::Decode<()> + Debug>(body: &[u8]) {
    let Ok(message) = frame::decode::<T>(body) else { return };
    let written = frame::encode(1, &message).expect("what came in a frame fits into one");
    let mut reader = FrameReader::new();
    reader.feed(&written);
    let body = reader.next().expect("a frame of this version").expect("a whole frame").body;
    let read: T = frame::decode(&body).expect("what was written can be read");
    // Not every message can be compared (floating point), but all can be shown.
    assert_eq!(format!("{message:?}"), format!("{read:?}"));
}
