// SPDX-License-Identifier: Apache-2.0
//! What the engine asks of a packet buffer, so that it runs on an mbuf in the daemon and on a heap
//! frame in tests and simulations.

/// What the device said about a checksum of a received packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Csum {
    /// Nobody looked: software has to.
    #[default]
    Unknown,
    /// The device verified it.
    Good,
    /// The device found it wrong.
    Bad,
}

/// What the device told about a received packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxMeta {
    /// RSS hash (Toeplitz) computed by the device, if it did.
    pub rss: Option<u32>,
    /// IPv4 header checksum.
    pub l3_csum: Csum,
    /// TCP, UDP or SCTP checksum.
    pub l4_csum: Csum,
}

/// One contiguous packet with room in front and behind.
pub trait Buffer: Sized {
    /// The bytes, Ethernet header first.
    fn data(&self) -> &[u8];
    /// The bytes, writable.
    fn data_mut(&mut self) -> &mut [u8];
    /// Makes `n` new bytes at the front and returns them (contents unspecified); `None`, and nothing
    /// changed, when the headroom is too small.
    fn prepend(&mut self, n: usize) -> Option<&mut [u8]>;
    /// Makes `n` new bytes at the end and returns them (contents unspecified); `None`, and nothing
    /// changed, when the tailroom is too small.
    fn append(&mut self, n: usize) -> Option<&mut [u8]>;
    /// Removes `n` bytes at the front; `false`, and nothing changed, when there are fewer.
    fn adj(&mut self, n: usize) -> bool;
    /// Removes `n` bytes at the end; `false`, and nothing changed, when there are fewer.
    fn trim(&mut self, n: usize) -> bool;
    /// What the device said about the packet when it came in.
    fn rx(&self) -> RxMeta;
    /// Hint that the first cache line of the data is needed soon.
    fn prefetch(&self);
}

/// A packet on the heap, for tests and simulations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// What [`Buffer::rx`] answers.
    pub meta: RxMeta,
}

impl Frame {
    /// Room in front of and behind the data of a new frame, in bytes. The front is what DPDK's default mbuf has.
    pub const ROOM: usize = 128;

    /// A frame holding a copy of `data`.
    pub fn new(data: &[u8]) -> Self {
        let mut frame = Frame::with_room(data.len() + Self::ROOM);
        frame.append(data.len()).expect("room was made for it").copy_from_slice(data);
        frame
    }

    /// An empty frame that can take `room` bytes.
    pub fn with_room(room: usize) -> Self {
        Frame {
            bytes: vec![0; Self::ROOM + room],
            start: Self::ROOM,
            end: Self::ROOM,
            meta: RxMeta::default(),
        }
    }
}

impl Buffer for Frame {
    fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(n)?;
        Some(&mut self.bytes[self.start..self.start + n])
    }

    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let end = self.end.checked_add(n).filter(|&end| end <= self.bytes.len())?;
        let fresh = self.end..end;
        self.end = end;
        Some(&mut self.bytes[fresh])
    }

    fn adj(&mut self, n: usize) -> bool {
        let fits = n <= self.end - self.start;
        self.start += if fits { n } else { 0 };
        fits
    }

    fn trim(&mut self, n: usize) -> bool {
        let fits = n <= self.end - self.start;
        self.end -= if fits { n } else { 0 };
        fits
    }

    fn rx(&self) -> RxMeta {
        self.meta
    }

    fn prefetch(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_grows_and_shrinks_at_both_ends() {
        let mut frame = Frame::new(b"body");
        frame.prepend(2).expect("128 bytes of headroom").copy_from_slice(b"<<");
        frame.append(2).expect("128 bytes of tailroom").copy_from_slice(b">>");
        assert_eq!(frame.data(), b"<<body>>");
        assert!(frame.adj(3));
        assert!(frame.trim(3));
        assert_eq!(frame.data(), b"od");
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut frame = Frame::new(b"body");
        assert!(frame.prepend(Frame::ROOM + 1).is_none());
        assert!(frame.append(Frame::ROOM + 1).is_none());
        assert!(!frame.adj(5));
        assert!(!frame.trim(5));
        assert_eq!(frame.data(), b"body");
    }
}
