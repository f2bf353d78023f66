// SPDX-License-Identifier: Apache-2.0
//! Runs lines, one after the other, against one daemon.

use std::io::{self, ErrorKind, Write};

use cli::units::Digits;
use cli::{Ask, Exit};
use model::ServiceKey;
use model::options::AccessList;
use sockopt::reply::ServiceEntry;

use crate::args::{Line, Misuse, Sockpair, Style};
use crate::fetch::{self, Failure};
use crate::input::Input;
use crate::names::Names;
use crate::options::{Command, Opt};
use crate::render::services::{Columns, Look};
use crate::render::{self, Labels};
use crate::request::{self, Action, Edit, Services};
use crate::{describe, import, restore, shell, sort, top};

/// Where lines are run.
pub struct Session<'a> {
    /// The daemon.
    pub ask: &'a mut dyn Ask,
    /// Names of hosts and services.
    pub names: &'a Names,
    /// Where commands are read from.
    pub input: &'a mut Input,
    /// Where listings go.
    pub out: &'a mut dyn Write,
    /// Where complaints go.
    pub err: &'a mut dyn Write,
    /// The manner of lines that name none.
    pub style: Style,
}

/// Why a line ends early.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// It makes no sense.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// The daemon does not do it.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The director does not have that at all.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The listing cannot be written.
    #[error("cannot write to standard output: {0}")]
    Write(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Write(error)
    }
}

