// SPDX-License-Identifier: Apache-2.0
//! The commands and options, once: the parser, the legality check, the help, the completions, the shell and the manual
//! page all read this table.
//!
//! Two dialects are spoken at once: that of ipvsadm 1.31 and what DPVS added to it. Their one clash is `-b`, see
//! [`find_short`].

use Command::*;

/// What a command line does. One per line, and first on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table below documents them")]
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
#[expect(missing_docs, reason = "the table below documents them")]
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

/// All commands.
pub const COMMANDS: &[CommandDef] = &[
    command(AddService, &['A'], "add-service", Value::None, "add-service", "add a virtual service"),
    command(EditService, &['E'], "edit-service", Value::None, "edit-service", "change a virtual service"),
    command(
        DelService,
        &['D'],
        "delete-service",
        Value::None,
        "delete-service",
        "remove a virtual service with its servers",
    ),
    command(Clear, &['C'], "clear", Value::None, "flush", "remove all virtual services"),
    command(Restore, &['R'], "restore", Value::None, "restore", "run the commands on standard input"),
    command(Save, &['S'], "save", Value::None, "save", "write the table as commands"),
    command(AddServer, &['a'], "add-server", Value::None, "add-server", "add a real server to a service"),
    command(
        EditServer,
        &['e'],
        "edit-server",
        Value::None,
        "edit-server",
        "change a real server of a service",
    ),
    command(
        DelServer,
        &['d'],
        "delete-server",
        Value::None,
        "delete-server",
        "remove a real server from a service",
    ),
    command(
        List,
        &['L', 'l'],
        "list",
        Value::None,
        "list",
        "list services, connections or timeouts; what no command does",
    ),
    command(Zero, &['Z'], "zero", Value::None, "zero", "zero the counters of one service or of all"),
    command(
        SetTimeouts,
        &[],
        "set",
        Value::None,
        "set",
        "TCP TCPFIN UDP: set idle timeouts in seconds; 0 keeps one",
    ),
    command(
        StartDaemon,
        &[],
        "start-daemon",
        Value::Required("master|backup"),
        "start-daemon",
        "start synchronisation of connections (not supported)",
    ),
    command(
        StopDaemon,
        &[],
        "stop-daemon",
        Value::Required("master|backup"),
        "stop-daemon",
        "stop synchronisation of connections",
    ),
    command(
        AddLaddr,
        &['P'],
        "add-laddr",
        Value::None,
        "add-laddr",
        "give a service a local address for full NAT",
    ),
    command(DelLaddr, &['Q'], "del-laddr", Value::None, "del-laddr", "take a local address from a service"),
    command(GetLaddr, &['G'], "get-laddr", Value::None, "get-laddr", "list local addresses"),
    command(AddBlock, &['U'], "add-blklst", Value::None, "add-blklst", "refuse a client or a set of clients"),
    command(
        DelBlock,
        &['V'],
        "del-blklst",
        Value::None,
        "del-blklst",
        "strike a client or set off the deny list",
    ),
    command(GetBlock, &['B'], "get-blklst", Value::None, "get-blklst", "list who is refused"),
    command(
        AddAllow,
        &['O'],
        "add-whtlst",
        Value::None,
        "add-whtlst",
        "accept only listed clients, and this one",
    ),
    command(
        DelAllow,
        &['Y'],
        "del-whtlst",
        Value::None,
        "del-whtlst",
        "strike a client or set off the allow list",
    ),
    command(GetAllow, &['W'], "get-whtlst", Value::None, "get-whtlst", "list who alone is accepted"),
    command(Shell, &[], "shell", Value::None, "shell", "read commands from the terminal, with completion"),
    command(
        Import,
        &[],
        "import",
        Value::Required("FILE"),
        "import",
        "make the services of a keepalived.conf what it says; servers are not checked",
    ),
    command(Top, &[], "top", Value::None, "top", "watch services and servers"),
    command(Help, &['h'], "help", Value::None, "help", "print this help"),
    command(Version, &['v'], "version", Value::None, "version", "print the version"),
];

