// SPDX-License-Identifier: Apache-2.0
//! UDP connection states: whether the server has answered yet.

use model::ConnState;

use super::tcp::Side;

/// State of a UDP connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Just created.
    #[default]
    None,
    /// Only the client was heard.
    OneWay,
    /// Both sides were heard.
    Normal,
}

/// Number of states.
pub const STATES: usize = State::ALL.len();

/// Default idle seconds by state.
pub const TIMEOUTS: [u32; STATES] = [2, 300, 300];

impl State {
    /// Every state, in the order of their numbers.
    pub const ALL: [State; 3] = [State::None, State::OneWay, State::Normal];

    /// The state after a datagram.
    #[inline]
    pub fn next(self, side: Side) -> State {
        match (self, side) {
            (_, Side::Server) => State::Normal,
            (State::None, _) => State::OneWay,
            (other, _) => other,
        }
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
            State::OneWay => ConnState::UdpOneWay,
            State::Normal => ConnState::UdpNormal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_makes_it_normal_for_good() {
        let oneway = State::None.next(Side::Client);
        assert_eq!(oneway, State::OneWay);
        assert_eq!(oneway.next(Side::Client), State::OneWay);
        assert_eq!(oneway.next(Side::Server).next(Side::Client), State::Normal);
    }
}
