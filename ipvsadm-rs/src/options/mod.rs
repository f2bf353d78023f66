// SPDX-License-Identifier: Apache-2.0
//! The commands and options, once: the parser, the legality check, the help, the completions, the shell and the manual
//! page all read these tables.
//!
//! Two dialects are spoken at once: that of ipvsadm 1.31 and what DPVS added to it. Their one clash is `-b`, see
//! [`find_short`].

mod commands;
mod rules;
mod table;

pub use commands::COMMANDS;
pub use rules::{CHECKS, FORWARDING, IPC, IPV6, RULES, SERVICE, SORT, STYLE};
pub use table::OPTIONS;

/// What a command line does. One per line, and first on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the tables document them")]
pub enum Command {
    AddService,
    EditService,
    DelService,
    Clear,
    Restore,
    Save,
    AddServer,
    EditServer,
    DelServer,
    List,
    Zero,
    SetTimeouts,
    StartDaemon,
    StopDaemon,
    Help,
    Version,
    AddLaddr,
    DelLaddr,
    GetLaddr,
    AddBlock,
    DelBlock,
    GetBlock,
    AddAllow,
    DelAllow,
    GetAllow,
    Shell,
    Top,
    Import,
}

/// What else stands on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the tables document them")]
pub enum Opt {
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmpv6,
    Match,
    Fwmark,
    Ipv6,
    Scheduler,
    SchedFlags,
    Persistent,
    Netmask,
    Pe,
    Ops,
    Synproxy,
    HashTarget,
    ConnTimeout,
    ExpireQuiescent,
    ProxyProtocol,
    Bps,
    LimitProportion,
    Quic,
    DestCheck,
    Echo,
    RealServer,
    Gatewaying,
    Ipip,
    Masquerading,
    FullNat,
    Snat,
    Weight,
    UThreshold,
    LThreshold,
    TunType,
    TunPort,
    TunNocsum,
    TunCsum,
    TunRemcsum,
    Laddr,
    Ifname,
    Blklst,
    Whtlst,
    Connection,
    Timeout,
    Daemon,
    Stats,
    Rate,
    Thresholds,
    PersistentConn,
    TunInfo,
    Exact,
    Numeric,
    Nosort,
    Sort,
    Json,
    Cpu,
    Sockpair,
    McastInterface,
    Syncid,
    SyncMaxlen,
    McastGroup,
    McastPort,
    McastTtl,
    Atomic,
    Replace,
    DryRun,
    Interval,
    Ipc,
    Style,
}

/// Whether an option has a value, and what it is called in help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// None.
    None,
    /// The next word, or what follows directly.
    Required(&'static str),
    /// What follows directly, or the next word unless it begins with a dash.
    Optional(&'static str),
}

/// A line of the table of commands.
#[derive(Clone, Copy, Debug)]
pub struct CommandDef {
    /// Which.
    pub command: Command,
    /// Its letters; the first is the documented one.
    pub short: &'static [char],
    /// Its long name.
    pub long: &'static str,
    /// Its value.
    pub value: Value,
    /// What messages call it.
    pub word: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// A line of the table of options.
#[derive(Clone, Copy, Debug)]
pub struct OptDef {
    /// Which.
    pub opt: Opt,
    /// Its letter.
    pub short: Option<char>,
    /// Its long name.
    pub long: &'static str,
    /// Its value.
    pub value: Value,
    /// What it excludes and what messages call it: of the options with one name, one may be given, once.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// With which commands the options of a name may stand.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The name, see [`OptDef::name`].
    pub name: &'static str,
    /// Commands that need one.
    pub needs: &'static [Command],
    /// Commands that may have one.
    pub may: &'static [Command],
    /// Commands that may have one, but of the other names marked so none beside it.
    pub alone: &'static [Command],
}

/// What a letter or long name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    /// A command.
    Command(&'static CommandDef),
    /// An option.
    Option(&'static OptDef),
}

impl Found {
    /// Its value.
    pub fn value(self) -> Value {
        match self {
            Found::Command(def) => def.value,
            Found::Option(def) => def.value,
        }
    }
}

impl Command {
    /// Its line of the table.
    pub fn def(self) -> &'static CommandDef {
        COMMANDS.iter().find(|def| def.command == self).expect("every command is in the table")
    }
}

impl Opt {
    /// Its line of the table.
    pub fn def(self) -> &'static OptDef {
        OPTIONS.iter().find(|def| def.opt == self).expect("every option is in the table")
    }
}

/// What a letter stands for in a line with this command, if it is known already.
///
/// `-b` is `--fullnat` with `-a` and `-e`, and `--sched-flags` with all others. `--set` is followed by numbers, and a
/// negative one is no ICMPv6 service or allow list.
pub fn find_short(letter: char, command: Option<Command>) -> Option<Found> {
    if let Some(def) = COMMANDS.iter().find(|def| def.short.contains(&letter)) {
        return Some(Found::Command(def));
    }
    if command == Some(Command::SetTimeouts) && letter.is_ascii_digit() && letter != '6' {
        return None;
    }
    let hidden = match command {
        Some(Command::AddServer | Command::EditServer) => Opt::SchedFlags,
        _ => Opt::FullNat,
    };
    let wanted = |def: &&OptDef| def.short == Some(letter) && (letter != 'b' || def.opt != hidden);
    OPTIONS.iter().find(wanted).map(Found::Option)
}

/// What a long name stands for. It must be given in full.
pub fn find_long(name: &str) -> Option<Found> {
    let command = COMMANDS.iter().find(|def| def.long == name).map(Found::Command);
    command.or_else(|| OPTIONS.iter().find(|def| def.long == name).map(Found::Option))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_long_names_are_unique_but_for_b() {
        let commands = COMMANDS.iter().flat_map(|def| def.short.iter().copied());
        let letters: Vec<char> = commands.chain(OPTIONS.iter().filter_map(|def| def.short)).collect();
        for &letter in &letters {
            let times = letters.iter().filter(|&&other| other == letter).count();
            assert_eq!(times, if letter == 'b' { 2 } else { 1 }, "{letter}");
        }
        let longs: Vec<&str> =
            COMMANDS.iter().map(|def| def.long).chain(OPTIONS.iter().map(|def| def.long)).collect();
        for long in &longs {
            assert_eq!(longs.iter().filter(|other| *other == long).count(), 1, "{long}");
        }
    }

    #[test]
    fn every_name_has_a_rule_or_is_checked_where_it_stands() {
        for def in OPTIONS {
            let ruled = RULES.iter().any(|rule| rule.name == def.name);
            assert!(ruled || [IPV6, SORT, IPC, STYLE].contains(&def.name), "{}", def.name);
        }
        for rule in RULES {
            assert!(OPTIONS.iter().any(|def| def.name == rule.name), "{}", rule.name);
        }
    }

    #[test]
    fn b_is_decided_by_the_command() {
        let of = |command| match find_short('b', command) {
            Some(Found::Option(def)) => def.opt,
            other => panic!("{other:?}"),
        };
        assert_eq!(of(Some(Command::AddService)), Opt::SchedFlags);
        assert_eq!(of(Some(Command::List)), Opt::SchedFlags);
        assert_eq!(of(Some(Command::AddServer)), Opt::FullNat);
        assert_eq!(of(Some(Command::EditServer)), Opt::FullNat);
    }
}
