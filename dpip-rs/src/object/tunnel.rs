// SPDX-License-Identifier: Apache-2.0
//! `dpip tunnel`: links whose packets travel inside packets to another router.

use std::fmt::Write;
use std::net::Ipv4Addr;

use cli::{json, value};
use model::tunnel::{TunnelEnd, TunnelMode, TunnelSpec};
use sockopt::{Get, Reply, Set};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words::{self, Words};

const VALUES: &str = "[NAME] mode KIND [remote ADDR|any] [local ADDR|any] [dev IF] [ttl N|inherit] [tos N|inherit] \
                      [[i|o]key KEY] [[i|o]csum] [[i|o]seq]";

/// `dpip tunnel`.
pub static OBJECT: Object = Object {
    name: "tunnel",
    about: "tunnels over other links",
    commands: &[
        Command {
            verb: Verb::Add,
            forms: &[VALUES],
            about: "make a tunnel; without a name it is called KIND and a number",
            parse: add,
        },
        Command {
            verb: Verb::Set,
            forms: &["NAME [mode KIND] ..."],
            about: "give a tunnel other values: what is not said is as in a new one",
            parse: set,
        },
        Command {
            verb: Verb::Replace,
            forms: &["NAME mode KIND ..."],
            about: "the same; the tunnel is made if it is not there",
            parse: replace,
        },
        Command { verb: Verb::Del, forms: &["NAME"], about: "remove a tunnel", parse: del },
        Command { verb: Verb::Show, forms: &["[NAME] [mode KIND]"], about: "list tunnels", parse: show },
    ],
    terms: &[
        ("KIND", "ipip, or gre; the word before it may be mode, type or kind"),
        ("KEY", "a number, or four in dotted notation; gre only, as csum and seq"),
        ("ttl N", "1 to 255; inherit, the default, is that of the packet inside"),
        ("tos N", "0 to 255; inherit, or 1, is that of the packet inside"),
        ("i, o", "for packets that come, or that leave, only"),
    ],
    text,
    json,
};

fn add(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::AddTunnel(Written::read(call.words())?.spec()?)))
}

/// The mode may be left out: then it has to be found out.
fn set(call: &Call) -> Result<Job, Failure> {
    let written = Written::read(call.words())?;
    let name = written.name()?;
    if written.mode.is_some() {
        return Ok(Job::set(Set::EditTunnel(written.spec()?)));
    }
    let decide = move |reply: &Reply| {
        let mode = find(reply, &name)?.ok_or_else(|| none(&name))?.mode;
        Ok(Set::EditTunnel(Written { mode: Some(mode), ..written.clone() }.spec()?))
    };
    Ok(Job::Look(Get::Tunnels, Box::new(decide)))
}

fn replace(call: &Call) -> Result<Job, Failure> {
    let written = Written::read(call.words())?;
    let name = written.name()?;
    let spec = written.spec()?;
    let decide = move |reply: &Reply| {
        let there = find(reply, &name)?.is_some();
        let spec = spec.clone();
        Ok(if there { Set::EditTunnel(spec) } else { Set::AddTunnel(spec) })
    };
    Ok(Job::Look(Get::Tunnels, Box::new(decide)))
}

fn del(call: &Call) -> Result<Job, Failure> {
    Ok(Job::set(Set::DelTunnel(Written::read(call.words())?.name()?)))
}

fn show(call: &Call) -> Result<Job, Failure> {
    Written::read(call.words())?;
    Ok(Job::get(Get::Tunnels))
}

fn find<'r>(reply: &'r Reply, name: &str) -> Result<Option<&'r TunnelSpec>, Failure> {
    let Reply::Tunnels(tunnels) = reply else { return Err(Failure::unexpected()) };
    Ok(tunnels.iter().find(|tunnel| tunnel.name == name))
}

fn none(name: &str) -> Failure {
    Failure::Refused(format!("no tunnel `{name}`"))
}

/// A tunnel as written.
#[derive(Clone, Default)]
struct Written {
    name: Option<String>,
    mode: Option<TunnelMode>,
    local: Option<Ipv4Addr>,
    remote: Option<Ipv4Addr>,
    dev: Option<String>,
    ttl: u8,
    tos: u8,
    input: TunnelEnd,
    output: TunnelEnd,
}

