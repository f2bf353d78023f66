// SPDX-License-Identifier: Apache-2.0
//! A packet in DPDK's memory, owned.

use std::ptr::NonNull;
use std::slice;

use arrayvec::ArrayVec;
use dpdk_sys::RteMbuf;
use packet::{Buffer, Csum, RxMeta};

/// Most packets that one call receives, sends or moves.
pub const BURST: usize = 32;

/// Up to [`BURST`] packets.
pub type Burst = ArrayVec<Mbuf, BURST>;

/// One packet in one segment, owned: it goes back to its pool when dropped.
///
/// As big as a pointer, `Option<Mbuf>` too. Many at once are cheaper to free with [`free_bulk`].
#[repr(transparent)]
#[derive(Debug)]
pub struct Mbuf(NonNull<RteMbuf>);

// SAFETY: the only reference to the mbuf moves along; pools take mbufs back from any thread, and what the mbuf points
// to belongs to no thread.
unsafe impl Send for Mbuf {}

/// Transport whose checksum the device shall write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4 {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Mbuf {
    /// Takes ownership of an mbuf of DPDK's.
    ///
    /// # Safety
    /// `raw` comes from a pool of this process, has one segment and one reference, and nobody else uses it from now on.
    pub(crate) unsafe fn from_raw(raw: NonNull<RteMbuf>) -> Mbuf {
        Mbuf(raw)
    }

    /// Number of the port that received it, as in [`PortInfo::id`](crate::PortInfo); meaningless for one that was made here.
    pub fn port(&self) -> u16 {
        self.head().port
    }

    /// Free bytes in front of the data.
    pub fn headroom(&self) -> usize {
        usize::from(self.head().data_off)
    }

    /// Free bytes behind the data.
    pub fn tailroom(&self) -> usize {
        let head = self.head();
        usize::from(head.buf_len) - usize::from(head.data_off) - usize::from(head.data_len)
    }

    /// Asks the device to write the IPv4 header's checksum and the transport's. The packet must hold 0 in the former and
    /// the pseudo header's sum in the latter, as the driver's `prepare` step expects. Only for ports whose
    /// [`PortInfo::tx_csum`](crate::PortInfo) says that they can; others send the packet as it is.
    ///
    /// # Panics
    /// When the headers are longer than the mbuf can express: 127 bytes of layer 2, 511 of layer 3.
    pub fn offload_csum_v4(&mut self, l2_len: usize, l3_len: usize, l4: Option<L4>) {
        self.offload(dpdk_sys::TX_IPV4 | dpdk_sys::TX_IP_CKSUM | flag(l4), l2_len, l3_len);
    }

    /// The same for IPv6, which has no header checksum; `l3_len` includes extension headers.
    ///
    /// # Panics
    /// As [`offload_csum_v4`](Self::offload_csum_v4).
    pub fn offload_csum_v6(&mut self, l2_len: usize, l3_len: usize, l4: L4) {
        self.offload(dpdk_sys::TX_IPV6 | flag(Some(l4)), l2_len, l3_len);
    }

    fn offload(&mut self, flags: u64, l2_len: usize, l3_len: usize) {
        assert!(l2_len < 128 && l3_len < 512, "headers of {l2_len} and {l3_len} bytes do not fit an mbuf");
        // SAFETY: the mbuf is ours; the lengths fit their bit fields.
        unsafe { dpdk_sys::shim_request_csum(self.0.as_ptr(), flags, l2_len as u16, l3_len as u16) };
    }

    fn head(&self) -> &RteMbuf {
        // SAFETY: the mbuf is valid while we own it, and nobody else writes to it.
        unsafe { self.0.as_ref() }
    }

    fn head_mut(&mut self) -> &mut RteMbuf {
        // SAFETY: as in `head`; `&mut self` makes it the only access.
        unsafe { self.0.as_mut() }
    }

    /// The buffer from `at` on, `len` bytes.
    ///
    /// # Safety
    /// `at + len` is at most `buf_len`.
    unsafe fn bytes(&mut self, at: u16, len: usize) -> &mut [u8] {
        let head = self.head();
        // SAFETY: inside the buffer by the caller's promise. The buffer is the mbuf's own, since it has one reference
        // and is not attached to another, and its memory was zeroed when EAL mapped it, so every byte has a value.
        unsafe { slice::from_raw_parts_mut(head.buf_addr.add(usize::from(at)), len) }
    }

    /// Sets where the data lies; the mbuf has one segment, so the packet is as long as the data.
    fn place(&mut self, off: u16, len: u16) {
        let head = self.head_mut();
        head.data_off = off;
        head.data_len = len;
        head.pkt_len = u32::from(len);
    }
}

