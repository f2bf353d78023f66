// SPDX-License-Identifier: Apache-2.0
//! Which options may stand with which commands, and what groups of options are called.

use super::Command::*;
use super::{Command, Rule};

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
    may("bps", SERVICE_COMMANDS),
    may("limit-proportion", SERVICE_COMMANDS),
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

const fn may(name: &'static str, may: &'static [Command]) -> Rule {
    Rule { name, needs: &[], may, alone: &[] }
}
