// SPDX-License-Identifier: Apache-2.0
//! The control socket under clients that behave well, badly and not at all.
//!
//! ```text
//!   rubbish, half frames, silence ──┐
//!                                   ├──> control socket ──> dpvsd on a device that goes nowhere
//!   a tool that does nothing wrong ─┘
//! ```

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use model::{DestSpec, Forwarding, ServiceKey, ServiceSpec, Transport};
use sockopt::{Get, Reply, Request, Set, frame};
use support::Daemon;

const SERVICES: Request = Request::Get(Get::Services { cursor: 0, lcore: None });

fn key(port: u16) -> ServiceKey {
    ServiceKey::endpoint(Transport::Tcp, "192.0.2.1".parse().expect("an address"), port)
}

fn add_service(port: u16) -> Set {
    Set::AddService(key(port), ServiceSpec::default())
}

fn add_dest(port: u16, server: u8) -> Set {
    let spec = DestSpec { forwarding: Forwarding::FullNat, ..DestSpec::default() };
    Set::AddDest(key(port), format!("10.0.0.{server}:80").parse().expect("an address"), spec)
}

fn services(daemon: &Daemon) -> usize {
    let mut client = daemon.client();
    let (mut count, mut cursor) = (0, 0);
    loop {
        match client.call(&Request::Get(Get::Services { cursor, lcore: None })).expect("a reply") {
            Reply::Services(page) => {
                count += page.entries.len();
                let Some(next) = page.next else { return count };
                cursor = next;
            }
            other => panic!("a listing expected: {other:?}"),
        }
    }
}

/// What the daemon answers to bytes, until it closes the connection.
fn answer(daemon: &Daemon, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&daemon.ipc).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a duration");
    // It may close before it has taken everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn rubbish_costs_its_sender_the_connection_and_nobody_else_anything() {
    let mut daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    assert_eq!(daemon.ask(&Request::Set(add_service(80))), Reply::Done);
    let whole = frame::encode(1, &SERVICES).expect("short");
    let with_length = |length: u32| {
        let mut header = whole[..16].to_vec();
        header.extend_from_slice(&length.to_be_bytes());
        header
    };
    assert_eq!(answer(&daemon, b"GET / HTTP/1.0\r\n\r\n"), b"", "another protocol");
    assert_eq!(answer(&daemon, &[0xff; 100_000]), b"", "a flood");
    let oversized = String::from_utf8_lossy(&answer(&daemon, &with_length(u32::MAX))).into_owned();
    assert!(oversized.contains("a message of 4294967295 bytes is too long"), "{oversized}");
    let mut unknown = whole.clone();
    unknown[5] = 99;
    assert_eq!(answer(&daemon, &unknown)[6..8], [0, 1], "the versions known");
    let mut body = with_length(4);
    body.extend_from_slice(&[0xff; 4]);
    body.extend_from_slice(b"rubbish follows");
    let undecodable = String::from_utf8_lossy(&answer(&daemon, &body)).into_owned();
    assert!(undecodable.contains("the message cannot be understood"), "{undecodable}");

    assert_eq!(services(&daemon), 1, "a good client is served, and nothing changed");
    assert!(daemon.is_running());
}

#[test]
fn clients_that_hang_hold_nobody_up() {
    let daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    let silent = UnixStream::connect(&daemon.ipc).expect("it listens");
    let mut half = UnixStream::connect(&daemon.ipc).expect("it listens");
    let whole = frame::encode(1, &SERVICES).expect("short");
    half.write_all(&whole[..whole.len() - 1]).expect("room in the socket");
    // Asks, and never takes the answers.
    let mut deaf = UnixStream::connect(&daemon.ipc).expect("it listens");
    deaf.set_write_timeout(Some(Duration::from_secs(1))).expect("a duration");
    (0..10_000).try_for_each(|_| deaf.write_all(&whole)).ok();
    let start = Instant::now();
    assert_eq!(daemon.ask(&Request::Set(add_service(80))), Reply::Done);
    assert!(start.elapsed() < Duration::from_secs(5));
    // The half frame is whole at last, and answered.
    half.write_all(&whole[whole.len() - 1..]).expect("still connected");
    half.set_read_timeout(Some(Duration::from_secs(20))).expect("a duration");
    assert_eq!(half.read(&mut [0; 4]).expect("an answer"), 4);
    drop(silent);
}

#[test]
fn clients_change_things_at_once_and_every_change_is_there() {
    let daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    thread::scope(|scope| {
        for client in 0..8 {
            let mut tool = daemon.client();
            scope.spawn(move || {
                for n in 0..25 {
                    let request = Request::Set(add_service(1000 + client * 100 + n));
                    assert_eq!(tool.call(&request).expect("a reply"), Reply::Done);
                }
            });
        }
    });
    assert_eq!(services(&daemon), 200);
}

#[test]
fn a_refused_transaction_changes_nothing_and_names_its_step() {
    let daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    let steps = vec![add_service(80), add_dest(80, 1), add_dest(80, 1)];
    let Reply::Refused(status) = daemon.ask(&Request::Transaction { steps: steps.clone(), dry_run: false })
    else {
        panic!("the server is there already");
    };
    assert_eq!(status.step, Some(2));
    assert_eq!(services(&daemon), 0);
    let planned = daemon.ask(&Request::Transaction { steps: steps[..2].to_vec(), dry_run: true });
    assert!(matches!(planned, Reply::Plan(lines) if lines.len() == 2));
    assert_eq!(services(&daemon), 0, "a dry run changes nothing");
}

#[test]
fn a_thousand_services_with_ten_servers_each_are_restored_at_once() {
    let daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    let steps = (1..=1000)
        .flat_map(|port| std::iter::once(add_service(port)).chain((1..=10).map(move |n| add_dest(port, n))));
    let restore = Request::Transaction { steps: steps.collect(), dry_run: false };
    let start = Instant::now();
    assert_eq!(daemon.ask(&restore), Reply::Done);
    println!("restored in {:?}", start.elapsed());
    assert_eq!(services(&daemon), 1000);
}
