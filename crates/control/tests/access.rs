// SPDX-License-Identifier: Apache-2.0
//! Access lists of services, and the sets they name.

mod world;

use control::{compile, transact};
use model::Family;
use model::ipset::{SetKind, SetRange, SetSpec};
use model::options::{AccessList, AccessSubject};
use sockopt::{Code, Get, Reply, Set};
use world::*;

const VIP: &str = "10.1.0.100:80";

fn set(name: &str, kind: SetKind) -> SetSpec {
    SetSpec {
        name: name.into(),
        kind,
        family: Family::Inet,
        comment: false,
        hashsize: 1024,
        maxelem: 65_535,
        range: None,
    }
}

fn enter(set: &str, entry: &str) -> Set {
    Set::AddMember { set: set.into(), entry: entry.into(), comment: None, nomatch: false, force: false }
}

fn access(list: AccessList, subject: &str) -> Set {
    let subject = match subject.strip_prefix("ipset:") {
        Some(name) => AccessSubject::Set(name.into()),
        None => AccessSubject::Addr(ip(subject)),
    };
    Set::AddAccess { service: tcp(VIP), list, subject }
}

#[test]
fn lists_reach_workers_with_what_the_sets_hold_at_the_time() {
    let mut state = balanced();
    let is_open = |state: &control::State| compile(state).services[0].as_ref().unwrap().access.is_none();
    assert!(is_open(&state));
    let before = state.routing();
    transact(
        &mut state,
        &[Set::AddSet(set("office", SetKind::HashNet)), access(AccessList::Block, "ipset:office")],
    )
    .unwrap();
    assert!(state.routing() > before, "connections that are open are judged anew");
    let holds = |state: &control::State, addr: &str| {
        let service = compile(state).services[0].clone().unwrap();
        let sets = service.access.unwrap().block.sets.clone();
        sets[0].contains(&engine::set::Seen { source: at(addr), target: at(VIP), proto: 6, frame: None })
    };
    assert!(!holds(&state, "10.9.0.1:4000"));
    let before = state.routing();
    transact(&mut state, &[enter("office", "10.9.0.0/24")]).unwrap();
    assert!(holds(&state, "10.9.0.1:4000") && !holds(&state, "10.8.0.1:4000") && state.routing() > before);
    transact(&mut state, &[access(AccessList::Allow, "10.9.0.1")]).unwrap();
    let allow = compile(&state).services[0].clone().unwrap().access.unwrap().allow.clone();
    assert!(allow.addrs.contains(&ip("10.9.0.1")) && allow.sets.is_empty());
    let subject = AccessSubject::Set("office".into());
    transact(
        &mut state,
        &[
            Set::DelAccess { service: tcp(VIP), list: AccessList::Block, subject },
            Set::DelAccess {
                service: tcp(VIP),
                list: AccessList::Allow,
                subject: AccessSubject::Addr(ip("10.9.0.1")),
            },
        ],
    )
    .unwrap();
    assert!(is_open(&state));
}

#[test]
fn a_set_that_is_named_cannot_be_destroyed_and_one_that_is_not_there_not_named() {
    let mut state = balanced();
    let (code, text) = refused(&mut state, access(AccessList::Block, "ipset:office"));
    assert_eq!((code, text.as_str()), (Code::NotFound, "no set `office`: `dpip ipset create` makes one"));
    transact(
        &mut state,
        &[Set::AddSet(set("office", SetKind::HashIp)), access(AccessList::Block, "ipset:office")],
    )
    .unwrap();
    let (code, text) = refused(&mut state, Set::DelSet("office".into()));
    assert_eq!(code, Code::Busy);
    assert_eq!(text, "set office is used by 1 access list(s), such as that of tcp 10.1.0.100:80");
    let Reply::Sets(page) = ask(&state, &Get::Sets { name: Some("office".into()), cursor: 0 }) else {
        panic!()
    };
    assert_eq!(page.entries[0].references, 1);
    let (code, _) = refused(&mut state, access(AccessList::Block, "ipset:office"));
    assert_eq!(code, Code::Exists);
    transact(&mut state, &[Set::DelService(tcp(VIP)), Set::DelSet("office".into())]).unwrap();
    let six = SetSpec { family: Family::Inet6, ..set("six", SetKind::HashIp) };
    transact(&mut state, &[add_service(VIP, "rr"), Set::AddSet(six)]).unwrap();
    let (code, text) = refused(&mut state, access(AccessList::Allow, "ipset:six"));
    assert_eq!(code, Code::Invalid);
    assert_eq!(text, "ipset:six is of another family than tcp 10.1.0.100:80: it would never match");
    let (code, _) = refused(&mut state, access(AccessList::Allow, "fd01::1"));
    assert_eq!(code, Code::Invalid);
}

