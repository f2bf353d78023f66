// SPDX-License-Identifier: Apache-2.0
//! Tests: configurations one after the other, and what checkers find out in between.

use super::*;
use keepalived_conf::keepalived;

fn book(before: &Book, text: &str) -> (Book, Vec<String>) {
    let report = keepalived::parse(text.as_bytes(), "k", "lb").expect("good text");
    let (book, due) = Book::after(before, report.config).expect("a book");
    (book, said(due))
}

fn said(due: Due) -> Vec<String> {
    due.into_iter().map(|(what, _)| what).collect()
}

/// `ADDR WEIGHT` of every server of every service.
fn table(book: &Book) -> Vec<String> {
    let keys = book.import.services.iter().map(|service| &service.key);
    let dests = keys.flat_map(|key| book.table.dests(key));
    dests.map(|(addr, spec)| format!("{addr} {}", spec.weight)).collect()
}

fn text(servers: &str) -> String {
    let mut text =
        "virtual_server 192.0.2.1 80 {\nprotocol TCP\nquorum 1\nquorum_up /up\nquorum_down /down\n\
                    sorry_server 10.0.0.9 80\n"
            .to_owned();
    for host in servers.split(' ') {
        text +=
            &format!("real_server 10.0.0.{host} 80 {{\nnotify_up /u\nnotify_down /d\nTCP_CHECK {{\n}}\n}}\n");
    }
    text + "}\n"
}

fn one_and_two() -> (Book, Vec<String>) {
    book(&Book::default(), &text("1 2"))
}

#[test]
fn the_table_follows_outcomes_and_scripts_are_due() {
    let (mut book, due) = one_and_two();
    assert_eq!(due, ["quorum of 192.0.2.1:80 gained"]);
    assert_eq!(table(&book), ["10.0.0.1:80 1", "10.0.0.2:80 1"]);
    let (steps, due) = book.take(&[Event::Down(1, "gone".into())]);
    let key = book.import.services[0].key.clone();
    assert_eq!(steps, [Set::DelDest(key, "10.0.0.1:80".parse().unwrap())]);
    assert_eq!(said(due), ["server 10.0.0.1:80 of 192.0.2.1:80 down"]);
    let (_, due) = book.take(&[Event::Down(2, "gone".into()), Event::Down(77, "gone".into())]);
    assert_eq!(said(due), ["server 10.0.0.2:80 of 192.0.2.1:80 down", "quorum of 192.0.2.1:80 lost"]);
    assert_eq!(table(&book), ["10.0.0.9:80 1"]);
    let (_, due) = book.take(&[Event::Up(1)]);
    assert_eq!(said(due), ["server 10.0.0.1:80 of 192.0.2.1:80 up", "quorum of 192.0.2.1:80 gained"]);
    assert_eq!(table(&book), ["10.0.0.1:80 1"]);
}

