// SPDX-License-Identifier: Apache-2.0
//! The command line: `dpip [OPTIONS] OBJECT COMMAND [WORDS]`, with options anywhere.
//!
//! clap reads what [`OPTIONS`] and [`OBJECTS`] describe; the words behind a command are the object's business.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};
use cli::value;
use model::{Family, Prefix};

use crate::failure::Failure;
use crate::object::{Command, OBJECTS, Object, Verb};
use crate::words::Words;

/// What the command line asks for.
#[derive(Debug)]
pub enum Start {
    /// A command, and where the daemon is if it says so.
    Call(Box<Call>, Option<PathBuf>),
    /// Nothing but a text, such as the help.
    Print(String),
    /// A prompt.
    Shell(Option<PathBuf>),
    /// What may stand in place of the last of these words, for the completion of shells.
    Complete(Vec<String>),
}

/// One command with everything it depends on.
#[derive(Debug)]
pub struct Call {
    /// What it is about.
    pub object: &'static Object,
    /// What is to be done.
    pub command: &'static Command,
    /// What follows.
    pub words: Vec<String>,
    /// How.
    pub options: Options,
}

impl Call {
    /// The words, to be read.
    pub fn words(&self) -> Words<'_> {
        Words::new(&self.words)
    }
}

/// Options that are not about where the daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Only this address family.
    pub family: Option<Family>,
    /// Counters too.
    pub stats: bool,
    /// More detail.
    pub verbose: bool,
    /// For programs.
    pub json: bool,
    /// What is there already, or not there, is no error.
    pub force: bool,
    /// Colours every other repetition.
    pub color: bool,
    /// Seconds between repetitions.
    pub interval: Option<u32>,
    /// Number of repetitions.
    pub count: Option<u32>,
}

impl Options {
    /// That `addr` is of the family asked for.
    pub fn admit(&self, addr: IpAddr) -> Result<(), Failure> {
        let (name, flag) = match self.family {
            Some(Family::Inet) => ("IPv4", "-4"),
            Some(Family::Inet6) => ("IPv6", "-6"),
            None => return Ok(()),
        };
        match self.family == Some(Family::of(addr)) {
            true => Ok(()),
            false => Err(Failure::usage(format!("`{addr}` is not an {name} address, but {flag} was given"))),
        }
    }

    /// A prefix of the family asked for.
    pub fn prefix(&self, text: &str) -> Result<Prefix, Failure> {
        let prefix: Prefix = text.parse()?;
        self.admit(prefix.addr)?;
        Ok(prefix)
    }

    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let text = |id: &str| matches.get_one::<String>(id).map(String::as_str);
        let number = |id: &str| text(id).map(|text| value::number(id, text, 1..=u32::MAX)).transpose();
        let options = Options {
            family: family(matches.get_flag("4"), matches.get_flag("6"), text("family"))?,
            stats: matches.get_flag("stats"),
            verbose: matches.get_flag("verbose"),
            json: matches.get_flag("json"),
            color: matches.get_flag("color"),
            force: matches.get_flag("force"),
            interval: number("interval")?,
            count: number("count")?,
        };
        match options {
            Options { count: Some(_), interval: None, .. } => Err(Failure::usage("-c needs -i")),
            Options { json: true, interval: Some(_), .. } => {
                Err(Failure::usage("--json and -i exclude each other"))
            }
            _ => Ok(options),
        }
    }
}

fn family(v4: bool, v6: bool, name: Option<&str>) -> Result<Option<Family>, Failure> {
    let words = [("inet", Family::Inet), ("inet6", Family::Inet6)];
    let named = name.map(|name| value::word("family", name, &words)).transpose()?;
    let mut asked = [v4.then_some(Family::Inet), v6.then_some(Family::Inet6), named].into_iter().flatten();
    let first = asked.next();
    match asked.any(|other| Some(other) != first) {
        true => Err(Failure::usage("-4 and -6 exclude each other")),
        false => Ok(first),
    }
}

