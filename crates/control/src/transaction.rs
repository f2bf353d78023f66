// SPDX-License-Identifier: Apache-2.0
//! Several changes, whole or not at all.

use sockopt::{Set, Status};

use crate::change::Change;
use crate::decide::decide;
use crate::describe::describe;
use crate::effect::Effect;
use crate::state::State;

/// What a transaction did.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// What the daemon has to do now, in order.
    pub effects: Vec<Effect>,
    /// Commit it, and the state is as it was before: for when a device refuses.
    pub undo: Change,
}

/// Applies changes in order. Each is decided in view of those before it.
///
/// # Errors
/// The first refusal, with the number of its step when there are several; the state is as it was.
pub fn transact(state: &mut State, steps: &[Set]) -> Result<Applied, Status> {
    let mut effects = Vec::new();
    let mut undos: Vec<Change> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        match decide(state, step) {
            Ok(decision) => {
                if !decision.change.is_empty() {
                    undos.push(state.commit(decision.change));
                }
                effects.extend(decision.effects);
            }
            Err(status) => {
                for undo in undos.into_iter().rev() {
                    state.commit(undo);
                }
                let step = (steps.len() > 1).then(|| u32::try_from(at).unwrap_or(u32::MAX));
                return Err(Status { step, ..status });
            }
        }
    }
    let undo = undos.into_iter().rev().fold(Change::default(), Change::then);
    Ok(Applied { effects: settled(effects), undo })
}

/// What a transaction would do, one line a step. The state is only lent: it is the same afterwards.
///
/// # Errors
/// As of [`transact`].
pub fn plan(state: &mut State, steps: &[Set]) -> Result<Vec<String>, Status> {
    let applied = transact(state, steps)?;
    state.commit(applied.undo);
    Ok(steps.iter().map(describe).collect())
}

/// Devices first, because they can refuse; the meter is fed once, before anything is zeroed.
fn settled(effects: Vec<Effect>) -> Vec<Effect> {
    let retire = effects.contains(&Effect::Retire).then_some(Effect::Retire);
    let (devices, rest): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| matches!(effect, Effect::Device { .. }));
    let rest = rest.into_iter().filter(|effect| *effect != Effect::Retire);
    devices.into_iter().chain(retire).chain(rest).collect()
}
