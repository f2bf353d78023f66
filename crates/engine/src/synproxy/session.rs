// SPDX-License-Identifier: Apache-2.0
//! What the proxy remembers of connections it opened: how to shift numbers, and the packets that wait for the server's answer.

use crate::ids::PortId;
use crate::synproxy::offer::Offer;

/// What one proxied connection needs beside its entry in the table.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Where it stands.
    pub phase: Phase,
    /// Our first sequence number towards the client: the cookie.
    pub cookie: u32,
    /// The client's own first sequence number.
    pub client_isn: u32,
    /// What the client had offered; the segment size is the one remembered.
    pub offer: Offer,
    /// The shift announced to the client, if any.
    pub announced: Option<u8>,
    /// Our timestamp that the client echoed, if it has timestamps.
    pub stamp: u32,
    /// The window the client announced with its acknowledgement, as in the packet.
    pub client_window: u16,
    /// Added to the server's sequence numbers towards the client (modulo 2^32).
    pub seq_delta: u32,
    /// Added to the client's timestamps towards the server, and to the server's towards the client.
    pub stamp_delta: [u32; 2],
    /// Whether timestamps pass.
    pub stamps: Stamps,
    /// Left shift of windows by direction; negative is right.
    pub window_shift: [i8; 2],
    /// How often the SYN to the server was repeated.
    pub retries: u8,
    /// How many servers were asked before this one.
    pub others: u8,
    /// Whether the client's window is held closed until the server answers.
    pub hold: bool,
    /// What each side has heard of the other so far, by the direction in which it says so.
    pub heard: [Heard; 2],
    /// The sequence number after the last that each side has sent, in its own numbers.
    pub sent: [u32; 2],
    /// How far windows in the packets of each side are shifted, 0 to 14.
    pub scales: [u8; 2],
    /// The server's last acknowledgement without data, and how often it came in a row.
    pub storm: Storm,
    pub(super) held: List,
}

/// Where a proxied connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The server has not answered.
    Pending,
    /// Both sides are open; packets pass, shifted.
    Open,
}

/// What happens to timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamps {
    /// Nobody has them.
    None,
    /// Both sides do: shifted, both ways, as long as the connection lives.
    Shifted,
    /// The client was promised them and the server does not do them: taken out on the way to it.
    Removed,
}

/// How far one side has heard the other, as in its own packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its greatest acknowledgement.
    pub ack: u32,
    /// Its last window in bytes.
    pub window: u32,
}

/// Equal acknowledgements in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storm {
    /// Sequence, acknowledgement, window.
    pub last: (u32, u32, u16),
    /// How many came after the first.
    pub repeats: u16,
}

#[derive(Clone, Copy, Debug)]
/// Packets that wait, first to last.
pub(super) struct List {
    first: u32,
    last: u32,
    len: u8,
}

const NIL: u32 = u32::MAX;

impl Session {
    /// A session whose server has not answered; sequence numbers and timestamps are filled in as they become known.
    pub fn pending(cookie: u32, client_isn: u32, offer: Offer) -> Session {
        Session {
            phase: Phase::Pending,
            cookie,
            client_isn,
            offer,
            announced: None,
            stamp: 0,
            client_window: 0,
            seq_delta: 0,
            stamp_delta: [0; 2],
            stamps: Stamps::None,
            window_shift: [0; 2],
            retries: 0,
            others: 0,
            hold: false,
            heard: [Heard { ack: cookie.wrapping_add(1), window: 0 }, Heard::default()],
            sent: [client_isn.wrapping_add(1), 0],
            scales: [offer.wscale.unwrap_or(0), 0],
            storm: Storm::default(),
            held: List { first: NIL, last: NIL, len: 0 },
        }
    }

    /// Packets that wait for its server.
    pub fn held(&self) -> usize {
        usize::from(self.held.len)
    }
}

/// The sessions of one worker and the packets that wait, both fixed in number.
pub struct Sessions<P> {
    sessions: Vec<Session>,
    free: Vec<u32>,
    slots: Vec<Slot<P>>,
    free_slot: u32,
    held: usize,
    held_bytes: u64,
}

struct Slot<P> {
    pkt: Option<(PortId, P)>,
    bytes: u32,
    next: u32,
}