/// An option of the command line.
#[derive(Debug)]
pub struct Opt {
    /// Its name in the program.
    pub id: &'static str,
    /// `-x`.
    pub short: Option<char>,
    /// `--xxx`, and what else it may be called.
    pub long: &'static [&'static str],
    /// The value it takes.
    pub value: Option<&'static str>,
    /// What it does, for people.
    pub about: &'static str,
}

/// Every option but `-h`, in the order of the help.
pub static OPTIONS: [Opt; 13] = [
    Opt { id: "4", short: Some('4'), long: &[], value: None, about: "IPv4 only" },
    Opt { id: "6", short: Some('6'), long: &[], value: None, about: "IPv6 only" },
    Opt {
        id: "family",
        short: Some('f'),
        long: &["family"],
        value: Some("FAMILY"),
        about: "inet or inet6 only",
    },
    Opt {
        id: "stats",
        short: Some('s'),
        long: &["stats", "statistics"],
        value: None,
        about: "show counters",
    },
    Opt { id: "verbose", short: Some('v'), long: &["verbose"], value: None, about: "show more detail" },
    Opt { id: "json", short: Some('j'), long: &["json"], value: None, about: "print listings as JSON" },
    Opt {
        id: "interval",
        short: Some('i'),
        long: &["interval"],
        value: Some("SECS"),
        about: "repeat `link show`: what the counters gained per second",
    },
    Opt {
        id: "count",
        short: Some('c'),
        long: &["count"],
        value: Some("N"),
        about: "end after so many repetitions",
    },
    Opt {
        id: "color",
        short: Some('C'),
        long: &["color"],
        value: None,
        about: "colour every other repetition",
    },
    Opt {
        id: "force",
        short: Some('F'),
        long: &["force"],
        value: None,
        about: "`ipset add` what is there, `ipset del` what is not, `ipset flush` all",
    },
    Opt {
        id: "ipc",
        short: None,
        long: &["ipc"],
        value: Some("PATH"),
        about: "socket of the daemon [default: $DPVS_IPC_FILE, else /run/dpvs/dpvs.sock]",
    },
    Opt { id: "shell", short: None, long: &["shell"], value: None, about: "read commands at a prompt" },
    Opt { id: "version", short: Some('V'), long: &["version"], value: None, about: "print the version" },
];

/// How shells ask for completion: this and then the words so far, the last one unfinished or empty.
pub const COMPLETE: &str = "--complete";

/// Reads a whole command line, the name of the program included.
///
/// # Errors
///
/// [`Failure::Usage`] when it makes no sense.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Start, Failure> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    if argv.len() < 2 {
        return help(&[]).map(Start::Print);
    }
    if argv[1] == COMPLETE {
        return Ok(Start::Complete(argv[2..].iter().map(|word| word.to_string_lossy().into()).collect()));
    }
    match command().try_get_matches_from(with_set(argv)) {
        Ok(matches) => start(&matches),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Start::Print(error.to_string())),
        Err(error) => Err(Failure::usage(one_line(&error.to_string()))),
    }
}

/// `vrrp INSTANCE ROLE`, as notify scripts have it, is `vrrp set INSTANCE ROLE`.
fn with_set(mut argv: Vec<OsString>) -> Vec<OsString> {
    let values = |word: &OsString| {
        let named = |option: &&Opt| {
            let long = option.long.iter().any(|name| *word == *format!("--{name}"));
            long || option.short.is_some_and(|short| *word == *format!("-{short}"))
        };
        OPTIONS.iter().find(named).is_some_and(|option| option.value.is_some())
    };
    let object = (1..argv.len()).find(|&at| {
        let option = argv[at].to_string_lossy().starts_with('-');
        !option && !values(&argv[at - 1])
    });
    let Some(at) = object.filter(|&at| argv[at] == "vrrp") else { return argv };
    let is_name = argv.get(at + 1).and_then(|word| word.to_str()).is_some_and(|word| {
        !word.starts_with('-') && word != "help" && crate::object::vrrp::OBJECT.command(word).is_none()
    });
    if is_name {
        argv.insert(at + 1, "set".into());
    }
    argv
}

