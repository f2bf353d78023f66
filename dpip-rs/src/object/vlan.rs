// SPDX-License-Identifier: Apache-2.0
//! `dpip vlan`: 802.1Q VLANs of ports.

use std::fmt::Write;

use cli::{json, value};
use model::link::VlanSpec;
use sockopt::{Get, Reply, Set};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words::{self, Words};

/// `dpip vlan`.
pub static OBJECT: Object = Object {
    name: "vlan",
    about: "802.1Q VLANs of ports",
    commands: &[
        Command {
            verb: Verb::Add,
            forms: &["[NAME] link IF [proto 802.1q|vlan] id N"],
            about: "make a VLAN; without a name it is called IF.N",
            parse: add,
        },
        Command { verb: Verb::Del, forms: &["NAME", "link IF id N"], about: "remove a VLAN", parse: del },
        Command {
            verb: Verb::Show,
            forms: &["[NAME]", "link IF [proto 802.1q|vlan|802.1ad|QinQ] [id N]"],
            about: "list VLANs",
            parse: show,
        },
    ],
    terms: &[
        ("proto", "802.1q or vlan; 802.1ad and QinQ are known, but not supported"),
        ("id N", "1 to 4094"),
    ],
    text,
    json,
};

fn add(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::AddVlan(Written::read(call.words())?.spec()?)))
}

/// By name, or by port and identifier: then its name has to be found out.
fn del(call: &Call) -> Result<Job, Failure> {
    let vlan = Written::read(call.words())?;
    if let (Some(name), None, None) = (&vlan.name, &vlan.dev, vlan.id) {
        return Ok(Job::set(Set::DelVlan(name.clone())));
    }
    let VlanSpec { name, dev, id } = vlan.spec()?;
    let look = Get::Vlans { dev: Some(dev.clone()) };
    let decide = move |reply: &Reply| {
        let Reply::Vlans(vlans) = reply else { return Err(Failure::unexpected()) };
        let found = vlans.iter().find(|vlan| vlan.id == id && vlan.dev == dev).map(full_name);
        match found.filter(|found| name.as_ref().is_none_or(|name| name == found)) {
            Some(name) => Ok(Set::DelVlan(name)),
            None => Err(Failure::Refused(format!("no vlan with id {id} on {dev}"))),
        }
    };
    Ok(Job::Look(look, Box::new(decide)))
}

fn show(call: &Call) -> Result<Job, Failure> {
    Ok(Job::get(Get::Vlans { dev: Written::read(call.words())?.dev }))
}

/// Which tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proto {
    Dot1q,
    Dot1ad,
}

/// A VLAN as written.
#[derive(Clone, Default)]
struct Written {
    name: Option<String>,
    dev: Option<String>,
    proto: Option<Proto>,
    id: Option<u16>,
}

impl Written {
    fn read(mut words: Words) -> Result<Self, Failure> {
        let mut vlan = Written::default();
        while let Some(word) = words.next() {
            match word {
                "link" => vlan.dev = Some(words.value(word)?.to_owned()),
                "proto" => vlan.proto = Some(proto(words.value(word)?)?),
                "id" => vlan.id = Some(value::number(word, words.value(word)?, 1..=4094)?),
                _ if vlan.name.is_none() => vlan.name = Some(word.to_owned()),
                _ => return Err(words::unknown(word)),
            }
        }
        Ok(vlan)
    }

    fn spec(self) -> Result<VlanSpec, Failure> {
        if self.proto == Some(Proto::Dot1ad) {
            return Err(Failure::usage("proto 802.1ad is not supported: only 802.1q is"));
        }
        let dev = self.dev.ok_or_else(|| words::missing("the port: `link IF`"))?;
        let id = self.id.ok_or_else(|| words::missing("the VLAN identifier: `id N`"))?;
        Ok(VlanSpec { name: self.name, dev, id })
    }

    fn fits(&self, vlan: &VlanSpec) -> bool {
        self.proto != Some(Proto::Dot1ad)
            && self.name.as_ref().is_none_or(|name| *name == full_name(vlan))
            && self.id.is_none_or(|id| id == vlan.id)
    }
}

fn proto(text: &str) -> Result<Proto, Failure> {
    let words = [
        ("802.1q", Proto::Dot1q),
        ("vlan", Proto::Dot1q),
        ("802.1ad", Proto::Dot1ad),
        ("QinQ", Proto::Dot1ad),
    ];
    Ok(value::word("proto", text, &words)?)
}

fn full_name(vlan: &VlanSpec) -> String {
    vlan.name.clone().unwrap_or_else(|| format!("{}.{}", vlan.dev, vlan.id))
}

