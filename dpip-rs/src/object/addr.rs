// SPDX-License-Identifier: Apache-2.0
//! `dpip addr`: IP addresses of links.

use std::fmt::Write;
use std::net::Ipv4Addr;

use cli::{json, value};
use model::Prefix;
use model::net::{AddrScope, IfAddr};
use sockopt::reply::AddrEntry;
use sockopt::{Get, Reply, Set};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words;

/// `dpip addr`.
pub static OBJECT: Object = Object {
    name: "addr",
    about: "IP addresses of links",
    commands: &[
        Command { verb: Verb::Add, forms: &[IFADDR], about: "put an address on a link", parse: add },
        Command {
            verb: Verb::Set,
            forms: &[IFADDR],
            about: "change scope and lifetimes of an address",
            parse: set,
        },
        Command {
            verb: Verb::Replace,
            forms: &[IFADDR],
            about: "change an address, or add it if it is not there",
            parse: replace,
        },
        Command {
            verb: Verb::Del,
            forms: &["IP[/PLEN] dev IF"],
            about: "take an address from a link",
            parse: del,
        },
        Command {
            verb: Verb::Flush,
            forms: &["dev IF"],
            about: "take all addresses from a link",
            parse: flush,
        },
        Command {
            verb: Verb::Show,
            forms: &["[dev IF]"],
            about: "list addresses; -s adds the local ports of those that serve as local addresses",
            parse: show,
        },
    ],
    terms: &[
        ("IP[/PLEN]", "address and prefix length; without a length, 32 or 128"),
        ("scope N", "a number from 0 to 255; without a scope, global"),
        ("SECS", "seconds; without a lifetime, forever"),
        ("sapool", "accepted for scripts: every address can serve as a local address"),
    ],
    text,
    json,
};

const IFADDR: &str = "IP[/PLEN] dev IF [broadcast IP] [scope host|link|site|global|N] [valid_lft forever|SECS] [preferred_lft forever|SECS] [sapool]";

fn add(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::AddAddr(ifaddr(call)?)))
}

fn set(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::EditAddr(ifaddr(call)?)))
}

fn replace(call: &Call) -> Result<Job, Failure> {
    let addr = ifaddr(call)?;
    let look = Get::Addrs { dev: Some(addr.dev.clone()), family: None };
    let decide = move |reply: &Reply| {
        let Reply::Addrs(entries) = reply else { return Err(Failure::unexpected()) };
        let there = entries.iter().any(|entry| entry.addr.prefix == addr.prefix);
        Ok(if there { Set::EditAddr(addr.clone()) } else { Set::AddAddr(addr.clone()) })
    };
    Ok(Job::Look(look, Box::new(decide)))
}

fn del(call: &Call) -> Result<Job, Failure> {
    let IfAddr { prefix, dev, .. } = ifaddr(call)?;
    Ok(Job::set(Set::DelAddr { prefix, dev }))
}

fn flush(call: &Call) -> Result<Job, Failure> {
    let dev = words::device(words::only_device(call.words())?)?;
    Ok(Job::set(Set::FlushAddr { dev, family: call.options.family }))
}

fn show(call: &Call) -> Result<Job, Failure> {
    let dev = words::only_device(call.words())?.map(str::to_owned);
    Ok(Job::get(Get::Addrs { dev, family: call.options.family }))
}

fn ifaddr(call: &Call) -> Result<IfAddr, Failure> {
    let mut words = call.words();
    let mut prefix = None;
    let mut dev = None;
    let mut addr = IfAddr {
        prefix: Prefix::host(Ipv4Addr::UNSPECIFIED.into()),
        dev: String::new(),
        broadcast: None,
        scope: AddrScope::Global,
        valid_lft: 0,
        preferred_lft: 0,
        sapool: false,
    };
    while let Some(word) = words.next() {
        match word {
            "dev" => dev = Some(words.value(word)?),
            "broadcast" => addr.broadcast = Some(broadcast(words.value(word)?)?),
            "scope" => addr.scope = scope(words.value(word)?)?,
            "valid_lft" => addr.valid_lft = lifetime(word, words.value(word)?)?,
            "preferred_lft" | "prefered_lft" => addr.preferred_lft = lifetime(word, words.value(word)?)?,
            "sapool" => addr.sapool = true,
            _ if prefix.is_none() => prefix = Some(call.options.prefix(word)?),
            _ => return Err(words::unknown(word)),
        }
    }
    addr.prefix = prefix.ok_or_else(|| words::missing("the address: `IP[/PLEN]`"))?;
    addr.dev = words::device(dev)?;
    Ok(addr)
}

fn broadcast(text: &str) -> Result<Ipv4Addr, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("broadcast `{text}` is not an IPv4 address")))
}

