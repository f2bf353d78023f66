// SPDX-License-Identifier: Apache-2.0
//! Packet memory.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use dpdk_sys::RteMempool;

use crate::device::DeviceSpec;
use crate::eal::{Eal, Runtime};
use crate::error::{Error, rte_errno};
use crate::mbuf::{Burst, Mbuf, raw};

/// How much packet memory, in what pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Number of mbufs.
    pub mbufs: u32,
    /// Mbufs each lcore keeps for itself; at most 512.
    pub cache: u32,
    /// Bytes of packet in one mbuf, 128 bytes of headroom not counted.
    pub data_room: u16,
}

impl Default for PoolConfig {
    /// 16384 mbufs of 2048 bytes, 256 of them cached per lcore.
    fn default() -> PoolConfig {
        PoolConfig { mbufs: 16_384, cache: 256, data_room: 2048 }
    }
}

impl PoolConfig {
    /// Enough for these devices with `queues` receive and transmit queues each, every one polled by its own lcore.
    ///
    /// A device whose queues swallow the whole pool receives nothing and says nothing: af_xdp alone keeps 2048 mbufs per
    /// receive queue.
    pub fn for_devices<'a>(specs: impl IntoIterator<Item = &'a DeviceSpec>, queues: u16) -> PoolConfig {
        let config = PoolConfig::default();
        let queues = u32::from(queues.max(1));
        let held: u32 = specs.into_iter().map(|spec| queues * spec.mbufs_per_queue()).sum();
        // A cache holds up to one and a half times its size; what the workers hold in bursts and queues is below 1024.
        let lcores = (queues + 1) * (config.cache * 3 / 2 + 1024);
        PoolConfig { mbufs: config.mbufs.max(held + lcores), ..config }
    }

    /// Memory such a pool takes, in MiB, rounded up.
    pub fn mib(&self) -> u32 {
        // Object header 64, mbuf 128, headroom 128.
        let each = 64 + 128 + 128 + u64::from(self.data_room);
        u32::try_from((each * u64::from(self.mbufs)).div_ceil(1 << 20)).unwrap_or(u32::MAX)
    }
}

/// A pool of mbufs. Clones are the same pool; it lives as long as the environment.
#[derive(Clone, Debug)]
pub struct Pool {
    raw: NonNull<RteMempool>,
    runtime: Arc<Runtime>,
}

// SAFETY: the pools made here accept several producers and consumers at once; the per-lcore caches are chosen by the
// calling thread's lcore id, which two threads never share.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// A new pool. The name is unique in the process and at most 25 bytes.
    ///
    /// # Errors
    /// No memory, the name is taken or too long, or the plugin that manages pools (Debian's `librte-mempool-ring23`) is
    /// not installed.
    pub fn new(eal: &Eal, name: &str, config: &PoolConfig) -> Result<Pool, Error> {
        let what = || format!("pool '{name}' of {} mbufs ({} MiB)", config.mbufs, config.mib());
        let refused = |code| Error::Memory { what: what(), cause: std::io::Error::from_raw_os_error(code) };
        let c_name = CString::new(name).map_err(|_| refused(libc::EINVAL))?;
        let room = config.data_room.checked_add(dpdk_sys::HEADROOM).ok_or_else(|| refused(libc::EINVAL))?;
        // DPDK refuses a cache that would take more than two thirds of the pool.
        let cache = config.cache.min(config.mbufs * 2 / 3);
        // SAFETY: the environment runs, since `eal` exists; the name is copied.
        let pool = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(
                c_name.as_ptr(),
                config.mbufs,
                cache,
                0,
                room,
                dpdk_sys::SOCKET_ID_ANY,
            )
        };
        let raw = NonNull::new(pool).ok_or_else(|| Error::Memory { what: what(), cause: rte_errno() })?;
        eal.runtime().adopt(raw);
        Ok(Pool { raw, runtime: Arc::clone(eal.runtime()) })
    }

    /// An empty packet; `None` when the pool is exhausted.
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool is valid.
        let mbuf = NonNull::new(unsafe { dpdk_sys::shim_alloc(self.as_ptr()) })?;
        // SAFETY: a fresh mbuf has one segment, one reference and no other owner.
        Some(unsafe { Mbuf::from_raw(mbuf) })
    }

    /// Adds `count` empty packets to `burst`, all or none; `false` when the pool has fewer or `burst` no room.
    pub fn alloc_bulk(&self, count: usize, burst: &mut Burst) -> bool {
        if count > burst.remaining_capacity() {
            return false;
        }
        let len = burst.len();
        // SAFETY: `len` is within the array.
        let free = unsafe { raw(burst).add(len) };
        // SAFETY: there is room for `count` pointers; all of them are written, or none.
        if unsafe { dpdk_sys::shim_alloc_bulk(self.as_ptr(), free, count as u32) } != 0 {
            return false;
        }
        // SAFETY: the elements up to `len + count` are initialised with fresh mbufs.
        unsafe { burst.set_len(len + count) };
        true
    }

    /// Mbufs that can be allocated now, those in the caches of lcores included.
    pub fn available(&self) -> u32 {
        // SAFETY: the pool is valid; the answer may be outdated at once.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.as_ptr()) }
    }

    /// Mbufs that devices or their owners hold now.
    pub fn in_use(&self) -> u32 {
        // SAFETY: as in `available`.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.as_ptr()) }
    }

    /// Bytes of packet one mbuf takes, headroom not counted.
    pub fn data_room(&self) -> u16 {
        // SAFETY: the pool is valid and a packet pool.
        unsafe { dpdk_sys::shim_data_room(self.as_ptr()) }.saturating_sub(dpdk_sys::HEADROOM)
    }

    pub(crate) fn as_ptr(&self) -> *mut RteMempool {
        self.raw.as_ptr()
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
}
