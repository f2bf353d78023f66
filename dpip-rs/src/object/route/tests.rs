// SPDX-License-Identifier: Apache-2.0
//! Routes as written, and listings against the recorded ones.

use super::*;
use crate::golden::{call, questions, recorded, request, text, usage};

const RECORDING: &str = include_str!("../../../tests/golden/05-route.txt");

fn route(dst: &str, dev: &str, scope: RouteScope) -> RouteSpec {
    RouteSpec {
        dst: dst.parse().unwrap(),
        via: None,
        dev: dev.into(),
        src: None,
        mtu: 1500,
        scope: Some(scope),
        metric: 0,
    }
}

fn via(gateway: &str, route: RouteSpec) -> RouteSpec {
    RouteSpec { via: Some(gateway.parse().unwrap()), ..route }
}

fn from(src: &str, route: RouteSpec) -> RouteSpec {
    RouteSpec { src: Some(src.parse().unwrap()), ..route }
}

#[test]
fn ipv4_listings_are_those_recorded() {
    use RouteScope::{Global, Host, KniHost, Link};
    let replies = [Reply::Routes(vec![
        route("10.0.2.1", "dpdk1", Host),
        route("10.0.1.1", "dpdk0", Host),
        route("172.18.3.7", "dpdk1", KniHost),
        route("10.0.1.100", "dpdk0", Host),
        route("10.0.1.101", "dpdk0", Host),
        route("10.0.1.103", "dpdk0", Host),
        route("10.0.1.104", "dpdk0", Host),
        route("10.0.1.105", "dpdk0", Host),
        route("172.18.4.7", "dpdk1", Link),
        from("10.0.2.1", route("10.0.2.0/24", "dpdk1", Link)),
        route("172.18.1.0/24", "dpdk1", Link),
        via("10.0.2.253", route("172.16.0.0/16", "dpdk1", Global)),
        RouteSpec {
            mtu: 1400,
            metric: 5,
            ..from("10.0.2.1", via("10.0.2.253", route("172.17.0.0/16", "dpdk1", Global)))
        },
        route("172.18.0.0/16", "dpdk1", Link),
        via("10.0.2.254", route("0.0.0.0/0", "dpdk1", Global)),
    ])];
    let line = "dpip route show";
    assert_eq!(text(line, &replies), recorded(RECORDING, line, 2).stdout);
}

#[test]
fn ipv6_listings_are_those_recorded() {
    use RouteScope::{Global, Host, Link};
    let replies = [Reply::Routes(vec![
        route("fd00:2::1", "dpdk1", Host),
        route("fd00:1::1", "dpdk0", Host),
        route("fe80::ff:fe00:101", "dpdk0", Host),
        route("fd00:1::100", "dpdk0", Host),
        from("fd00:2::1", route("fd00:2::/64", "dpdk1", Link)),
        from("fd00:1::1", route("fd00:1::/64", "dpdk0", Link)),
        from("fe80::ff:fe00:101", route("fe80::/64", "dpdk0", Link)),
        route("2001:db8:2::/48", "dpdk1", Link),
        via("fd00:2::fe", route("2001:db8:1::/48", "dpdk1", Global)),
        via("fd00:2::fe", route("::/0", "dpdk1", Global)),
    ])];
    let line = "dpip -6 route show";
    assert_eq!(text(line, &replies), recorded(RECORDING, line, 1).stdout);
}

#[test]
fn every_word_of_a_route_reaches_the_request() {
    let line = "dpip route add 172.17.0.0/16 via 10.0.2.253 dev dpdk1 mtu 1400 src 10.0.2.1 metric 5";
    let spec = RouteSpec {
        dst: "172.17.0.0/16".parse().unwrap(),
        via: Some("10.0.2.253".parse().unwrap()),
        dev: "dpdk1".into(),
        src: Some("10.0.2.1".parse().unwrap()),
        mtu: 1400,
        scope: None,
        metric: 5,
    };
    assert_eq!(request(line).unwrap(), Request::Set(Set::AddRoute(spec.clone())));
    for word in ["set", "change", "replace"] {
        let line = line.replace(" add ", &format!(" {word} "));
        assert_eq!(request(&line).unwrap(), Request::Set(Set::ReplaceRoute(spec.clone())));
    }
}

#[test]
fn default_is_of_the_family_asked_for_or_of_the_gateway() {
    for (line, dst) in [
        ("dpip route add default via 10.0.2.254 dev dpdk1", "0.0.0.0/0"),
        ("dpip route add default via fd00:2::fe dev dpdk1", "::/0"),
        ("dpip -6 route add default dev dpdk1", "::/0"),
        ("dpip route add default dev dpdk1", "0.0.0.0/0"),
    ] {
        let Request::Set(Set::AddRoute(route)) = request(line).unwrap() else { panic!("{line}") };
        assert_eq!(route.dst.to_string(), dst, "{line}");
    }
}