impl Written {
    fn read(mut words: Words) -> Result<Self, Failure> {
        let mut tunnel = Written::default();
        while let Some(word) = words.next() {
            match word {
                "mode" | "type" | "kind" => tunnel.mode = Some(mode(word, words.value(word)?)?),
                "remote" => tunnel.remote = Some(address(word, words.value(word)?)?),
                "local" => tunnel.local = Some(address(word, words.value(word)?)?),
                "dev" => tunnel.dev = Some(words.value(word)?.to_owned()),
                "ttl" => tunnel.ttl = or_inherit(word, words.value(word)?, 1..=255, 0)?,
                "tos" => tunnel.tos = or_inherit(word, words.value(word)?, 0..=255, 1)?,
                "key" | "ikey" | "okey" => {
                    let key = Some(key(word, words.value(word)?)?);
                    tunnel.ends(word, |end| end.key = key);
                }
                "csum" | "icsum" | "ocsum" => tunnel.ends(word, |end| end.csum = true),
                "seq" | "iseq" | "oseq" => tunnel.ends(word, |end| end.seq = true),
                _ if tunnel.name.is_none() => tunnel.name = Some(word.to_owned()),
                _ => return Err(words::unknown(word)),
            }
        }
        Ok(tunnel)
    }

    /// The directions a word is about: that of its first letter, if it is `i` or `o`.
    fn ends(&mut self, word: &str, mut change: impl FnMut(&mut TunnelEnd)) {
        if !word.starts_with('o') {
            change(&mut self.input);
        }
        if !word.starts_with('i') {
            change(&mut self.output);
        }
    }

    fn name(&self) -> Result<String, Failure> {
        self.name.clone().ok_or_else(|| words::missing("the name of the tunnel"))
    }

    fn spec(self) -> Result<TunnelSpec, Failure> {
        Ok(TunnelSpec {
            name: self.name.unwrap_or_default(),
            mode: self.mode.ok_or_else(|| words::missing("the kind of tunnel: `mode ipip` or `mode gre`"))?,
            local: self.local.unwrap_or(Ipv4Addr::UNSPECIFIED),
            remote: self.remote.unwrap_or(Ipv4Addr::UNSPECIFIED),
            dev: self.dev,
            ttl: self.ttl,
            tos: self.tos,
            input: self.input,
            output: self.output,
        })
    }
}

fn mode(word: &str, text: &str) -> Result<TunnelMode, Failure> {
    Ok(value::word(word, text, &[("ipip", TunnelMode::Ipip), ("gre", TunnelMode::Gre)])?)
}

fn address(word: &str, text: &str) -> Result<Ipv4Addr, Failure> {
    match text {
        "any" => Ok(Ipv4Addr::UNSPECIFIED),
        _ => {
            text.parse().map_err(|_| Failure::usage(format!("{word} `{text}` is no IPv4 address, nor `any`")))
        }
    }
}

fn or_inherit(
    word: &str,
    text: &str,
    range: std::ops::RangeInclusive<u8>,
    inherit: u8,
) -> Result<u8, Failure> {
    match text {
        "inherit" => Ok(inherit),
        _ => Ok(value::number(word, text, range)?),
    }
}

fn key(word: &str, text: &str) -> Result<u32, Failure> {
    match text.parse::<Ipv4Addr>() {
        Ok(dotted) => Ok(dotted.to_bits()),
        Err(_) => Ok(value::number(word, text, 0..=u32::MAX)?),
    }
}

/// The tunnels of a reply that were asked for; it is an error if the one asked for by name is not there.
fn chosen<'a>(call: &Call, replies: &'a [Reply]) -> Result<Vec<&'a TunnelSpec>, Failure> {
    let [Reply::Tunnels(tunnels)] = replies else { return Err(Failure::unexpected()) };
    let wanted = Written::read(call.words())?;
    let fits = |tunnel: &&TunnelSpec| {
        wanted.name.as_ref().is_none_or(|name| *name == tunnel.name)
            && wanted.mode.is_none_or(|mode| mode == tunnel.mode)
    };
    let tunnels: Vec<_> = tunnels.iter().filter(fits).collect();
    match wanted.name {
        Some(name) if tunnels.is_empty() => Err(none(&name)),
        _ => Ok(tunnels),
    }
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let mut text = String::new();
    for tunnel in chosen(call, replies)? {
        let TunnelSpec { name, mode, local, remote, dev, ttl, tos, input, output } = tunnel;
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}: {mode:>4} remote {remote} local {local} ");
        if let Some(dev) = dev {
            let _ = write!(text, "dev {dev} ");
        }
        let _ = match ttl {
            0 => write!(text, "ttl inherit "),
            ttl => write!(text, "ttl {ttl} "),
        };
        let flags =
            |end: &TunnelEnd| u8::from(end.csum) | u8::from(end.key.is_some()) << 2 | u8::from(end.seq) << 3;
        let numbers = [
            ("tos", u32::from(*tos)),
            ("i_flags", flags(input).into()),
            ("o_flags", flags(output).into()),
            ("i_key", input.key.unwrap_or(0)),
            ("o_key", output.key.unwrap_or(0)),
        ];
        for (word, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            let _ = write!(text, "{word} 0x{number:x} ");
        }
        text.push('\n');
    }
    Ok(text)
}

fn json(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    Ok(json::document("tunnels", &chosen(call, replies)?))
}

#[cfg(test)]
mod tests {
    use sockopt::Request;