#[test]
fn sets_are_kept_as_they_are_entered_and_a_failed_transaction_leaves_them_alone() {
    let mut state = balanced();
    let range = Some(SetRange::Net(prefix("192.168.0.0/16")));
    let foo = SetSpec { comment: true, range, hashsize: 300, ..set("foo", SetKind::BitmapIp) };
    transact(
        &mut state,
        &[
            Set::AddSet(foo),
            enter("foo", "192.168.0.1-192.168.0.3"),
            Set::AddSet(set("bar", SetKind::HashIp)),
        ],
    )
    .unwrap();
    let listed = |state: &control::State, name: &str| match ask(
        state,
        &Get::Sets { name: Some(name.into()), cursor: 0 },
    ) {
        Reply::Sets(page) => page.entries[0].clone(),
        other => panic!("{other:?}"),
    };
    let texts = |state: &control::State, name: &str| {
        listed(state, name).members.into_iter().map(|member| member.entry).collect::<Vec<_>>()
    };
    let three = ["192.168.0.1", "192.168.0.2", "192.168.0.3"];
    assert_eq!(
        (texts(&state, "foo"), listed(&state, "foo").spec.hashsize),
        (three.map(String::from).to_vec(), 256)
    );
    let steps = [
        enter("foo", "192.168.0.9"),
        Set::DelMember { set: "foo".into(), entry: "192.168.0.1".into(), force: false },
        Set::FlushSet(Some("foo".into())),
        Set::DelSet("bar".into()),
        enter("bar", "1.2.3.4"),
    ];
    let status = transact(&mut state, &steps).unwrap_err();
    assert_eq!((status.code, status.step), (Code::NotFound, Some(4)));
    assert_eq!(texts(&state, "foo"), three);
    assert!(texts(&state, "bar").is_empty());
    for (step, code, text) in [
        (enter("foo", "192.168.0.2"), Code::Exists, "192.168.0.2 is in set foo already"),
        (
            enter("foo", "10.0.0.1"),
            Code::Invalid,
            "set foo: `10.0.0.1`: 10.0.0.1 lies outside the range 192.168.0.0/16",
        ),
        (
            Set::DelMember { set: "foo".into(), entry: "192.168.0.8".into(), force: false },
            Code::NotFound,
            "192.168.0.8 is not in set foo",
        ),
        (enter("bar", "x"), Code::Invalid, "set bar: `x`: `x` is not an IP address"),
        (
            Set::AddMember {
                set: "bar".into(),
                entry: "1.2.3.4".into(),
                comment: Some("c".into()),
                nomatch: false,
                force: false,
            },
            Code::Invalid,
            "set bar has no comments: it was created without `comment`",
        ),
        (
            Set::AddMember {
                set: "bar".into(),
                entry: "1.2.3.4".into(),
                comment: None,
                nomatch: true,
                force: false,
            },
            Code::Invalid,
            "set bar: nomatch is for networks, and hash:ip has none",
        ),
        (Set::AddSet(set("foo", SetKind::HashIp)), Code::Exists, "set foo already exists"),
        (
            Set::AddSet(set("a b", SetKind::HashIp)),
            Code::Invalid,
            "set name `a b`: 1 to 31 letters, digits and _-.:+ expected",
        ),
        (
            Set::AddSet(set("bm", SetKind::BitmapPort)),
            Code::Invalid,
            "set bm: bitmap:port needs `range PORT-PORT`",
        ),
        (
            Set::AddSet(SetSpec { maxelem: 0, ..set("m", SetKind::HashIp) }),
            Code::Invalid,
            "set m: maxelem 0: 1 to 1000000 expected",
        ),
    ] {
        assert_eq!(refused(&mut state, step), (code, text.to_owned()));
    }
    let again = Set::AddMember {
        set: "foo".into(),
        entry: "192.168.0.2".into(),
        comment: Some("c".into()),
        nomatch: false,
        force: true,
    };
    transact(&mut state, &[again]).unwrap();
    assert_eq!(listed(&state, "foo").members[1].comment.as_deref(), Some("c"));
    let one = SetSpec { maxelem: 1, ..set("one", SetKind::HashIp) };
    transact(&mut state, &[Set::AddSet(one), enter("one", "1.2.3.4")]).unwrap();
    assert_eq!(refused(&mut state, enter("one", "1.2.3.5")).0, Code::NoResource);
    transact(&mut state, &[Set::FlushSet(None)]).unwrap();
    assert!(texts(&state, "foo").is_empty() && texts(&state, "one").is_empty());
}

#[test]
fn tests_find_what_packets_would() {
    let mut state = balanced();
    let except = Set::AddMember {
        set: "hn".into(),
        entry: "10.1.0.0/16".into(),
        comment: None,
        nomatch: true,
        force: false,
    };
    transact(
        &mut state,
        &[
            Set::AddSet(set("hn", SetKind::HashNet)),
            enter("hn", "10.0.0.0/8"),
            except,
            Set::AddSet(set("four", SetKind::HashNetPortNetPort)),
            enter("four", "1.1.1.0/24,tcp:80,2.2.2.0/24,tcp:90"),
            Set::AddSet(SetSpec { family: Family::Inet6, ..set("bar", SetKind::HashNetPortIface) }),
            enter("bar", "2001:beef::/64,udp:100,dpdk0"),
        ],
    )
    .unwrap();
    for (name, entry, answer) in [
        ("hn", "10.2.3.4", true),
        ("hn", "10.1.3.4", false),
        ("hn", "11.1.1.1", false),
        ("four", "1.1.1.7,tcp:80,2.2.2.7,tcp:90", true),
        ("four", "1.1.1.7,tcp:81,2.2.2.7,tcp:90", false),
        ("bar", "2001:beef::abcd,udp:100,dpdk0", true),
        ("bar", "2001:beef::abcd,udp:100,dpdk1", false),
    ] {
        let get = Get::TestSet { name: name.into(), entry: entry.into() };
        assert_eq!(ask(&state, &get), Reply::IsInSet(answer), "{name} {entry}");
    }
    let wrong = ask(&state, &Get::TestSet { name: "hn".into(), entry: "10.0.0.0/8".into() });
    assert!(
        matches!(wrong, Reply::Refused(status) if status.text == "set hn: `10.0.0.0/8`: an address expected, no network")
    );
}