/// clap says what is wrong in its first line and how it should be in the others.
fn one_line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

fn start(matches: &ArgMatches) -> Result<Start, Failure> {
    if matches.get_flag("version") {
        return Ok(Start::Print(format!("dpip {}\n", env!("CARGO_PKG_VERSION"))));
    }
    let (name, inner) = match matches.subcommand() {
        None if matches.get_flag("shell") => return Ok(Start::Shell(ipc(matches))),
        Some((name, _)) if matches.get_flag("shell") => {
            return Err(Failure::usage(format!("--shell reads commands itself: unexpected `{name}`")));
        }
        Some(object) => object,
        None => {
            return Err(Failure::usage(format!("an object is missing: one of {}", names(objects()))));
        }
    };
    if name == "help" {
        return help(&words(inner)).map(Start::Print);
    }
    let object = Object::find(name).ok_or_else(|| unknown_object(name))?;
    let (command, leaf) = match inner.subcommand() {
        Some(("help", leaf)) => {
            return help(&[&[name], words(leaf).as_slice()].concat()).map(Start::Print);
        }
        Some((word, leaf)) => (find_command(object, word)?, leaf),
        // Where only one thing can be done, its word may be left out.
        None if object.commands.len() == 1 => (&object.commands[0], inner),
        None => return Err(Failure::usage(format!("{name} needs a command: one of {}", verbs(object)))),
    };
    let options = Options::read(leaf)?;
    if options.interval.is_some() && !(object.name == "link" && command.verb == Verb::Show) {
        return Err(Failure::usage("-i is for `link show` only"));
    }
    let forced = matches!(command.verb, Verb::Add | Verb::Del | Verb::Flush) && name == "ipset";
    if options.force && !forced {
        return Err(Failure::usage("-F is for `ipset add`, `ipset del` and `ipset flush` only"));
    }
    let words = words(leaf).into_iter().map(str::to_owned).collect();
    Ok(Start::Call(Box::new(Call { object, command, words, options }), ipc(leaf)))
}

fn ipc(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<String>("ipc").map(PathBuf::from)
}

/// The words behind a command; an object whose command was left out has none.
fn words(matches: &ArgMatches) -> Vec<&str> {
    let words = matches.try_get_many::<String>("words").ok().flatten();
    words.into_iter().flatten().map(String::as_str).collect()
}

fn find_command(object: &'static Object, word: &str) -> Result<&'static Command, Failure> {
    object.command(word).ok_or_else(|| {
        Failure::usage(format!("{} has no command `{word}`: one of {} expected", object.name, verbs(object)))
    })
}

fn verbs(object: &Object) -> String {
    names(object.commands.iter().map(|command| command.verb.words().0))
}

/// Objects that DPVS has and this director does not, or not yet.
const UNSUPPORTED: [&str; 9] =
    ["tunnel", "qsch", "cls", "ipv6", "iftraf", "eal-mem", "flow", "maddr", "lldp"];

fn unknown_object(name: &str) -> Failure {
    if UNSUPPORTED.contains(&name) {
        return Failure::usage(format!("object `{name}` is not supported"));
    }
    Failure::usage(format!("unknown object `{name}`: one of {} expected", names(objects())))
}

fn objects() -> impl Iterator<Item = &'static str> {
    OBJECTS.iter().map(|object| object.name)
}

fn names<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// The help on everything, on an object, or on one of its commands.
fn help(path: &[&str]) -> Result<String, Failure> {
    let mut command = command();
    let mut place = &mut command;
    for word in path {
        let unknown = || Failure::usage(format!("no help on `{}`: see `dpip help`", path.join(" ")));
        place = place.find_subcommand_mut(word).ok_or_else(unknown)?;
    }
    Ok(place.render_help().to_string())
}

