// SPDX-License-Identifier: Apache-2.0
//! Rules about services, servers and local addresses.

mod world;

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use control::Effect;
use engine::ids::{DestId, LinkId, ServiceId};
use model::dest::{TunnelCsum, TunnelKind};
use model::options::{AccessList, AccessSubject, EchoPolicy, HashTarget, PassiveCheck, Recovery, SynProxy};
use model::rule::{EndpointRange, MatchRule};
use model::service::Granularity;
use model::{
    DestSpec, Family, Forwarding, Persistence, Scheduling, ServiceKey, ServiceOptions, ServiceOptionsPatch,
    ServiceSpec, Timeouts, Transport,
};
use sockopt::{Code, Get, Reply, Set};
use world::*;

const VIP: &str = "10.1.0.100:80";

fn service(key: ServiceKey, scheduling: Scheduling, options: ServiceOptions) -> Set {
    Set::AddService(key, ServiceSpec { scheduling, options })
}

fn endpoint(transport: Transport, vip: &str) -> ServiceKey {
    ServiceKey::Endpoint { transport, vip: at(vip) }
}

fn persistent(timeout: u32, granularity: Granularity) -> Scheduling {
    Scheduling { persistence: Some(Persistence { timeout, granularity }), ..by("rr") }
}

#[test]
fn services_with_impossible_keys_or_scheduling_are_refused() {
    let plain = || by("rr");
    let none = ServiceOptions::default;
    let (icmp, icmpv6, sctp) = (Transport::Icmp, Transport::Icmpv6, Transport::Sctp);
    let table = [
        (service(tcp(VIP), plain(), none()), Code::Exists, "service tcp 10.1.0.100:80 already exists"),
        (
            service(tcp("10.1.0.9:0"), plain(), none()),
            Code::Invalid,
            "service tcp 10.1.0.9:0: port 0 stands for any port and needs persistence (-p)",
        ),
        (
            service(endpoint(sctp, "10.1.0.9:0"), plain(), none()),
            Code::Invalid,
            "service sctp 10.1.0.9:0: port 0 stands for any port and needs persistence (-p)",
        ),
        (
            service(endpoint(icmp, "10.1.0.9:8"), plain(), none()),
            Code::Invalid,
            "service icmp 10.1.0.9:8: icmp has no ports, write port 0",
        ),
        (
            service(endpoint(icmp, "[fd01::9]:0"), plain(), none()),
            Code::Invalid,
            "service icmp [fd01::9]:0: IPv6 has icmpv6, not icmp",
        ),
        (
            service(endpoint(icmpv6, "10.1.0.9:0"), plain(), none()),
            Code::Invalid,
            "service icmpv6 10.1.0.9:0: IPv4 has icmp, not icmpv6",
        ),
        (
            service(tcp("224.0.0.1:80"), plain(), none()),
            Code::Invalid,
            "service tcp 224.0.0.1:80: a group address cannot be balanced",
        ),
        (
            service(tcp("10.1.0.9:80"), Scheduling { flags: 8, ..plain() }, none()),
            Code::Invalid,
            "scheduler flags 0x8: only flags 1 to 3 exist",
        ),
        (
            service(tcp("10.1.0.9:80"), Scheduling { one_packet: true, ..plain() }, none()),
            Code::Invalid,
            "service tcp 10.1.0.9:80: one-packet scheduling is for udp and marks",
        ),
        (
            service(udp("10.1.0.9:80"), Scheduling { pe: Some("foo".into()), ..plain() }, none()),
            Code::NoScheduler,
            "no persistence engine `foo`: there is sip",
        ),
        (
            service(tcp("10.1.0.9:80"), persistent(0, Granularity::host(Family::Inet)), none()),
            Code::Invalid,
            "service tcp 10.1.0.9:80: persistence of 0 s: 1 to 2678400 expected",
        ),
        (
            service(tcp("10.1.0.9:80"), persistent(2_678_401, Granularity::host(Family::Inet)), none()),
            Code::Invalid,
            "service tcp 10.1.0.9:80: persistence of 2678401 s: 1 to 2678400 expected",
        ),
        (
            service(tcp("10.1.0.9:80"), persistent(60, Granularity::Inet6(64)), none()),
            Code::Invalid,
            "service tcp 10.1.0.9:80: persistence mask 64 is of another family",
        ),
        (
            service(tcp("[fd01::9]:80"), persistent(60, Granularity::Inet(Ipv4Addr::BROADCAST)), none()),
            Code::Invalid,
            "service tcp [fd01::9]:80: persistence mask 255.255.255.255 is of another family",
        ),
        (
            service(tcp("[fd01::9]:80"), persistent(60, Granularity::Inet6(0)), none()),
            Code::Invalid,
            "service tcp [fd01::9]:80: persistence mask 0: 1 to 128 expected",
        ),
        (
            service(tcp("[fd01::9]:80"), persistent(60, Granularity::Inet6(129)), none()),
            Code::Invalid,
            "service tcp [fd01::9]:80: persistence mask 129: 1 to 128 expected",
        ),
    ];
    let mut state = balanced();
    for (step, code, text) in table {
        assert_eq!(refused(&mut state, step), (code, text.to_owned()));
    }
}

