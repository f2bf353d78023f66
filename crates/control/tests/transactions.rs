// SPDX-License-Identifier: Apache-2.0
//! All or nothing, and undoing.

mod world;

use control::{Effect, plan, transact};
use engine::ids::{LinkId, PortId};
use model::link::LinkChange;
use model::{Family, Scheduling, ServiceOptionsPatch, Timeouts};
use proptest::prelude::*;
use sockopt::{Code, Set};
use world::*;

#[test]
fn each_step_is_decided_in_view_of_those_before_it() {
    let mut state = state();
    let steps = [
        add_service("10.1.0.100:80", "rr"),
        add_dest("10.1.0.100:80", "10.2.0.11:80", 1),
        Set::DelService(tcp("10.1.0.100:80")),
        add_service("10.1.0.100:80", "wrr"),
    ];
    transact(&mut state, &steps).expect("good");
    let [only] = &services(&state)[..] else { panic!("one service") };
    assert_eq!((only.spec.scheduling.scheduler.as_str(), only.dests.len()), ("wrr", 0));
}

#[test]
fn a_refused_step_is_numbered_and_undoes_those_before_it() {
    let mut state = balanced();
    let before = everything(&state);
    let steps = [
        Set::FlushServices,
        add_service("10.1.0.100:80", "wlc"),
        add_service("10.1.0.100:80", "wlc"),
        add_service("10.1.0.101:80", "wlc"),
    ];
    let status = transact(&mut state, &steps).expect_err("the third step repeats the second");
    assert_eq!((status.code, status.step), (Code::Exists, Some(2)));
    assert_eq!(everything(&state), before);
}

#[test]
fn a_plan_says_each_step_and_changes_nothing() {
    let mut state = balanced();
    let before = everything(&state);
    let steps = [
        Set::AddService(udp("10.1.0.100:53"), spec("rr")),
        Set::AddDest(udp("10.1.0.100:53"), at("10.2.0.11:53"), fullnat(3)),
        edit_service(
            "10.1.0.100:80",
            "wlc",
            ServiceOptionsPatch { conn_timeout: Some(60), ..Default::default() },
        ),
        Set::DelDest(tcp("10.1.0.100:80"), at("10.2.0.11:8080")),
        del_laddr("10.1.0.100:80", "10.2.0.200", "dpdk0.102"),
        Set::SetLink { dev: "dpdk1".into(), change: LinkChange::Mtu(1400) },
    ];
    let expected = [
        "add service udp 10.1.0.100:53 (rr)",
        "add server 10.2.0.11:53 to udp 10.1.0.100:53 (fullnat, weight 3)",
        "edit service tcp 10.1.0.100:80 (wlc, conn-timeout 60)",
        "delete server 10.2.0.11:8080 of tcp 10.1.0.100:80",
        "delete local address 10.2.0.200 on dpdk0.102 of tcp 10.1.0.100:80",
        "set dpdk1 mtu 1400",
    ];
    assert_eq!(plan(&mut state, &steps).expect("good"), expected);
    assert_eq!(everything(&state), before);
    let wrong = plan(&mut state, &[Set::FlushServices, Set::FlushServices, Set::DelVlan("x".into())]);
    assert_eq!(wrong.map_err(|status| status.step), Err(Some(2)));
    assert_eq!(everything(&state), before);
}

#[test]
fn devices_come_first_and_counters_are_saved_before_they_are_zeroed() {
    let mut state = balanced();
    let steps = [
        Set::Zero(None),
        Set::DelDest(tcp("10.1.0.100:80"), at("10.2.0.11:8080")),
        Set::AddAddr(addr("10.3.0.1/24", "dpdk1")),
        Set::SetLink { dev: "dpdk1".into(), change: LinkChange::Promisc(true) },
        Set::DelDest(tcp("10.1.0.100:80"), at("10.2.0.12:8080")),
    ];
    let effects = transact(&mut state, &steps).expect("good").effects;
    let device = Effect::Device { port: PortId(1), change: LinkChange::Promisc(true) };
    assert_eq!(effects[..2], [device, Effect::Retire]);
    assert!(matches!(effects[2], Effect::Zero { .. }));
    assert_eq!(effects[3..], [Effect::Announce { link: LinkId(1), addr: ip("10.3.0.1") }]);
}

