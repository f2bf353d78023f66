// SPDX-License-Identifier: Apache-2.0
//! Rings that hand packets from one worker to another: one sender, one receiver, no lock.

use std::cell::Cell;
use std::ffi::CString;
use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::RteRing;

use crate::eal::{Eal, Runtime};
use crate::error::{Error, rte_errno};
use crate::mbuf::{Burst, Mbuf, raw};

/// Makes a ring that holds up to `size - 1` packets; `size` is a power of two. The name is unique in the process and at
/// most 28 bytes.
///
/// # Errors
/// A size that is no power of two, a name that is taken or too long, or no memory.
pub fn pair(eal: &Eal, name: &str, size: u32) -> Result<(Sender, Receiver), Error> {
    let failed = |cause| Error::Memory { what: format!("ring '{name}' of {size} entries"), cause };
    let c_name = CString::new(name).map_err(|_| failed(io::Error::from_raw_os_error(libc::EINVAL)))?;
    let flags = dpdk_sys::RING_F_SP_ENQ | dpdk_sys::RING_F_SC_DEQ;
    // SAFETY: the environment runs, since `eal` exists; the name is copied.
    let ring = unsafe { dpdk_sys::rte_ring_create(c_name.as_ptr(), size, dpdk_sys::SOCKET_ID_ANY, flags) };
    let raw = NonNull::new(ring).ok_or_else(|| failed(rte_errno()))?;
    let ring = Arc::new(Ring { raw, _runtime: Arc::clone(eal.runtime()) });
    Ok((Sender { ring: Arc::clone(&ring), _one: PhantomData }, Receiver { ring, _one: PhantomData }))
}

/// The end that puts packets in. One thread's at a time.
#[derive(Debug)]
pub struct Sender {
    ring: Arc<Ring>,
    _one: PhantomData<Cell<()>>,
}

impl Sender {
    /// Moves packets from the front of `burst` into the ring, as many as fit, and returns their number; the rest stays in
    /// `burst`.
    pub fn send(&mut self, burst: &mut Burst) -> usize {
        let objs = raw(burst).cast::<*mut std::ffi::c_void>();
        // SAFETY: we are the only sender; the first `len` elements are owned packets. The ring owns those it took.
        let sent =
            unsafe { dpdk_sys::shim_ring_put(self.ring.raw.as_ptr(), objs, burst.len() as u32) } as usize;
        // SAFETY: `sent` packets at the front belong to the ring now.
        unsafe { crate::queue::forget_front(burst, sent) };
        sent
    }

    /// Packets in the ring now.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring is empty now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The end that takes packets out. One thread's at a time.
#[derive(Debug)]
pub struct Receiver {
    ring: Arc<Ring>,
    _one: PhantomData<Cell<()>>,
}

impl Receiver {
    /// Adds packets to `burst`, as many as there are and as fit, and returns their number.
    pub fn recv(&mut self, burst: &mut Burst) -> usize {
        let (len, room) = (burst.len(), burst.remaining_capacity());
        // SAFETY: `len` is within the array.
        let free = unsafe { raw(burst).add(len) }.cast();
        // SAFETY: we are the only receiver, and there is room for `room` pointers.
        let got = unsafe { dpdk_sys::shim_ring_take(self.ring.raw.as_ptr(), free, room as u32) } as usize;
        // SAFETY: `got` elements behind the old ones were written and are ours now.
        unsafe { burst.set_len(len + got) };
        got
    }

    /// Packets in the ring now.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether the ring is empty now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
struct Ring {
    raw: NonNull<RteRing>,
    _runtime: Arc<Runtime>,
}

// SAFETY: one sender and one receiver may use the ring at the same time from two threads, which is all that `Sender` and
// `Receiver` allow: both take `&mut self` and are not cloned.
unsafe impl Send for Ring {}
// SAFETY: as above; `len` only reads two indexes.
unsafe impl Sync for Ring {}

impl Ring {
    fn len(&self) -> usize {
        // SAFETY: the ring is valid; the answer may be outdated at once.
        unsafe { dpdk_sys::shim_ring_count(self.raw.as_ptr()) as usize }
    }
}

impl Drop for Ring {
    /// Frees what is left in it: both ends are gone.
    fn drop(&mut self) {
        let mut left = [std::ptr::null_mut(); 32];
        loop {
            // SAFETY: nobody else uses the ring any more.
            let got = unsafe { dpdk_sys::shim_ring_take(self.raw.as_ptr(), left.as_mut_ptr(), 32) } as usize;
            for mbuf in left[..got].iter().filter_map(|&mbuf| NonNull::new(mbuf.cast())) {
                // SAFETY: the ring owned the packet, which came from an `Mbuf`.
                drop(unsafe { Mbuf::from_raw(mbuf) });
            }
            if got == 0 {
                break;
            }
        }
        // SAFETY: made by `rte_ring_create`, and not used after this.
        unsafe { dpdk_sys::rte_ring_free(self.raw.as_ptr()) };
    }
}
