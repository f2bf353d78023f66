// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::forward::{Forwarding, Plan};
use crate::ids::{DestId, ServiceId};

fn new_conn(client: &str, server: &str) -> NewConn {
    let at = |s: &str| s.parse().expect("a literal address");
    let (vip, laddr) = if client.starts_with('[') {
        ("[fd00::80]:80", "[fd00:1::1]:5000")
    } else {
        ("10.0.0.80:80", "10.1.0.1:5000")
    };
    NewConn {
        proto: 6,
        inbound: Tuple::new(at(client), at(vip)).expect("one family"),
        outbound: Tuple::new(at(server), at(laddr)).expect("one family"),
        service: ServiceId(0),
        dest: DestId(0),
        dest_generation: 0,
        forwarding: Forwarding::FullNat,
        plans: [Plan::Rewrite; 2],
        conn_timeout: 0,
        lease: None,
        one_packet: false,
        preface: Default::default(),
    }
}

fn expired(table: &mut ConnTable, now: Tick) -> Vec<ConnId> {
    let mut budget = 10_000;
    std::iter::from_fn(|| table.next_expired(now, &mut budget).inspect(|&id| table.remove(id))).collect()
}

#[test]
fn both_directions_find_the_connection() {
    let mut table = ConnTable::new(16, 7);
    for (client, server) in [("10.0.0.1:1024", "10.1.0.2:8080"), ("[fd00::1]:1024", "[fd00:1::2]:8080")] {
        let new = new_conn(client, server);
        let id = table.insert(&new, 90, 0, Tick(0)).expect("room for 16");
        assert_eq!(table.find(&table.probe(new.inbound, 6)), Some((id, Dir::Inbound)));
        assert_eq!(table.find(&table.probe(new.outbound, 6)), Some((id, Dir::Outbound)));
        assert_eq!(table.find(&table.probe(new.outbound, 17)), None);
        assert_eq!(
            (table.tuple(id, Dir::Inbound), table.tuple(id, Dir::Outbound)),
            (new.inbound, new.outbound)
        );
    }
}

#[test]
fn a_tuple_belongs_to_one_connection_only() {
    let mut table = ConnTable::new(16, 7);
    table.insert(&new_conn("10.0.0.1:1024", "10.1.0.2:80"), 90, 0, Tick(0)).expect("room for 16");
    let same_server_side = new_conn("10.0.0.2:1024", "10.1.0.2:80");
    assert_eq!(table.insert(&same_server_side, 90, 0, Tick(0)), Err(DropReason::ConnClash));
    assert_eq!(table.len(), 1);
}

#[test]
fn a_full_table_refuses_and_takes_again_after_a_removal() {
    let mut table = ConnTable::new(2, 7);
    let first = table.insert(&new_conn("10.0.0.1:1", "10.1.0.2:1"), 90, 0, Tick(0)).expect("room for 2");
    table.insert(&new_conn("10.0.0.1:2", "10.1.0.2:2"), 90, 0, Tick(0)).expect("room for 2");
    let third = new_conn("10.0.0.1:3", "10.1.0.2:3");
    assert_eq!(table.insert(&third, 90, 0, Tick(0)), Err(DropReason::ConnTableFull));
    table.remove(first);
    assert!(table.insert(&third, 90, 0, Tick(0)).is_ok());
}

#[test]
fn an_idle_connection_expires_and_a_used_one_does_not() {
    let mut table = ConnTable::new(16, 7);
    let idle = table.insert(&new_conn("10.0.0.1:1", "10.1.0.2:1"), 10, 0, Tick(0)).expect("room");
    let used = table.insert(&new_conn("10.0.0.1:2", "10.1.0.2:2"), 10, 0, Tick(0)).expect("room");
    assert_eq!(expired(&mut table, Tick(5_000)), []);
    table.touch(used, Tick(5_000));
    assert_eq!(expired(&mut table, Tick(10_200)), [idle]);
    assert_eq!(table.expires_in(used, Tick(10_200)), 5);
    assert_eq!(expired(&mut table, Tick(15_200)), [used]);
    assert!(table.is_empty());
}

