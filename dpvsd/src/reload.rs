// SPDX-License-Identifier: Apache-2.0
//! Both files read again: one transaction of what they say differently now, or nothing at all.
//!
//! ```text
//!   read dpvs.conf, read keepalived.conf      whole, before anything else
//!   plan: the steps of one, then of the other in view of them, on a copy of the state
//!   apply all steps together, then let both files be what they say now
//! ```

use control::boot::{BootConfig, Reload};
use control::{Change, State};
use desired::vips::Vips;
use sockopt::{Set, Status};

use crate::controller::{Controller, Source};
use crate::file::File;
use crate::health::book::{Book, Due};
use crate::keepalived::Keepalived;

/// What both files want together.
struct Plan {
    steps: Vec<Set>,
    settings: Change,
    file: Option<Reload>,
    vips: Option<Vips>,
}

/// One of the files.
#[derive(Clone, Copy)]
enum Side {
    File,
    Keepalived,
}

/// Reads both files again and changes what they say differently now: what an operator should know, which the log has too. Servers that
/// stay keep connections, counters and health; what was made by hand is left alone, a line for each.
///
/// # Errors
/// What is wrong, with file and line; everything stays as it was.
pub fn reload(
    controller: &mut Controller,
    file: &mut File,
    keepalived: Option<&mut Keepalived>,
) -> Result<Vec<String>, String> {
    let kept = keepalived.as_deref().map(|keepalived| format!(" keepalived={}", keepalived.path().display()));
    let files = file.path().map(|path| format!(" file={}", path.display())).into_iter().chain(kept);
    let files: String = files.collect();
    let told = change(controller, file, keepalived);
    match &told {
        Ok(lines) => {
            lines.iter().for_each(|line| log::warn!("{line}"));
            log::info!("reloaded{files}");
        }
        Err(reason) => {
            reason.lines().for_each(|line| log::error!("{line}"));
            log::error!("not reloaded, everything stays as it was{files}");
        }
    }
    told
}

fn change(
    controller: &mut Controller,
    file: &mut File,
    keepalived: Option<&mut Keepalived>,
) -> Result<Vec<String>, String> {
    if file.path().is_none() && keepalived.is_none() {
        return Err("nothing to reload: the daemon was started without a configuration file".to_owned());
    }
    let (boot, kept) = match (file.read(), keepalived.as_deref().map(Keepalived::read).transpose()) {
        (Ok(boot), Ok(kept)) => (boot, kept),
        (boot, kept) => {
            let wrong: Vec<String> = boot.err().into_iter().chain(kept.err()).collect();
            return Err(wrong.join("\n"));
        }
    };
    let of =
        |order| plan(controller.state(), file, boot.as_ref(), keepalived.as_deref(), kept.as_ref(), order);
    // A link is there before its services are, so the other order is for what goes: services before their link.
    let plan = of([Side::File, Side::Keepalived])
        .or_else(|first| of([Side::Keepalived, Side::File]).map_err(|_| first))?;
    controller.apply_with(&plan.steps, plan.settings, Source::Files).map_err(|status| status.to_string())?;
    let mut told = Vec::new();
    if let (Some(boot), Some(todo)) = (boot, plan.file) {
        told.extend(file.adopt(boot, todo));
    }
    if let (Some(keepalived), Some((book, due)), Some(vips)) = (keepalived, kept, plan.vips) {
        keepalived.adopt(book, due, vips, controller);
        told.extend(keepalived.strangers(controller.state()));
    }
    Ok(told)
}

/// The steps of both files in this order, each in view of those before it.
fn plan(
    state: &State,
    file: &File,
    boot: Option<&BootConfig>,
    keepalived: Option<&Keepalived>,
    kept: Option<&(Book, Due)>,
    order: [Side; 2],
) -> Result<Plan, String> {
    let mut trial = state.clone();
    let mut plan = Plan { steps: Vec::new(), settings: Change::default(), file: None, vips: None };
    for side in order {
        match (side, boot, keepalived.zip(kept)) {
            (Side::File, Some(boot), _) => {
                let todo = file.todo(&trial, boot);
                attempt(&mut trial, &todo.steps).map_err(|(step, status)| file.blame(boot, step, &status))?;
                trial.commit(todo.settings.clone());
                plan.settings = todo.settings.clone();
                plan.steps.extend(todo.steps.iter().cloned());
                plan.file = Some(todo);
            }
            (Side::Keepalived, _, Some((keepalived, (book, _)))) => {
                let (steps, vips) = keepalived.todo(&trial, book);
                attempt(&mut trial, &steps)
                    .map_err(|(step, status)| keepalived.blame(book, step, &status))?;
                plan.steps.extend(steps);
                plan.vips = Some(vips);
            }
            _ => {}
        }
    }
    Ok(plan)
}

/// Makes changes to a state; the step that is refused, and why.
pub fn attempt<'s>(state: &mut State, steps: &'s [Set]) -> Result<(), (Option<&'s Set>, Status)> {
    control::transact(state, steps).map(drop).map_err(|status| {
        let at = status.step.unwrap_or(0) as usize;
        (steps.get(at), status)
    })
}