/// The command line as clap sees it.
fn command() -> clap::Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).global(true);
    clap::Command::new("dpip")
        .about(
            "Shows and changes addresses, routes, neighbours, links, VLANs, tunnels and sets of the director",
        )
        .override_usage("dpip [OPTIONS] OBJECT { COMMAND | help } [ARGUMENTS]")
        .disable_version_flag(true)
        .disable_help_flag(true)
        .args_override_self(true)
        .arg(help.help("print the help; also on an object or command"))
        .args(OPTIONS.iter().map(option))
        .subcommands(OBJECTS.iter().map(|object| object_command(object)))
        .settings_of_words("Objects", "OBJECT")
}

fn object_command(object: &'static Object) -> clap::Command {
    let usage: Vec<String> = object.commands.iter().flat_map(|command| synopses(object, command)).collect();
    clap::Command::new(object.name)
        .about(object.about)
        .override_usage(usage.join("\n       "))
        .help_template("{about}\n\n{usage-heading} {usage}\n\nCommands:\n{subcommands}{after-help}\n")
        .after_help(terms(object, object.commands))
        .subcommands(object.commands.iter().map(|command| verb_command(object, command)))
        .settings_of_words("Commands", "COMMAND")
}

fn verb_command(object: &'static Object, command: &'static Command) -> clap::Command {
    let (word, alias) = command.verb.words();
    clap::Command::new(word)
        .visible_aliases(alias)
        .about(command.about)
        .override_usage(synopses(object, command).join("\n       "))
        .help_template("{about}\n\n{usage-heading} {usage}{after-help}\n")
        .after_help(terms(object, std::slice::from_ref(command)))
        .args_override_self(true)
        .arg(Arg::new("words").num_args(0..))
}

/// What is not plain in the forms of `commands`.
fn terms(object: &Object, commands: &[Command]) -> String {
    let used = |term: &str| {
        let word = term.split(' ').next().unwrap_or(term);
        commands.iter().flat_map(|command| command.forms).any(|form| form.contains(word))
    };
    let terms: Vec<_> = object.terms.iter().filter(|(term, _)| used(term)).collect();
    let width = terms.iter().map(|(term, _)| term.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        terms.iter().map(|(term, meaning)| format!("  {term:<width$}  {meaning}")).collect();
    lines.join("\n")
}

/// What objects and commands have in common: words that clap does not know are complained about here, `help` is ours.
trait Settings {
    fn settings_of_words(self, heading: &'static str, name: &'static str) -> Self;
}

impl Settings for clap::Command {
    fn settings_of_words(self, heading: &'static str, name: &'static str) -> Self {
        let help = clap::Command::new("help").about("print this help").arg(Arg::new("words").num_args(0..));
        self.allow_external_subcommands(true)
            .disable_help_subcommand(true)
            .args_override_self(true)
            .subcommand_help_heading(heading)
            .subcommand_value_name(name)
            .subcommand(help)
    }
}

fn option(opt: &Opt) -> Arg {
    let mut arg = Arg::new(opt.id).global(true).help(opt.about);
    if let Some(short) = opt.short {
        arg = arg.short(short);
    }
    if let Some((long, others)) = opt.long.split_first() {
        arg = arg.long(*long).visible_aliases(others.iter().copied());
    }
    match opt.value {
        Some(value) => arg.value_name(value),
        None => arg.action(ArgAction::SetTrue),
    }
}

/// One line for each form of a command.
pub fn synopses(object: &Object, command: &Command) -> Vec<String> {
    let line = |form: &&str| format!("dpip {} {} {form}", object.name, command.verb.words().0);
    command.forms.iter().map(line).map(|line| line.trim_end().to_owned()).collect()
}