    use super::*;
    use crate::golden::{call, recorded, request, text, usage};

    const RECORDING: &str = include_str!("../../tests/golden/08-tunnel.txt");

    /// The tunnels of the recording, in the order it lists them, as its own command lines make them.
    fn there() -> [Reply; 1] {
        let made = |line: &str| match request(line).expect("a good line") {
            Request::Set(Set::AddTunnel(spec)) => spec,
            other => panic!("{other:?}"),
        };
        [Reply::Tunnels(vec![
            made("dpip tunnel add mode ipip ipip1 local 10.0.2.1 remote 10.0.2.2"),
            made(
                "dpip tunnel add gre2 mode gre local any remote any iseq oseq icsum ocsum ikey 1.2.3.4 okey 5 ttl 32 tos 16 dev dpdk1",
            ),
            made(
                "dpip tunnel add gre3 mode gre local 10.0.2.1 remote 10.0.2.4 seq csum ttl inherit tos inherit",
            ),
            made("dpip tunnel add gre1 mode gre local 10.0.2.1 remote 10.0.2.3 key 1234"),
        ])]
    }

    #[test]
    fn listings_are_those_recorded() {
        for (line, nth) in [
            ("dpip tunnel show", 1),
            ("dpip tunnel show ipip1", 0),
            ("dpip tunnel show gre2", 0),
            ("dpip tunnel show mode gre", 0),
            ("dpip -s tunnel show", 0),
            ("dpip -v tunnel show gre1", 0),
        ] {
            assert_eq!(text(line, &there()), recorded(RECORDING, line, nth).stdout, "{line}");
        }
    }

    #[test]
    fn a_changed_tunnel_has_the_values_written_and_no_others() {
        let expected = TunnelSpec {
            name: "gre1".into(),
            mode: TunnelMode::Gre,
            local: Ipv4Addr::UNSPECIFIED,
            remote: "10.0.2.3".parse().expect("an address"),
            dev: None,
            ttl: 0,
            tos: 0,
            input: TunnelEnd::default(),
            output: TunnelEnd { key: Some(77), ..TunnelEnd::default() },
        };
        for line in [
            "dpip tunnel change gre1 type gre remote 10.0.2.3 okey 77",
            "dpip tunnel set gre1 kind gre okey 77 remote 10.0.2.3",
        ] {
            assert_eq!(request(line).expect("a good line"), Request::Set(Set::EditTunnel(expected.clone())));
        }
        let call = call("dpip tunnel set gre1 remote 10.0.2.3 okey 77").expect("a good line");
        let Job::Look(Get::Tunnels, decide) = set(&call).expect("a good line") else { panic!("looks first") };
        assert_eq!(decide(&there()[0]).expect("it is there"), Set::EditTunnel(expected));
        assert_eq!(decide(&Reply::Tunnels(vec![])).expect_err("none").to_string(), "no tunnel `gre1`");
    }

    #[test]
    fn a_replaced_tunnel_is_made_if_need_be() {
        for (name, there_already) in [("gre1", true), ("gre9", false)] {
            let call =
                call(&format!("dpip tunnel replace {name} mode gre remote 10.0.2.3")).expect("a good line");
            let Job::Look(Get::Tunnels, decide) = replace(&call).expect("a good line") else {
                panic!("looks first")
            };
            let set = decide(&there()[0]).expect("one or the other");
            assert_eq!(matches!(set, Set::EditTunnel(_)), there_already);
        }
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, reason) in [
            ("dpip tunnel add x1", "the kind of tunnel: `mode ipip` or `mode gre` is missing"),
            ("dpip tunnel add x1 mode bogus", "mode `bogus` is unknown: one of ipip, gre expected"),
            ("dpip tunnel add x1 mode ipip local bogus", "local `bogus` is no IPv4 address, nor `any`"),
            ("dpip tunnel add x1 mode ipip ttl 300", "ttl `300` is not a number from 1 to 255"),
            ("dpip tunnel add x1 mode gre key 1.2.3", "key `1.2.3` is not a number from 0 to 4294967295"),
            ("dpip tunnel add x1 x2 mode gre", "unexpected `x2`"),
            ("dpip tunnel del", "the name of the tunnel is missing"),
        ] {
            assert_eq!(usage(line), reason, "{line}");
        }
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let expected = r#"{
  "version": 1,
  "tunnels": [
    {
      "name": "ipip1",
      "mode": "ipip",
      "local": "10.0.2.1",
      "remote": "10.0.2.2",
      "dev": null,
      "ttl": 0,
      "tos": 0,
      "input": {
        "key": null,
        "csum": false,
        "seq": false
      },
      "output": {
        "key": null,
        "csum": false,
        "seq": false
      }
    }
  ]
}
"#;
        assert_eq!(text("dpip --json tunnel show ipip1", &there()), expected);
    }
}