#[test]
fn options_that_do_not_fit_the_service_are_refused() {
    let none = ServiceOptions::default;
    let check = |down, wait, recovery| ServiceOptions {
        dest_check: model::options::DestCheck {
            passive: Some(PassiveCheck { down, wait, recovery }),
            external: Vec::new(),
        },
        ..none()
    };
    let key = || tcp("10.1.0.9:80");
    let table = [
        (
            key(),
            ServiceOptions { conn_timeout: Some(31_536_000), ..none() },
            "connection timeout of 31536000 s: 1 to 31535999 expected",
        ),
        (
            key(),
            ServiceOptions { conn_timeout: Some(0), ..none() },
            "connection timeout of 0 s: 1 to 31535999 expected",
        ),
        (
            udp("10.1.0.9:80"),
            ServiceOptions { synproxy: SynProxy::ON, ..none() },
            "the syn proxy is for tcp only",
        ),
        (key(), ServiceOptions { quic: true, ..none() }, "quic is for udp only"),
        (
            key(),
            ServiceOptions { hash_target: Some(HashTarget::QuicId), ..none() },
            "hash target qid is for udp only",
        ),
        (
            key(),
            ServiceOptions { hash_target: Some(HashTarget::SourceIp), ..none() },
            "a hash target is for scheduler conhash, not rr",
        ),
        (
            key(),
            ServiceOptions { echo: EchoPolicy::Local, ..none() },
            "who answers queries (--echo) is for icmp only",
        ),
        (
            endpoint(Transport::Icmp, "10.1.0.9:0"),
            ServiceOptions { echo: EchoPolicy::Alive(0), ..none() },
            "echo alive:0: 1 to 65535 servers expected",
        ),
        (
            key(),
            check(0, 3, None),
            "check 0,3s: counts and times from 1, the first inhibition not above the last expected",
        ),
        (
            key(),
            check(1, 3, Some(Recovery { up: 1, min: 60, max: 5 })),
            "check 1,1,3s,60-5s: counts and times from 1, the first inhibition not above the last expected",
        ),
    ];
    let mut state = balanced();
    for (key, options, text) in table {
        let expected = (Code::Invalid, format!("service {key}: {text}"));
        assert_eq!(refused(&mut state, service(key, by("rr"), options)), expected);
    }
}

/// Requirement R-1 of the specification.
#[test]
fn r_1_icmp_services_have_port_0_and_need_no_persistence() {
    let mut state = balanced();
    for (transport, vip, server) in [
        (Transport::Icmp, "10.1.0.100:0", "10.2.0.11:0"),
        (Transport::Icmpv6, "[fd01::100]:0", "[fd02::11]:0"),
    ] {
        let key = endpoint(transport, vip);
        let options = ServiceOptions { echo: EchoPolicy::Alive(2), ..ServiceOptions::default() };
        set(&mut state, service(key.clone(), by("rr"), options));
        for forwarding in [Forwarding::Nat, Forwarding::DirectRouting, Forwarding::FullNat] {
            let spec = DestSpec { forwarding, ..fullnat(1) };
            if forwarding != Forwarding::Nat {
                set(&mut state, Set::DelDest(key.clone(), at(server)));
            }
            set(&mut state, Set::AddDest(key.clone(), at(server), spec));
        }
        let snap = control::compile(&state);
        let svc = snap.find_service(transport, at(vip).ip(), 0).expect("workers find it");
        assert_eq!((svc.echo, svc.dests.len()), (EchoPolicy::Alive(2), 1));
        // Of IPv4 the two servers of the web count too, and this one is one of them.
        assert_eq!(svc.alive, if transport == Transport::Icmp { 2 } else { 1 });
    }
    // Other protocols still need persistence.
    let (code, text) = refused(&mut state, service(tcp("10.1.0.9:0"), by("rr"), ServiceOptions::default()));
    assert_eq!(
        (code, text.as_str()),
        (Code::Invalid, "service tcp 10.1.0.9:0: port 0 stands for any port and needs persistence (-p)")
    );
}

