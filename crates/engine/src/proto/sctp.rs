// SPDX-License-Identifier: Apache-2.0
//! SCTP association states as a director sees them: from the chunks of both sides. States and tables are those of LVS.

use model::ConnState;
use packet::sctp::{chunk, chunks};

use super::tcp::Side;

/// State of an SCTP association.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Just created.
    #[default]
    None,
    /// The client's INIT was seen.
    Init1,
    /// A second INIT of the client was seen.
    Init,
    /// The server answered INIT.
    CookieSent,
    /// The client brought the cookie back.
    CookieReplied,
    /// The server's INIT was seen, or the client's answer to one.
    CookieWait,
    /// The client answered INIT twice.
    Cookie,
    /// The server brought the cookie back.
    CookieEchoed,
    /// Data flows.
    Established,
    /// The server shuts down.
    ShutdownSent,
    /// The client shuts down.
    ShutdownReceived,
    /// The server answered the shutdown.
    ShutdownAckSent,
    /// Refused.
    Rejected,
    /// Over.
    Closed,
}

use State::{
    Closed, Cookie, CookieEchoed, CookieReplied, CookieSent, CookieWait, Established, Init, Init1,
    None as New, Rejected, ShutdownAckSent, ShutdownReceived, ShutdownSent,
};

/// Number of states.
pub const STATES: usize = State::ALL.len();

/// Default idle seconds by state.
pub const TIMEOUTS: [u32; STATES] = [2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61];

/// What a packet means for the state: its first chunk does, but for an ABORT behind a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Data, acknowledgements, heartbeats, and whatever is unknown.
    Data,
    /// INIT.
    Init,
    /// INIT ACK.
    InitAck,
    /// COOKIE ECHO.
    CookieEcho,
    /// COOKIE ACK.
    CookieAck,
    /// SHUTDOWN.
    Shutdown,
    /// SHUTDOWN ACK.
    ShutdownAck,
    /// SHUTDOWN COMPLETE.
    ShutdownComplete,
    /// ERROR.
    Error,
    /// ABORT.
    Abort,
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 10] = [
        Event::Data,
        Event::Init,
        Event::InitAck,
        Event::CookieEcho,
        Event::CookieAck,
        Event::Shutdown,
        Event::ShutdownAck,
        Event::ShutdownComplete,
        Event::Error,
        Event::Abort,
    ];

    /// What a packet that begins with its common header means; `None` without a chunk.
    pub fn of(packet: &[u8]) -> Option<Event> {
        let (first, second) = chunks(packet);
        Some(match (first?, second) {
            (chunk::COOKIE_ECHO | chunk::COOKIE_ACK, Some(chunk::ABORT)) => Event::Abort,
            (chunk::INIT, _) => Event::Init,
            (chunk::INIT_ACK, _) => Event::InitAck,
            (chunk::COOKIE_ECHO, _) => Event::CookieEcho,
            (chunk::COOKIE_ACK, _) => Event::CookieAck,
            (chunk::SHUTDOWN, _) => Event::Shutdown,
            (chunk::SHUTDOWN_ACK, _) => Event::ShutdownAck,
            (chunk::SHUTDOWN_COMPLETE, _) => Event::ShutdownComplete,
            (chunk::ERROR, _) => Event::Error,
            (chunk::ABORT, _) => Event::Abort,
            _ => Event::Data,
        })
    }

    /// Whether a client may say this where there is no association: what ends one, or answers what nobody asked, opens none.
    pub fn opens(self) -> bool {
        !matches!(self, Event::Abort | Event::ShutdownComplete | Event::ShutdownAck | Event::Error)
    }
}

impl State {
    /// Every state, in the order of their numbers.
    pub const ALL: [State; 14] = [
        New,
        Init1,
        Init,
        CookieSent,
        CookieReplied,
        CookieWait,
        Cookie,
        CookieEchoed,
        Established,
        ShutdownSent,
        ShutdownReceived,
        ShutdownAckSent,
        Rejected,
        Closed,
    ];

    /// The state after a packet.
    pub fn next(self, side: Side, event: Event) -> State {
        match side {
            Side::Client => self.after_client(event),
            Side::Server => self.after_server(event),
            Side::ClientOnly => self.after_client_alone(event),
        }
    }