impl<'a> Session<'a> {
    /// Runs one line and says how it ended. What went wrong has been said.
    pub fn run(&mut self, line: &Line) -> Exit {
        match self.try_run(line) {
            Ok(exit) => exit,
            // A reader that has gone away has seen enough.
            Err(Stop::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Done,
            Err(stop) => {
                self.complain(&stop);
                exit(line.command, &stop)
            }
        }
    }

    /// Says what is wrong, in one line.
    pub fn complain(&mut self, reason: impl std::fmt::Display) {
        // Nobody is left to be told when standard error itself is closed.
        let _ = writeln!(self.err, "ipvsadm: {reason}");
    }

    /// The manner of a line.
    pub fn style_of(&self, line: &Line) -> Style {
        line.style.unwrap_or(self.style)
    }

    fn try_run(&mut self, line: &Line) -> Result<Exit, Stop> {
        let style = self.style_of(line);
        match request::action(line)? {
            Action::Change(set) => fetch::change(self.ask, set)?,
            Action::EditService(edit) => self.edit(*edit, style)?,
            Action::Services(query) => self.list_services(line, &query, style)?,
            Action::Conns(pair) => self.list_conns(line, pair, style)?,
            Action::Timeouts => self.list_timeouts(line)?,
            Action::SyncDaemons if line.has(Opt::Json) => self.write(&render::json::sync_daemons())?,
            Action::SyncDaemons => {}
            Action::StartSync => return Err(Stop::Unsupported(NO_SYNC)),
            Action::StopSync => return Err(Stop::Unsupported(NO_SYNC_RUNNING)),
            Action::Laddrs(key, worker) => self.list_laddrs(line, &Services { key, worker })?,
            Action::Access(list, key) => self.list_access(line, list, key)?,
            Action::Save => {
                let services = self.sorted(&Services { key: None, worker: None }, style)?;
                render::save::commands(&services, self.labels(line), style, self.out)?;
            }
            Action::Restore => return restore::run(self, line),
            Action::Import => return import::run(self, line),
            Action::Shell => return Ok(shell::run(self)),
            Action::Top => return top::run(self, line),
            Action::Help => self.write(&describe::help())?,
            Action::Version => self.write(&describe::version())?,
        }
        Ok(Exit::Done)
    }

    fn edit(&mut self, mut edit: Edit, style: Style) -> Result<(), Failure> {
        if style == Style::Dpvs {
            fetch::keep_unnamed(self.ask, &mut edit)?;
        }
        fetch::change(self.ask, edit.replacing())
    }

    fn list_services(&mut self, line: &Line, query: &Services, style: Style) -> Result<(), Stop> {
        let mut services = fetch::services(self.ask, query)?;
        if line.has(Opt::Nosort) {
            // The kernel puts a new server before the others.
            services.iter_mut().for_each(|service| service.dests.reverse());
        } else {
            sort(&mut services, style);
        }
        if line.has(Opt::Json) {
            return Ok(self.write(&render::json::services(&services))?);
        }
        if query.key.is_none() {
            let size = fetch::daemon(self.ask)?.conn_table_size;
            render::services::banner(style, size, self.out)?;
        }
        let look = Look { columns: columns(line), labels: self.labels(line), style };
        Ok(render::services::table(&services, look, self.out)?)
    }

    fn list_conns(&mut self, line: &Line, pair: Option<Sockpair>, style: Style) -> Result<(), Stop> {
        let mut conns = fetch::conns(self.ask, pair)?;
        if line.has(Opt::Json) {
            return Ok(self.write(&render::json::conns(&conns))?);
        }
        let templates = line.has(Opt::PersistentConn);
        if style == Style::Dpvs {
            conns.retain(|conn| conn.template == templates);
        }
        Ok(render::conns::table(&conns, self.labels(line), style, templates, self.out)?)
    }

    fn list_timeouts(&mut self, line: &Line) -> Result<(), Stop> {
        let timeouts = fetch::timeouts(self.ask)?;
        if line.has(Opt::Json) {
            return Ok(self.write(&render::json::timeouts(&timeouts))?);
        }
        Ok(render::conns::timeouts(&timeouts, self.out)?)
    }

    fn list_laddrs(&mut self, line: &Line, query: &Services) -> Result<(), Stop> {
        let services = self.sorted(query, self.style_of(line))?;
        if line.has(Opt::Json) {
            return Ok(self.write(&render::json::services(&services))?);
        }
        Ok(render::access::laddrs(&services, self.out)?)
    }

    fn list_access(&mut self, line: &Line, list: AccessList, key: Option<ServiceKey>) -> Result<(), Stop> {
        let services = self.sorted(&Services { key, worker: None }, self.style_of(line))?;
        if line.has(Opt::Json) {
            return Ok(self.write(&render::json::services(&services))?);
        }
        Ok(render::access::access(&services, list, self.out)?)
    }

    fn sorted(&mut self, query: &Services, style: Style) -> Result<Vec<ServiceEntry>, Failure> {
        let mut services = fetch::services(self.ask, query)?;
        sort(&mut services, style);
        Ok(services)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    fn labels(&self, line: &Line) -> Labels<'a> {
        Labels(if line.has(Opt::Numeric) { None } else { Some(self.names) })
    }
}

fn sort(services: &mut Vec<ServiceEntry>, style: Style) {
    sort::services(services);
    for service in services {
        // What is equal keeps the kernel's order: the newest first.
        service.dests.reverse();
        sort::dests(&mut service.dests, style);
    }
}

fn columns(line: &Line) -> Columns {
    let digits = if line.has(Opt::Exact) { Digits::Exact } else { Digits::Scaled };
    if line.has(Opt::Stats) {
        Columns::Stats(digits)
    } else if line.has(Opt::Rate) {
        Columns::Rates(digits)
    } else if line.has(Opt::Thresholds) {
        Columns::Thresholds
    } else if line.has(Opt::PersistentConn) {
        Columns::Persistent
    } else if line.has(Opt::TunInfo) {
        Columns::Tunnels
    } else {
        Columns::Plain
    }
}

/// Exit statuses are those that scripts know: 255 for a stock command that is refused, 1 for a listing.
pub fn exit(command: Command, stop: &Stop) -> Exit {
    match stop {
        Stop::Misuse(misuse) => Exit::Status(misuse.status),
        Stop::Failure(Failure::Ask(error)) => error.exit(),
        Stop::Failure(Failure::Refused(_) | Failure::Odd) | Stop::Unsupported(_) => match command {
            Command::AddService
            | Command::EditService
            | Command::DelService
            | Command::Clear
            | Command::AddServer
            | Command::EditServer
            | Command::DelServer
            | Command::Zero
            | Command::SetTimeouts
            | Command::StartDaemon
            | Command::StopDaemon => Exit::Status(255),
            _ => Exit::Refused,
        },
        Stop::Write(_) => Exit::Refused,
    }
}

const NO_SYNC: &str = "synchronisation daemons are not supported: directors that share their configuration agree on \
                       servers by Maglev hashing (-s mh) without them";
const NO_SYNC_RUNNING: &str = "no synchronisation daemon is running";
