// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

/// The file read when none is named, if it is there.
const DEFAULT_CONF: &str = "/etc/dpvs/dpvs.conf";

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// The configuration file.
    pub conf: Conf,
    /// The keepalived.conf, if there is one.
    pub keepalived: Option<PathBuf>,
    /// Devices as written, `NAME=DRIVER[:ARGS]`.
    pub ports: Vec<String>,
    /// Workers; `None` leaves it to the file.
    pub workers: Option<u16>,
    /// Path of the control socket, if named.
    pub ipc: Option<PathBuf>,
    /// Do all but start.
    pub check: bool,
    /// What follows `--`: options of the DPDK environment.
    pub eal: Vec<String>,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conf {
    /// A file that has to be there.
    File(PathBuf),
    /// No file.
    None,
}

/// Reads the command line of the process; ends it for `--help`, `--version` and mistakes, with status 0 or 2.
pub fn parse() -> Args {
    read(&command().get_matches())
}

/// The whole command line, as the parser, the help and the manual page have it.
pub fn command() -> Command {
    Command::new("dpvsd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A layer-4 director on DPDK. Runs in the foreground and logs on standard error.")
        .after_help(AFTER_HELP)
        .args(options())
}

/// One row for each option: the parser, the help and the tests read it.
fn options() -> [Arg; 7] {
    [
        Arg::new("conf")
            .long("conf")
            .short('c')
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Read the configuration from FILE [default: /etc/dpvs/dpvs.conf if it is there]"),
        Arg::new("keepalived")
            .long("keepalived")
            .short('k')
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Balance the services of a keepalived.conf, and check their servers"),
        Arg::new("port")
            .long("port")
            .value_name("NAME=DRIVER[:ARGS]")
            .action(ArgAction::Append)
            .help("Use a device, such as dpdk0=af_packet:eth0; may be repeated"),
        Arg::new("workers")
            .long("workers")
            .value_name("N")
            .value_parser(value_parser!(u16).range(1..=64))
            .help("Move packets with N threads [default: 1, or what the file says]"),
        Arg::new("ipc")
            .long("ipc")
            .short('x')
            .alias("ipc-file")
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .help("Listen for tools at PATH [default: $DPVS_IPC_FILE, else /run/dpvs/dpvs.sock]"),
        Arg::new("check")
            .long("check")
            .action(ArgAction::SetTrue)
            .help("Check the configuration and the devices, and end"),
        Arg::new("eal")
            .value_name("EAL")
            .last(true)
            .num_args(0..)
            .help("Options of the DPDK environment, such as -l 1-3 or -a 0000:03:00.0"),
    ]
}

const AFTER_HELP: &str = "\
Drivers: af_packet, af_xdp and tap take the name of an interface, more driver options after a comma;
null, pcap, memif and pci take the driver's own arguments. Signals: SIGHUP reads the files again,
SIGTERM and SIGINT end. Exit status: 0 ended as told, 1 could not start or run, 2 wrong command line.";

fn read(found: &ArgMatches) -> Args {
    let many = |id| found.get_many::<String>(id).unwrap_or_default().cloned().collect();
    Args {
        conf: conf(found.get_one::<PathBuf>("conf"), Path::new(DEFAULT_CONF)),
        keepalived: found.get_one("keepalived").cloned(),
        ports: many("port"),
        workers: found.get_one("workers").copied(),
        ipc: found.get_one("ipc").cloned(),
        check: found.get_flag("check"),
        eal: many("eal"),
    }
}

fn conf(named: Option<&PathBuf>, default: &Path) -> Conf {
    match named {
        Some(path) => Conf::File(path.clone()),
        None if default.exists() => Conf::File(default.to_path_buf()),
        None => Conf::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Args, clap::error::ErrorKind> {
        let words = line.split_whitespace();
        command().try_get_matches_from(words).map(|found| read(&found)).map_err(|error| error.kind())
    }

    #[test]
    fn every_option_arrives() {
        let args = parsed(
            "dpvsd --conf a.conf --keepalived k.conf --port dpdk0=null --port dpdk1=af_packet:eth1,qpairs=2 --workers 2 --ipc s --check -- -l 1",
        );
        let expected = Args {
            conf: Conf::File("a.conf".into()),
            keepalived: Some("k.conf".into()),
            ports: vec!["dpdk0=null".to_owned(), "dpdk1=af_packet:eth1,qpairs=2".to_owned()],
            workers: Some(2),
            ipc: Some("s".into()),
            check: true,
            eal: vec!["-l".to_owned(), "1".to_owned()],
        };
        assert_eq!(args, Ok(expected));
    }

    #[test]
    fn mistakes_are_usage_errors() {
        use clap::error::ErrorKind::{UnknownArgument, ValueValidation};
        assert_eq!(parsed("dpvsd --workers 0"), Err(ValueValidation));
        assert_eq!(parsed("dpvsd --workers 65"), Err(ValueValidation));
        assert_eq!(parsed("dpvsd --prot x"), Err(UnknownArgument));
        assert_eq!(parsed("dpvsd stray"), Err(UnknownArgument));
    }

    #[test]
    fn the_default_file_is_read_only_where_it_exists() {
        assert_eq!(conf(None, Path::new("/nonexistent/dpvs.conf")), Conf::None);
        assert_eq!(conf(None, Path::new("/")), Conf::File("/".into()));
        assert_eq!(conf(Some(&"x".into()), Path::new("/")), Conf::File("x".into()));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }
}