    fn after_client(self, event: Event) -> State {
        match (event, self) {
            (Event::Data, New) => Established,
            (Event::Init, New) => Init1,
            (Event::Init, Init1 | Rejected | Closed) => Init,
            (Event::InitAck, New | Init1 | Init) => CookieWait,
            (Event::InitAck, CookieWait) => Cookie,
            (Event::CookieEcho, New | CookieSent) => CookieReplied,
            (Event::CookieEcho, Init1) => Init,
            (Event::CookieAck, New | CookieEchoed) => Established,
            (Event::Shutdown, New | Established) => ShutdownReceived,
            (Event::ShutdownAck, New | ShutdownSent | ShutdownAckSent) => Closed,
            (Event::ShutdownAck, Init1) => Init,
            (Event::ShutdownComplete, New | Init1 | Init | ShutdownAckSent) => Closed,
            (Event::Error, New | CookieEchoed) => Closed,
            (Event::Abort, CookieWait) => Rejected,
            (Event::Abort, _) => Closed,
            (_, same) => same,
        }
    }

    fn after_server(self, event: Event) -> State {
        match (event, self) {
            (Event::Data, New) => Established,
            (Event::Init, same @ (CookieWait | Established)) => same,
            (Event::Init, _) => CookieWait,
            (Event::InitAck, New | Init1 | Init) => CookieSent,
            (Event::CookieEcho, New | Init1 | Init | CookieSent | CookieReplied | CookieWait | Cookie) => {
                CookieEchoed
            }
            (
                Event::CookieAck,
                New | Init1 | Init | CookieSent | CookieReplied | CookieWait | Cookie | CookieEchoed,
            ) => Established,
            (
                Event::Shutdown,
                New | Init1 | Init | CookieSent | CookieReplied | CookieWait | Cookie | CookieEchoed
                | Established,
            ) => ShutdownSent,
            (
                Event::ShutdownAck,
                New | Init1 | Init | CookieSent | CookieReplied | ShutdownSent | ShutdownReceived,
            ) => ShutdownAckSent,
            (Event::ShutdownComplete, New) => Closed,
            (Event::Error, New | Init1 | Init | CookieSent | CookieReplied) => Closed,
            (Event::Abort, Init1) => Rejected,
            (Event::Abort, _) => Closed,
            (_, same) => same,
        }
    }

    fn after_client_alone(self, event: Event) -> State {
        match (event, self) {
            (Event::Data, New | CookieWait) => Established,
            (Event::Init, New) => Init1,
            (Event::Init, Init1 | CookieSent | CookieReplied | CookieWait | Rejected | Closed) => Init,
            (Event::InitAck, New | Init1 | Init | CookieSent | CookieReplied | CookieWait) => CookieEchoed,
            (Event::CookieEcho, New | Init1 | Init | CookieSent | CookieReplied | CookieWait) => Established,
            (Event::CookieAck, New | CookieSent | CookieReplied | Cookie | CookieEchoed) => Established,
            (Event::Shutdown, New | Established) => ShutdownReceived,
            (Event::ShutdownAck, New | Established | ShutdownSent | ShutdownAckSent) => Closed,
            (Event::ShutdownAck, Init1) => Init,
            (
                Event::ShutdownComplete,
                New | Init1 | Init | CookieSent | CookieReplied | ShutdownReceived | ShutdownAckSent,
            ) => Closed,
            (Event::Error, New) => Closed,
            (Event::Abort, CookieWait) => Rejected,
            (Event::Abort, _) => Closed,
            (_, same) => same,
        }
    }

