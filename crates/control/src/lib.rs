// SPDX-License-Identifier: Apache-2.0
//! Decisions without I/O: decide, commit, compile, answer.
//!
//! One thread owns the [`State`]. A request goes through it like this; only the daemon does what the effects ask for:
//!
//! ```text
//!   Set  -> decide(&State, &Set)           -> Decision { change, effects } | Status     pure
//!        -> State::commit(change)          -> the change that undoes it                 the only mutation; cannot fail
//!        -> compile(&State)                -> engine::Snapshot                          pure
//!   Get  -> answer(&State, &Observed, &Get, now) -> Reply                               pure
//! ```
//!
//! [`transact`] does the first two lines for a list of changes, all or nothing. What workers count is no
//! configuration: [`meter::Meter`] keeps it, fed by the daemon.
#![forbid(unsafe_code)]

pub mod answer;
pub mod boot;
pub mod capabilities;
mod change;
mod compile;
mod decide;
mod describe;
pub mod effect;
mod entry;
pub mod meter;
pub mod observed;
mod ordered;
pub mod ports;
pub mod rates;
pub mod rows;
mod slots;
pub mod state;
mod tables;
mod transaction;

pub use answer::{answer, wants};
pub use change::Change;
pub use compile::compile;
pub use decide::{Decision, decide};
pub use describe::describe;
pub use effect::Effect;
pub use meter::Meter;
pub use observed::{Observed, WorkerReport};
pub use ports::PortFacts;
pub use state::State;
pub use transaction::{Applied, plan, transact};