#[test]
fn a_match_rule_of_icmp_has_no_ports_and_its_own_family() {
    let range = |ports: (u16, u16)| EndpointRange {
        first: ip("10.9.0.1"),
        last: ip("10.9.0.9"),
        first_port: ports.0,
        last_port: ports.1,
    };
    let rule = |transport, family, ports| MatchRule {
        transport,
        family,
        src: Some(range(ports)),
        dst: None,
        iif: None,
        oif: None,
    };
    let mut state = balanced();
    for (rule, what) in [
        (rule(Transport::Icmp, Family::Inet, (1, 9)), "icmp has no ports, leave them out of the range"),
        (rule(Transport::Icmpv6, Family::Inet, (0, 0)), "IPv4 has icmp, not icmpv6"),
    ] {
        let expected = (Code::Invalid, format!("match {rule}: {what}"));
        assert_eq!(
            refused(&mut state, service(ServiceKey::Match(rule), by("rr"), ServiceOptions::default())),
            expected
        );
    }
    let rule = rule(Transport::Icmp, Family::Inet, (0, 0));
    set(&mut state, service(ServiceKey::Match(rule), by("rr"), ServiceOptions::default()));
}

#[test]
fn a_match_rule_goes_from_low_to_high_in_one_family() {
    let range = |first: &str, last: &str, first_port, last_port| {
        Some(EndpointRange { first: ip(first), last: ip(last), first_port, last_port })
    };
    let rule = |src, dst| MatchRule {
        transport: Transport::Tcp,
        family: Family::Inet,
        src,
        dst,
        iif: None,
        oif: Some("dpdk1".into()),
    };
    let mut state = balanced();
    for (src, dst) in [
        (range("10.0.0.9", "10.0.0.1", 0, 0), None),
        (None, range("10.0.0.1", "10.0.0.9", 9, 1)),
        (range("10.0.0.1", "fd00::1", 0, 0), None),
        (None, range("fd00::1", "fd00::2", 0, 0)),
    ] {
        let (code, text) = refused(
            &mut state,
            service(ServiceKey::Match(rule(src, dst)), by("rr"), ServiceOptions::default()),
        );
        assert_eq!(code, Code::Invalid);
        assert!(text.ends_with("a range goes from low to high within the family of the rule"), "{text}");
    }
}

#[test]
fn row023_what_is_there_is_not_added_and_what_is_not_there_is_neither_edited_nor_deleted() {
    let mut state = balanced();
    let none = || tcp("10.1.0.9:80");
    let (edit, gone) = (ServiceOptionsPatch::default, "10.2.0.99:80");
    let steps = [
        (add_service(VIP, "wrr"), Code::Exists, "service tcp 10.1.0.100:80 already exists"),
        (edit_service("10.1.0.9:80", "rr", edit()), Code::NoService, "no service tcp 10.1.0.9:80"),
        (Set::DelService(none()), Code::NoService, "no service tcp 10.1.0.9:80"),
        (Set::EditDest(tcp(VIP), at(gone), fullnat(1)), Code::NotFound, gone),
        (Set::DelDest(tcp(VIP), at(gone)), Code::NotFound, gone),
    ];
    let before = everything(&state);
    for (step, code, text) in steps {
        let (refused, said) = refused(&mut state, step);
        assert_eq!(refused, code);
        assert!(said.contains(text), "{said}");
        assert_eq!(everything(&state), before, "nothing has changed");
    }
}

