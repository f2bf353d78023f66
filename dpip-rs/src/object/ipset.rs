// SPDX-License-Identifier: Apache-2.0
//! `dpip ipset`: sets of addresses, networks and ports, which access lists of services name.

use std::fmt::Write;

use cli::{json, value};
use model::Family;
use model::ipset::{SetKind, SetRange, SetSpec};
use sockopt::reply::{SetEntry, SetMember};
use sockopt::{Get, Reply, Set};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words::{self, Words};

/// `dpip ipset`.
pub static OBJECT: Object = Object {
    name: "ipset",
    about: "sets of addresses, networks and ports",
    commands: &[
        Command {
            verb: Verb::Create,
            forms: &["SET TYPE [comment] [hashsize N] [maxelem N] [range RANGE]"],
            about: "make an empty set; -6 makes one of IPv6",
            parse: create,
        },
        Command {
            verb: Verb::Destroy,
            forms: &["SET"],
            about: "remove a set that no access list names",
            parse: destroy,
        },
        Command {
            verb: Verb::Add,
            forms: &["SET ENTRY [comment TEXT] [nomatch]"],
            about: "put an entry into a set; -F also if it is there",
            parse: add,
        },
        Command {
            verb: Verb::Del,
            forms: &["SET ENTRY"],
            about: "take an entry out of a set; -F also if it is not there",
            parse: del,
        },
        Command {
            verb: Verb::Test,
            forms: &["SET ENTRY"],
            about: "say whether an element is in a set, by the exit status too",
            parse: test,
        },
        Command { verb: Verb::Flush, forms: &["[SET]"], about: "empty a set, or all with -F", parse: flush },
        Command { verb: Verb::Show, forms: &["[SET]"], about: "list sets and what is in them", parse: show },
    ],
    terms: &[
        ("TYPE", "bitmap:ip, bitmap:ip,mac, bitmap:port, hash:ip, hash:net, hash:ip,port, hash:net,port,"),
        ("    ", "hash:net,port,iface, hash:ip,port,ip, hash:ip,port,net, hash:net,port,net or"),
        ("    ", "hash:net,port,net,port"),
        ("ENTRY", "what the type says, with commas: NET,PORT"),
        ("RANGE", "what a bitmap can hold: IP/PLEN, IP-IP or PORT-PORT"),
    ],
    text,
    json,
};

fn create(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let name = named(&mut words)?;
    let kind = words.next().ok_or_else(|| words::missing("the type: `TYPE`"))?;
    let kind = value::word("type", kind, &SetKind::NAMES)?;
    let mut spec = SetSpec {
        name,
        kind,
        family: call.options.family.unwrap_or(Family::Inet),
        comment: false,
        hashsize: 1024,
        maxelem: 65_535,
        range: None,
    };
    while let Some(word) = words.next() {
        match word {
            "comment" => spec.comment = true,
            "hashsize" => spec.hashsize = value::number(word, words.value(word)?, 1..=u32::MAX)?,
            "maxelem" => spec.maxelem = value::number(word, words.value(word)?, 1..=u32::MAX)?,
            "range" => spec.range = Some(range(kind, words.value(word)?)?),
            _ => return Err(words::unknown(word)),
        }
    }
    Ok(Job::set(Set::AddSet(spec)))
}

fn range(kind: SetKind, text: &str) -> Result<SetRange, Failure> {
    let parsed = match kind {
        SetKind::BitmapPort => text
            .split_once('-')
            .and_then(|(first, last)| Some(SetRange::Ports(first.parse().ok()?, last.parse().ok()?))),
        _ if text.contains('/') => text.parse().ok().map(|net: model::Prefix| SetRange::Net(net.network())),
        _ => text
            .split_once('-')
            .and_then(|(first, last)| Some(SetRange::Addrs(first.parse().ok()?, last.parse().ok()?))),
    };
    parsed.ok_or_else(|| {
        Failure::usage(format!("range `{text}` is none: IP/PLEN, IP-IP or, for ports, PORT-PORT expected"))
    })
}

fn destroy(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::DelSet(only(call)?)))
}

fn add(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let (set, entry) = (named(&mut words)?, entry(&mut words)?);
    let (mut comment, mut nomatch) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "comment" => comment = Some(words.value(word)?.to_owned()),
            "nomatch" => nomatch = true,
            _ => return Err(words::unknown(word)),
        }
    }
    Ok(Job::set(Set::AddMember { set, entry, comment, nomatch, force: call.options.force }))
}

fn del(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let (set, entry) = (named(&mut words)?, entry(&mut words)?);
    words.end()?;
    Ok(Job::set(Set::DelMember { set, entry, force: call.options.force }))
}

fn test(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let (name, entry) = (named(&mut words)?, entry(&mut words)?);
    words.end()?;
    Ok(Job::Test(Get::TestSet { name, entry }))
}

fn flush(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let name = words.next().map(str::to_owned);
    words.end()?;
    match name {
        None if !call.options.force => Err(Failure::usage("the set: `SET` is missing; -F empties all")),
        name => Ok(Job::set(Set::FlushSet(name))),
    }
}

