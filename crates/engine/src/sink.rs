// SPDX-License-Identifier: Apache-2.0
//! What a worker hands to whoever drives it: packets, and news for other workers.

use std::net::IpAddr;

use crate::ids::{LcoreId, LinkId, PortId};
use crate::link::Mac;

/// Where packets and news go. The driver of a worker implements it; in simulations, a test does.
pub trait Sink<P> {
    /// A complete frame, out of `port`.
    fn forward(&mut self, pkt: P, port: PortId);
    /// A frame for the host's own stack behind `port`; handed back when that is off or full.
    ///
    /// # Errors
    /// The frame.
    fn kernel(&mut self, pkt: P, port: PortId) -> Result<(), P>;
    /// A frame that ends here and that the host's own stack behind `port` waits for as well: the answer of a neighbour. A copy
    /// is its sender's to make and in nobody's books.
    fn show_kernel(&mut self, _pkt: &P, _port: PortId) {}
    /// A frame that came in by `port`, for worker `to`; handed back when the ring is full.
    ///
    /// # Errors
    /// The frame.
    fn redirect(&mut self, pkt: P, port: PortId, to: LcoreId) -> Result<(), P>;
    /// A frame nobody needs any more.
    fn discard(&mut self, pkt: P);
    /// An empty packet for a frame of the director's own; `None` when there is none.
    fn fresh(&mut self) -> Option<P>;
    /// Something other workers have to know.
    fn event(&mut self, event: Event);
}

/// What a worker has to tell the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A neighbour spoke; its answer reaches one worker only.
    Neighbour(Heard),
}

/// A neighbour that spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The link.
    pub link: LinkId,
    /// Its address.
    pub addr: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// It asked for us, so it is worth an entry even when nobody asked for it.
    pub asking: bool,
}