fn flag(l4: Option<L4>) -> u64 {
    match l4 {
        None => 0,
        Some(L4::Tcp) => dpdk_sys::TX_TCP_CKSUM,
        Some(L4::Udp) => dpdk_sys::TX_UDP_CKSUM,
    }
}

impl Buffer for Mbuf {
    #[inline]
    fn data(&self) -> &[u8] {
        let head = self.head();
        let len = usize::from(head.data_len);
        // SAFETY: data_off + data_len <= buf_len holds for every mbuf of DPDK and every change made here.
        unsafe { slice::from_raw_parts(head.buf_addr.add(usize::from(head.data_off)), len) }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut [u8] {
        let (off, len) = (self.head().data_off, usize::from(self.head().data_len));
        // SAFETY: as in `data`.
        unsafe { self.bytes(off, len) }
    }

    #[inline]
    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        let (off, len) = (self.head().data_off, self.head().data_len);
        let more = u16::try_from(n).ok()?;
        let off = off.checked_sub(more)?;
        // off + len is unchanged, hence len cannot exceed buf_len, which is a u16.
        self.place(off, len + more);
        // SAFETY: `n` bytes from the new start lie before the old start.
        Some(unsafe { self.bytes(off, n) })
    }

    #[inline]
    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let (off, len) = (self.head().data_off, self.head().data_len);
        if n > self.tailroom() {
            return None;
        }
        self.place(off, len + n as u16);
        // SAFETY: `n` bytes behind the old end are within the tailroom.
        Some(unsafe { self.bytes(off + len, n) })
    }

    #[inline]
    fn adj(&mut self, n: usize) -> bool {
        let (off, len) = (self.head().data_off, self.head().data_len);
        let fits = n <= usize::from(len);
        if fits {
            self.place(off + n as u16, len - n as u16);
        }
        fits
    }

    #[inline]
    fn trim(&mut self, n: usize) -> bool {
        let (off, len) = (self.head().data_off, self.head().data_len);
        let fits = n <= usize::from(len);
        if fits {
            self.place(off, len - n as u16);
        }
        fits
    }

    #[inline]
    fn rx(&self) -> RxMeta {
        let head = self.head();
        let flags = head.ol_flags;
        RxMeta {
            rss: (flags & dpdk_sys::RX_RSS_HASH != 0).then_some(head.rss),
            l3_csum: csum(flags, dpdk_sys::RX_IP_CKSUM_GOOD, dpdk_sys::RX_IP_CKSUM_BAD),
            l4_csum: csum(flags, dpdk_sys::RX_L4_CKSUM_GOOD, dpdk_sys::RX_L4_CKSUM_BAD),
        }
    }

    #[inline]
    fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: SSE is part of x86-64, and a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.data().as_ptr().cast()) };
        }
    }
}

/// Both flags together say that the packet carries no final checksum but is sound (a neighbour on the same host left
/// it to us): software has to look, since the bytes in the packet are not a checksum.
fn csum(flags: u64, good: u64, bad: u64) -> Csum {
    match (flags & good != 0, flags & bad != 0) {
        (true, false) => Csum::Good,
        (false, true) => Csum::Bad,
        _ => Csum::Unknown,
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: we own the mbuf and nobody can use it after this. Its pool exists: pools live as long as the
        // environment, which is not torn down while an mbuf is out.
        unsafe { dpdk_sys::shim_free(self.0.as_ptr()) };
    }
}

/// Frees all packets of `burst` in one call.
pub fn free_bulk(burst: &mut Burst) {
    let count = burst.len();
    // SAFETY: the elements are forgotten here and freed below. `Mbuf` is a transparent pointer, so the array is an
    // array of mbuf pointers.
    unsafe {
        burst.set_len(0);
    }
    // SAFETY: the first `count` elements are initialised and ours.
    unsafe { dpdk_sys::rte_pktmbuf_free_bulk(raw(burst), count as u32) };
}

/// The array of `burst` as DPDK's functions want it.
pub(crate) fn raw(burst: &mut Burst) -> *mut *mut RteMbuf {
    burst.as_mut_ptr().cast()
}