#[test]
fn the_link_of_a_gateway_need_not_be_named() {
    let Request::Set(Set::AddRoute(route)) = request("dpip route add default via 10.0.2.254").unwrap() else {
        panic!("a route")
    };
    assert_eq!((route.dev.as_str(), route.via), ("", Some("10.0.2.254".parse().unwrap())));
}

#[test]
fn a_route_is_deleted_by_what_is_named() {
    let key = RouteKey {
        dst: "172.16.0.0/16".parse().unwrap(),
        dev: None,
        via: Some("10.0.2.253".parse().unwrap()),
        scope: None,
    };
    let call = call("dpip route del 172.16.0.0/16 via 10.0.2.253").unwrap();
    let Job::Tolerant(set, Code::NotFound) = del(&call).unwrap() else { panic!("one may be missing") };
    assert_eq!(set, Set::DelRoute(key));
    assert!(matches!(request("dpip route del fd00::/64"), Ok(Request::Set(Set::DelRoute(_)))));
}

#[test]
fn listings_and_flushes_are_about_ipv4_unless_told_otherwise() {
    let dev = || Some("dpdk1".to_owned());
    assert_eq!(
        questions("dpip route show dev dpdk1").unwrap(),
        [Get::Routes { dev: dev(), family: Some(Family::Inet) }]
    );
    assert_eq!(
        request("dpip -6 route flush dev dpdk1").unwrap(),
        Request::Set(Set::FlushRoute { dev: "dpdk1".into(), family: Some(Family::Inet6) })
    );
}

#[test]
fn verbose_changes_print_the_route_as_read() {
    let call = call("dpip -v route add 172.18.3.7/32 dev dpdk1 scope kni_host").unwrap();
    let Job::Change(_, note) = add(&call).unwrap() else { panic!("a change") };
    assert_eq!(
        note,
        "inet 172.18.3.7/32 via 0.0.0.0 src 0.0.0.0 dev dpdk1 mtu 0 tos 0 scope kni_host metric 0 proto auto \n"
    );
}

#[test]
fn bad_lines_say_what_is_wrong() {
    for (line, reason) in [
        ("dpip route add", "the prefix: `IP[/PLEN]` or `default` is missing"),
        ("dpip route add 10.0.0.0/8", "the device: `dev IF` is missing"),
        ("dpip route add 10.0.0.0/8 via 0.0.0.0", "the device: `dev IF` is missing"),
        ("dpip route flush", "the device: `dev IF` is missing"),
        ("dpip route add bogus dev dpdk1", "`bogus` is not an IP address"),
        (
            "dpip route add 172.20.0.0/40 dev dpdk1",
            "`172.20.0.0/40` has no valid prefix length: 0 to 32 expected after the slash",
        ),
        (
            "dpip route add 10.0.0.0/8 via fd00::1 dev dpdk1",
            "via `fd00::1` is not of the family of `10.0.0.0/8`",
        ),
        ("dpip route add 10.0.0.0/8 via router dev dpdk1", "via `router` is not an IPv4 or IPv6 address"),
        (
            "dpip route add 10.0.0.0/8 dev dpdk1 scope near",
            "scope `near` is unknown: one of host, kni_host, link, global expected",
        ),
        ("dpip route add 10.0.0.0/8 dev dpdk1 mtu 70000", "mtu `70000` is not a number from 0 to 65535"),
        ("dpip route add 10.0.0.0/8 dev dpdk1 tos 16", "`tos` is for IPv6 routes only"),
        ("dpip route add 10.0.0.0/8 dev dpdk1 twice", "unexpected `twice`"),
        ("dpip -6 route add 10.0.0.0/8 dev dpdk1", "`10.0.0.0` is not an IPv6 address, but -6 was given"),
    ] {
        assert_eq!(usage(line), reason, "{line}");
    }
}

#[test]
fn words_that_mean_nothing_are_accepted_for_ipv6() {
    assert!(request("dpip -6 route add 2001:db8::/48 dev dpdk1 tos 1 proto 4 onlink").is_ok());
}

#[test]
fn the_keys_of_the_json_listing_are_fixed() {
    let replies = [Reply::Routes(vec![via("10.0.2.254", route("0.0.0.0/0", "dpdk1", RouteScope::Global))])];
    let expected = r#"{
  "version": 1,
  "routes": [
    {
      "dst": "0.0.0.0/0",
      "via": "10.0.2.254",
      "dev": "dpdk1",
      "src": null,
      "mtu": 1500,
      "scope": "global",
      "metric": 0
    }
  ]
}
"#;
    assert_eq!(text("dpip --json route show", &replies), expected);
}
