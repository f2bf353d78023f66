// SPDX-License-Identifier: Apache-2.0
//! `--import`, against a table in memory.

use std::io::Write;

use crate::table::Table;
use crate::tool::{self, Ran};
use ipvsadm_rs::args::Style;

/// Runs a line in which `FILE` stands for a file of that text.
fn ipvsadm(words: &str, text: &str, table: &mut Table) -> Ran {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it can be written");
    let path = file.path().to_str().expect("a plain name");
    let argv: Vec<String> =
        format!("ipvsadm {words}").split(' ').map(|word| word.replace("FILE", path)).collect();
    let mut ran = tool::run(&argv, "", table, &tool::names(), Style::Dpvs);
    ran.stderr = ran.stderr.replace(path, "FILE");
    ran
}

fn saved(table: &mut Table) -> String {
    ipvsadm("-S -n", "", table).seen.stdout.expect("a table")
}

const TWO: &str = "
local_address_group inside {
    10.0.1.200 dpdk1
}
virtual_server 10.0.0.1 80 {
    lb_algo wrr
    lb_kind FNAT
    protocol TCP
    laddr_group_name inside
    sorry_server 10.0.0.99 80
    real_server 10.0.0.11 8080 {
        weight 5
        TCP_CHECK {
            connect_timeout 3
        }
    }
    real_server 10.0.0.12 8080 {
        weight 1
    }
}
virtual_server 10.0.0.2 53 {
    lb_algo rr
    lb_kind DR
    protocol UDP
    real_server 10.0.0.13 53 {
        weight 1
        upper_limit 9
    }
}
";

const TABLE: &str = "\
-A -u 10.0.0.2:53 -s rr
-a -u 10.0.0.2:53 -r 10.0.0.13:53 -g -w 1
-A -t 10.0.0.1:80 -s wrr
-P -t 10.0.0.1:80 -z 10.0.1.200 -F dpdk1
-a -t 10.0.0.1:80 -r 10.0.0.11:8080 -b -w 5
-a -t 10.0.0.1:80 -r 10.0.0.12:8080 -b -w 1
";

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn services_become_what_the_file_says_and_others_stay() {
    let mut table = Table::default();
    ipvsadm("-A -t 10.0.0.9:80 -s rr", "", &mut table);
    // Wrong in everything: it is changed, not made anew.
    ipvsadm("-A -t 10.0.0.1:80 -s lc", "", &mut table);
    ipvsadm("-a -t 10.0.0.1:80 -r 10.0.0.11:8080 -b -w 1", "", &mut table);
    ipvsadm("-a -t 10.0.0.1:80 -r 10.0.0.44:8080 -b -w 1", "", &mut table);
    let ran = ipvsadm("--import FILE", TWO, &mut table);
    assert_eq!(ran.seen.status, 0, "{}", ran.stderr);
    let wanted = format!("-A -t 10.0.0.9:80 -s rr\n{TABLE}");
    assert_eq!(sorted(&saved(&mut table)), sorted(&wanted));
    // Once more is nothing to do.
    let ran = ipvsadm("--import FILE --dry-run", TWO, &mut table);
    assert_eq!((ran.seen.stdout.as_deref(), ran.seen.status), (Some(""), 0));
}

#[test]
fn tunnels_come_with_the_services() {
    let mut table = Table::default();
    let text = "tunnel_group G {\n    tunnel_entry t0 {\n        kind gre\n        local 10.0.0.1\n        remote 10.0.0.2\n    }\n}\n";
    for already in [0, 1] {
        let ran = ipvsadm("--import FILE", text, &mut table);
        assert_eq!((ran.seen.status, ran.stderr.as_str()), (0, ""));
        let named =
            |tunnel: &model::tunnel::TunnelSpec| format!("{} {} {}", tunnel.name, tunnel.mode, tunnel.remote);
        assert_eq!(
            table.tunnels.iter().map(named).collect::<Vec<_>>(),
            ["t0 gre 10.0.0.2"],
            "{already} before"
        );
    }
}

/// Those of a master come, those of a backup wait for a daemon that follows its role, and those of no link of the director are named.
#[test]
fn virtual_addresses_of_masters_come_with_the_services() {
    let mut table = Table::default();
    let instance = |name: &str, state: &str, dev: &str, addr: &str| {
        format!(
            "vrrp_instance {name} {{\n    state {state}\n    interface eth0\n    dpdk_interface {dev}\n    virtual_ipaddress {{\n        {addr}\n    }}\n}}\n"
        )
    };
    let text = [
        instance("A", "MASTER", "dpdk0", "192.0.2.1/24"),
        instance("B", "BACKUP", "dpdk0", "192.0.2.2"),
        instance("C", "MASTER", "dpdk9", "192.0.2.3"),
    ]
    .concat();
    for _ in 0..2 {
        let ran = ipvsadm("--import FILE", &text, &mut table);
        assert_eq!(ran.seen.status, 0, "{}", ran.stderr);
        assert_eq!(
            ran.stderr.lines().collect::<Vec<_>>(),
            [
                "ipvsadm: FILE:14: not done: virtual addresses of an instance that is not MASTER: dpvsd --keepalived lets them come",
                "ipvsadm: FILE:22: not done: addresses of C: no link `dpdk9` of the director: name one with dpdk_interface",
            ]
        );
        let named = |addr: &model::net::IfAddr| format!("{} {}", addr.prefix, addr.dev);
        assert_eq!(table.addrs.iter().map(named).collect::<Vec<_>>(), ["192.0.2.1/24 dpdk0"]);
    }
}

#[test]
fn what_is_not_done_is_said() {
    let mut table = Table::default();
    let ran = ipvsadm("--import FILE", TWO, &mut table);
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        said,
        [
            "ipvsadm: FILE:27: warning: upper_limit: unknown keyword",
            "ipvsadm: FILE:13: not done: health checks; every server counts as alive",
            "ipvsadm: FILE:10: not done: sorry_server: it would serve without quorum",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    let mut table = Table::default();
    ipvsadm("-A -t 10.0.0.9:80 -s rr", "", &mut table);
    for (text, words) in [
        ("virtual_server 10.0.0.1 80 {\n    lb_algo\n}\n", "--import FILE"),
        (TWO, "--import /nonexistent/keepalived.conf"),
        (TWO, "--import FILE --atomic"),
        (TWO, "--import"),
    ] {
        let ran = ipvsadm(words, text, &mut table);
        assert_ne!(ran.seen.status, 0, "{words}");
        assert!(ran.stderr.starts_with("ipvsadm: "), "{words}: {}", ran.stderr);
        assert_eq!(saved(&mut table), "-A -t 10.0.0.9:80 -s rr\n");
    }
}

#[test]
fn a_refusal_names_the_line_that_asked() {
    let mut table = Table::default();
    let text = TWO.replace("weight 5", "weight 5\n        uthreshold 3\n        lthreshold 4");
    let ran = ipvsadm("--import FILE", &text, &mut table);
    let refusal = "ipvsadm: FILE:11: the lower limit is above the upper; nothing was changed";
    assert_eq!(ran.stderr.lines().last(), Some(refusal));
    assert_eq!((ran.seen.status, saved(&mut table).as_str()), (1, ""));
    let ran = ipvsadm(
        "--import FILE",
        "\nvirtual_server fwmark 0 {\nreal_server 10.0.0.1 80 {\n}\n}\n",
        &mut table,
    );
    let refusal = "ipvsadm: FILE:2: fwmark 0 stands for no packet: marks begin at 1; nothing was changed";
    assert_eq!(ran.stderr.lines().last(), Some(refusal));
}