/// All options, in the order of the help text.
pub const OPTIONS: &[OptDef] = &[
    option(
        Opt::Tcp,
        Some('t'),
        "tcp-service",
        Value::Required("ADDR"),
        SERVICE,
        "the TCP service at HOST:PORT",
    ),
    option(
        Opt::Udp,
        Some('u'),
        "udp-service",
        Value::Required("ADDR"),
        SERVICE,
        "the UDP service at HOST:PORT",
    ),
    option(
        Opt::Sctp,
        None,
        "sctp-service",
        Value::Required("ADDR"),
        SERVICE,
        "the SCTP service at HOST:PORT",
    ),
    option(
        Opt::Icmp,
        Some('q'),
        "icmp-service",
        Value::Required("ADDR"),
        SERVICE,
        "the ICMP service at HOST; it has no port",
    ),
    option(
        Opt::Icmpv6,
        Some('1'),
        "icmpv6-service",
        Value::Required("ADDR"),
        SERVICE,
        "the ICMPv6 service at ADDRESS; it has no port",
    ),
    option(
        Opt::Fwmark,
        Some('f'),
        "fwmark-service",
        Value::Required("MARK"),
        SERVICE,
        "the service of packets with a firewall mark, 1 to 4294967295",
    ),
    option(
        Opt::Match,
        Some('H'),
        "match",
        Value::Required("MATCH"),
        SERVICE,
        "the service of packets that match: proto=, af=, src-range=, dst-range=, iif=, oif=, with commas",
    ),
    option(Opt::Ipv6, Some('6'), "ipv6", Value::None, IPV6, "the firewall mark named before is for IPv6"),
    option(
        Opt::Scheduler,
        Some('s'),
        "scheduler",
        Value::Required("NAME"),
        "scheduler",
        "how servers are chosen: rr, wrr, lc, wlc (the default), sh, dh, mh, conhash, fo, ovf, sed, nq, lblc, lblcr, twos",
    ),
    option(
        Opt::SchedFlags,
        Some('b'),
        "sched-flags",
        Value::Required("FLAGS"),
        "sched-flags",
        "flags of the scheduler, with commas: sh-fallback, sh-port, mh-fallback, mh-port, flag-1, flag-2, flag-3",
    ),
    option(
        Opt::Persistent,
        Some('p'),
        "persistent",
        Value::Optional("SECONDS"),
        "persistent",
        "a client keeps its server for so long after its last connection, 1 to 2678400 (default 360)",
    ),
    option(
        Opt::Netmask,
        Some('M'),
        "netmask",
        Value::Required("MASK"),
        "netmask",
        "clients of one network keep one server: an IPv4 mask such as 255.255.255.0, an IPv6 length such as 64",
    ),
    option(Opt::Pe, None, "pe", Value::Required("NAME"), "pe", "persistence engine: sip"),
    option(
        Opt::Ops,
        Some('o'),
        "ops",
        Value::None,
        "ops",
        "schedule every datagram by itself (UDP and marks)",
    ),
    option(
        Opt::Synproxy,
        Some('j'),
        "synproxy",
        Value::Required("enable|disable|auto[,hold|,open]"),
        "synproxy",
        "answer SYNs in place of the servers (TCP): always, never, or under load; clients may send before their server answers (open) or not (hold)",
    ),
    option(
        Opt::HashTarget,
        None,
        "hash-target",
        Value::Required("sip|qid"),
        "hash-target",
        "what the scheduler conhash hashes: client address or QUIC connection identifier",
    ),
    option(
        Opt::ConnTimeout,
        None,
        "conn-timeout",
        Value::Required("SECONDS"),
        "conn-timeout",
        "idle seconds of an established connection; 0 for the daemon's timeouts",
    ),
    option(
        Opt::ExpireQuiescent,
        None,
        "expire-quiescent",
        Value::Optional("enable|disable"),
        "expire-quiescent",
        "end connections of servers with weight 0 at once",
    ),
    option(
        Opt::ProxyProtocol,
        None,
        "proxy-protocol",
        Value::Required("VERSION"),
        "proxy-protocol",
        "tell servers the client's address: v1, v2, v1-insecure, v2-insecure or disable",
    ),
    option(
        Opt::Quic,
        None,
        "quic",
        Value::Optional("enable|disable"),
        "quic",
        "follow connection identifiers of QUIC (UDP)",
    ),
    option(
        Opt::DestCheck,
        None,
        "dest-check",
        Value::Required("CHECK"),
        CHECKS,
        "notice dead servers: default, DOWN,WAITs or DOWN,UP,WAITs,MIN-MAXs by passing packets; tcp, udp, sctp, ping \
         by a checker; disable; may be repeated",
    ),
    option(
        Opt::Echo,
        None,
        "echo",
        Value::Required("POLICY"),
        "echo",
        "who answers queries (ICMP): forward (the servers, the default), local (the director), alive[:N] (the director, while N servers of the address have a weight) or drop",
    ),
    option(
        Opt::RealServer,
        Some('r'),
        "real-server",
        Value::Required("ADDR"),
        "real-server",
        "the real server at HOST[:PORT]; without a port, the service's",
    ),
    option(
        Opt::Gatewaying,
        Some('g'),
        "gatewaying",
        Value::None,
        FORWARDING,
        "reach it by direct routing (the default)",
    ),
    option(Opt::Ipip, Some('i'), "ipip", Value::None, FORWARDING, "reach it through a tunnel"),
    option(
        Opt::Masquerading,
        Some('m'),
        "masquerading",
        Value::None,
        FORWARDING,
        "reach it by NAT of the destination",
    ),
    option(
        Opt::FullNat,
        Some('b'),
        "fullnat",
        Value::None,
        FORWARDING,
        "reach it by NAT of source and destination, with -a and -e",
    ),
    option(
        Opt::Snat,
        Some('J'),
        "snat",
        Value::None,
        FORWARDING,
        "it is an address that hosts behind the director go out with",
    ),
    option(
        Opt::Weight,
        Some('w'),
        "weight",
        Value::Required("N"),
        "weight",
        "share of new connections, 0 to 2147483647 (default 1); 0 takes none",
    ),
    option(
        Opt::UThreshold,
        Some('x'),
        "u-threshold",
        Value::Required("N"),
        "u-threshold",
        "connections above which it takes no new ones; 0 for no limit",
    ),
    option(
        Opt::LThreshold,
        Some('y'),
        "l-threshold",
        Value::Required("N"),
        "l-threshold",
        "connections below which it takes new ones again",
    ),
    option(
        Opt::TunType,
        None,
        "tun-type",
        Value::Required("TYPE"),
        "tun-type",
        "kind of tunnel: ipip (the default), gue, gre",
    ),
    option(
        Opt::TunPort,
        None,
        "tun-port",
        Value::Required("PORT"),
        "tun-port",
        "UDP port of a gue tunnel, 1 to 65535",
    ),
    option(
        Opt::TunNocsum,
        None,
        "tun-nocsum",
        Value::None,
        "tun-nocsum",
        "tunnel without checksum (the default)",
    ),
    option(Opt::TunCsum, None, "tun-csum", Value::None, "tun-csum", "tunnel with checksum"),
    option(
        Opt::TunRemcsum,
        None,
        "tun-remcsum",
        Value::None,
        "tun-remcsum",
        "tunnel with remote checksum offload (gue)",
    ),
    option(
        Opt::Laddr,
        Some('z'),
        "laddr",
        Value::Required("IP"),
        "local-address",
        "local address: the source of packets to full-NAT servers",
    ),
    option(Opt::Ifname, Some('F'), "ifname", Value::Required("NAME"), "ifname", "link of the local address"),
    option(
        Opt::Blklst,
        Some('k'),
        "blklst",
        Value::Required("WHO"),
        "blklst-address",
        "whom to refuse: an address or ipset:NAME",
    ),
    option(
        Opt::Whtlst,
        Some('2'),
        "whtlst",
        Value::Required("WHO"),
        "whtlst-address",
        "whom to accept: an address or ipset:NAME",
    ),
    option(Opt::Connection, Some('c'), "connection", Value::None, "connection", "list connections"),
    option(Opt::Timeout, None, "timeout", Value::None, "timeout", "list idle timeouts"),
    option(Opt::Daemon, None, "daemon", Value::None, "daemon", "list synchronisation daemons"),
    option(Opt::Stats, None, "stats", Value::None, "stats", "list counters"),
    option(Opt::Rate, None, "rate", Value::None, "rate", "list rates per second"),
    option(Opt::Thresholds, None, "thresholds", Value::None, "thresholds", "list connection limits"),
    option(
        Opt::PersistentConn,
        None,
        "persistent-conn",
        Value::None,
        "persistent-conn",
        "list persistent connections",
    ),
    option(Opt::TunInfo, None, "tun-info", Value::None, "tun-info", "list tunnels"),
    option(Opt::Exact, Some('X'), "exact", Value::None, "exact", "all digits of counters and rates"),
    option(Opt::Numeric, Some('n'), "numeric", Value::None, "numeric", "numbers instead of names"),
    option(Opt::Nosort, None, "nosort", Value::None, "nosort", "in the order of the daemon"),
    option(Opt::Sort, None, "sort", Value::None, SORT, "sorted, which is the default"),
    option(Opt::Json, None, "json", Value::None, "json", "as JSON"),
    option(
        Opt::Cpu,
        None,
        "cpu",
        Value::Required("N"),
        "cpu",
        "only the numbers of worker N, from 1; 0 for all together",
    ),
    option(
        Opt::Sockpair,
        None,
        "sockpair",
        Value::Required("PAIR"),
        "sockpair",
        "with -c, only the connection PROTO:SIP:SPORT:TIP:TPORT",
    ),
    option(
        Opt::McastInterface,
        None,
        "mcast-interface",
        Value::Required("NAME"),
        "mcast-interface",
        "link of the synchronisation daemon",
    ),
    option(
        Opt::Syncid,
        None,
        "syncid",
        Value::Required("N"),
        "syncid",
        "identifier of the synchronisation daemon, 0 to 255",
    ),
    option(
        Opt::SyncMaxlen,
        None,
        "sync-maxlen",
        Value::Required("N"),
        "sync-maxlen",
        "longest synchronisation message, 1 to 65507",
    ),
    option(
        Opt::McastGroup,
        None,
        "mcast-group",
        Value::Required("IP"),
        "mcast-group",
        "multicast group of the synchronisation daemon",
    ),
    option(
        Opt::McastPort,
        None,
        "mcast-port",
        Value::Required("PORT"),
        "mcast-port",
        "UDP port of the synchronisation daemon, 1 to 65535",
    ),
    option(
        Opt::McastTtl,
        None,
        "mcast-ttl",
        Value::Required("N"),
        "mcast-ttl",
        "time to live of the synchronisation daemon's packets, 1 to 255",
    ),
    option(
        Opt::Atomic,
        None,
        "atomic",
        Value::None,
        "atomic",
        "run all commands or, if one is refused, none",
    ),
    option(
        Opt::Replace,
        None,
        "replace",
        Value::None,
        "replace",
        "make the table equal to the commands, at once and with the least change",
    ),
    option(
        Opt::DryRun,
        None,
        "dry-run",
        Value::None,
        "dry-run",
        "with --atomic or --replace, print what would be done and do nothing",
    ),
    option(
        Opt::Interval,
        None,
        "interval",
        Value::Required("SECONDS"),
        "interval",
        "with --top, time between two looks, 1 to 60 (default 1)",
    ),
    option(
        Opt::Ipc,
        None,
        "ipc",
        Value::Required("PATH"),
        IPC,
        "socket of the daemon, instead of $DPVS_IPC_FILE or /run/dpvs/dpvs.sock; may stand before the command",
    ),
    option(
        Opt::Style,
        None,
        "style",
        Value::Required("stock|dpvs"),
        STYLE,
        "write listings and -S as ipvsadm 1.31 (the default) or as DPVS does; instead of $IPVSADM_STYLE; may stand \
         before the command",
    ),
];

