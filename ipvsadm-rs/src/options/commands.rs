// SPDX-License-Identifier: Apache-2.0
//! The commands.

use super::Command::*;
use super::{Command, CommandDef, Value};

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
        "make the services, tunnels and virtual addresses of a keepalived.conf what it says; servers are not checked",
    ),
    command(Top, &[], "top", Value::None, "top", "watch services and servers"),
    command(Help, &['h'], "help", Value::None, "help", "print this help"),
    command(Version, &['v'], "version", Value::None, "version", "print the version"),
];

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
