// SPDX-License-Identifier: Apache-2.0
//! `dpip neigh`: Ethernet addresses of neighbours.

use std::fmt::Write;
use std::net::IpAddr;

use cli::{json, value};
use model::MacAddr;
use model::net::{NeighEntry, NeighSpec};
use sockopt::{Get, Reply, Set};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words;

/// `dpip neigh`.
pub static OBJECT: Object = Object {
    name: "neigh",
    about: "Ethernet addresses of neighbours",
    commands: &[
        Command {
            verb: Verb::Add,
            forms: &["IP lladdr MAC dev IF"],
            about: "enter a neighbour that never ages, in place of what is known about it",
            parse: add,
        },
        Command {
            verb: Verb::Replace,
            forms: &["IP lladdr MAC dev IF"],
            about: "the same as add",
            parse: add,
        },
        Command {
            verb: Verb::Del,
            forms: &["IP [lladdr MAC] dev IF"],
            about: "forget a neighbour, entered or learned",
            parse: del,
        },
        Command {
            verb: Verb::Flush,
            forms: &["dev IF"],
            about: "forget all neighbours learned on a link",
            parse: flush,
        },
        Command {
            verb: Verb::Show,
            forms: &["[dev IF]"],
            about: "list neighbours; -v lists the table of every worker",
            parse: show,
        },
    ],
    terms: &[("MAC", "six hexadecimal octets, as 02:00:00:00:00:01")],
    text,
    json,
};

fn add(call: &Call) -> Result<Job, Failure> {
    let Written { addr, mac, dev } = Written::read(call)?;
    let mac = mac.ok_or_else(|| words::missing("the Ethernet address: `lladdr MAC`"))?;
    Ok(Job::set(Set::AddNeigh(NeighSpec { addr, mac, dev })))
}

fn del(call: &Call) -> Result<Job, Failure> {
    let Written { addr, dev, .. } = Written::read(call)?;
    Ok(Job::set(Set::DelNeigh { addr, dev }))
}

fn flush(call: &Call) -> Result<Job, Failure> {
    let dev = words::device(words::only_device(call.words())?)?;
    Ok(Job::set(Set::FlushNeigh { dev }))
}

fn show(call: &Call) -> Result<Job, Failure> {
    let dev = words::only_device(call.words())?.map(str::to_owned);
    Ok(Job::get(Get::Neighs { dev, family: call.options.family }))
}

/// A neighbour as written.
struct Written {
    addr: IpAddr,
    mac: Option<MacAddr>,
    dev: String,
}

impl Written {
    fn read(call: &Call) -> Result<Self, Failure> {
        let mut words = call.words();
        let (mut addr, mut mac, mut dev) = (None, None, None);
        while let Some(word) = words.next() {
            match word {
                "dev" => dev = Some(words.value(word)?),
                "lladdr" => mac = Some(station(words.value(word)?)?),
                _ if addr.is_none() => addr = Some(value::ip("neighbour", word)?),
                _ => return Err(words::unknown(word)),
            }
        }
        let addr = addr.ok_or_else(|| words::missing("the neighbour: `IP`"))?;
        call.options.admit(addr)?;
        Ok(Written { addr, mac, dev: words::device(dev)? })
    }
}

fn station(text: &str) -> Result<MacAddr, Failure> {
    let mac: MacAddr = text.parse()?;
    match mac.is_unusable() {
        true => Err(Failure::usage(format!("lladdr `{mac}` is not the address of a single station"))),
        false => Ok(mac),
    }
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Neighs(entries)] = replies else { return Err(Failure::unexpected()) };
    let mut text = String::new();
    for (nth, entry) in entries.iter().enumerate() {
        if call.options.verbose || best(entries, entry) == nth {
            write_entry(&mut text, entry);
        }
    }
    Ok(text)
}

/// Every worker has its own table: which of its rows stands for the neighbour of `entry`.
fn best(entries: &[NeighEntry], entry: &NeighEntry) -> usize {
    let same = |other: &&NeighEntry| (other.addr, &other.dev) == (entry.addr, &entry.dev);
    let rank = |state: &str| ["REACHABLE", "DELAY", "PROBE", "SEND"].iter().position(|&s| s == state);
    let key = |entry: &NeighEntry| (!entry.fixed, rank(&entry.state).unwrap_or(usize::MAX));
    let rows = entries.iter().enumerate().filter(|(_, other)| same(other));
    rows.min_by_key(|(_, other)| key(other)).map_or(0, |(nth, _)| nth)
}

/// The widths and the misspelling are those that scripts know.
fn write_entry(out: &mut String, entry: &NeighEntry) {
    let NeighEntry { addr, mac, dev, state, core, fixed } = entry;
    let mac = match mac {
        Some(mac) => format!("mac: {mac}   state: {state:<12}  dev: {dev}"),
        None => format!("mac:incomplate                       state: {state:<12}   dev: {dev}"),
    };
    let note = if *fixed { "static" } else { "" };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "ip: {:<48} {mac}  core: {core}  {note}", addr.to_string());
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Neighs(entries)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("neighs", entries))
}

#[cfg(test)]
mod tests {
    use model::Family;
    use sockopt::Request;

    use super::*;
    use crate::golden::{questions, recorded, request, text, usage};

    const ENTERED: &str = include_str!("../../tests/golden/06-neigh.txt");
    const LEARNED: &str = include_str!("../../tests/golden/11-neigh.txt");

    fn entry(addr: &str, mac: Option<&str>, dev: &str, state: &str) -> NeighEntry {
        NeighEntry {
            addr: addr.parse().unwrap(),
            mac: mac.map(|mac| mac.parse().unwrap()),
            dev: dev.into(),
            state: state.into(),
            core: 1,
            fixed: false,
        }
    }