/// The legality matrix, in the order in which it is checked.
pub const RULES: &[Rule] = &[
    may("numeric", &[List, Save, GetLaddr, GetBlock, GetAllow, Top]),
    Rule { name: "connection", needs: &[], may: &[], alone: &[List] },
    Rule {
        name: SERVICE,
        needs: &[
            AddService,
            EditService,
            DelService,
            AddServer,
            EditServer,
            DelServer,
            AddLaddr,
            DelLaddr,
            AddBlock,
            DelBlock,
            AddAllow,
            DelAllow,
        ],
        may: &[Zero, GetLaddr, GetBlock, GetAllow],
        alone: &[List],
    },
    may("scheduler", SERVICE_COMMANDS),
    may("persistent", SERVICE_COMMANDS),
    may("netmask", SERVICE_COMMANDS),
    Rule { name: "real-server", needs: &[AddServer, EditServer, DelServer], may: &[], alone: &[] },
    may(FORWARDING, SERVER_COMMANDS),
    may("weight", SERVER_COMMANDS),
    may("u-threshold", SERVER_COMMANDS),
    may("l-threshold", SERVER_COMMANDS),
    may("mcast-interface", &[StartDaemon]),
    Rule { name: "timeout", needs: &[], may: &[], alone: &[List] },
    Rule { name: "daemon", needs: &[], may: &[], alone: &[List] },
    may("stats", &[List]),
    may("rate", &[List]),
    may("thresholds", &[List]),
    may("persistent-conn", &[List]),
    may("nosort", &[List]),
    may("syncid", &[List, StartDaemon, StopDaemon]),
    may("exact", &[List]),
    may("ops", SERVICE_COMMANDS),
    may("pe", SERVICE_COMMANDS),
    may("sched-flags", SERVICE_COMMANDS),
    may("mcast-group", &[StartDaemon]),
    may("mcast-port", &[StartDaemon]),
    may("mcast-ttl", &[StartDaemon]),
    may("sync-maxlen", &[StartDaemon]),
    may("tun-info", &[List]),
    may("tun-type", SERVER_COMMANDS),
    may("tun-port", SERVER_COMMANDS),
    may("tun-csum", SERVER_COMMANDS),
    may("tun-nocsum", SERVER_COMMANDS),
    may("tun-remcsum", SERVER_COMMANDS),
    Rule { name: "local-address", needs: &[AddLaddr, DelLaddr], may: &[], alone: &[] },
    Rule { name: "ifname", needs: &[AddLaddr, DelLaddr], may: &[], alone: &[] },
    Rule { name: "blklst-address", needs: &[AddBlock, DelBlock], may: &[], alone: &[] },
    Rule { name: "whtlst-address", needs: &[AddAllow, DelAllow], may: &[], alone: &[] },
    may("synproxy", SERVICE_COMMANDS),
    may("hash-target", SERVICE_COMMANDS),
    may("conn-timeout", SERVICE_COMMANDS),
    may("expire-quiescent", SERVICE_COMMANDS),
    may("proxy-protocol", SERVICE_COMMANDS),
    may("quic", SERVICE_COMMANDS),
    may(CHECKS, SERVICE_COMMANDS),
    may("echo", SERVICE_COMMANDS),
    may("cpu", &[List, GetLaddr]),
    may("sockpair", &[List]),
    may("json", &[List, GetLaddr, GetBlock, GetAllow]),
    may("atomic", &[Restore]),
    may("replace", &[Restore]),
    may("dry-run", &[Restore, Import]),
    may("interval", &[Top]),
];

