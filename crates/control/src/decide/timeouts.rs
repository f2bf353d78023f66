// SPDX-License-Identifier: Apache-2.0
//! Idle timeouts: `ipvsadm --set`.

use engine::proto::{tcp, udp};
use model::Timeouts;
use sockopt::{Code, Status};

use super::service::MAX_TIMEOUT;
use super::{Decision, refuse};
use crate::change::Row;
use crate::state::State;

/// 0 leaves a timeout as it is.
pub(super) fn set(state: &State, wanted: &Timeouts) -> Result<Decision, Status> {
    for (what, secs) in [("tcp", wanted.tcp), ("tcp fin", wanted.tcp_fin), ("udp", wanted.udp)] {
        if secs > MAX_TIMEOUT {
            return refuse(Code::Invalid, format!("{what} timeout of {secs} s: 0 to {MAX_TIMEOUT} expected"));
        }
    }
    let mut timeouts = state.timeouts.clone();
    let put = |at: &mut u32, secs: u32| *at = if secs == 0 { *at } else { secs };
    put(&mut timeouts.tcp[tcp::State::Established as usize], wanted.tcp);
    // Whichever side closed first.
    put(&mut timeouts.tcp[tcp::State::FinWait as usize], wanted.tcp_fin);
    put(&mut timeouts.tcp[tcp::State::CloseWait as usize], wanted.tcp_fin);
    // One number for UDP: whether the server has answered makes no difference to it.
    put(&mut timeouts.udp[udp::State::OneWay as usize], wanted.udp);
    put(&mut timeouts.udp[udp::State::Normal as usize], wanted.udp);
    Ok(Decision::new(vec![Row::Timeouts(timeouts)], Vec::new()))
}

/// The three that `ipvsadm -L --timeout` shows.
pub(crate) fn listed(state: &State) -> Timeouts {
    Timeouts {
        tcp: state.timeouts.tcp[tcp::State::Established as usize],
        tcp_fin: state.timeouts.tcp[tcp::State::FinWait as usize],
        udp: state.timeouts.udp[udp::State::Normal as usize],
    }
}
