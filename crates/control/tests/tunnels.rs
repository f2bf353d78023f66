// SPDX-License-Identifier: Apache-2.0
//! Rules about tunnels.

mod world;

use std::net::Ipv4Addr;

use control::state::State;
use engine::ids::LinkId;
use model::link::LinkChange;
use model::tunnel::{TunnelEnd, TunnelMode, TunnelSpec};
use sockopt::{Code, Get, Reply, Set};
use world::*;

fn tunnel(name: &str, mode: TunnelMode, remote: &str) -> TunnelSpec {
    TunnelSpec {
        name: name.into(),
        mode,
        local: Ipv4Addr::new(10, 2, 0, 1),
        remote: remote.parse().expect("an IPv4 address"),
        dev: None,
        ttl: 0,
        tos: 0,
        input: TunnelEnd::default(),
        output: TunnelEnd::default(),
    }
}

fn has_addr(state: &State) -> bool {
    addrs(state).iter().any(|addr| addr.starts_with("10.9.0.1/24"))
}

fn tunnels(state: &State) -> Vec<TunnelSpec> {
    match ask(state, &Get::Tunnels) {
        Reply::Tunnels(tunnels) => tunnels,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tunnel_is_a_link_with_addresses_and_routes() {
    let mut state = balanced();
    let keyed = TunnelEnd { key: Some(7), csum: true, seq: true };
    let gre = TunnelSpec {
        input: keyed,
        output: keyed,
        dev: Some("dpdk1".into()),
        ..tunnel("gre0", TunnelMode::Gre, "10.2.0.9")
    };
    set(&mut state, Set::AddTunnel(gre.clone()));
    set(&mut state, Set::AddTunnel(tunnel("", TunnelMode::Ipip, "10.2.0.8")));
    let listed = tunnels(&state);
    assert_eq!((&listed[0], listed[1].name.as_str()), (&gre, "ipip5"));
    set(&mut state, Set::AddAddr(addr("10.9.0.1/24", "gre0")));
    set(&mut state, Set::AddRoute(route("10.10.0.0/16", None, "gre0")));
    let snap = control::compile(&state);
    let link = snap.links[3].as_ref().expect("the tunnel");
    let way = link.tunnel.as_ref().and_then(|tunnel| tunnel.way.as_ref()).expect("a way");
    assert_eq!(
        (way.below.name.as_str(), way.via, way.src),
        ("dpdk1", ip("10.2.0.9"), Ipv4Addr::new(10, 2, 0, 1))
    );
    // 20 bytes of IPv4, 4 of GRE, and 4 each for checksum, key and number.
    assert_eq!((link.mtu, snap.links[4].as_ref().map(|link| link.mtu)), (1500 - 36, Some(1480)));
    assert!(snap.routes.find(ip("10.10.1.1")).is_some_and(|route| route.link == LinkId(3)));

    // Other values, the same link: addresses stay, and so does the order of packets.
    let plain = TunnelSpec { dev: None, ttl: 9, ..tunnel("gre0", TunnelMode::Gre, "10.2.0.9") };
    let numbers = |state: &State| {
        control::compile(state).links[3].clone().and_then(|link| link.tunnel).map(|tunnel| tunnel.sequence)
    };
    let before = numbers(&state);
    set(&mut state, Set::EditTunnel(plain.clone()));
    assert_eq!((&tunnels(&state)[0], has_addr(&state)), (&plain, true));
    assert_eq!(numbers(&state), before);
    assert_eq!(control::compile(&state).links[3].as_ref().map(|link| link.mtu), Some(1476));

    set(&mut state, Set::DelTunnel("gre0".into()));
    assert_eq!((tunnels(&state).len(), has_addr(&state)), (1, false));
    assert!(routes(&state).iter().all(|route| route.dev != "gre0"));
}

#[test]
fn tunnels_that_cannot_be_are_refused() {
    let mut state = balanced();
    set(&mut state, vlan("dpdk1", 7, None));
    set(
        &mut state,
        Set::AddTunnel(TunnelSpec {
            dev: Some("dpdk1.7".into()),
            ..tunnel("t0", TunnelMode::Ipip, "10.2.0.9")
        }),
    );
    let ipip = |name: &str| tunnel(name, TunnelMode::Ipip, "10.2.0.8");
    let key = TunnelEnd { key: Some(1), ..TunnelEnd::default() };
    let steps = [
        (Set::AddTunnel(ipip("t0")), Code::Exists, "link t0 already exists"),
        (Set::AddTunnel(ipip("dpdk0")), Code::Exists, "link dpdk0 already exists"),
        (Set::AddTunnel(ipip("a b")), Code::Invalid, "`a b` is no name for a link"),
        (
            Set::AddTunnel(tunnel("t1", TunnelMode::Ipip, "10.2.0.9")),
            Code::Exists,
            "t0 is a tunnel of that kind between the same ends already",
        ),
        (
            Set::AddTunnel(TunnelSpec { input: key, ..ipip("t1") }),
            Code::Invalid,
            "t1: key, csum and seq are for gre",
        ),
        (
            Set::AddTunnel(tunnel("t1", TunnelMode::Gre, "224.0.0.1")),
            Code::Invalid,
            "remote 224.0.0.1 is no address of a single station",
        ),
        (
            Set::AddTunnel(TunnelSpec { dev: Some("t0".into()), ..ipip("t1") }),
            Code::Invalid,
            "t0 is a tunnel: tunnels leave by ports and vlans",
        ),
        (
            Set::AddTunnel(TunnelSpec { dev: Some("eth9".into()), ..ipip("t1") }),
            Code::NoDevice,
            "no link `eth9`",
        ),
        (Set::EditTunnel(ipip("t1")), Code::NotFound, "no tunnel `t1`: there are t0"),
        (Set::EditTunnel(ipip("dpdk0")), Code::Invalid, "dpdk0 is no tunnel"),
        (Set::DelTunnel("dpdk1.7".into()), Code::Invalid, "dpdk1.7 is no tunnel"),
        (Set::DelVlan("t0".into()), Code::Invalid, "t0 is a tunnel, not a vlan"),
        (Set::DelVlan("dpdk1.7".into()), Code::Busy, "tunnel t0 leaves by dpdk1.7: remove it first"),
        (vlan("t0", 9, None), Code::NotSupported, "t0 is a tunnel: frames in it have no tags"),
        (
            Set::AddNeigh(neigh("10.9.0.9", "02:00:00:00:00:09", "t0")),
            Code::Invalid,
            "t0 is a tunnel: there are no stations on it",
        ),
        (
            Set::SetLink { dev: "t0".into(), change: LinkChange::Promisc(true) },
            Code::NotSupported,
            "t0 is a tunnel",
        ),
        (
            Set::SetLink { dev: "t0".into(), change: LinkChange::Mtu(1500) },
            Code::Invalid,
            "t0: MTU 1500: 68 to 1480 expected",
        ),
    ];
    let before = everything(&state);
    for (step, code, text) in steps {
        let (refused, said) = refused(&mut state, step);
        assert_eq!(refused, code, "{said}");
        assert!(said.starts_with(text), "{said}");
        assert_eq!(everything(&state), before);
    }
}
