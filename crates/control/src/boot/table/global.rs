// SPDX-License-Identifier: Apache-2.0
//! The daemon as a whole.

use super::*;

pub(super) const KEYS: &[Key] = &[
    group("global_defs", "The daemon as a whole."),
    key(
        "global_defs/log_level",
        Choice(&[
            "emerg", "alert", "crit", "err", "error", "warning", "warn", "notice", "info", "debug", "trace",
        ]),
        "info",
        Reload,
        "From which level on the daemon logs.",
        |c, v| {
            c.log_level = match text(v) {
                "warning" | "warn" => LogLevel::Warn,
                "notice" | "info" => LogLevel::Info,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Error,
            };
            Ok(())
        },
    ),
    key(
        "global_defs/ipc_file",
        Word("a path"),
        "",
        Restart,
        "The control socket; without it $DPVS_IPC_FILE, else /run/dpvs/dpvs.sock.",
        |c, v| put(&mut c.ipc_file, text(v).into()),
    ),
    key(
        "global_defs/idle",
        Choice(&["spin", "pause", "sleep"]),
        "",
        Restart,
        "What workers do when nothing comes; without it they spin on network cards and sleep on virtual devices.",
        |c, v| {
            put(
                &mut c.idle,
                match text(v) {
                    "spin" => Idle::Spin,
                    "pause" => Idle::Pause,
                    _ => Idle::Sleep,
                },
            )
        },
    ),
    key(
        "global_defs/hugepages",
        Switch,
        "",
        Restart,
        "Whether packets live in hugepages; without it they do when there are some.",
        |c, v| put(&mut c.hugepages, on(v)),
    ),
    key(
        "global_defs/memory",
        Number(64, 1_048_576),
        "",
        Restart,
        "MiB set aside for packets without hugepages; without it what the pools need.",
        |c, v| put(&mut c.memory, number(v)),
    ),
    key(
        "global_defs/kni",
        Switch,
        "off",
        Restart,
        "Whether packets the director does not take go to the host's own stack.",
        |c, v| {
            c.kernel_path = on(v);
            Ok(())
        },
    ),
    ignored("global_defs/log_file", STDERR),
    ignored("global_defs/log_with_timestamp", STDERR),
    ignored("global_defs/log_async_mode", STDERR),
    ignored("global_defs/log_async_pool_size", STDERR),
    ignored("global_defs/lldp", "lldp is not there yet"),
    ignored("global_defs/pdump", "the daemon offers no capture server"),
];
