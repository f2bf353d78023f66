// SPDX-License-Identifier: Apache-2.0
//! What the prompt and shells offer to complete.

use ipvsadm_rs::args::Style;
use ipvsadm_rs::complete::candidates;

use crate::table::Table;
use crate::tool;

fn offered(before: &str, word: &str) -> Vec<String> {
    let mut table = Table::default();
    for line in [
        "ipvsadm -A -t 10.0.0.1:80",
        "ipvsadm -A -t [2001:db8::1]:443",
        "ipvsadm -A -u 10.0.0.1:53",
        "ipvsadm -A --sctp-service 10.0.0.1:2905",
        "ipvsadm -A -f 7",
        "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m",
        "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m",
        "ipvsadm -P -t 10.0.0.1:80 -z 10.0.2.200 -F dpdk1",
        "ipvsadm -U -t 10.0.0.1:80 -k 192.0.2.66",
    ] {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert!(!tool::run(&argv, "", &mut table, &tool::names(), Style::Stock).seen.complained, "{line}");
    }
    let before: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    let mut found = candidates(&before, &mut table);
    found.retain(|candidate| candidate.starts_with(word));
    found
}

#[test]
fn a_line_begins_with_a_command() {
    assert_eq!(offered("", "--add-s"), ["--add-service", "--add-server"]);
    assert!(offered("", "-A").contains(&"-A".to_owned()));
    assert!(offered("", "--tcp").is_empty());
}

#[test]
fn options_are_those_that_are_legal_and_not_yet_given() {
    assert_eq!(offered("-a -t 10.0.0.1:80", "--w"), ["--weight"]);
    assert!(offered("-a -t 10.0.0.1:80", "--tcp").is_empty());
    assert!(offered("-a -t 10.0.0.1:80 -m", "-g").is_empty());
    assert_eq!(offered("-a", "-b"), ["-b"]);
    assert!(offered("-C", "--st").iter().all(|word| word == "--style"));
}

#[test]
fn values_are_those_that_are_there() {
    assert_eq!(offered("-D -t", ""), ["10.0.0.1:80", "[2001:db8::1]:443"]);
    assert_eq!(offered("-D -u", ""), ["10.0.0.1:53"]);
    assert_eq!(offered("-D --sctp-service", ""), ["10.0.0.1:2905"]);
    assert_eq!(offered("-D --fwmark-service", ""), ["7"]);
    assert!(offered("-A -t", "").is_empty());
    assert_eq!(offered("-e -t 10.0.0.1:80 -r", ""), ["10.0.1.1:8080", "10.0.1.2:8080"]);
    assert_eq!(offered("-Q -t 10.0.0.1:80 -z", ""), ["10.0.2.200"]);
    assert_eq!(offered("-V -t 10.0.0.1:80 -k", ""), ["192.0.2.66"]);
    assert_eq!(offered("-A -t 10.0.0.9:80 -s sh -b", ""), ["sh-fallback", "sh-port"]);
    assert_eq!(offered("-A -t 10.0.0.9:80 -j", "e"), ["enable"]);
    assert!(offered("-A -t 10.0.0.9:80 -s", "w").contains(&"wrr".to_owned()));
}