    /// The state with this number; numbers out of range count as none.
    pub fn from_number(number: u8) -> State {
        State::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// As listings name it.
    pub fn listed(self) -> ConnState {
        match self {
            New => ConnState::None,
            Init1 => ConnState::SctpInit1,
            Init => ConnState::SctpInit,
            CookieSent => ConnState::SctpCookieSent,
            CookieReplied => ConnState::SctpCookieReplied,
            CookieWait => ConnState::SctpCookieWait,
            Cookie => ConnState::SctpCookie,
            CookieEchoed => ConnState::SctpCookieEchoed,
            Established => ConnState::Established,
            ShutdownSent => ConnState::SctpShutdownSent,
            ShutdownReceived => ConnState::SctpShutdownReceived,
            ShutdownAckSent => ConnState::SctpShutdownAckSent,
            Rejected => ConnState::SctpRejected,
            Closed => ConnState::SctpClosed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables as the field writes them, column by column in the order of the states; a dot stays.
    const CLIENT: [(Event, &str); 10] = [
        (Event::Data, "ES . . . . . . . . . . . . ."),
        (Event::Init, "I1 IN . . . . . . . . . . IN IN"),
        (Event::InitAck, "CW CW CW . . CO . . . . . . . ."),
        (Event::CookieEcho, "CR IN . CR . . . . . . . . . ."),
        (Event::CookieAck, "ES . . . . . . ES . . . . . ."),
        (Event::Shutdown, "SR . . . . . . . SR . . . . ."),
        (Event::ShutdownAck, "CL IN . . . . . . . CL . CL . ."),
        (Event::ShutdownComplete, "CL CL CL . . . . . . . . CL . ."),
        (Event::Error, "CL . . . . . . CL . . . . . ."),
        (Event::Abort, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL"),
    ];
    const SERVER: [(Event, &str); 10] = [
        (Event::Data, "ES . . . . . . . . . . . . ."),
        (Event::Init, "CW CW CW CW CW . CW CW . CW CW CW CW CW"),
        (Event::InitAck, "CS CS CS . . . . . . . . . . ."),
        (Event::CookieEcho, "CE CE CE CE CE CE CE . . . . . . ."),
        (Event::CookieAck, "ES ES ES ES ES ES ES ES . . . . . ."),
        (Event::Shutdown, "SS SS SS SS SS SS SS SS SS . . . . ."),
        (Event::ShutdownAck, "SA SA SA SA SA . . . . SA SA . . ."),
        (Event::ShutdownComplete, "CL . . . . . . . . . . . . ."),
        (Event::Error, "CL CL CL CL CL . . . . . . . . ."),
        (Event::Abort, "CL RJ CL CL CL CL CL CL CL CL CL CL CL CL"),
    ];
    const ALONE: [(Event, &str); 10] = [
        (Event::Data, "ES . . . . ES . . . . . . . ."),
        (Event::Init, "I1 IN . IN IN IN . . . . . . IN IN"),
        (Event::InitAck, "CE CE CE CE CE CE . . . . . . . ."),
        (Event::CookieEcho, "ES ES ES ES ES ES . . . . . . . ."),
        (Event::CookieAck, "ES . . ES ES . ES ES . . . . . ."),
        (Event::Shutdown, "SR . . . . . . . SR . . . . ."),
        (Event::ShutdownAck, "CL IN . . . . . . CL CL . CL . ."),
        (Event::ShutdownComplete, "CL CL CL CL CL . . . . . CL CL . ."),
        (Event::Error, "CL . . . . . . . . . . . . ."),
        (Event::Abort, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL"),
    ];
    const NAMES: &str = "NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL";

    #[test]
    fn row065_every_cell_of_the_tables() {
        let names: Vec<&str> = NAMES.split(' ').collect();
        for (side, table) in [(Side::Client, CLIENT), (Side::Server, SERVER), (Side::ClientOnly, ALONE)] {
            for (event, row) in table {
                let cells: Vec<&str> = row.split(' ').collect();
                assert_eq!(cells.len(), STATES, "{event:?}");
                for (state, cell) in State::ALL.into_iter().zip(cells) {
                    let wanted = if cell == "." { names[state as usize] } else { cell };
                    assert_eq!(
                        names[state.next(side, event) as usize],
                        wanted,
                        "{side:?} {event:?} {state:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn row065_an_abort_behind_a_cookie_counts() {
        let packet = |chunks: &[u8]| [&[0; 12][..], chunks].concat();
        let of = |chunks: &[u8]| Event::of(&packet(chunks));
        assert_eq!(of(&[10, 0, 0, 6, 1, 2, 0, 0, 6, 0, 0, 4]), Some(Event::Abort));
        assert_eq!(of(&[11, 0, 0, 4, 6, 0, 0, 4]), Some(Event::Abort));
        assert_eq!(of(&[0, 0, 0, 4, 6, 0, 0, 4]), Some(Event::Data));
        assert_eq!(of(&[10, 0, 0, 4, 0, 0, 0, 4]), Some(Event::CookieEcho));
        for (kind, event) in [
            (0, Event::Data),
            (1, Event::Init),
            (2, Event::InitAck),
            (3, Event::Data),
            (4, Event::Data),
            (5, Event::Data),
            (6, Event::Abort),
            (7, Event::Shutdown),
            (8, Event::ShutdownAck),
            (9, Event::Error),
            (10, Event::CookieEcho),
            (11, Event::CookieAck),
            (12, Event::Data),
            (13, Event::Data),
            (14, Event::ShutdownComplete),
            (192, Event::Data),
        ] {
            assert_eq!(of(&[kind, 0, 0, 4]), Some(event), "{kind}");
        }
        assert_eq!(Event::of(&[0; 12]), None);
    }
}