fn show(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let name = words.next().map(str::to_owned);
    words.end()?;
    Ok(Job::get(Get::Sets { name, cursor: 0 }))
}

fn named(words: &mut Words) -> Result<String, Failure> {
    words.next().map(str::to_owned).ok_or_else(|| words::missing("the set: `SET`"))
}

fn entry(words: &mut Words) -> Result<String, Failure> {
    words.next().map(str::to_owned).ok_or_else(|| words::missing("the entry: `ENTRY`"))
}

fn only(call: &Call) -> Result<String, Failure> {
    let mut words = call.words();
    let name = named(&mut words)?;
    words.end()?;
    Ok(name)
}

/// The sets of the family asked for; those of ports have none.
fn chosen<'a>(call: &Call, replies: &'a [Reply]) -> Result<Vec<&'a SetEntry>, Failure> {
    let mut chosen = Vec::new();
    for reply in replies {
        let Reply::Sets(page) = reply else { return Err(Failure::unexpected()) };
        let wanted = |set: &&SetEntry| call.options.family.is_none_or(|family| set.spec.family == family);
        chosen.extend(page.entries.iter().filter(wanted));
    }
    Ok(chosen)
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    if let [Reply::IsInSet(is_in)] = replies {
        let words: Vec<&str> = call.words().collect();
        return Ok(match (words.as_slice(), call.options.verbose) {
            ([set, entry], true) => {
                format!("{entry} is {} set {set}\n", if *is_in { "in" } else { "NOT in" })
            }
            _ => format!("{is_in}\n"),
        });
    }
    let mut text = String::new();
    for set in chosen(call, replies)? {
        write_set(&mut text, set);
    }
    Ok(text)
}

/// The blanks at the ends of lines are those that scripts know.
fn write_set(out: &mut String, set: &SetEntry) {
    let SetEntry { spec, bytes, references, members } = set;
    let header = match (&spec.range, spec.kind) {
        (Some(range), SetKind::BitmapPort) => format!("range tcp|udp:{range}"),
        (Some(range), _) => format!("range {range}"),
        (None, _) => {
            let family = if spec.family == Family::Inet { "inet" } else { "inet6" };
            format!("family {family}  hashsize {}  maxelem {}", spec.hashsize, spec.maxelem)
        }
    };
    let comment = if spec.comment { "comment" } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "Name: {}\nType: {}\nHeader: {header}  {comment}\nSize in memory: {bytes}\nReferences: {references}\n\
         Number of entries: {}\nMembers:\n",
        spec.name,
        spec.kind,
        members.len()
    );
    for SetMember { entry, comment, nomatch } in members {
        let nomatch = if *nomatch { " nomatch" } else { "" };
        let comment = comment.as_ref().map(|comment| format!("\"{comment}\"")).unwrap_or_default();
        let comment = if comment.is_empty() { comment } else { format!("comment {comment}") };
        let _ = writeln!(out, "{entry}{nomatch}  {comment}");
    }
    out.push('\n');
}

fn json(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    if let [Reply::IsInSet(is_in)] = replies {
        return Ok(json::document("is_in_set", is_in));
    }
    Ok(json::document("sets", &chosen(call, replies)?))
}

#[cfg(test)]
mod tests {
    use sockopt::Request;
    use sockopt::reply::Page;

    use super::*;
    use crate::golden::{call, questions, recorded, request, text, usage};

    const RECORDING: &str = include_str!("../../tests/golden/10-ipset.txt");

    fn set(spec: SetSpec, bytes: u64, members: &[(&str, Option<&str>, bool)]) -> Reply {
        let member = |&(entry, comment, nomatch): &(&str, Option<&str>, bool)| SetMember {
            entry: entry.into(),
            comment: comment.map(Into::into),
            nomatch,
        };
        let members = members.iter().map(member).collect();
        Reply::Sets(Page { entries: vec![SetEntry { spec, bytes, references: 0, members }], next: None })
    }

    fn spec(name: &str, kind: SetKind) -> SetSpec {
        let range = None;
        SetSpec {
            name: name.into(),
            kind,
            family: Family::Inet,
            comment: false,
            hashsize: 1024,
            maxelem: 65_535,
            range,
        }
    }

