// SPDX-License-Identifier: Apache-2.0
//! TCP connection states as a director sees them: from the segments of both sides.

use model::ConnState;

/// State of a TCP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Just created.
    #[default]
    None,
    /// Data flows.
    Established,
    /// The server side sent the first SYN.
    SynSent,
    /// The client's SYN was seen.
    SynRecv,
    /// The server closed first.
    FinWait,
    /// Both closed.
    TimeWait,
    /// Reset, or out of step.
    Close,
    /// The client closed first.
    CloseWait,
    /// The last acknowledgement is outstanding.
    LastAck,
    /// Listening.
    Listen,
    /// SYN-ACK seen.
    SynAck,
}

/// Number of states.
pub const STATES: usize = State::ALL.len();

/// Default idle seconds by state.
pub const TIMEOUTS: [u32; STATES] = [2, 90, 3, 30, 7, 7, 3, 7, 7, 120, 30];

/// What a segment means for the state. RST counts before SYN, SYN before FIN, FIN before ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// SYN, with or without ACK.
    Syn,
    /// FIN.
    Fin,
    /// ACK alone.
    Ack,
    /// RST.
    Rst,
}

/// Which side's segments the director sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the client.
    Client,
    /// From the server.
    Server,
    /// From the client, and the server's never pass (DR, TUNNEL).
    ClientOnly,
}

impl State {
    /// Every state, in the order of their numbers.
    pub const ALL: [State; 11] = [
        State::None,
        State::Established,
        State::SynSent,
        State::SynRecv,
        State::FinWait,
        State::TimeWait,
        State::Close,
        State::CloseWait,
        State::LastAck,
        State::Listen,
        State::SynAck,
    ];

    /// The state after a segment.
    #[inline]
    pub fn next(self, side: Side, event: Option<Event>) -> State {
        let Some(event) = event else { return State::Close };
        let table = match side {
            Side::Client => &CLIENT,
            Side::Server => &SERVER,
            Side::ClientOnly => &CLIENT_ONLY,
        };
        table[event as usize][self as usize]
    }