#[test]
fn row030_port_0_needs_persistence_a_mark_or_a_rule_but_not_for_icmp() {
    let mut state = balanced();
    let none = ServiceOptions::default;
    let (code, text) = refused(&mut state, service(tcp("10.1.0.9:0"), by("rr"), none()));
    assert_eq!(code, Code::Invalid);
    assert_eq!(text, "service tcp 10.1.0.9:0: port 0 stands for any port and needs persistence (-p)");
    let all = |range: &str| {
        let (first, last) = range.split_once('-').expect("both ends");
        Some(EndpointRange { first: ip(first), last: ip(last), first_port: 0, last_port: 0 })
    };
    let rule = MatchRule {
        transport: Transport::Tcp,
        family: Family::Inet,
        src: all("10.2.0.0-10.2.0.255"),
        dst: None,
        iif: None,
        oif: None,
    };
    for step in [
        service(tcp("10.1.0.9:0"), persistent(60, Granularity::host(Family::Inet)), none()),
        service(ServiceKey::FwMark { family: Family::Inet, mark: NonZeroU32::MIN }, by("rr"), none()),
        service(ServiceKey::Match(rule), by("rr"), none()),
        service(endpoint(Transport::Icmp, "10.1.0.9:0"), by("rr"), none()),
        service(endpoint(Transport::Icmpv6, "[fd01::9]:0"), by("rr"), none()),
    ] {
        set(&mut state, step);
    }
    assert_eq!(services(&state).len(), services(&balanced()).len() + 5);
}

#[test]
fn what_is_about_no_service_is_refused() {
    let none = || tcp("10.1.0.9:80");
    let steps = [
        Set::EditService(none(), by("rr"), ServiceOptionsPatch::default()),
        Set::DelService(none()),
        Set::AddDest(none(), at("10.2.0.11:80"), fullnat(1)),
        Set::EditDest(none(), at("10.2.0.11:80"), fullnat(1)),
        Set::DelDest(none(), at("10.2.0.11:80")),
        Set::AddLaddr { service: none(), addr: ip("10.2.0.200"), dev: "dpdk0".into() },
        Set::DelLaddr { service: none(), addr: ip("10.2.0.200"), dev: "dpdk0".into() },
        Set::AddAccess {
            service: none(),
            list: AccessList::Block,
            subject: AccessSubject::Addr(ip("10.9.0.1")),
        },
        Set::DelAccess { service: none(), list: AccessList::Allow, subject: AccessSubject::Set("x".into()) },
        Set::Zero(Some(none())),
        Set::DelService(udp(VIP)),
        Set::DelService(ServiceKey::FwMark { family: Family::Inet, mark: NonZeroU32::MIN }),
    ];
    let mut state = balanced();
    for step in steps {
        let (code, text) = refused(&mut state, step);
        assert_eq!(code, Code::NoService);
        assert!(text.starts_with("no service "), "{text}");
    }
    assert!(
        matches!(ask(&state, &Get::Service { key: none(), lcore: None }), Reply::Refused(s) if s.code == Code::NoService)
    );
}

#[test]
fn an_unknown_scheduler_is_refused_on_add_and_on_edit() {
    let mut state = balanced();
    for step in
        [add_service("10.1.0.9:80", "bogus"), edit_service(VIP, "bogus", ServiceOptionsPatch::default())]
    {
        let (code, text) = refused(&mut state, step);
        assert_eq!(code, Code::NoScheduler);
        assert!(text.starts_with("no scheduler `bogus`: there are rr, wrr, lc, wlc, sed"), "{text}");
    }
    let engine = Scheduling { pe: Some("foo".into()), ..persistent(60, Granularity::host(Family::Inet)) };
    let (code, text) = refused(&mut state, service(udp("10.1.0.9:80"), engine, ServiceOptions::default()));
    assert_eq!((code, text.as_str()), (Code::NoScheduler, "no persistence engine `foo`: there is sip"));
}

#[test]
fn the_same_address_and_port_serve_each_protocol_by_itself() {
    let mut state = balanced();
    set(&mut state, Set::AddService(udp(VIP), spec("wlc")));
    set(&mut state, Set::DelService(tcp(VIP)));
    let keys: Vec<String> = services(&state).iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(keys, ["udp 10.1.0.100:80"]);
}

#[test]
fn an_edit_replaces_the_scheduling_and_keeps_options_not_named() {
    let mut state = balanced();
    let timeout = |secs| ServiceOptionsPatch { conn_timeout: Some(secs), ..ServiceOptionsPatch::default() };
    let spec = |state: &control::State| services(state)[0].spec.clone();
    set(&mut state, edit_service(VIP, "wrr", timeout(600)));
    assert_eq!((spec(&state).scheduling, spec(&state).options.conn_timeout), (by("wrr"), Some(600)));
    set(&mut state, edit_service(VIP, "wlc", ServiceOptionsPatch::default()));
    assert_eq!((spec(&state).scheduling, spec(&state).options.conn_timeout), (by("wlc"), Some(600)));
    set(&mut state, edit_service(VIP, "wlc", timeout(0)));
    assert_eq!(spec(&state).options.conn_timeout, None);
    assert_eq!(services(&state)[0].dests.len(), 2, "servers stay");
}

