// SPDX-License-Identifier: Apache-2.0
//! The thread that checks: a task for each checker, which sleeps most of the time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use keepalived_conf::keepalived::script::Script;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::book::Event;
use super::machine::Machine;
use super::plan::Plan;
use super::pool::CheckerId;
use super::probe::Probe;
use super::script::Command;
use super::{FAREWELL, Order, random};

/// Tests at a time, at most; fewer where the system gives fewer files.
const MAX_TESTS: usize = 4096;

/// Scripts of checkers at a time: each is a process.
const MAX_SCRIPTS: usize = 64;

/// How long a notify script may run.
const SCRIPT_LIMIT: Duration = Duration::from_secs(3600);

/// What a checker is told: what it does, and whether it waits.
type Told = (Arc<Plan>, bool);

struct Watched {
    told: watch::Sender<Told>,
    task: JoinHandle<()>,
}

/// Turns.
#[derive(Clone)]
struct Turns {
    tests: Rc<Semaphore>,
    scripts: Rc<Semaphore>,
}

/// Does what it is told until the end.
pub async fn run(mut mail: UnboundedReceiver<Order>, tell: Sender<Event>) {
    let turns =
        Turns { tests: Rc::new(Semaphore::new(tests())), scripts: Rc::new(Semaphore::new(MAX_SCRIPTS)) };
    let mut watched: BTreeMap<CheckerId, Watched> = BTreeMap::new();
    let mut scripts = JoinSet::new();
    loop {
        let order = tokio::select! {
            order = mail.recv() => order,
            // Forgets those that ended.
            Some(_) = scripts.join_next() => continue,
        };
        match order {
            Some(Order::Watch(checkers)) => rearrange(&mut watched, checkers, &turns, &tell),
            Some(Order::Run(what, script, user)) => {
                scripts.spawn_local(notify(what, script, user));
            }
            Some(Order::End) | None => break,
        }
    }
    watched.values().for_each(|checker| checker.task.abort());
    let last = async { while scripts.join_next().await.is_some() {} };
    let _ = timeout(FAREWELL, last).await;
}

/// How many tests there may be at a time: half of the files that the process may have, which are made as many as the system allows.
fn tests() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 128 };
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    usize::try_from(if raised { hard } else { soft } / 2).unwrap_or(MAX_TESTS).clamp(1, MAX_TESTS)
}

/// Ends checkers that are gone, starts new ones, and tells the others what they do now.
fn rearrange(
    watched: &mut BTreeMap<CheckerId, Watched>,
    checkers: BTreeMap<CheckerId, Told>,
    turns: &Turns,
    tell: &Sender<Event>,
) {
    watched.retain(|id, checker| {
        let stays = checkers.contains_key(id);
        if !stays {
            checker.task.abort();
        }
        stays
    });
    for (id, plan) in checkers {
        if let Some(checker) = watched.get(&id) {
            checker.told.send_replace(plan);
            continue;
        }
        let (told, hears) = watch::channel(plan);
        let task = tokio::task::spawn_local(check(id, hears, turns.clone(), tell.clone()));
        watched.insert(id, Watched { told, task });
    }
}

/// The life of a checker.
async fn check(id: CheckerId, mut told: watch::Receiver<Told>, turns: Turns, tell: Sender<Event>) {
    let (mut plan, _) = told.borrow_and_update().clone();
    let mut machine = Machine::new(plan.rules, plan.alpha);
    let mut weight = None;
    sleep(machine.first(random() as f64 / u64::MAX as f64)).await;
    loop {
        // Whoever is suspended waits for other orders; there are none after the end.
        while told.borrow_and_update().1 {
            if told.changed().await.is_err() {
                return;
            }
        }
        let now = Arc::clone(&told.borrow().0);
        if !Arc::ptr_eq(&now, &plan) {
            machine.retime(now.rules);
            plan = now;
        }
        let begun = Instant::now();
        let outcome = {
            let turn = if matches!(plan.probe, Probe::Misc(_)) { &turns.scripts } else { &turns.tests };
            let _turn = turn.acquire().await;
            plan.probe.test(machine.page()).await
        };
        let next = machine.told(outcome.is_ok());
        log_outcome(&plan, &outcome, next.turn);
        // Nobody hears after the end.
        match outcome {
            Ok(found) => {
                if let Some(add) = found.filter(|add| weight.replace(*add) != Some(*add)) {
                    let _ = tell.send(Event::Weight(id, add));
                }
                if next.turn == Some(true) {
                    let _ = tell.send(Event::Up(id));
                }
            }
            Err(reason) if next.turn == Some(false) => {
                let _ = tell.send(Event::Down(id, reason));
            }
            Err(_) => {}
        }
        let spent = if plan.probe.counts_from_start() { begun.elapsed() } else { Duration::ZERO };
        sleep(next.wait.saturating_sub(spent)).await;
    }
}

fn log_outcome(plan: &Plan, outcome: &Result<Option<i64>, String>, turn: Option<bool>) {
    match (outcome, turn) {
        (Err(reason), Some(_)) => log::warn!("check=\"{}\" result=down reason=\"{reason}\"", plan.label),
        (Err(reason), None) if plan.wordy => {
            log::warn!("check=\"{}\" result=failed reason=\"{reason}\"", plan.label);
        }
        (Err(reason), None) => log::debug!("check=\"{}\" result=failed reason=\"{reason}\"", plan.label),
        (Ok(_), Some(_)) => log::info!("check=\"{}\" result=up", plan.label),
        (Ok(_), None) => {}
    }
}

/// Runs a notify script.
async fn notify(what: String, script: Script, user: Option<String>) {
    let outcome = match Command::new(&script, user.as_deref()) {
        Ok(command) => command.run(SCRIPT_LIMIT).await,
        Err(reason) => Err(reason),
    };
    let line = script.argv.join(" ");
    match outcome {
        Ok(0) => log::info!("script=\"{line}\" for=\"{what}\" status=0"),
        Ok(status) => log::warn!("script=\"{line}\" for=\"{what}\" status={status}"),
        Err(reason) => log::warn!("script=\"{line}\" for=\"{what}\" failed: {reason}"),
    }
}
