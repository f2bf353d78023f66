// SPDX-License-Identifier: Apache-2.0
//! `--restore` in its three ways, against a table in memory.

use crate::table::Table;
use crate::tool::{self, Ran};
use ipvsadm_rs::args::Style;
use sockopt::{Request, Set};

fn ipvsadm(words: &str, stdin: &str, table: &mut Table) -> Ran {
    let argv: Vec<String> = format!("ipvsadm {words}").split(' ').map(str::to_owned).collect();
    tool::run(&argv, stdin, table, &tool::names(), Style::Stock)
}

fn saved(table: &mut Table) -> String {
    ipvsadm("-S -n --style dpvs", "", table).seen.stdout.unwrap()
}

/// A table with something of everything.
const EVERYTHING: &str = "\
-A -t 10.0.0.1:80 -s wrr -p 300 -M 255.255.255.0 --conn-timeout 60
-P -t 10.0.0.1:80 -z 10.0.1.200 -F dpdk1
-U -t 10.0.0.1:80 -k 192.0.2.66
-U -t 10.0.0.1:80 -k ipset:bad
-O -t 10.0.0.1:80 -2 192.0.2.0
-a -t 10.0.0.1:80 -r 10.0.0.11:8080 -b -w 5 -x 100 -y 50
-a -t 10.0.0.1:80 -r 10.0.0.12:8080 -m -w 0 -x 9 -y 9
-A -t 10.0.0.2:80 -s rr -j auto,hold --proxy-protocol v2-insecure --expire-quiescent --dest-check default --dest-check tcp --dest-check ping
-A -u 10.0.0.2:443 -s conhash --hash-target qid --quic
-a -u 10.0.0.2:443 -r 10.0.0.11:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -u 10.0.0.2:443 -r 10.0.0.12:443 -i -w 1 --tun-type gre --tun-nocsum
-A -H proto=tcp,src-range=192.168.0.0-192.168.255.255:0-0,oif=dpdk0 -s rr
-a -H proto=tcp,src-range=192.168.0.0-192.168.255.255:0-0,oif=dpdk0 -r 198.51.100.7:0 -J -w 100
-A -q 10.0.0.3:0 -s rr
-A -1 [2001:db8::3]:0 -s rr --dest-check 1,2,5s,5-600s
-A -t [2001:db8::1]:80 -s mh -p 60 -M 64 -b mh-fallback,mh-port
-A -f 4294967295 -s rr -o
-A -f 5 -6 -s wlc
";

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn everything_that_is_saved_is_restored() {
    for mode in ["-R", "-R --atomic", "-R --replace"] {
        let mut table = Table::default();
        let ran = ipvsadm(mode, EVERYTHING, &mut table);
        assert_eq!((ran.stderr.as_str(), ran.seen.status), ("", 0), "{mode}");
        let first = saved(&mut table);
        assert_eq!(sorted(&first), sorted(EVERYTHING), "{mode}");
        let mut again = Table::default();
        ipvsadm("-R", &first, &mut again);
        assert_eq!(saved(&mut again), first, "{mode}");
    }
}

#[test]
fn a_refused_line_is_reported_with_its_number_and_skipped() {
    let mut table = Table::default();
    let lines = "-A -t 10.0.0.1:80\n\n-A -t 10.0.0.1:80\n-D -u 10.0.0.9:1\n-A -t 10.0.0.2:80\n";
    let ran = ipvsadm("-R", lines, &mut table);
    assert_eq!(
        ran.stderr,
        "ipvsadm: line 3: tcp 10.0.0.1:80 already exists\nipvsadm: line 4: no service udp 10.0.0.9:1\n"
    );
    assert_eq!(ran.seen.status, 0);
    assert_eq!(table.services.len(), 2);
}

#[test]
fn lines_that_are_here_go_to_the_daemon_together() {
    let mut table = Table::default();
    let lines: String = (1..=100).map(|port| format!("-A -t 10.0.0.1:{port}\n")).collect();
    ipvsadm("-R", &lines, &mut table);
    assert_eq!(table.services.len(), 100);
    assert!(table.asked.len() <= 2, "{} requests", table.asked.len());
}