#[test]
fn r16_the_syn_proxy_stands_only_before_servers_whose_answers_come_back() {
    let mut state = balanced();
    let proxy = |text: &str| ServiceOptionsPatch {
        synproxy: Some(text.parse().expect("a known word")),
        ..ServiceOptionsPatch::default()
    };
    let direct = DestSpec { forwarding: Forwarding::DirectRouting, ..DestSpec::default() };
    let masqueraded = DestSpec { forwarding: Forwarding::Nat, ..DestSpec::default() };
    let add = |spec| Set::AddDest(tcp(VIP), at("10.2.0.99:80"), spec);
    set(&mut state, edit_service(VIP, "rr", proxy("auto,hold")));
    let tunnel = DestSpec { forwarding: Forwarding::Tunnel(TunnelKind::Ipip), ..DestSpec::default() };
    for passes_by in [direct, tunnel] {
        let (code, text) = refused(&mut state, add(passes_by));
        assert_eq!(code, Code::Invalid);
        assert!(
            text.starts_with("server 10.2.0.99:80 of tcp 10.1.0.100:80: the syn proxy needs fullnat"),
            "{text}"
        );
    }
    set(&mut state, add(masqueraded));
    let (code, _) = refused(&mut state, Set::EditDest(tcp(VIP), at("10.2.0.99:80"), direct));
    assert_eq!(code, Code::Invalid);
    set(&mut state, edit_service(VIP, "rr", proxy("disable")));
    set(&mut state, Set::EditDest(tcp(VIP), at("10.2.0.99:80"), direct));
    let (code, _) = refused(&mut state, edit_service(VIP, "rr", proxy("enable")));
    assert_eq!(code, Code::Invalid);
}

#[test]
fn servers_that_cannot_be_are_refused() {
    let add = |server: &str, spec| Set::AddDest(tcp(VIP), at(server), spec);
    let mode = |forwarding| DestSpec { forwarding, ..DestSpec::default() };
    let big = i32::MAX as u32 + 1;
    let table = [
        (
            add("10.2.0.11:8080", fullnat(1)),
            Code::Exists,
            "server 10.2.0.11:8080 of tcp 10.1.0.100:80 already exists",
        ),
        (
            Set::EditDest(tcp(VIP), at("10.2.0.9:80"), fullnat(1)),
            Code::NotFound,
            "no server 10.2.0.9:80 of tcp 10.1.0.100:80",
        ),
        (
            Set::DelDest(tcp(VIP), at("10.2.0.11:8081")),
            Code::NotFound,
            "no server 10.2.0.11:8081 of tcp 10.1.0.100:80",
        ),
        (
            add("224.0.0.1:80", fullnat(1)),
            Code::Invalid,
            "server 224.0.0.1 is no address of a single station",
        ),
        (
            add("255.255.255.255:80", fullnat(1)),
            Code::Invalid,
            "server 255.255.255.255 is no address of a single station",
        ),
        (add("0.0.0.0:80", fullnat(1)), Code::Invalid, "server 0.0.0.0 is no address of a single station"),
        (
            add("10.2.0.9:80", fullnat(big)),
            Code::Invalid,
            "server 10.2.0.9:80: weight 2147483648: 0 to 2147483647 expected",
        ),
        (
            add("10.2.0.9:80", DestSpec { upper: big, ..fullnat(1) }),
            Code::Invalid,
            "server 10.2.0.9:80: upper threshold 2147483648: 0 to 2147483647 expected",
        ),
        (
            add("10.2.0.9:80", DestSpec { lower: 100, ..fullnat(1) }),
            Code::Invalid,
            "server 10.2.0.9:80: lower threshold 100 is above the upper one, 0",
        ),
        (
            Set::EditDest(tcp(VIP), at("10.2.0.11:8080"), DestSpec { upper: 5, lower: 6, ..fullnat(1) }),
            Code::Invalid,
            "server 10.2.0.11:8080: lower threshold 6 is above the upper one, 5",
        ),
        (
            add("[fd02::1]:80", mode(Forwarding::Nat)),
            Code::Invalid,
            "server [fd02::1]:80 of tcp 10.1.0.100:80: only tunnels and fullnat may change the address family",
        ),
        (
            add("[fd02::1]:80", mode(Forwarding::DirectRouting)),
            Code::Invalid,
            "server [fd02::1]:80 of tcp 10.1.0.100:80: only tunnels and fullnat may change the address family",
        ),
        (
            add("10.2.0.9:80", mode(Forwarding::Tunnel(TunnelKind::Gue { port: 0, csum: TunnelCsum::None }))),
            Code::Invalid,
            "server 10.2.0.9:80: a gue tunnel needs a port (--tun-port)",
        ),
        (
            add("10.2.0.9:80", mode(Forwarding::Tunnel(TunnelKind::Gre { csum: TunnelCsum::Remote }))),
            Code::Invalid,
            "server 10.2.0.9:80: gre has no remote checksum offload (--tun-remcsum)",
        ),
    ];
    let mut state = balanced();
    for (step, code, text) in table {
        assert_eq!(refused(&mut state, step), (code, text.to_owned()));
    }
}