/// The VLANs of a reply that were asked for; it is an error if the one asked for by name is not there.
fn chosen<'a>(call: &Call, replies: &'a [Reply]) -> Result<Vec<&'a VlanSpec>, Failure> {
    let [Reply::Vlans(vlans)] = replies else { return Err(Failure::unexpected()) };
    let wanted = Written::read(call.words())?;
    let vlans: Vec<_> = vlans.iter().filter(|vlan| wanted.fits(vlan)).collect();
    match wanted.name {
        Some(name) if vlans.is_empty() => Err(Failure::Refused(format!("no vlan `{name}`"))),
        _ => Ok(vlans),
    }
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let mut text = String::new();
    for vlan in chosen(call, replies)? {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} link {} proto 802.1q id {}", full_name(vlan), vlan.dev, vlan.id);
    }
    Ok(text)
}

fn json(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let chosen = chosen(call, replies)?.into_iter();
    let named: Vec<_> = chosen.map(|vlan| VlanSpec { name: Some(full_name(vlan)), ..vlan.clone() }).collect();
    Ok(json::document("vlans", &named))
}

#[cfg(test)]
mod tests {
    use sockopt::Request;

    use super::*;
    use crate::golden::{call, questions, recorded, request, text, usage};

    const RECORDING: &str = include_str!("../../tests/golden/07-vlan.txt");

    fn vlan(name: &str, dev: &str, id: u16) -> VlanSpec {
        VlanSpec { name: Some(name.into()), dev: dev.into(), id }
    }

    /// DPVS prints them on standard error.
    #[test]
    fn listings_are_those_recorded_but_on_standard_output() {
        let replies = [Reply::Vlans(vec![vlan("dpdk0.100", "dpdk0", 100), vlan("dpdk1.200", "dpdk1", 200)])];
        for line in ["dpip vlan show dpdk0.100", "dpip vlan show link dpdk1 id 200"] {
            assert_eq!(text(line, &replies), recorded(RECORDING, line, 0).stderr, "{line}");
        }
        assert_eq!(text("dpip vlan show link dpdk1 proto 802.1ad", &replies), "");
        assert_eq!(text("dpip vlan show", &replies).lines().count(), 2);
    }

    #[test]
    fn a_vlan_without_a_name_is_called_after_its_port() {
        let spec = VlanSpec { name: None, dev: "dpdk1".into(), id: 200 };
        assert_eq!(
            request("dpip vlan add link dpdk1 proto 802.1q id 200").unwrap(),
            Request::Set(Set::AddVlan(spec.clone()))
        );
        assert_eq!(
            text("dpip vlan show", &[Reply::Vlans(vec![spec])]),
            "dpdk1.200 link dpdk1 proto 802.1q id 200\n"
        );
    }

    #[test]
    fn a_vlan_is_deleted_by_name_or_by_port_and_id() {
        assert_eq!(
            request("dpip vlan del dpdk0.100").unwrap(),
            Request::Set(Set::DelVlan("dpdk0.100".into()))
        );
        let call = call("dpip vlan del link dpdk1 id 200").unwrap();
        let Job::Look(get, decide) = del(&call).unwrap() else { panic!("looks first") };
        assert_eq!(get, Get::Vlans { dev: Some("dpdk1".into()) });
        let there = Reply::Vlans(vec![vlan("other", "dpdk1", 300), vlan("blue", "dpdk1", 200)]);
        assert_eq!(decide(&there).unwrap(), Set::DelVlan("blue".into()));
        assert_eq!(decide(&Reply::Vlans(vec![])).unwrap_err().to_string(), "no vlan with id 200 on dpdk1");
    }

    #[test]
    fn a_vlan_asked_for_by_name_has_to_be_there() {
        let call = call("dpip vlan show nosuch").unwrap();
        let failure = super::text(&call, &[Reply::Vlans(vec![])]).unwrap_err();
        assert_eq!((failure.to_string().as_str(), failure.exit().status()), ("no vlan `nosuch`", 1));
        assert_eq!(questions("dpip vlan show nosuch").unwrap(), [Get::Vlans { dev: None }]);
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("dpip vlan add", "the port: `link IF` is missing"),
            ("dpip vlan del", "the port: `link IF` is missing"),
            ("dpip vlan add link dpdk0", "the VLAN identifier: `id N` is missing"),
            ("dpip vlan add link dpdk0 id 4096", "id `4096` is not a number from 1 to 4094"),
            ("dpip vlan add link dpdk0 id 0", "id `0` is not a number from 1 to 4094"),
            ("dpip vlan add link dpdk0 id abc", "id `abc` is not a number from 1 to 4094"),
            (
                "dpip vlan add vl300 link dpdk1 proto QinQ id 300",
                "proto 802.1ad is not supported: only 802.1q is",
            ),
            (
                "dpip vlan add link dpdk0 proto bogus id 5",
                "proto `bogus` is unknown: one of 802.1q, vlan, 802.1ad, QinQ expected",
            ),
        ] {
            assert_eq!(usage(line), reason, "{line}");
        }
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let replies = [Reply::Vlans(vec![vlan("dpdk0.100", "dpdk0", 100)])];
        let expected = r#"{
  "version": 1,
  "vlans": [
    {
      "name": "dpdk0.100",
      "dev": "dpdk0",
      "id": 100
    }
  ]
}
"#;
        assert_eq!(text("dpip --json vlan show", &replies), expected);
    }
}
