// SPDX-License-Identifier: Apache-2.0
//! `dpip route`: where packets go.

use std::fmt::Write;
use std::net::IpAddr;

use cli::{json, value};
use model::net::{RouteKey, RouteScope, RouteSpec};
use model::{Family, Prefix};
use sockopt::{Code, Get, Reply, Request, Set};

use super::{Command, Job, Object, Verb};
use crate::args::{Call, Options};
use crate::failure::Failure;
use crate::words::{self, Words};

/// `dpip route`.
pub static OBJECT: Object = Object {
    name: "route",
    about: "where packets go",
    commands: &[
        Command { verb: Verb::Add, forms: &[ROUTE], about: "add a route; -v prints it", parse: add },
        Command {
            verb: Verb::Replace,
            forms: &[ROUTE],
            about: "change the route to a prefix, or add it if it is not there",
            parse: replace,
        },
        Command { verb: Verb::Set, forms: &[ROUTE], about: "the same as replace", parse: replace },
        Command {
            verb: Verb::Del,
            forms: &["default|IP[/PLEN] [via IP] [dev IF] [scope host|kni_host|link|global]"],
            about: "delete a route; all that is named must agree",
            parse: del,
        },
        Command {
            verb: Verb::Flush,
            forms: &["dev IF"],
            about: "delete all routes of a link and family",
            parse: flush,
        },
        Command {
            verb: Verb::Show,
            forms: &["[dev IF]"],
            about: "list routes; with -6, those of IPv6",
            parse: show,
        },
    ],
    terms: &[
        ("IP[/PLEN]", "address and prefix length; without a length, a host"),
        ("scope", "host: this director; kni_host: the host's own stack; link: a station; global: a gateway"),
        ("local", "the same as scope host"),
        ("mtu N", "bytes; 0 (default) for that of the link"),
        ("metric N", "the lowest wins among routes to one prefix"),
        ("dev IF", "the link; towards a gateway it may be left out"),
        ("src IP", "source address of packets the director makes"),
    ],
    text,
    json,
};

const ROUTE: &str = "default|IP[/PLEN] [via IP] [dev IF] [src IP] [mtu N] [scope host|kni_host|link|global] [metric N] [local]";

fn add(call: &Call) -> Result<Job, Failure> {
    change(call, Set::AddRoute)
}

fn replace(call: &Call) -> Result<Job, Failure> {
    change(call, Set::ReplaceRoute)
}

fn change(call: &Call, set: fn(RouteSpec) -> Set) -> Result<Job, Failure> {
    let route = Written::read(call.words())?.spec(&call.options)?;
    Ok(Job::Change(Request::Set(set(route.clone())), echo(call, &route)))
}

fn del(call: &Call) -> Result<Job, Failure> {
    let route = Written::read(call.words())?;
    let dst = route.dst(&call.options)?;
    let Written { dev, via, scope, .. } = route;
    let set = Set::DelRoute(RouteKey { dst, dev: dev.map(str::to_owned), via: real(via), scope });
    // Scripts of DPVS take away IPv4 routes that may not be there.
    Ok(if dst.addr.is_ipv4() { Job::Tolerant(set, Code::NotFound) } else { Job::set(set) })
}

fn flush(call: &Call) -> Result<Job, Failure> {
    let dev = words::device(words::only_device(call.words())?)?;
    Ok(Job::set(Set::FlushRoute { dev, family: family(call) }))
}

fn show(call: &Call) -> Result<Job, Failure> {
    let dev = words::only_device(call.words())?.map(str::to_owned);
    Ok(Job::get(Get::Routes { dev, family: family(call) }))
}

/// Listings and flushes are about IPv4 unless told otherwise.
fn family(call: &Call) -> Option<Family> {
    Some(call.options.family.unwrap_or(Family::Inet))
}

fn echo(call: &Call, route: &RouteSpec) -> String {
    let mut text = String::new();
    if call.options.verbose {
        write_route(&mut text, route);
    }
    text
}

/// A route as written.
#[derive(Default)]
struct Written<'a> {
    dst: Option<&'a str>,
    via: Option<IpAddr>,
    dev: Option<&'a str>,
    src: Option<IpAddr>,
    mtu: u16,
    scope: Option<RouteScope>,
    metric: u32,
    /// The first keyword that only IPv6 routes may have. It changes nothing there.
    ignored: Option<&'a str>,
}