#[test]
fn the_limits_of_weights_are_accepted() {
    let mut state = balanced();
    set(&mut state, add_dest(VIP, "240.0.0.1:80", i32::MAX as u32));
    set(&mut state, add_dest(VIP, "10.2.0.13:80", 0));
    let weights: Vec<u32> = services(&state)[0].dests.iter().map(|dest| dest.spec.weight).collect();
    assert_eq!(weights, [1, 2, 2_147_483_647, 0], "in the order they were added");
}

#[test]
fn one_server_may_stand_behind_two_services() {
    let mut state = balanced();
    set(&mut state, add_service("10.1.0.101:80", "rr"));
    set(&mut state, add_dest("10.1.0.101:80", "10.2.0.11:8080", 7));
    set(&mut state, Set::DelDest(tcp(VIP), at("10.2.0.11:8080")));
    let left: Vec<usize> = services(&state).iter().map(|entry| entry.dests.len()).collect();
    assert_eq!(left, [1, 1]);
    let again = set(&mut state, add_dest(VIP, "10.2.0.11:8080", 3));
    assert_eq!(again.effects, []);
}

#[test]
fn local_addresses_are_unique_unicast_and_on_a_link_that_is_there() {
    let mut state = balanced();
    set(&mut state, add_service("10.1.0.101:80", "rr"));
    let table = [
        (
            add_laddr(VIP, "10.2.0.200", "dpdk0.102"),
            Code::Exists,
            "local address 10.2.0.200 of tcp 10.1.0.100:80 already exists",
        ),
        (
            add_laddr(VIP, "10.2.0.201", "dpdk7"),
            Code::NoDevice,
            "no link `dpdk7`: there are dpdk0, dpdk1, dpdk0.102",
        ),
        (
            add_laddr(VIP, "224.0.0.1", "dpdk0"),
            Code::Invalid,
            "local address 224.0.0.1 is no address of a single station",
        ),
        (
            add_laddr(VIP, "10.1.0.254", "dpdk1"),
            Code::Invalid,
            "10.1.0.254 is an address of dpdk0, not of dpdk1: name dpdk0",
        ),
        (
            add_laddr("10.1.0.101:80", "10.2.0.200", "dpdk1"),
            Code::Busy,
            "10.2.0.200 is a local address on dpdk0.102 already: use that link, or take it away there first",
        ),
        (
            del_laddr(VIP, "10.2.0.201", "dpdk0.102"),
            Code::NotFound,
            "no local address 10.2.0.201 on dpdk0.102 of tcp 10.1.0.100:80",
        ),
        (
            del_laddr(VIP, "10.2.0.200", "dpdk0"),
            Code::NotFound,
            "no local address 10.2.0.200 on dpdk0 of tcp 10.1.0.100:80",
        ),
        (
            del_laddr(VIP, "10.2.0.200", "dpdk7"),
            Code::NoDevice,
            "no link `dpdk7`: there are dpdk0, dpdk1, dpdk0.102",
        ),
    ];
    for (step, code, text) in table {
        assert_eq!(refused(&mut state, step), (code, text.to_owned()));
    }
}

