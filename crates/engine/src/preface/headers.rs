// SPDX-License-Identifier: Apache-2.0
//! Headers that servers have not acknowledged yet.

use arrayvec::ArrayVec;
use packet::proxy;

/// A header on its way to a server.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(super) header: ArrayVec<u8, { proxy::MAX }>,
    /// Its sequence number, as the server counts.
    pub(super) base: u32,
    /// What the client acknowledged, its window and timestamps, as in its own segment.
    pub(super) ack: u32,
    pub(super) window: u16,
    pub(super) stamps: Option<(u32, u32)>,
    /// Bytes of the client's own header, which is cut out.
    pub(super) cut: u32,
    pub(super) repeats: u8,
    /// The server has it.
    pub(super) acknowledged: bool,
    /// The client's first data was seen, so that it is known whether it has a header.
    pub(super) looked: bool,
}

/// Headers on their way, of all connections of a worker.
#[derive(Debug)]
pub(crate) struct Headers {
    slots: Vec<Option<Sent>>,
    free: Vec<u32>,
    room: usize,
}

impl Headers {
    /// Room for `room` of them.
    pub(crate) fn new(room: usize) -> Self {
        Headers { slots: Vec::new(), free: Vec::new(), room }
    }

    /// Keeps a header; `None` when there is no room.
    pub(super) fn insert(&mut self, sent: Sent) -> Option<u32> {
        if let Some(at) = self.free.pop() {
            self.slots[at as usize] = Some(sent);
            return Some(at);
        }
        (self.slots.len() < self.room).then(|| {
            self.slots.push(Some(sent));
            self.slots.len() as u32 - 1
        })
    }

    /// The header in a slot.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Sent> {
        self.slots.get_mut(at as usize)?.as_mut()
    }

    /// Frees a slot.
    pub(crate) fn remove(&mut self, at: u32) {
        if self.slots.get_mut(at as usize).is_some_and(|slot| slot.take().is_some()) {
            self.free.push(at);
        }
    }
}