    #[test]
    fn listings_are_those_recorded() {
        let range = Some(SetRange::Net("192.168.0.0/16".parse().unwrap()));
        let foo = SetSpec { comment: true, range, ..spec("foo", SetKind::BitmapIp) };
        let test = Some("test entry");
        let members = [
            ("192.168.0.1", test, false),
            ("192.168.0.2", test, false),
            ("192.168.0.3", test, false),
            ("192.168.0.4", test, false),
            ("192.168.0.5", test, false),
            ("192.168.0.9", None, false),
        ];
        let line = "dpip ipset show foo";
        assert_eq!(text(line, &[set(foo, 2_105_392, &members)]), recorded(RECORDING, line, 0).stdout);
        let members = [
            ("172.16.0.6/31", None, false),
            ("172.16.0.8/31", None, false),
            ("172.16.0.5/32", None, false),
            ("10.1.0.0/16", None, true),
            ("10.0.0.0/8", None, false),
        ];
        let line = "dpip ipset show hn";
        assert_eq!(
            text(line, &[set(spec("hn", SetKind::HashNet), 17_144, &members)]),
            recorded(RECORDING, line, 0).stdout
        );
        let range = Some(SetRange::Ports(1, 1024));
        let bp = SetSpec { comment: true, range, ..spec("bp", SetKind::BitmapPort) };
        let members = ["tcp:22", "tcp:23", "tcp:24", "tcp:25", "udp:53"].map(|entry| (entry, None, false));
        let line = "dpip ipset show bp";
        assert_eq!(text(line, &[set(bp, 65_832, &members)]), recorded(RECORDING, line, 0).stdout);
    }

    #[test]
    fn tests_are_answered_as_recorded() {
        for (line, answer) in
            [("dpip ipset test foo 192.168.0.3", true), ("dpip ipset test foo 192.168.0.8", false)]
        {
            let verbose = line.replace("dpip ", "dpip -v ");
            assert_eq!(text(line, &[Reply::IsInSet(answer)]), recorded(RECORDING, line, 0).stdout);
            assert_eq!(text(&verbose, &[Reply::IsInSet(answer)]), recorded(RECORDING, &verbose, 0).stdout);
        }
    }

    #[test]
    fn changes_say_what_was_written() {
        let made = SetSpec {
            family: Family::Inet6,
            hashsize: 300,
            maxelem: 1000,
            ..spec("bar", SetKind::HashNetPortIface)
        };
        assert_eq!(
            request("dpip -6 ipset create bar hash:net,port,iface hashsize 300 maxelem 1000").unwrap(),
            Request::Set(Set::AddSet(made))
        );
        let range = Some(SetRange::Addrs("10.0.0.1".parse().unwrap(), "10.0.0.9".parse().unwrap()));
        assert_eq!(
            request("dpip ipset create b bitmap:ip range 10.0.0.1-10.0.0.9 comment").unwrap(),
            Request::Set(Set::AddSet(SetSpec { range, comment: true, ..spec("b", SetKind::BitmapIp) }))
        );
        let entry = "10.1.0.0/16".to_owned();
        assert_eq!(
            request("dpip ipset add hn 10.1.0.0/16 nomatch comment x").unwrap(),
            Request::Set(Set::AddMember {
                set: "hn".into(),
                entry: entry.clone(),
                comment: Some("x".into()),
                nomatch: true,
                force: false
            })
        );
        assert_eq!(
            request("dpip -F ipset del hn 10.1.0.0/16").unwrap(),
            Request::Set(Set::DelMember { set: "hn".into(), entry, force: true })
        );
        assert_eq!(request("dpip ipset flush hn").unwrap(), Request::Set(Set::FlushSet(Some("hn".into()))));
        assert_eq!(request("dpip -F ipset flush").unwrap(), Request::Set(Set::FlushSet(None)));
        assert_eq!(questions("dpip ipset list").unwrap(), [Get::Sets { name: None, cursor: 0 }]);
        assert!(matches!(super::test(&call("dpip ipset test a 1.2.3.4").unwrap()), Ok(Job::Test(_))));
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("dpip ipset create", "the set: `SET` is missing"),
            ("dpip ipset create a", "the type: `TYPE` is missing"),
            ("dpip ipset create a hash:ip maxelem abc", "maxelem `abc` is not a number from 1 to 4294967295"),
            (
                "dpip ipset create a bitmap:ip range 5",
                "range `5` is none: IP/PLEN, IP-IP or, for ports, PORT-PORT expected",
            ),
            ("dpip ipset add a", "the entry: `ENTRY` is missing"),
            ("dpip ipset add a 1.2.3.4 5.6.7.8", "unexpected `5.6.7.8`"),
            ("dpip ipset flush", "the set: `SET` is missing; -F empties all"),
            ("dpip -F addr show", "-F is for `ipset add`, `ipset del` and `ipset flush` only"),
        ] {
            assert_eq!(usage(line), reason, "{line}");
        }
        assert!(
            usage("dpip ipset create a bogus:type")
                .starts_with("type `bogus:type` is unknown: one of bitmap:ip, ")
        );
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let expected = r#"{
  "version": 1,
  "sets": [
    {
      "name": "hn",
      "kind": "hash:net",
      "family": "inet",
      "comment": false,
      "hashsize": 1024,
      "maxelem": 65535,
      "range": null,
      "bytes": 100,
      "references": 0,
      "members": [
        {
          "entry": "10.1.0.0/16",
          "comment": null,
          "nomatch": true
        }
      ]
    }
  ]
}
"#;
        let replies = [set(spec("hn", SetKind::HashNet), 100, &[("10.1.0.0/16", None, true)])];
        assert_eq!(text("dpip --json ipset show", &replies), expected);
    }
}