/// Requests over few names, so that many meet.
fn any_set() -> impl Strategy<Value = Set> {
    let vip = prop::sample::select(vec!["10.1.0.100:80", "10.1.0.100:81", "[fd01::100]:80"]);
    let server = prop::sample::select(vec!["10.2.0.11:80", "10.2.0.12:80", "[fd02::11]:80"]);
    let laddr = prop::sample::select(vec!["10.2.0.200", "10.2.0.201", "fd02::200"]);
    let dev = prop::sample::select(vec!["dpdk0", "dpdk1", "dpdk0.102", "dpdk1.7"]);
    let net = prop::sample::select(vec!["10.3.0.1/24", "10.3.0.2/32", "fd03::1/64", "10.2.0.200/32"]);
    let scheduler = prop::sample::select(vec!["rr", "wrr", "wlc", "none"]);
    (vip, server, laddr, dev, net, scheduler, 0u32..4, 0..24).prop_map(
        |(vip, server, laddr, dev, net, scheduler, n, kind)| match kind {
            0 | 1 => add_service(vip, scheduler),
            2 => edit_service(
                vip,
                scheduler,
                ServiceOptionsPatch { conn_timeout: Some(n), ..Default::default() },
            ),
            3 => Set::DelService(tcp(vip)),
            4..=6 => add_dest(vip, server, n),
            7 => Set::EditDest(tcp(vip), at(server), fullnat(n)),
            8 => Set::DelDest(tcp(vip), at(server)),
            9..=11 => add_laddr(vip, laddr, dev),
            12 => del_laddr(vip, laddr, dev),
            13 => Set::FlushServices,
            14 => Set::AddAddr(addr(net, dev)),
            15 => del_addr(net, dev),
            16 => Set::FlushAddr { dev: dev.into(), family: (n > 1).then_some(Family::Inet) },
            17 => Set::AddRoute(route(net, None, dev)),
            18 => Set::ReplaceRoute(route(net, Some("10.3.0.9"), dev)),
            19 => Set::FlushRoute { dev: dev.into(), family: None },
            20 => vlan("dpdk1", 7, None),
            21 => Set::DelVlan(dev.into()),
            22 => Set::SetLink { dev: dev.into(), change: LinkChange::Mtu(1280 + n as u16) },
            _ => Set::SetTimeouts(Timeouts { tcp: n, tcp_fin: n, udp: 0 }),
        },
    )
}

proptest! {
    /// Whatever a transaction did, its undo restores; whatever it refused, nothing is left of it.
    #[test]
    fn undoing_restores_everything(
        first in prop::collection::vec(any_set(), 0..40),
        second in prop::collection::vec(any_set(), 0..12),
    ) {
        let mut state = state();
        for step in first {
            let _ = transact(&mut state, &[step]);
        }
        let before = everything(&state);
        let whole = transact(&mut state, &second);
        if let Ok(applied) = whole {
            let after = everything(&state);
            let redo = state.commit(applied.undo);
            let undo = state.commit(redo);
            prop_assert_eq!(&everything(&state), &after);
            state.commit(undo);
        }
        prop_assert_eq!(&everything(&state), &before);
        // One by one as well, from the last to the first.
        let mut undos = Vec::new();
        for step in second {
            if let Ok(applied) = transact(&mut state, &[step]) {
                undos.push(applied.undo);
            }
        }
        for undo in undos.into_iter().rev() {
            state.commit(undo);
        }
        prop_assert_eq!(&everything(&state), &before);
        // And the state is still good for more.
        transact(&mut state, &[Set::FlushServices, Set::AddService(tcp("10.1.0.100:80"), model::ServiceSpec {
            scheduling: Scheduling { scheduler: "rr".into(), ..Scheduling::default() },
            ..Default::default()
        })]).expect("an empty table takes a service");
    }
}
