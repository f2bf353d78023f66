// SPDX-License-Identifier: Apache-2.0
//! A device that is nothing but memory, and the clock beside it.

use std::fs;
use std::time::Instant;

use arrayvec::ArrayVec;
use engine::ids::{LcoreId, PortId};
use engine::lcore::BURST;
use engine::sink::{Event, Sink};
use packet::{Buffer, RxMeta};

/// Bytes in front of a received frame, as in an mbuf.
const HEADROOM: usize = 128;
const SIZE: usize = 2048;

/// A packet buffer of the size of an mbuf.
pub struct Packet {
    bytes: Box<[u8; SIZE]>,
    start: u16,
    end: u16,
}

impl Buffer for Packet {
    #[inline(always)]
    fn data(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..usize::from(self.end)]
    }

    #[inline(always)]
    fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[usize::from(self.start)..usize::from(self.end)]
    }

    fn prepend(&mut self, n: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(n as u16)?;
        Some(&mut self.data_mut()[..n])
    }

    fn append(&mut self, n: usize) -> Option<&mut [u8]> {
        let from = usize::from(self.end);
        let to = Some(from + n).filter(|&to| to <= SIZE)?;
        self.end = to as u16;
        Some(&mut self.bytes[from..to])
    }

    #[inline(always)]
    fn adj(&mut self, n: usize) -> bool {
        let fits = n <= usize::from(self.end - self.start);
        self.start += if fits { n as u16 } else { 0 };
        fits
    }

    #[inline(always)]
    fn trim(&mut self, n: usize) -> bool {
        let fits = n <= usize::from(self.end - self.start);
        self.end -= if fits { n as u16 } else { 0 };
        fits
    }

    #[inline(always)]
    fn rx(&self) -> RxMeta {
        RxMeta::default()
    }

    #[inline(always)]
    fn prefetch(&self) {}
}

/// Frames of one length in one piece of memory.
pub struct Frames {
    bytes: Vec<u8>,
    each: usize,
}

impl Frames {
    /// From frames of one length.
    pub fn new(frames: impl Iterator<Item = Vec<u8>>) -> Frames {
        let mut all = Frames { bytes: Vec::new(), each: 0 };
        for frame in frames {
            assert!(all.each == 0 || all.each == frame.len(), "frames are of one length");
            all.each = frame.len();
            all.bytes.extend(frame);
        }
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.each
    }

    fn get(&self, at: usize) -> &[u8] {
        &self.bytes[at * self.each..][..self.each]
    }
}

/// Buffers that are free; the one used last comes first, as in a pool's cache.
pub struct Device {
    free: Vec<Packet>,
}

impl Default for Device {
    fn default() -> Self {
        let packet = || Packet { bytes: Box::new([0; SIZE]), start: 0, end: 0 };
        Device { free: (0..4 * BURST).map(|_| packet()).collect() }
    }
}

impl Device {
    /// Fills a burst with the next frames, from number `at` on and round again.
    #[inline(always)]
    pub fn receive(&mut self, frames: &Frames, at: &mut usize, burst: &mut ArrayVec<Packet, BURST>) {
        for _ in 0..BURST {
            let mut packet = self.free.pop().expect("every buffer comes back");
            let frame = frames.get(*at);
            packet.bytes[HEADROOM..HEADROOM + frame.len()].copy_from_slice(frame);
            (packet.start, packet.end) = (HEADROOM as u16, (HEADROOM + frame.len()) as u16);
            burst.push(packet);
            *at = if *at + 1 == frames.len() { 0 } else { *at + 1 };
        }
    }

    /// Takes a buffer back.
    #[inline(always)]
    pub fn give_back(&mut self, packet: Packet) {
        self.free.push(packet);
    }
}

impl Sink<Packet> for Device {
    #[inline(always)]
    fn forward(&mut self, pkt: Packet, _: PortId) {
        self.free.push(pkt);
    }

    fn kernel(&mut self, pkt: Packet, _: PortId) -> Result<(), Packet> {
        Err(pkt)
    }

    fn redirect(&mut self, pkt: Packet, _: PortId, _: LcoreId) -> Result<(), Packet> {
        Err(pkt)
    }

    #[inline(always)]
    fn discard(&mut self, pkt: Packet) {
        self.free.push(pkt);
    }

    fn fresh(&mut self) -> Option<Packet> {
        self.free.pop()
    }

    fn event(&mut self, _: Event) {}
}

/// The time this thread spends on a processor.
pub struct Clock {
    ghz: f64,
    model: String,
    /// Whether the system tells on-processor time; else the wall clock has to do.
    schedstat: bool,
}

impl Clock {
    /// Reads what processor this is.
    pub fn calibrated() -> Clock {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = info.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let mhz: f64 = field("cpu MHz").and_then(|mhz| mhz.parse().ok()).unwrap_or(1000.0);
        let model = field("model name").unwrap_or_else(|| "unknown processor, cycles are nanoseconds".into());
        Clock { ghz: mhz / 1000.0, model, schedstat: on_cpu().is_some() }
    }

    /// One line about the machine.
    pub fn machine(&self) -> String {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?").to_owned();
        format!("{}, {:.2} GHz, {cpus} processors, load {load}", self.model, self.ghz)
    }

    /// Cycles in a nanosecond.
    pub fn ghz(&self) -> f64 {
        self.ghz
    }

    /// How long `act` was on a processor, in nanoseconds.
    pub fn on_cpu_ns(&self, act: impl FnOnce()) -> u64 {
        if !self.schedstat {
            let start = Instant::now();
            act();
            return start.elapsed().as_nanos() as u64;
        }
        // The number is brought up to date when the thread leaves the processor.
        std::thread::yield_now();
        let start = on_cpu().unwrap_or(0);
        act();
        std::thread::yield_now();
        on_cpu().unwrap_or(0).saturating_sub(start)
    }
}

/// Nanoseconds this thread has been on a processor.
fn on_cpu() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
