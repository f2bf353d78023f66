// SPDX-License-Identifier: Apache-2.0
//! A keepalived.conf while the daemon runs: applied at the start, compared at a reload, followed as its servers come and go.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use control::State;
use crossbeam_channel::Receiver;
use desired::remarks::{self, Reader};
use desired::vips::{self, Changes, Vips};
use desired::{Rest, Running, tunnels};
use keepalived_conf::keepalived::{self as file, Config};
use model::net::VrrpRole;
use sockopt::reply::{HealthEntry, VrrpEntry};
use sockopt::{Code, Set, Status};

use crate::controller::{Controller, Source};
use crate::health::Health;
use crate::health::book::{Book, Due, Event};
use crate::view::View;

/// Outcomes taken together, at most.
const TOGETHER: usize = 1024;

/// The file in force, and who looks after its servers.
pub struct Keepalived {
    path: PathBuf,
    book: Book,
    vips: Vips,
    suspended: BTreeSet<usize>,
    health: Health,
}

impl Keepalived {
    /// Configures what the file says, all or nothing, and begins to check.
    ///
    /// # Errors
    /// Why not, with the place in the file.
    pub fn start(path: &Path, controller: &mut Controller) -> Result<Keepalived, String> {
        let (book, due) = read(path, &Book::default())?;
        let health = Health::start().map_err(|error| format!("no thread to check servers: {error}"))?;
        let mut keepalived = Keepalived {
            path: path.to_owned(),
            book: Book::default(),
            vips: Vips::default(),
            suspended: BTreeSet::new(),
            health,
        };
        let (steps, vips) = keepalived.todo(controller.state(), &book);
        if !steps.is_empty() {
            controller.apply(&steps, Source::Keepalived(path)).map_err(|status| {
                keepalived.blame(&book, steps.get(status.step.unwrap_or(0) as usize), &status)
            })?;
        }
        keepalived.adopt(book, due, vips, controller);
        Ok(keepalived)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says now, and what is due when that is adopted.
    ///
    /// # Errors
    /// What is wrong with it, with the place.
    pub fn read(&self) -> Result<(Book, Due), String> {
        read(&self.path, &self.book)
    }

    /// What makes `state` as `book` has it, and the virtual addresses that are here then. What was made by hand is left alone.
    pub fn todo(&self, state: &State, book: &Book) -> (Vec<Set>, Vips) {
        let view = View::of(state);
        let Changes { come, go, after } = self.vips.changes(&book.config, &view.links(), &view.addresses());
        let running = Running { services: &view.services(), timeouts: view.timeouts() };
        let (now, before) = (tunnels::wanted(&book.config), tunnels::wanted(&self.book.config));
        let tunnels = tunnels::changes(&now, &before, &view.tunnels());
        let mut steps = tunnels.come;
        steps.extend(come);
        steps.extend(book.table.changes(running, Rest::Keep(&self.book.table)));
        steps.extend(go);
        steps.extend(tunnels.go);
        (steps, after)
    }

    /// A refusal, with the place in the file that asks for it.
    pub fn blame(&self, book: &Book, step: Option<&Set>, status: &Status) -> String {
        let place = step.and_then(|step| {
            let other = || vips::span(&book.config, step).or_else(|| tunnels::place(&book.config, step));
            book.import.place(step).or_else(other)
        });
        match place {
            Some(place) => format!("{place}: {status}"),
            None => format!("{}: {status}", self.path.display()),
        }
    }

    /// Looks after what `book` has from now on.
    pub fn adopt(&mut self, book: Book, due: Due, vips: Vips, controller: &mut Controller) {
        let links = View::of(controller.state()).links();
        vips::elsewhere(&book.config, &links).iter().for_each(|line| log::warn!("{line}"));
        controller.reserve(vips::all(&book.config, &links));
        (self.book, self.vips) = (book, vips);
        self.suspended = self.suspended_now(controller);
        self.health.watch(&self.book, &self.suspended);
        self.run(due);
        let (alive, servers) = self.book.alive();
        let checkers = self.book.checkers.len();
        log::info!("servers={servers} alive={alive} checkers={checkers} file={}", self.path.display());
    }

    /// What runs and is not of the file: a line for each.
    pub fn strangers(&self, state: &State) -> Vec<String> {
        let strangers = self.book.table.strangers(&View::of(state).services());
        strangers.into_iter().map(|what| format!("not of the file, left alone: {what}")).collect()
    }

    /// Lets an instance of VRRP have a role: its addresses come or go.
    ///
    /// # Errors
    /// There is none of that name, or an address is refused.
    pub fn vrrp(&mut self, name: &str, role: VrrpRole, controller: &mut Controller) -> Result<(), Status> {
        let instances = &self.book.config.vrrp_instances;
        if !instances.iter().any(|instance| instance.name == name) {
            let known: Vec<&str> = instances.iter().map(|instance| instance.name.as_str()).collect();
            let text = format!(
                "no vrrp_instance `{name}` in {}: there are {}",
                self.path.display(),
                known.join(", ")
            );
            return Err(Status::new(Code::NotFound, text));
        }
        let vips = self.vips.with(name, role);
        let Changes { mut come, go, after } = {
            let view = View::of(controller.state());
            vips.changes(&self.book.config, &view.links(), &view.addresses())
        };
        come.extend(go);
        if !come.is_empty() {
            controller.apply(&come, Source::Keepalived(&self.path))?;
        }
        log::info!("vrrp={name} role={role} changes={}", come.len());
        self.vips = after;
        self.beat(controller);
        Ok(())
    }

    /// Every service with its servers.
    pub fn report(&self) -> Vec<HealthEntry> {
        self.book.report()
    }

    /// Every instance of VRRP.
    pub fn instances(&self, controller: &Controller) -> Vec<VrrpEntry> {
        self.vips.entries(&self.book.config, &View::of(controller.state()).links())
    }

    /// Where outcomes of checks arrive.
    pub fn events(&self) -> Receiver<Event> {
        self.health.events().clone()
    }

    /// Lets the table follow an outcome, and those that arrived with it.
    pub fn take(&mut self, first: Event, controller: &mut Controller) {
        let events: Vec<Event> =
            std::iter::once(first).chain(self.health.events().try_iter().take(TOGETHER)).collect();
        let (steps, due) = self.book.take(&events);
        if !steps.is_empty() && controller.apply(&steps, Source::Health).is_err() {
            // Somebody changed these servers by hand: each goes as far as it can.
            steps.iter().for_each(|step| one_by_one(step, controller));
        }
        self.run(due);
    }

    /// What has to happen every two seconds: checkers of `ha_suspend` services wait while their addresses are elsewhere.
    pub fn beat(&mut self, controller: &mut Controller) {
        let now = self.suspended_now(controller);
        if now != self.suspended {
            self.suspended = now;
            self.health.watch(&self.book, &self.suspended);
        }
    }

    fn suspended_now(&self, controller: &Controller) -> BTreeSet<usize> {
        if !self.book.config.services.iter().any(|service| service.ha_suspend) {
            return BTreeSet::new();
        }
        let here: HashSet<_> =
            View::of(controller.state()).addresses().into_iter().map(|(prefix, _)| prefix.addr).collect();
        self.book.suspended(&here)
    }

    /// The end: scripts of services that want one.
    pub fn stop(self) {
        self.run(self.book.farewell());
    }

    fn run(&self, due: Due) {
        self.health.run(due, self.book.config.globals.script_user.as_deref());
    }
}

/// Checks a file without doing anything.
///
/// # Errors
/// What is wrong with it.
pub fn check(path: &Path) -> Result<(), String> {
    read(path, &Book::default()).map(drop)
}

/// Reads a file; says in the log what an operator should know of it.
fn read(path: &Path, before: &Book) -> Result<(Book, Due), String> {
    let report = file::load(path, &file::host_id()).map_err(|fatal| fatal.to_string())?;
    report.findings.iter().for_each(|found| log::warn!("{found}"));
    report.adjustments.iter().for_each(|adjusted| log::warn!("{adjusted}"));
    report.skipped.iter().for_each(|skipped| log::info!("{skipped}"));
    not_done(&report.config).iter().for_each(|remark| log::warn!("{remark}"));
    Book::after(before, report.config).map_err(|error| error.to_string())
}

fn not_done(config: &Config) -> Vec<String> {
    remarks::of(config, Reader::Daemon)
}

/// Makes a change of a server that may not be what it was.
fn one_by_one(step: &Set, controller: &mut Controller) {
    let Err(status) = controller.apply(std::slice::from_ref(step), Source::Health) else { return };
    let other = match (step.clone(), status.code) {
        (Set::EditDest(key, addr, spec), Code::NotFound) => Set::AddDest(key, addr, spec),
        (Set::AddDest(key, addr, spec), Code::Exists) => Set::EditDest(key, addr, spec),
        (Set::DelDest(..), Code::NotFound) => return,
        _ => return log::error!("health of a server cannot be followed: {status}"),
    };
    if let Err(status) = controller.apply(&[other], Source::Health) {
        log::error!("health of a server cannot be followed: {status}");
    }
}