#[test]
fn a_reload_keeps_health_and_numbers_of_what_stays() {
    let (mut before, _) = one_and_two();
    before.take(&[Event::Down(2, "gone".into())]);
    // Other times are no other checker.
    let (after, due) = book(&before, &text("2 3").replace("TCP_CHECK {", "TCP_CHECK {\ndelay_loop 1"));
    assert_eq!(after.checkers.keys().copied().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(table(&after), ["10.0.0.3:80 1"]);
    assert_eq!(due, ["server 10.0.0.1:80 of 192.0.2.1:80 removed"]);
    // Another port is: it counts as well until it has been tested.
    let (after, due) = book(&before, &text("1 2").replace("TCP_CHECK {", "TCP_CHECK {\nconnect_port 81"));
    assert_eq!(after.checkers.keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert_eq!((table(&after).len(), due.len()), (2, 0));
    let (gone, due) = book(&before, "");
    assert_eq!((table(&gone).len(), due), (0, vec!["server 10.0.0.1:80 of 192.0.2.1:80 removed".to_owned()]));
}

#[test]
fn alpha_waits_and_inhibited_servers_stay() {
    let quiet = text("1 2").replace("notify_up /u\n", "alpha\ninhibit_on_failure\n");
    let (mut book, due) = book(&Book::default(), &quiet);
    assert_eq!(due, ["quorum of 192.0.2.1:80 lost"]);
    assert_eq!(table(&book), ["10.0.0.1:80 0", "10.0.0.2:80 0", "10.0.0.9:80 1"]);
    book.take(&[Event::Up(2)]);
    assert_eq!(table(&book), ["10.0.0.1:80 0", "10.0.0.2:80 1"]);
    book.take(&[Event::Weight(2, 6)]);
    assert_eq!(table(&book), ["10.0.0.1:80 0", "10.0.0.2:80 7"]);
}

#[test]
fn people_see_who_is_down_and_why() {
    let (mut before, _) = one_and_two();
    before.take(&[Event::Down(2, "connect: refused".into())]);
    let server = |host: u8, alive, failed: &[&str]| ServerHealth {
        server: SocketAddr::from(([10, 0, 0, host], 80)),
        alive,
        weight: 1,
        checkers: 1,
        failed: failed.iter().map(|reason| (*reason).to_owned()).collect(),
    };
    let entry = |servers| HealthEntry { service: "192.0.2.1:80".into(), quorum: true, sorry: false, servers };
    let two = server(2, false, &["TCP_CHECK: connect: refused"]);
    assert_eq!(before.report(), [entry(vec![server(1, true, &[]), two.clone()])]);
    let (mut after, _) = book(&before, &text("2 3").replacen("TCP_CHECK", "alpha\nTCP_CHECK", 2));
    let three = server(3, false, &["TCP_CHECK: not tested yet"]);
    assert_eq!(after.report()[0].servers, [two, three]);
    after.take(&[Event::Up(2), Event::Up(3)]);
    assert_eq!(after.report(), [entry(vec![server(2, true, &[]), server(3, true, &[])])]);
}

#[test]
fn every_address_of_a_group_has_the_servers_that_are_well() {
    let group = "virtual_server_group G {\n192.0.2.1-2 80\n}\n".to_owned()
        + &text("1 2").replace("192.0.2.1 80", "group G");
    let (mut book, _) = book(&Book::default(), &group);
    assert_eq!(book.checkers.len(), 2, "one for each server, whatever the addresses");
    let (steps, _) = book.take(&[Event::Down(1, "gone".into())]);
    assert_eq!(steps.len(), 2);
    assert_eq!(table(&book), ["10.0.0.2:80 1", "10.0.0.2:80 1"]);
}

#[test]
fn services_without_an_address_here_are_suspended_where_they_say_so() {
    let (book, _) = book(&Book::default(), &text("1").replace("quorum 1", "ha_suspend"));
    let here = |addr: &str| HashSet::from([addr.parse().unwrap()]);
    assert_eq!(book.suspended(&here("192.0.2.1")), BTreeSet::new());
    assert_eq!(book.suspended(&here("192.0.2.2")), BTreeSet::from([0]));
    assert_eq!(one_and_two().0.suspended(&here("192.0.2.2")), BTreeSet::new());
}

#[test]
fn the_end_runs_the_scripts_of_those_that_want_it() {
    assert_eq!(said(one_and_two().0.farewell()), [""; 0]);
    let (mut book, _) = book(&Book::default(), &text("1 2").replace("quorum 1", "omega"));
    book.take(&[Event::Down(1, "gone".into())]);
    assert_eq!(
        said(book.farewell()),
        ["server 10.0.0.2:80 of 192.0.2.1:80 removed", "quorum of 192.0.2.1:80 lost"]
    );
}

#[test]
fn what_cannot_be_done_is_refused_with_its_place() {
    let refused = |check: &str| {
        let text = "bfd_instance B {\nneighbor_ip 10.0.0.1\n}\n".to_owned()
            + &text("1").replace("TCP_CHECK {\n}", check);
        let report = keepalived::parse(text.as_bytes(), "k", "lb").expect("good text");
        Book::after(&Book::default(), report.config).map(drop).expect_err("refused").to_string()
    };
    assert_eq!(
        refused("BFD_CHECK {\nname B\n}"),
        "k:13: BFD_CHECK: there is no BFD here to watch `B`: take another check, such as PING_CHECK"
    );
    assert_eq!(
        refused("MISC_CHECK {\nmisc_path /bin/true\nuser nosuchuser\n}"),
        "k:13: MISC_CHECK: no user `nosuchuser`"
    );
    assert!(refused("HTTP_GET {\nurl {\npath /\nregex \"(\"\n}\n}").starts_with("k:13: HTTP_GET: regex: "));
}

#[test]
fn recorded_configurations_are_taken_or_refused_with_their_place() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../keepalived-conf/tests/golden");
    let mut refused = Vec::new();
    let mut taken = 0;
    for entry in std::fs::read_dir(dir).expect("recorded configurations") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        let Ok(report) = keepalived::load(&path, "lb1") else { continue };
        match Book::after(&Book::default(), report.config) {
            Ok((book, _)) => {
                let checkers = book.config.services.iter().flat_map(|service| &service.real_servers);
                assert_eq!(book.checkers.len(), checkers.map(|server| server.checkers.len()).sum::<usize>());
                taken += 1;
            }
            Err(error) => refused.push(error),
        }
    }
    assert!(taken > 30, "{taken}");
    // Users of scripts are those of this machine.
    refused.retain(|error| !error.reason.contains("no user") && !error.reason.contains("no group"));
    let mut refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    refused.sort();
    let seen: Vec<&str> = refused.iter().filter_map(|error| error.rsplit('/').next()).collect();
    let expected = [
        "17-ssl-get.conf:13: SSL_GET: SSL: a key with a password cannot be used: store it without",
        "19-bfd-file-track.conf:20: BFD_CHECK: there is no BFD here to watch `PEER1`: take another check, such as PING_CHECK",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_script_without_a_timeout_has_that_of_its_service() {
    let misc = "MISC_CHECK {\nmisc_path /bin/true\ndelay_loop 9\n}";
    let timeout = |text: String| {
        let (book, _) = book(&Book::default(), &text);
        match &book.checkers[&1].plan.probe {
            crate::health::probe::Probe::Misc(misc) => misc.timeout.as_secs(),
            other => panic!("{other:?}"),
        }
    };
    let text = text("1").replace("TCP_CHECK {\n}", misc);
    assert_eq!(timeout(text.replace("quorum 1", "delay_loop 4")), 4);
    assert_eq!(timeout(text.clone()), 60);
    assert_eq!(timeout(text.replace("misc_path", "misc_timeout 7\nmisc_path")), 7);
}
