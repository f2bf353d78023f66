// SPDX-License-Identifier: Apache-2.0
//! Tests: the manual page says what the command line, the devices and the log say.

use dpdk::Driver;

const PAGE: &str = include_str!("../../man/dpvsd.8");

/// The lines of a section, which ends where the next one begins.
fn section(title: &str) -> Vec<&'static str> {
    let head = format!(".Sh {title}");
    let lines = PAGE.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with(".Sh ")).collect()
}

/// Heads of the items of a section.
fn items(title: &str) -> Vec<&'static str> {
    section(title).into_iter().filter_map(|line| line.strip_prefix(".It ")).collect()
}

#[test]
fn the_options_are_those_of_the_command_line() {
    let mut expected: Vec<String> = Vec::new();
    let command = crate::args::command();
    let mut built = command.clone();
    built.build();
    for option in built.get_arguments() {
        let value = option.get_value_names().and_then(|names| names.first());
        let takes = option.get_action().takes_values();
        let value = value.filter(|_| takes).map(|name| format!(" Ar {name}")).unwrap_or_default();
        let short = option.get_short().map(|letter| format!("Fl {letter} , ")).unwrap_or_default();
        expected.push(match option.get_long() {
            Some(long) => format!("{short}Fl -{long}{value}"),
            None => format!("Fl -{value} ..."),
        });
    }
    let mut described = items("OPTIONS");
    described.sort_unstable();
    expected.sort_unstable();
    assert_eq!(described, expected);
}

#[test]
fn the_devices_are_those_there_are() {
    let described: Vec<&str> =
        items("DEVICES").iter().filter_map(|item| item.strip_prefix("Cm ")?.split(' ').next()).collect();
    assert_eq!(described, Driver::ALL.map(Driver::word));
}

/// Every log line that is explained is one the source has: the words before the first `...` of each head.
#[test]
fn the_log_lines_are_those_of_the_source() {
    const SOURCES: [&str; 10] = [
        include_str!("../../crates/dpdk/src/eal/args.rs"),
        include_str!("../../crates/dpdk/src/netdev.rs"),
        include_str!("../../crates/dpdk/src/port.rs"),
        include_str!("../../crates/dpdk/src/port/plan.rs"),
        include_str!("daemon.rs"),
        include_str!("controller.rs"),
        include_str!("mailbox.rs"),
        include_str!("effects.rs"),
        include_str!("file.rs"),
        include_str!("reload.rs"),
    ];
    let heads: Vec<&str> = items("LOG").iter().filter_map(|item| item.strip_prefix("Li ")).collect();
    assert!(heads.len() > 10, "{heads:?}");
    for head in heads {
        let parts = head.trim_matches('"').split("...").map(str::trim).filter(|part| !part.is_empty());
        for part in parts {
            assert!(SOURCES.iter().any(|source| source.contains(part)), "`{part}`");
        }
    }
}