    #[test]
    fn listings_are_those_recorded() {
        let replies = [Reply::Neighs(vec![
            entry("10.0.2.2", Some("02:00:00:00:02:02"), "dpdk1", "REACHABLE"),
            entry("10.0.1.2", Some("02:00:00:00:01:02"), "dpdk0", "REACHABLE"),
            entry("fd00:1::2", Some("02:00:00:00:01:02"), "dpdk0", "REACHABLE"),
        ])];
        let line = "dpip neigh show";
        assert_eq!(text(line, &replies), recorded(LEARNED, line, 1).stdout);
    }

    #[test]
    fn an_entered_neighbour_is_static() {
        let fixed =
            NeighEntry { fixed: true, ..entry("10.0.1.50", Some("02:11:22:33:44:55"), "dpdk0", "REACHABLE") };
        let line = "dpip neigh show";
        assert_eq!(text(line, &[Reply::Neighs(vec![fixed])]), recorded(ENTERED, line, 1).stdout);
    }

    #[test]
    fn an_unanswered_neighbour_has_no_address() {
        // The example of DPVS's documentation.
        let asked = NeighEntry { core: 3, ..entry("10.1.0.77", None, "dpdk0", "SEND") };
        assert_eq!(
            text("dpip neigh show", &[Reply::Neighs(vec![asked])]),
            "ip: 10.1.0.77                                        mac:incomplate                       \
             state: SEND           dev: dpdk0  core: 3  \n"
        );
    }

    #[test]
    fn workers_that_know_the_same_neighbour_make_one_row_unless_verbose() {
        let asked = entry("10.1.0.77", None, "dpdk0", "SEND");
        let mac = Some("02:00:00:00:01:02");
        let known = NeighEntry { core: 2, ..entry("10.1.0.77", mac, "dpdk0", "REACHABLE") };
        let elsewhere = entry("10.1.0.77", mac, "dpdk1", "PROBE");
        let replies = [Reply::Neighs(vec![asked, known, elsewhere])];
        let brief = text("dpip neigh show", &replies);
        assert_eq!(brief.lines().count(), 2);
        assert!(brief.contains("dev: dpdk0  core: 2") && brief.contains("dev: dpdk1  core: 1"), "{brief}");
        assert_eq!(text("dpip -v neigh show", &replies).lines().count(), 3);
    }

    #[test]
    fn changes_name_the_neighbour_and_its_link() {
        let spec = NeighSpec {
            addr: "10.0.1.50".parse().unwrap(),
            mac: "02:11:22:33:44:55".parse().unwrap(),
            dev: "dpdk0".into(),
        };
        for word in ["add", "replace"] {
            let line = format!("dpip neigh {word} 10.0.1.50 lladdr 02:11:22:33:44:55 dev dpdk0");
            assert_eq!(request(&line).unwrap(), Request::Set(Set::AddNeigh(spec.clone())));
        }
        let del = Set::DelNeigh { addr: spec.addr, dev: spec.dev };
        for line in ["10.0.1.50 dev dpdk0", "10.0.1.50 lladdr 02:11:22:33:44:66 dev dpdk0"] {
            assert_eq!(request(&format!("dpip neigh del {line}")).unwrap(), Request::Set(del.clone()));
        }
        assert_eq!(
            request("dpip neigh flush dev dpdk0").unwrap(),
            Request::Set(Set::FlushNeigh { dev: "dpdk0".into() })
        );
        assert_eq!(
            questions("dpip -6 neigh show dev dpdk0").unwrap(),
            [Get::Neighs { dev: Some("dpdk0".into()), family: Some(Family::Inet6) }]
        );
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("dpip neigh add", "the neighbour: `IP` is missing"),
            ("dpip neigh add 10.0.1.51 dev dpdk0", "the Ethernet address: `lladdr MAC` is missing"),
            ("dpip neigh add 10.0.1.51 lladdr 02:11:22:33:44:77", "the device: `dev IF` is missing"),
            (
                "dpip neigh add 10.0.1.51 lladdr 02:11:22:33:44:zz dev dpdk0",
                "`02:11:22:33:44:zz` is not an Ethernet address: six hexadecimal octets with colons expected, \
                 such as 02:00:00:00:00:01",
            ),
            (
                "dpip neigh add 10.0.1.51 lladdr 00:00:00:00:00:00 dev dpdk0",
                "lladdr `00:00:00:00:00:00` is not the address of a single station",
            ),
            (
                "dpip neigh add bogus lladdr 02:11:22:33:44:77 dev dpdk0",
                "neighbour `bogus` is not an IPv4 or IPv6 address",
            ),
            (
                "dpip neigh set 10.0.1.50 lladdr 02:11:22:33:44:77 dev dpdk0",
                "neigh has no command `set`: one of add, replace, del, flush, show expected",
            ),
            ("dpip neigh flush", "the device: `dev IF` is missing"),
        ] {
            assert_eq!(usage(line), reason, "{line}");
        }
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let replies =
            [Reply::Neighs(vec![entry("10.0.1.2", Some("02:00:00:00:01:02"), "dpdk0", "REACHABLE")])];
        let expected = r#"{
  "version": 1,
  "neighs": [
    {
      "addr": "10.0.1.2",
      "mac": "02:00:00:00:01:02",
      "dev": "dpdk0",
      "state": "REACHABLE",
      "core": 1,
      "fixed": false
    }
  ]
}
"#;
        assert_eq!(text("dpip --json neigh show", &replies), expected);
    }
}