fn scope(text: &str) -> Result<AddrScope, Failure> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(AddrScope::Other(value::number("scope", text, 0..=u8::MAX)?));
    }
    let words = [
        ("host", AddrScope::Host),
        ("link", AddrScope::Link),
        ("site", AddrScope::Site),
        ("global", AddrScope::Global),
    ];
    Ok(value::word("scope", text, &words)?)
}

fn lifetime(keyword: &str, text: &str) -> Result<u32, Failure> {
    match text {
        "forever" => Ok(0),
        _ => Ok(value::number(keyword, text, 0..=u32::MAX)?),
    }
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Addrs(entries)] = replies else { return Err(Failure::unexpected()) };
    let mut text = String::new();
    for entry in entries {
        write_entry(&mut text, call, entry);
    }
    Ok(text)
}

/// Two lines; the second begins with four blanks, the broadcast address or nothing, and one blank.
fn write_entry(out: &mut String, call: &Call, AddrEntry { addr, pool }: &AddrEntry) {
    let family = if addr.prefix.addr.is_ipv4() { "inet" } else { "inet6" };
    let broadcast = addr.broadcast.map(|ip| format!("broadcast {ip}")).unwrap_or_default();
    let pool = pool.filter(|_| call.options.stats || call.options.verbose).map_or_else(String::new, |pool| {
        format!(" sa_used {} sa_free {} sa_miss {}", pool.used, pool.free, pool.miss)
    });
    let (valid, preferred) = (show_lifetime(addr.valid_lft), show_lifetime(addr.preferred_lft));
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{family} {} scope {} {}", addr.prefix, addr.scope, addr.dev);
    let _ = writeln!(out, "    {broadcast} valid_lft {valid} preferred_lft {preferred}{pool}");
}

fn show_lifetime(seconds: u32) -> String {
    if seconds == 0 { "forever".to_owned() } else { seconds.to_string() }
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Addrs(entries)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("addrs", entries))
}

#[cfg(test)]
mod tests {
    use model::Family;
    use model::net::SaPool;
    use sockopt::Request;

    use super::*;
    use crate::golden::{questions, recorded, request, text, usage};

    const RECORDING: &str = include_str!("../../tests/golden/04-addr.txt");

    fn on(dev: &str, prefix: &str) -> IfAddr {
        IfAddr {
            prefix: prefix.parse().unwrap(),
            dev: dev.into(),
            broadcast: None,
            scope: AddrScope::Global,
            valid_lft: 0,
            preferred_lft: 0,
            sapool: false,
        }
    }

    fn entry(addr: IfAddr) -> AddrEntry {
        AddrEntry { addr, pool: None }
    }

    #[test]
    fn listings_are_those_recorded() {
        let replies = [Reply::Addrs(vec![
            entry(IfAddr { broadcast: Some(Ipv4Addr::new(10, 0, 1, 255)), ..on("dpdk0", "10.0.1.106/24") }),
            entry(IfAddr { scope: AddrScope::Other(77), ..on("dpdk0", "10.0.1.105/32") }),
            entry(IfAddr { scope: AddrScope::Link, ..on("dpdk0", "10.0.1.104/32") }),
            entry(IfAddr { scope: AddrScope::Host, ..on("dpdk0", "10.0.1.103/32") }),
            entry(on("dpdk0", "10.0.1.101")),
            entry(on("dpdk0", "10.0.1.100")),
            entry(on("dpdk0", "10.0.1.1/24")),
            entry(IfAddr { scope: AddrScope::Link, ..on("dpdk0", "fe80::ff:fe00:101/64") }),
        ])];
        let line = "dpip addr show dev dpdk0";
        assert_eq!(text(line, &replies), recorded(RECORDING, line, 1).stdout);
    }

    #[test]
    fn the_pool_is_shown_with_counters_only() {
        let pool = Some(SaPool { used: 0, free: 1_032_176, miss: 0 });
        let replies = [Reply::Addrs(vec![
            AddrEntry { addr: on("dpdk1", "10.0.2.200"), pool },
            entry(on("dpdk1", "10.0.1.1/24")),
            entry(on("dpdk1", "10.0.2.1/24")),
            entry(IfAddr { scope: AddrScope::Link, ..on("dpdk1", "fe80::ff:fe00:201/64") }),
        ])];
        let line = "dpip -s addr show dev dpdk1";
        assert_eq!(text(line, &replies), recorded(RECORDING, line, 0).stdout);
        assert!(!text("dpip addr show dev dpdk1", &replies).contains("sa_used"));
    }

    #[test]
    fn lifetimes_are_seconds_or_for_ever() {
        let addr = IfAddr { valid_lft: 86_400, preferred_lft: 3_600, ..on("dpdk1", "2001:db8::5/64") };
        assert_eq!(
            text("dpip addr show", &[Reply::Addrs(vec![entry(addr)])]),
            "inet6 2001:db8::5/64 scope global dpdk1\n     valid_lft 86400 preferred_lft 3600\n"
        );
    }