#[test]
fn atomic_is_all_or_nothing_and_names_the_line() {
    let mut table = Table::default();
    ipvsadm("-A -t 10.0.0.9:80 -s rr", "", &mut table);
    let mut lines: String = (1..=999).map(|port| format!("-A -t 10.0.0.1:{port}  # note\n")).collect();
    lines.insert_str(0, "# saved table\n");
    let bad = lines.replacen("-A -t 10.0.0.1:499 ", "-A -t 10.0.0.9:80 ", 1);
    let ran = ipvsadm("-R --atomic", &bad, &mut table);
    assert_eq!(ran.stderr, "ipvsadm: line 500: tcp 10.0.0.9:80 already exists; nothing was changed\n");
    assert_eq!(ran.seen.status, 1);
    assert_eq!(saved(&mut table), "-A -t 10.0.0.9:80 -s rr\n");

    let nonsense = lines.replacen("-A -t 10.0.0.1:499 ", "-A -t 10.0.0.1:0 ", 1);
    let ran = ipvsadm("-R --atomic", &nonsense, &mut table);
    assert_eq!(
        ran.stderr,
        "ipvsadm: line 500: port 0 stands for every port: that needs --persistent; nothing was changed\n"
    );
    assert_eq!(ran.seen.status, 2);

    assert_eq!(ipvsadm("-R --atomic", &lines, &mut table).seen.status, 0);
    assert_eq!(table.services.len(), 1000);
}

#[test]
fn replace_makes_the_least_change() {
    let mut table = Table::default();
    ipvsadm("-R", EVERYTHING, &mut table);
    table.asked.clear();
    let wanted = EVERYTHING
        .replace("-b -w 5", "-b -w 6")
        .replace("-U -t 10.0.0.1:80 -k ipset:bad\n", "")
        .replace("--conn-timeout 60", "")
        .replace("-A -f 5 -6 -s wlc\n", "-A -f 6 -s rr\n");
    let ran = ipvsadm("-R --replace", &wanted, &mut table);
    assert_eq!((ran.stderr.as_str(), ran.seen.status), ("", 0));
    let now = saved(&mut table);
    assert_eq!(sorted(&now), sorted(&wanted.replace("255.255.255.0 \n", "255.255.255.0\n")));
    let steps = table.asked.iter().find_map(|request| match request {
        Request::Transaction { steps, .. } => Some(steps),
        _ => None,
    });
    let names: Vec<&str> = steps
        .unwrap()
        .iter()
        .map(|step| match step {
            Set::DelService(_) => "del service",
            Set::AddService(..) => "add service",
            Set::EditService(..) => "edit service",
            Set::EditDest(..) => "edit dest",
            Set::DelAccess { .. } => "del access",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["del service", "edit service", "del access", "edit dest", "add service"]);
}

#[test]
fn the_wrapper_can_replace_too() {
    let mut table = Table::default();
    ipvsadm("-A -t 10.0.0.9:80", "", &mut table);
    let run = |words: &[&str], table: &mut Table| {
        let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        tool::run(&argv, "# note\n-A -t 10.0.0.1:80\n", table, &tool::names(), Style::Stock).seen
    };
    assert_eq!(
        run(&["ipvsadm-restore", "--replace", "--dry-run"], &mut table).stdout.unwrap().lines().count(),
        2
    );
    assert_eq!(saved(&mut table), "-A -t 10.0.0.9:80 -s wlc\n");
    assert_eq!(run(&["ipvsadm-restore", "--replace"], &mut table).status, 0);
    assert_eq!(saved(&mut table), "-A -t 10.0.0.1:80 -s wlc\n");
    assert!(!table.asked.contains(&Request::Set(Set::FlushServices)));
}

#[test]
fn replace_by_the_same_asks_for_no_change() {
    let mut table = Table::default();
    ipvsadm("-R", EVERYTHING, &mut table);
    table.asked.clear();
    assert_eq!(ipvsadm("-R --replace", EVERYTHING, &mut table).seen.status, 0);
    assert!(table.asked.iter().all(|request| matches!(request, Request::Get(_))));
}

#[test]
fn a_dry_run_prints_and_changes_nothing() {
    let mut table = Table::default();
    let ran = ipvsadm("-R --replace --dry-run", "-A -t 10.0.0.1:80\n-A -t 10.0.0.2:80\n", &mut table);
    assert_eq!(ran.seen.stdout.unwrap().lines().count(), 2);
    assert!(table.services.is_empty());
}

#[test]
fn what_contradicts_itself_is_refused_with_the_line() {
    let mut table = Table::default();
    let ran = ipvsadm("-R --replace", "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n", &mut table);
    assert_eq!(ran.stderr, "ipvsadm: line 2: tcp 10.0.0.1:80 is there already; nothing was changed\n");
    assert_eq!(ran.seen.status, 2);
    let ran = ipvsadm("-R --atomic", "-A -t 10.0.0.1:80\n-Ln\n", &mut table);
    assert_eq!(
        ran.stderr,
        "ipvsadm: line 2: --list is no change: --atomic runs only changes; nothing was changed\n"
    );
}
