// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// The command line's grammar: help and man page say the same.
pub fn command() -> Command {
    let file = |name: &'static str| {
        Arg::new(name).value_name(name).required(true).value_parser(value_parser!(PathBuf)).help(match name {
            "OLD" => "The configuration in force",
            "NEW" => "The configuration to come",
            _ => "A keepalived.conf, or a pattern in quotes that matches several",
        })
    };
    let id = Arg::new("config-id")
        .long("config-id")
        .short('i')
        .value_name("ID")
        .help("Decides `@ID` lines [default: host name up to its first dot]");
    let strict = Arg::new("strict")
        .long("strict")
        .action(ArgAction::SetTrue)
        .help("Exit with 1 when anything was ignored or corrected");
    Command::new("keepalived-conf")
        .about("Reads keepalived.conf as keepalived does, and says what it means for a director")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("dump")
                .about("Print the effective configuration as JSON")
                .arg(file("FILE"))
                .arg(id.clone()),
        )
        .subcommand(
            Command::new("check")
                .about("Print what is wrong, as FILE:LINE: SEVERITY: MESSAGE")
                .arg(file("FILE"))
                .arg(id.clone())
                .arg(strict),
        )
        .subcommand(
            Command::new("ipvsadm")
                .about("Print the equivalent ipvsadm commands")
                .arg(file("FILE"))
                .arg(id.clone()),
        )
        .subcommand(
            Command::new("print")
                .about("Print the configuration in normal form, every effective value written out")
                .arg(file("FILE"))
                .arg(id.clone()),
        )
        .subcommand(
            Command::new("diff")
                .about("Print what a reload from OLD to NEW would do")
                .arg(file("OLD"))
                .arg(file("NEW"))
                .arg(id),
        )
}

/// The path given for `name`.
///
/// # Panics
///
/// When the command has no such argument.
pub fn path<'a>(matches: &'a ArgMatches, name: &str) -> &'a PathBuf {
    matches.get_one(name).expect("a required argument")
}

/// The configuration id that is given, else the host name up to its first dot.
pub fn config_id(matches: &ArgMatches) -> String {
    if let Some(id) = matches.get_one::<String>("config-id") {
        return id.clone();
    }
    keepalived_conf::keepalived::host_id()
}
