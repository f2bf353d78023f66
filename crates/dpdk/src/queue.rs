// SPDX-License-Identifier: Apache-2.0
//! Receive and transmit queues of a port, each owned by one worker.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::mbuf::{Burst, free_bulk, raw};
use crate::port::Device;

/// A receive queue. It can move to another thread and cannot be used by two; the port stays open while it exists.
#[derive(Debug)]
pub struct RxQueue {
    device: Arc<Device>,
    id: u16,
    /// Port and queue as DPDK counts them.
    at: (u16, u16),
    unusable: u64,
    _one: PhantomData<Cell<()>>,
}

impl RxQueue {
    pub(crate) fn new(device: Arc<Device>, queue: u16) -> RxQueue {
        RxQueue { at: device.locate(queue), id: queue, device, unusable: 0, _one: PhantomData }
    }

    /// Its number.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Adds received packets to `burst`, as many as wait and as fit, and returns their number. Does not wait. A port that
    /// was set down receives nothing.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        let (len, room) = (burst.len(), burst.remaining_capacity());
        if !self.device.is_up() {
            return 0;
        }
        let mut bad = 0;
        // SAFETY: `len` is within the array.
        let free = unsafe { raw(burst).add(len) };
        // SAFETY: the port is started while `device` lives, the queue was set up and is ours alone; there is room for
        // `room` pointers.
        let got =
            unsafe { dpdk_sys::shim_rx(self.at.0, self.at.1, self.device.id(), free, room as u16, &mut bad) }
                as usize;
        // SAFETY: `got` elements behind the old ones were written; the shim made sure that each is one segment with one
        // reference, ours.
        unsafe { burst.set_len(len + got) };
        self.unusable += u64::from(bad);
        got
    }

    /// Packets dropped since the start because they came in several segments that did not fit one mbuf.
    pub fn unusable(&self) -> u64 {
        self.unusable
    }
}

/// What became of a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets the device took.
    pub sent: usize,
    /// Packets it did not take, which were freed.
    pub dropped: usize,
}

/// A transmit queue. It can move to another thread and cannot be used by two (where a device has fewer queues than there
/// are workers, a `Mutex` around it can); the port stays open while it exists.
#[derive(Debug)]
pub struct TxQueue {
    device: Arc<Device>,
    id: u16,
    /// Port and queue as DPDK counts them.
    at: (u16, u16),
    _one: PhantomData<Cell<()>>,
}

impl TxQueue {
    pub(crate) fn new(device: Arc<Device>, queue: u16) -> TxQueue {
        TxQueue { at: device.locate(queue), id: queue, device, _one: PhantomData }
    }

    /// Its number.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Sends from the front of `burst` as many packets as the device takes and returns their number; the rest stays in
    /// `burst`. A port that was set down takes none, and a packet that a device cannot send at all, such as one longer than
    /// it allows, can stay at the front for ever. An af_packet device whose ring is full can block for as long as the
    /// kernel needs.
    #[inline]
    pub fn burst(&mut self, burst: &mut Burst) -> usize {
        if burst.is_empty() || !self.device.is_up() {
            return 0;
        }
        let prepare = i32::from(self.device.prepares());
        // SAFETY: the port is started while `device` lives, the queue was set up and is ours alone; the elements are
        // owned packets, and the device owns those it took.
        let sent = unsafe { dpdk_sys::shim_tx(self.at.0, self.at.1, raw(burst), burst.len() as u16, prepare) }
            as usize;
        // SAFETY: `sent` packets at the front belong to the device now.
        unsafe { forget_front(burst, sent) };
        sent
    }

    /// Sends `burst` and frees what the device does not take: `burst` is empty afterwards.
    #[inline]
    pub fn send(&mut self, burst: &mut Burst) -> Sent {
        let sent = self.burst(burst);
        let dropped = burst.len();
        if dropped > 0 {
            free_bulk(burst);
        }
        Sent { sent, dropped }
    }
}

/// Removes the first `count` packets without freeing them.
///
/// # Safety
/// `count` is at most the length, and the packets have another owner now.
pub(crate) unsafe fn forget_front(burst: &mut Burst, count: usize) {
    let left = burst.len() - count;
    let first = burst.as_mut_ptr();
    // SAFETY: both ranges are within the initialised elements. The packets before `count` are overwritten or cut off, not
    // dropped; those after it are moved.
    unsafe {
        std::ptr::copy(first.add(count), first, left);
        burst.set_len(left);
    }
}