impl<'a> Written<'a> {
    fn read(mut words: Words<'a>) -> Result<Self, Failure> {
        let mut route = Written::default();
        while let Some(word) = words.next() {
            match word {
                "via" => route.via = Some(value::ip(word, words.value(word)?)?),
                "dev" => route.dev = Some(words.value(word)?),
                "src" => route.src = Some(value::ip(word, words.value(word)?)?),
                "mtu" => route.mtu = value::number(word, words.value(word)?, 0..=u16::MAX)?,
                "metric" => route.metric = value::number(word, words.value(word)?, 0..=u32::MAX)?,
                "scope" => route.scope = Some(scope(words.value(word)?)?),
                "local" => route.scope = Some(RouteScope::Host),
                "tos" | "proto" => {
                    words.value(word)?;
                    route.ignored = Some(word);
                }
                "onlink" => route.ignored = Some(word),
                _ if route.dst.is_none() => route.dst = Some(word),
                _ => return Err(words::unknown(word)),
            }
        }
        Ok(route)
    }

    /// What it matches. The family of `default` is that of the options, else that of the gateway, else IPv4.
    fn dst(&self, options: &Options) -> Result<Prefix, Failure> {
        let dst = match self.dst.ok_or_else(|| words::missing("the prefix: `IP[/PLEN]` or `default`"))? {
            "default" => {
                let family = options.family.or(self.via.map(Family::of)).unwrap_or(Family::Inet);
                Prefix { addr: family.unspecified(), len: 0 }
            }
            text => options.prefix(text)?,
        };
        let family = Family::of(dst.addr);
        for (keyword, ip) in [("via", self.via), ("src", self.src)] {
            if let Some(ip) = ip.filter(|&ip| Family::of(ip) != family) {
                return Err(Failure::usage(format!("{keyword} `{ip}` is not of the family of `{dst}`")));
            }
        }
        match self.ignored.filter(|_| family == Family::Inet) {
            Some(word) => Err(Failure::usage(format!("`{word}` is for IPv6 routes only"))),
            None => Ok(dst),
        }
    }

    fn spec(&self, options: &Options) -> Result<RouteSpec, Failure> {
        let &Written { via, src, mtu, scope, metric, .. } = self;
        let dst = self.dst(options)?;
        // Towards a gateway the daemon finds the link by itself: the one on whose network the gateway is.
        let dev = match (self.dev, real(via)) {
            (None, Some(_)) => String::new(),
            (dev, _) => words::device(dev)?,
        };
        Ok(RouteSpec { dst, via: real(via), dev, src: real(src), mtu, scope, metric })
    }
}

/// Listings write no address as the unspecified one; it means the same on the way in.
fn real(ip: Option<IpAddr>) -> Option<IpAddr> {
    ip.filter(|ip| !ip.is_unspecified())
}

fn scope(text: &str) -> Result<RouteScope, Failure> {
    let words = [
        ("host", RouteScope::Host),
        ("kni_host", RouteScope::KniHost),
        ("link", RouteScope::Link),
        ("global", RouteScope::Global),
    ];
    Ok(value::word("scope", text, &words)?)
}

fn text(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Routes(routes)] = replies else { return Err(Failure::unexpected()) };
    let mut text = String::new();
    for route in routes {
        write_route(&mut text, route);
    }
    Ok(text)
}

fn write_route(out: &mut String, route: &RouteSpec) {
    let led = if route.via.is_some() { RouteScope::Global } else { RouteScope::Link };
    let scope = route.scope.unwrap_or(led);
    // Writing to a String cannot fail.
    let _ = match Family::of(route.dst.addr) {
        Family::Inet => write_v4(out, route, scope),
        Family::Inet6 => write_v6(out, route, scope),
    };
}

/// IPv4 rows name everything and end in a blank; `tos` and `proto` are constant.
fn write_v4(out: &mut String, route: &RouteSpec, scope: RouteScope) -> std::fmt::Result {
    let RouteSpec { dst, via, dev, src, mtu, metric, .. } = route;
    let none = Family::Inet.unspecified();
    let (via, src) = (via.unwrap_or(none), src.unwrap_or(none));
    writeln!(
        out,
        "inet {dst} via {via} src {src} dev {dev} mtu {mtu} tos 0 scope {scope} metric {metric} proto auto "
    )
}

/// IPv6 rows name what is set.
fn write_v6(out: &mut String, route: &RouteSpec, scope: RouteScope) -> std::fmt::Result {
    match route.dst.len {
        0 => out.write_str("inet6 default")?,
        _ => write!(out, "inet6 {}", route.dst)?,
    }
    if let Some(via) = route.via {
        write!(out, " via {via}")?;
    }
    if let Some(src) = route.src {
        write!(out, " src {src}")?;
    }
    write!(out, " dev {}", route.dev)?;
    if route.mtu != 0 {
        write!(out, " mtu {}", route.mtu)?;
    }
    writeln!(out, " scope {scope}")
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Routes(routes)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("routes", routes))
}

#[cfg(test)]
mod tests;