/// Name of the options that say which service a command is about.
pub const SERVICE: &str = "service-address";
/// Name of the options that say how packets reach a server.
pub const FORWARDING: &str = "forwarding-method";
/// Name of `--dest-check`, which may be repeated.
pub const CHECKS: &str = "dest-check";
/// Name of `-6`, which is checked where it stands.
pub const IPV6: &str = "ipv6";
/// Name of `--sort`, which may stand anywhere.
pub const SORT: &str = "sort";
/// Name of `--ipc`, which may stand anywhere.
pub const IPC: &str = "ipc";
/// Name of `--style`, which may stand anywhere.
pub const STYLE: &str = "style";

const SERVICE_COMMANDS: &[Command] = &[AddService, EditService];
const SERVER_COMMANDS: &[Command] = &[AddServer, EditServer];

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
    if command == Some(SetTimeouts) && letter.is_ascii_digit() && letter != '6' {
        return None;
    }
    let hidden = match command {
        Some(AddServer | EditServer) => Opt::SchedFlags,
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

const fn command(
    command: Command,
    short: &'static [char],
    long: &'static str,
    value: Value,
    word: &'static str,
    help: &'static str,
) -> CommandDef {
    CommandDef { command, short, long, value, word, help }
}

const fn option(
    opt: Opt,
    short: Option<char>,
    long: &'static str,
    value: Value,
    name: &'static str,
    help: &'static str,
) -> OptDef {
    OptDef { opt, short, long, value, name, help }
}

const fn may(name: &'static str, may: &'static [Command]) -> Rule {
    Rule { name, needs: &[], may, alone: &[] }
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
        assert_eq!(of(Some(AddService)), Opt::SchedFlags);
        assert_eq!(of(Some(List)), Opt::SchedFlags);
        assert_eq!(of(Some(AddServer)), Opt::FullNat);
        assert_eq!(of(Some(EditServer)), Opt::FullNat);
    }
}
