// SPDX-License-Identifier: Apache-2.0
//! The table of options as a clap command: the help text and everything else that is generated comes from it.
//!
//! clap does not read command lines here: what scripts see of popt decides, see [`crate::popt`].

use clap::{Arg, ArgAction, Command as Clap};

use crate::options::{COMMANDS, Command, CommandDef, OPTIONS, Opt, OptDef, RULES, Value};

/// The command with all its options.
pub fn command() -> Clap {
    let mut clap = Clap::new("ipvsadm")
        .about("Sets up, changes and shows the virtual services of the director.")
        .override_usage(
            "ipvsadm COMMAND [SERVICE] [OPTIONS]\n       \
             ipvsadm -A|-E SERVICE [-s NAME] [-p [SECONDS]] [-M MASK] [OPTIONS]\n       \
             ipvsadm -a|-e SERVICE -r ADDR [-g|-i|-m|-b|-J] [-w N] [OPTIONS]\n       \
             ipvsadm -P|-Q SERVICE -z IP -F NAME\n       \
             ipvsadm -D SERVICE\n       \
             ipvsadm -d SERVICE -r ADDR\n       \
             ipvsadm -L [SERVICE] [-n] [--stats|--rate|-c] [OPTIONS]",
        )
        .after_help(AFTER)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .max_term_width(100);
    for def in COMMANDS {
        clap = clap.arg(command_arg(def));
    }
    for def in OPTIONS {
        clap = clap.arg(option_arg(def));
    }
    clap
}

/// The help text.
pub fn help() -> String {
    command().render_help().to_string()
}

/// The help of one command, by its letter or long name, with or without dashes; `None` if there is none.
pub fn help_for(word: &str) -> Option<String> {
    let name = word.trim_start_matches('-');
    let named = |def: &&CommandDef| {
        def.long == name
            || name.chars().eq(def.short.iter().copied().take(1))
            || name == "l" && def.short.contains(&'l')
    };
    let def = COMMANDS.iter().find(named).filter(|_| !name.is_empty())?;
    let legal = |opt: &OptDef| {
        let rules = RULES.iter().filter(|rule| rule.name == opt.name);
        rules.flat_map(|rule| [rule.needs, rule.may, rule.alone]).any(|of| of.contains(&def.command))
    };
    let mut clap = Clap::new("ipvsadm")
        .about(def.help)
        .override_usage(format!("ipvsadm --{} [OPTIONS]", def.long))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .max_term_width(100);
    let server = matches!(def.command, Command::AddServer | Command::EditServer);
    for opt in OPTIONS.iter().filter(|opt| legal(opt)) {
        let arg = option_arg(opt);
        clap = clap.arg(if opt.opt == Opt::FullNat && server { arg.short('b') } else { arg });
    }
    Some(clap.render_help().to_string())
}

/// The line of `--version`. Scripts look for the version of ipvsadm whose commands are understood.
pub fn version() -> String {
    format!("ipvsadm v1.31 (dpvs-rs {}, speaks as ipvsadm 1.31 and as DPVS)\n", env!("CARGO_PKG_VERSION"))
}

const AFTER: &str = "\
SERVICE is one of -t, -u, --sctp-service, -q, -1, -f and -H. Letters may be bundled (-Ln), values attached (-w5) or
joined with = (--weight=5). One command per line, and first on it.

Exit status: 0 done; 1 a listing or a DPVS command was refused; 2 the line makes no sense; 3 no daemon answers;
255 unknown option, missing value or no command, and whatever the daemon refuses of stock ipvsadm's commands.";

fn command_arg(def: &CommandDef) -> Arg {
    let arg = Arg::new(def.long).long(def.long).help(def.help).help_heading("Commands");
    let arg = match def.short {
        [] => arg,
        [first, others @ ..] => arg.short(*first).visible_short_aliases(others.to_vec()),
    };
    with_value(arg, def.value)
}

fn option_arg(def: &OptDef) -> Arg {
    let arg = Arg::new(def.long).long(def.long).help(def.help).help_heading(heading(def.opt));
    // One letter has two meanings, and clap knows only one: the help text of the other names it.
    let arg = match def.short {
        Some(letter) if def.opt != Opt::FullNat => arg.short(letter),
        _ => arg,
    };
    with_value(arg, def.value)
}

fn with_value(arg: Arg, value: Value) -> Arg {
    match value {
        Value::None => arg.action(ArgAction::SetTrue),
        Value::Required(name) => choices(arg.action(ArgAction::Set), name),
        Value::Optional(name) => choices(arg.action(ArgAction::Set).num_args(0..=1), name),
    }
}

/// `a|b` names its own values.
fn choices(arg: Arg, name: &'static str) -> Arg {
    if name.contains('|') {
        arg.value_name(name).value_parser(name.split('|').collect::<Vec<_>>()).hide_possible_values(true)
    } else {
        arg.value_name(name)
    }
}

/// Under which heading an option is explained.
pub fn heading(opt: Opt) -> &'static str {
    match opt {
        Opt::Tcp | Opt::Udp | Opt::Sctp | Opt::Icmp | Opt::Icmpv6 | Opt::Match | Opt::Fwmark | Opt::Ipv6 => {
            "Services"
        }
        Opt::Scheduler
        | Opt::SchedFlags
        | Opt::Persistent
        | Opt::Netmask
        | Opt::Pe
        | Opt::Ops
        | Opt::Synproxy
        | Opt::HashTarget
        | Opt::ConnTimeout
        | Opt::ExpireQuiescent
        | Opt::ProxyProtocol
        | Opt::Bps
        | Opt::LimitProportion
        | Opt::Quic
        | Opt::DestCheck
        | Opt::Echo => "Options of services (-A, -E)",
        Opt::RealServer
        | Opt::Gatewaying
        | Opt::Ipip
        | Opt::Masquerading
        | Opt::FullNat
        | Opt::Snat
        | Opt::Weight
        | Opt::UThreshold
        | Opt::LThreshold
        | Opt::TunType
        | Opt::TunPort
        | Opt::TunNocsum
        | Opt::TunCsum
        | Opt::TunRemcsum => "Options of servers (-a, -e, -d)",
        Opt::Laddr | Opt::Ifname | Opt::Blklst | Opt::Whtlst => "Local addresses and access lists",
        Opt::McastInterface
        | Opt::Syncid
        | Opt::SyncMaxlen
        | Opt::McastGroup
        | Opt::McastPort
        | Opt::McastTtl => "Synchronisation daemon",
        Opt::Atomic | Opt::Replace | Opt::DryRun => "Options of -R",
        Opt::Interval => "Listings",
        Opt::Ipc | Opt::Style => "Everywhere",
        _ => "Listings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_accepts_the_table() {
        command().debug_assert();
    }

    #[test]
    fn the_help_of_a_command_has_its_options_only() {
        let help = help_for("-a").unwrap();
        assert!(help.contains("-b, --fullnat") && help.contains("--real-server"));
        assert!(!help.contains("--scheduler"));
        assert_eq!(help_for("add-server"), Some(help));
        assert!(help_for("--list").unwrap().contains("--json"));
        assert_eq!(help_for("nonsense"), None);
        assert_eq!(help_for("-"), None);
    }

    #[test]
    fn the_help_names_every_command_and_option() {
        let help = help();
        for long in COMMANDS.iter().map(|def| def.long).chain(OPTIONS.iter().map(|def| def.long)) {
            assert!(help.contains(&format!("--{long}")), "{long}");
        }
    }
}