    #[test]
    fn every_word_of_an_address_reaches_the_request() {
        let line = "dpip addr add 10.0.1.106/24 broadcast 10.0.1.255 dev dpdk0 scope 77 valid_lft 300 \
                    prefered_lft 200 sapool";
        let addr = IfAddr {
            broadcast: Some(Ipv4Addr::new(10, 0, 1, 255)),
            scope: AddrScope::Other(77),
            valid_lft: 300,
            preferred_lft: 200,
            sapool: true,
            ..on("dpdk0", "10.0.1.106/24")
        };
        assert_eq!(request(line).unwrap(), Request::Set(Set::AddAddr(addr.clone())));
        let changed = line.replace("prefered_lft", "preferred_lft").replace(" add ", " change ");
        assert_eq!(request(&changed).unwrap(), Request::Set(Set::EditAddr(addr)));
    }

    #[test]
    fn replace_changes_what_is_there_and_adds_what_is_not() {
        let call = crate::golden::call("dpip addr replace 10.0.1.7/24 dev dpdk0").unwrap();
        let Job::Look(get, decide) = replace(&call).unwrap() else { panic!("looks first") };
        assert_eq!(get, Get::Addrs { dev: Some("dpdk0".into()), family: None });
        let addr = on("dpdk0", "10.0.1.7/24");
        assert_eq!(decide(&Reply::Addrs(vec![])).unwrap(), Set::AddAddr(addr.clone()));
        assert_eq!(decide(&Reply::Addrs(vec![entry(addr.clone())])).unwrap(), Set::EditAddr(addr));
    }

    #[test]
    fn the_family_narrows_flushes_and_listings() {
        assert_eq!(
            request("dpip -6 addr flush dev dpdk0").unwrap(),
            Request::Set(Set::FlushAddr { dev: "dpdk0".into(), family: Some(Family::Inet6) })
        );
        assert_eq!(
            questions("dpip addr -4 list").unwrap(),
            [Get::Addrs { dev: None, family: Some(Family::Inet) }]
        );
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("dpip addr add", "the address: `IP[/PLEN]` is missing"),
            ("dpip addr add dev dpdk0", "the address: `IP[/PLEN]` is missing"),
            ("dpip addr add 10.0.1.9/32", "the device: `dev IF` is missing"),
            ("dpip addr flush", "the device: `dev IF` is missing"),
            ("dpip addr add 10.0.1.9 dev", "`dev` needs a value"),
            ("dpip addr add 10.0.1.99/32 dev dpdk0 bogus", "unexpected `bogus`"),
            ("dpip addr add 10.0.1.300/32 dev dpdk0", "`10.0.1.300` is not an IP address"),
            (
                "dpip addr add 10.0.1.1/33 dev dpdk0",
                "`10.0.1.1/33` has no valid prefix length: 0 to 32 expected after the slash",
            ),
            (
                "dpip addr add 10.0.1.1/x dev dpdk0",
                "`10.0.1.1/x` has no valid prefix length: 0 to 32 expected after the slash",
            ),
            ("dpip -6 addr add 10.0.1.7/32 dev dpdk0", "`10.0.1.7` is not an IPv6 address, but -6 was given"),
            (
                "dpip -4 addr add fd00:1::8/128 dev dpdk0",
                "`fd00:1::8` is not an IPv4 address, but -4 was given",
            ),
            (
                "dpip addr add 10.0.1.7 dev dpdk0 scope near",
                "scope `near` is unknown: one of host, link, site, global expected",
            ),
            (
                "dpip addr add 10.0.1.7 dev dpdk0 valid_lft soon",
                "valid_lft `soon` is not a number from 0 to 4294967295",
            ),
            ("dpip addr show dpdk0", "unexpected `dpdk0`"),
            (
                "dpip addr test",
                "addr has no command `test`: one of add, set, replace, del, flush, show expected",
            ),
        ] {
            assert_eq!(usage(line), reason, "{line}");
        }
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let pool = Some(SaPool { used: 1, free: 2, miss: 3 });
        let replies = [Reply::Addrs(vec![AddrEntry { addr: on("dpdk0", "10.0.1.1/24"), pool }])];
        let expected = r#"{
  "version": 1,
  "addrs": [
    {
      "prefix": "10.0.1.1/24",
      "dev": "dpdk0",
      "broadcast": null,
      "scope": "global",
      "valid_lft": 0,
      "preferred_lft": 0,
      "sapool": false,
      "pool": {
        "used": 1,
        "free": 2,
        "miss": 3
      }
    }
  ]
}
"#;
        assert_eq!(text("dpip --json addr show", &replies), expected);
    }
}