#[test]
fn a_local_address_is_put_on_its_link_and_goes_with_the_last_service_that_uses_it() {
    let mut state = state();
    let implied = || "10.2.0.200/32 dpdk0.102".to_owned();
    set(&mut state, add_service(VIP, "rr"));
    set(&mut state, add_service("10.1.0.101:80", "rr"));
    let first = set(&mut state, add_laddr(VIP, "10.2.0.200", "dpdk0.102"));
    assert_eq!(first.effects, [Effect::Announce { link: LinkId(2), addr: ip("10.2.0.200") }]);
    assert!(addrs(&state).contains(&implied()));
    let second = set(&mut state, add_laddr("10.1.0.101:80", "10.2.0.200", "dpdk0.102"));
    assert_eq!(second.effects, [], "it is there already");
    set(&mut state, del_laddr(VIP, "10.2.0.200", "dpdk0.102"));
    assert!(addrs(&state).contains(&implied()), "the other service uses it");
    set(&mut state, Set::DelService(tcp("10.1.0.101:80")));
    assert!(!addrs(&state).contains(&implied()));
}

#[test]
fn an_address_the_operator_put_there_outlives_the_services_that_use_it() {
    let mut state = state();
    set(&mut state, add_service(VIP, "rr"));
    set(&mut state, add_laddr(VIP, "10.2.0.254", "dpdk0.102"));
    set(&mut state, add_laddr(VIP, "10.2.0.200", "dpdk0.102"));
    set(&mut state, Set::EditAddr(addr("10.2.0.200/32", "dpdk0.102")));
    set(&mut state, Set::FlushServices);
    let left = addrs(&state);
    assert!(left.contains(&"10.2.0.254/24 dpdk0.102".to_owned()));
    assert!(left.contains(&"10.2.0.200/32 dpdk0.102".to_owned()), "it became the operator's by the edit");
}

#[test]
fn both_services_flushed_at_once_give_up_the_address_they_share() {
    let mut state = balanced();
    set(&mut state, add_service("10.1.0.101:80", "rr"));
    set(&mut state, add_laddr("10.1.0.101:80", "10.2.0.200", "dpdk0.102"));
    let flushed = set(&mut state, Set::FlushServices);
    assert_eq!(flushed.effects, [Effect::Retire]);
    assert!(!addrs(&state).contains(&"10.2.0.200/32 dpdk0.102".to_owned()));
    assert!(services(&state).is_empty());
    assert_eq!(set(&mut state, Set::FlushServices).effects, [], "nothing is left to do");
}

#[test]
fn removed_servers_are_counted_once_more_before_they_go() {
    let mut state = balanced();
    let removed = set(&mut state, Set::DelDest(tcp(VIP), at("10.2.0.11:8080")));
    assert_eq!(removed.effects, [Effect::Retire]);
    assert_eq!(set(&mut state, Set::DelService(tcp(VIP))).effects, [Effect::Retire]);
}

#[test]
fn row157_zeroing_names_the_services_and_all_their_servers() {
    let mut state = balanced();
    set(&mut state, add_service("10.1.0.101:80", "rr"));
    let one = set(&mut state, Set::Zero(Some(tcp("10.1.0.101:80"))));
    assert_eq!(one.effects, [Effect::Zero { services: vec![ServiceId(1)], dests: vec![] }]);
    let all = set(&mut state, Set::Zero(None));
    let services = vec![ServiceId(0), ServiceId(1)];
    assert_eq!(all.effects, [Effect::Zero { services, dests: vec![DestId(0), DestId(1)] }]);
    set(&mut state, Set::FlushServices);
    assert_eq!(set(&mut state, Set::Zero(None)).effects, []);
}

#[test]
fn a_timeout_of_zero_stays_and_one_too_long_is_refused() {
    let mut state = state();
    let listed = |state: &control::State| match ask(state, &Get::Timeouts) {
        Reply::Timeouts(Timeouts { tcp, tcp_fin, udp }) => [tcp, tcp_fin, udp],
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(&state), [90, 7, 300]);
    set(&mut state, Set::SetTimeouts(Timeouts { tcp: 900, tcp_fin: 120, udp: 0 }));
    assert_eq!(listed(&state), [900, 120, 300]);
    set(&mut state, Set::SetTimeouts(Timeouts { tcp: 0, tcp_fin: 0, udp: 2_147_484 }));
    assert_eq!(listed(&state), [900, 120, 2_147_484]);
    let long = Set::SetTimeouts(Timeouts { tcp: 0, tcp_fin: 31_536_000, udp: 0 });
    let text = "tcp fin timeout of 31536000 s: 0 to 31535999 expected".to_owned();
    assert_eq!(refused(&mut state, long), (Code::Invalid, text));
}