impl<P> Sessions<P> {
    /// Room for `sessions` sessions and `packets` waiting packets in all of them together.
    pub fn new(sessions: usize, packets: usize) -> Self {
        let chain = |at: usize| if at + 1 < packets { at as u32 + 1 } else { NIL };
        Sessions {
            sessions: Vec::with_capacity(sessions),
            free: Vec::with_capacity(sessions),
            slots: (0..packets).map(|at| Slot { pkt: None, bytes: 0, next: chain(at) }).collect(),
            free_slot: if packets == 0 { NIL } else { 0 },
            held: 0,
            held_bytes: 0,
        }
    }

    /// Sessions at present.
    pub fn len(&self) -> usize {
        self.sessions.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets that wait in all sessions together.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Their bytes.
    pub fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Keeps a session; `None` when there is no room.
    pub fn insert(&mut self, session: Session) -> Option<u32> {
        match self.free.pop() {
            Some(at) => {
                self.sessions[at as usize] = session;
                Some(at)
            }
            None if self.sessions.len() < self.sessions.capacity() => {
                self.sessions.push(session);
                Some(self.sessions.len() as u32 - 1)
            }
            None => None,
        }
    }

    /// Forgets a session, whose waiting packets were taken out before.
    pub fn remove(&mut self, at: u32) {
        debug_assert_eq!(self.get(at).held(), 0, "waiting packets are taken out first");
        self.free.push(at);
    }

    /// A session.
    #[inline(always)]
    pub fn get(&self, at: u32) -> &Session {
        &self.sessions[at as usize]
    }

    /// A session, to be changed.
    #[inline(always)]
    pub fn get_mut(&mut self, at: u32) -> &mut Session {
        &mut self.sessions[at as usize]
    }

    /// Lets a packet of so many bytes that came in by `port` wait; hands it back when no more may.
    ///
    /// # Errors
    /// The packet.
    pub fn hold(&mut self, at: u32, port: PortId, pkt: P, bytes: u32) -> Result<(), P> {
        let slot = self.free_slot;
        if slot == NIL {
            return Err(pkt);
        }
        self.free_slot = self.slots[slot as usize].next;
        self.slots[slot as usize] = Slot { pkt: Some((port, pkt)), bytes, next: NIL };
        let list = &mut self.sessions[at as usize].held;
        match list.last {
            NIL => list.first = slot,
            last => self.slots[last as usize].next = slot,
        }
        let list = &mut self.sessions[at as usize].held;
        list.last = slot;
        list.len += 1;
        self.held += 1;
        self.held_bytes += u64::from(bytes);
        Ok(())
    }

    /// The packet that has waited longest.
    pub fn take_held(&mut self, at: u32) -> Option<(PortId, P)> {
        let list = &mut self.sessions[at as usize].held;
        let slot = list.first;
        let taken = self.slots.get_mut(slot as usize)?;
        list.first = taken.next;
        list.len -= 1;
        if list.first == NIL {
            list.last = NIL;
        }
        self.held -= 1;
        self.held_bytes -= u64::from(taken.bytes);
        taken.next = std::mem::replace(&mut self.free_slot, slot);
        taken.pkt.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_wait_in_order_and_no_more_than_there_is_room_for() {
        let mut sessions: Sessions<u8> = Sessions::new(2, 3);
        let [a, b] =
            [1, 2].map(|n| sessions.insert(Session::pending(n, n, Offer::default())).expect("room for two"));
        assert_eq!(sessions.insert(Session::pending(3, 3, Offer::default())), None);
        assert_eq!(sessions.hold(a, PortId(1), 10, 100), Ok(()));
        assert_eq!(sessions.hold(b, PortId(2), 20, 100), Ok(()));
        assert_eq!(sessions.hold(a, PortId(1), 11, 100), Ok(()));
        assert_eq!(sessions.hold(b, PortId(2), 21, 100), Err(21));
        assert_eq!((sessions.get(a).held(), sessions.get(b).held(), sessions.held()), (2, 1, 3));
        assert_eq!(sessions.held_bytes(), 300);
        assert_eq!(sessions.take_held(a), Some((PortId(1), 10)));
        assert_eq!(sessions.hold(b, PortId(2), 21, 100), Ok(()));
        assert_eq!(sessions.take_held(a), Some((PortId(1), 11)));
        assert_eq!(sessions.take_held(a), None);
        assert_eq!([(); 3].map(|()| sessions.take_held(b).map(|(_, n)| n)), [Some(20), Some(21), None]);
        assert_eq!((sessions.held(), sessions.held_bytes()), (0, 0));
        sessions.remove(a);
        assert_eq!(sessions.insert(Session::pending(3, 3, Offer::default())), Some(a));
    }
}