#[test]
fn a_shorter_timeout_counts_at_once_and_a_longer_one_too() {
    let mut table = ConnTable::new(16, 7);
    let shorter = table.insert(&new_conn("10.0.0.1:1", "10.1.0.2:1"), 9_000, 0, Tick(0)).expect("room");
    let longer = table.insert(&new_conn("10.0.0.1:2", "10.1.0.2:2"), 3, 0, Tick(0)).expect("room");
    table.set_timeout(shorter, 3);
    table.set_timeout(longer, 2_000);
    assert_eq!(expired(&mut table, Tick(3_200)), [shorter]);
    assert_eq!(expired(&mut table, Tick(1_999_000)), []);
    assert_eq!(expired(&mut table, Tick(2_000_200)), [longer]);
}

#[test]
fn expiry_stops_when_the_budget_is_used_and_goes_on_later() {
    let mut table = ConnTable::new(16, 7);
    for port in 1..=9 {
        table
            .insert(&new_conn(&format!("10.0.0.1:{port}"), &format!("10.1.0.2:{port}")), 1, 0, Tick(0))
            .expect("room");
    }
    let mut budget = 4;
    while let Some(id) = table.next_expired(Tick(2_000), &mut budget) {
        table.remove(id);
    }
    assert_eq!(table.len(), 5);
    assert_eq!(expired(&mut table, Tick(2_000)).len(), 5);
}

#[test]
fn a_connection_costs_at_most_256_bytes_with_index_and_ipv6_addresses() {
    let mut table = ConnTable::new(1 << 16, 7);
    for n in 0u32..1 << 16 {
        let (hi, lo) = (n >> 8, n & 255);
        let mut new = new_conn("[fd00::1]:1024", "[fd00:1::2]:80");
        let client = format!("[fd00::{hi:x}:{lo:x}]:1024");
        new.inbound = Tuple::new(client.parse().unwrap(), "[fd00::80]:80".parse().unwrap()).unwrap();
        let server = format!("[fd00:2::{hi:x}:{lo:x}]:80");
        new.outbound = Tuple::new(server.parse().unwrap(), "[fd00:1::1]:5000".parse().unwrap()).unwrap();
        table.insert(&new, 90, 0, Tick(0)).expect("room for all");
    }
    assert!(table.bytes() / table.len() <= 256, "{} bytes", table.bytes() / table.len());
}

/// A connection for each number, of both families by turns.
fn numbered(port: u16) -> NewConn {
    if port.is_multiple_of(2) {
        new_conn(&format!("10.0.0.1:{port}"), &format!("10.1.0.2:{port}"))
    } else {
        new_conn(&format!("[fd00::1]:{port}"), &format!("[fd00:1::2]:{port}"))
    }
}

proptest! {
    /// Against a map from numbers to (slot, time of last use): insert, remove, use, let time pass.
    #[test]
    fn it_agrees_with_a_map(ops in proptest::collection::vec((0u8..5, 1u16..40), 1..300)) {
        let mut table = ConnTable::new(24, 7);
        let mut map: HashMap<u16, (ConnId, u64)> = HashMap::new();
        let mut now = 0;
        for (op, port) in ops {
            match op {
                0 | 1 => {
                    let expect_ok = !map.contains_key(&port) && map.len() < 24;
                    let got = table.insert(&numbered(port), 90, 0, Tick(now));
                    prop_assert_eq!(got.is_ok(), expect_ok, "{:?} with {}", got, map.len());
                    if let Ok(id) = got { map.insert(port, (id, now)); }
                }
                2 => if let Some((id, _)) = map.remove(&port) {
                    table.remove(id);
                },
                3 => if let Some((id, seen)) = map.get_mut(&port) {
                    table.touch(*id, Tick(now));
                    *seen = now;
                },
                _ => {
                    // Whole wheel ticks, so that nothing is due in the middle of one.
                    now += u64::from(port) * 64 * 10;
                    expired(&mut table, Tick(now));
                    map.retain(|_, (_, seen)| now - *seen < 1407 * 64);
                }
            }
            prop_assert_eq!(table.len(), map.len());
            for (&port, &(id, _)) in &map {
                let new = numbered(port);
                prop_assert_eq!(table.find(&table.probe(new.inbound, 6)), Some((id, Dir::Inbound)));
                prop_assert_eq!(table.find(&table.probe(new.outbound, 6)), Some((id, Dir::Outbound)));
                prop_assert_eq!(table.tuple(id, Dir::Outbound), new.outbound);
            }
        }
    }
}