    /// The state with this number; numbers out of range count as none.
    #[inline]
    pub fn from_number(number: u8) -> State {
        State::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// As listings name it.
    pub fn listed(self) -> ConnState {
        match self {
            State::None => ConnState::None,
            State::Established => ConnState::Established,
            State::SynSent => ConnState::SynSent,
            State::SynRecv => ConnState::SynRecv,
            State::FinWait => ConnState::FinWait,
            State::TimeWait => ConnState::TimeWait,
            State::Close => ConnState::Close,
            State::CloseWait => ConnState::CloseWait,
            State::LastAck => ConnState::LastAck,
            State::Listen => ConnState::Listen,
            State::SynAck => ConnState::SynAck,
        }
    }
}

impl Event {
    /// The meaning of a segment's flag byte.
    #[inline]
    pub fn of(flags: u8) -> Option<Event> {
        match flags {
            f if f & RST != 0 => Some(Event::Rst),
            f if f & SYN != 0 => Some(Event::Syn),
            f if f & FIN != 0 => Some(Event::Fin),
            f if f & ACK != 0 => Some(Event::Ack),
            _ => None,
        }
    }
}

/// TCP flag bits.
pub const FIN: u8 = 0x01;
/// TCP flag bits.
pub const SYN: u8 = 0x02;
/// TCP flag bits.
pub const RST: u8 = 0x04;
/// TCP flag bits.
pub const ACK: u8 = 0x10;

/// Whether a segment's flags ask for a new connection.
#[inline(always)]
pub fn is_opening(flags: u8) -> bool {
    flags & (SYN | ACK | FIN | RST) == SYN
}

type Table = [[State; STATES]; 4];

use State::{
    Close as CL, CloseWait as CW, Established as ES, FinWait as FW, LastAck as LA, Listen as LI,
    SynRecv as SR, SynSent as SS, TimeWait as TW,
};

#[rustfmt::skip]
const CLIENT: Table = [
    //       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /*SYN*/ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    /*FIN*/ [CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW],
    /*ACK*/ [CL, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    /*RST*/ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR],
];

#[rustfmt::skip]
const SERVER: Table = [
    //       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /*SYN*/ [SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR],
    /*FIN*/ [TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW],
    /*ACK*/ [ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES],
    /*RST*/ [CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL],
];

#[rustfmt::skip]
const CLIENT_ONLY: Table = [
    //       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA
    /*SYN*/ [SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR],
    /*FIN*/ [CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW],
    /*ACK*/ [CL, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES],
    /*RST*/ [CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(steps: &[(Side, u8)]) -> Vec<State> {
        let mut state = State::None;
        steps
            .iter()
            .map(|&(side, flags)| {
                state = state.next(side, Event::of(flags));
                state
            })
            .collect()
    }

    #[test]
    fn a_handshake_leads_to_established() {
        let steps = [(Side::Client, SYN), (Side::Server, SYN | ACK), (Side::Client, ACK)];
        assert_eq!(walk(&steps), [State::SynRecv, State::SynRecv, State::Established]);
    }

    #[test]
    fn the_side_that_closes_first_decides_the_waiting_state() {
        let up = [(Side::Client, SYN), (Side::Server, SYN | ACK), (Side::Client, ACK)];
        let client = [&up[..], &[(Side::Client, FIN | ACK), (Side::Server, FIN | ACK)]].concat();
        assert_eq!(walk(&client)[3..], [State::CloseWait, State::TimeWait]);
        let server = [&up[..], &[(Side::Server, FIN | ACK), (Side::Client, FIN | ACK)]].concat();
        assert_eq!(walk(&server)[3..], [State::FinWait, State::TimeWait]);
    }

    #[test]
    fn a_refusing_server_closes() {
        assert_eq!(walk(&[(Side::Client, SYN), (Side::Server, RST | ACK)])[1], State::Close);
    }

    #[test]
    fn row052_a_segment_without_any_flag_closes() {
        assert_eq!(State::Established.next(Side::Client, Event::of(0)), State::Close);
    }

    /// Row by row as operators know them: SYN, FIN, ACK, RST in NONE, ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT, TIME_WAIT, CLOSE,
    /// CLOSE_WAIT, LAST_ACK, LISTEN, SYNACK.
    #[test]
    fn row051_every_cell_of_the_tables() {
        let tables = [
            (
                Side::Client,
                [
                    "SR ES ES SR SR SR SR SR SR SR SR",
                    "CL CW SS TW TW TW CL CW LA LI TW",
                    "CL ES SS ES FW TW CL CW CL LI ES",
                    "CL CL CL SR CL CL CL CL LA LI SR",
                ],
            ),
            (
                Side::Server,
                [
                    "SS ES SS SR SS SS SS SS SS LI SR",
                    "TW FW SS TW FW TW CL TW LA LI TW",
                    "ES ES SS ES FW TW CL CW LA ES ES",
                    "CL CL SS CL CL TW CL CL CL CL CL",
                ],
            ),
            (
                Side::ClientOnly,
                [
                    "SR ES ES SR SR SR SR SR SR SR SR",
                    "CL FW SS TW FW TW CL CW LA LI TW",
                    "CL ES SS ES FW TW CL CW CL LI ES",
                    "CL CL CL SR CL CL CL CL LA LI CL",
                ],
            ),
        ];
        let names = ["NO", "ES", "SS", "SR", "FW", "TW", "CL", "CW", "LA", "LI", "SA"];
        for (side, rows) in tables {
            for (flags, row) in [SYN, FIN, ACK, RST].into_iter().zip(rows) {
                let found: Vec<&str> = State::ALL
                    .iter()
                    .map(|state| names[state.next(side, Event::of(flags)) as usize])
                    .collect();
                assert_eq!(found.join(" "), row, "{side:?} {flags:#x}");
            }
        }
    }
}
