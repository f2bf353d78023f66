// SPDX-License-Identifier: Apache-2.0
//! The words that may follow: commands, the options that are legal with them, and the services, servers and links that
//! are there now. For the prompt and for the completion of shells.

use cli::Ask;
use model::ServiceKey;
use sockopt::reply::ServiceEntry;
use sockopt::{Get, Reply, Request};

use crate::fetch;
use crate::grammar::Given;
use crate::options::{
    CHECKS, COMMANDS, Command, Found, IPC, OPTIONS, Opt, RULES, SORT, STYLE, Value, find_long, find_short,
};
use crate::popt::{WordError, Words};
use crate::render::save::service_name;
use crate::render::{Labels, transport};
use crate::request::Services;

/// The words that may follow `before`. Who asks leaves out what does not begin as the word that is being written.
pub fn candidates(before: &[String], ask: &mut dyn Ask) -> Vec<String> {
    let mut line = Begun::default();
    match line.read(before) {
        Some(Found::Option(def)) => values(def.opt, def.value, &line, ask),
        Some(Found::Command(def)) => choices(def.value),
        None => match line.command {
            None => COMMANDS.iter().flat_map(|def| spellings(def.short, def.long)).collect(),
            Some(command) => options(command, &line.given),
        },
    }
}

/// A line as far as it is written.
#[derive(Default)]
struct Begun {
    command: Option<Command>,
    given: Given,
    service: Option<(Opt, String)>,
    scheduler: String,
}

impl Begun {
    /// Reads what is written and says what waits for its value.
    fn read(&mut self, before: &[String]) -> Option<Found> {
        let mut words = Words::new(before);
        loop {
            match words.option(self.command) {
                Ok(None) => return None,
                Ok(Some(written)) => match written.found {
                    Found::Command(def) => self.command = Some(def.command),
                    Found::Option(def) => self.note(def.opt, written.value.unwrap_or_default()),
                },
                Err(WordError::NoValue(name)) => return self.find(&name),
                // What is no option is no reason to stop helping.
                Err(_) => {}
            }
        }
    }

    fn note(&mut self, opt: Opt, value: &str) {
        // A repeated option is refused when the line is run.
        let _ = self.given.add(opt);
        match opt {
            Opt::Scheduler => value.clone_into(&mut self.scheduler),
            _ if opt.def().name == crate::options::SERVICE => self.service = Some((opt, value.to_owned())),
            _ => {}
        }
    }

    fn find(&self, name: &str) -> Option<Found> {
        match name.strip_prefix("--") {
            Some(long) => find_long(long),
            None => find_short(name.chars().nth(1)?, self.command),
        }
    }
}

fn spellings(short: &[char], long: &str) -> Vec<String> {
    let short = short.iter().map(|letter| format!("-{letter}"));
    short.chain([format!("--{long}")]).collect()
}

/// The options that may still be given.
fn options(command: Command, given: &Given) -> Vec<String> {
    let legal = |name: &str| {
        let anywhere = [IPC, STYLE, SORT].contains(&name);
        let ruled = RULES.iter().filter(|rule| rule.name == name);
        anywhere || ruled.flat_map(|rule| [rule.needs, rule.may, rule.alone]).any(|of| of.contains(&command))
    };
    let hidden = match command {
        Command::AddServer | Command::EditServer => Opt::SchedFlags,
        _ => Opt::FullNat,
    };
    OPTIONS
        .iter()
        .filter(|def| def.opt != hidden && legal(def.name))
        .filter(|def| def.name == CHECKS || !given.named(def.name))
        .flat_map(|def| spellings(def.short.as_slice(), def.long))
        .collect()
}

/// `a|b` names its own values.
fn choices(value: Value) -> Vec<String> {
    match value {
        Value::Required(name) | Value::Optional(name) if name.contains('|') => {
            name.split('|').map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn values(opt: Opt, value: Value, line: &Begun, ask: &mut dyn Ask) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match opt {
        Opt::Scheduler => words(SCHEDULERS),
        Opt::SchedFlags => match line.scheduler.as_str() {
            "sh" => words(&["sh-fallback", "sh-port"]),
            "mh" => words(&["mh-fallback", "mh-port"]),
            _ => words(&["flag-1", "flag-2", "flag-3"]),
        },
        Opt::Pe => words(&["sip"]),
        Opt::ProxyProtocol => words(&["v1", "v2", "v1-insecure", "v2-insecure", "disable"]),
        Opt::DestCheck => words(&["default", "tcp", "udp", "sctp", "ping", "disable"]),
        Opt::TunType => words(&["ipip", "gue", "gre"]),
        Opt::Ifname => links(ask),
        _ if opt.def().name == crate::options::SERVICE => {
            // An added service is none of those that are there.
            let fresh = line.command == Some(Command::AddService);
            let services = if fresh { Vec::new() } else { services(ask) };
            services.iter().filter_map(|entry| name_after(opt, &entry.key)).collect()
        }
        Opt::RealServer | Opt::Laddr | Opt::Blklst | Opt::Whtlst => of_service(opt, line, ask),
        _ => choices(value),
    }
}

/// What the service on the line has.
fn of_service(opt: Opt, line: &Begun, ask: &mut dyn Ask) -> Vec<String> {
    let Some((by, name)) = &line.service else { return Vec::new() };
    let services = services(ask);
    let found = services.iter().find(|entry| name_after(*by, &entry.key).as_deref() == Some(name));
    let Some(entry) = found else { return Vec::new() };
    match opt {
        Opt::RealServer => {
            let name = |addr| Labels(None).end(addr, transport(&entry.key));
            entry.dests.iter().map(|dest| name(dest.addr)).collect()
        }
        Opt::Laddr => entry.laddrs.iter().map(|laddr| laddr.addr.to_string()).collect(),
        Opt::Blklst => entry.block.iter().map(ToString::to_string).collect(),
        Opt::Whtlst => entry.allow.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// How a service is named after the option `opt`, if it is one of those.
fn name_after(opt: Opt, key: &ServiceKey) -> Option<String> {
    let text = service_name(key, Labels(None));
    let mut words = text.split(' ');
    let option = words.next()?;
    let def = opt.def();
    let short = def.short.map(|letter| format!("-{letter}"));
    let same = short.as_deref() == Some(option) || option.strip_prefix("--") == Some(def.long);
    words.next().filter(|_| same).map(str::to_owned)
}

/// No daemon, no help: completion never complains.
fn services(ask: &mut dyn Ask) -> Vec<ServiceEntry> {
    fetch::services(ask, &Services { key: None, worker: None }).unwrap_or_default()
}

fn links(ask: &mut dyn Ask) -> Vec<String> {
    match ask.ask(&Request::Get(Get::Links { dev: None })) {
        Ok(Reply::Links(links)) => links.into_iter().map(|link| link.name).collect(),
        _ => Vec::new(),
    }
}

const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "sh", "dh", "mh", "conhash", "fo", "ovf", "sed", "nq", "lblc", "lblcr", "twos",
    "none",
];
