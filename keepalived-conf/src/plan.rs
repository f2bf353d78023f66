// SPDX-License-Identifier: Apache-2.0
//! What a reload would do: the difference between two configurations, object by object.
//!
//! Both are written out as facts: objects, each with what can change about it while it stays itself. What is in one
//! list only goes or comes; what is in both and differs changes. Real servers that are in neither of these keep their
//! connections, counters and checker states.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

use serde_json::Value;

use crate::dump;
use crate::expand::{self, TooMany};
use crate::keepalived::Config;
use crate::keepalived::object::{Granularity, Method, RealServer, Service};
use crate::keepalived::script::Script;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The object goes.
    Remove(String),
    /// Of the object change: a name, the old and the new value each.
    Change(String, Vec<(&'static str, String, String)>),
    /// The object comes.
    Add(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Remove(object) => write!(f, "- {object}"),
            Step::Add(object) => write!(f, "+ {object}"),
            Step::Change(object, changes) => {
                let changes: Vec<String> =
                    changes.iter().map(|(name, old, new)| format!("{name} {old} -> {new}")).collect();
                write!(f, "~ {object}: {}", changes.join(", "))
            }
        }
    }
}

/// The steps from `old` to `new`: removals first, then changes, then additions.
///
/// # Errors
///
/// Groups with more addresses than anybody can mean.
pub fn between(old: &Config, new: &Config) -> Result<Vec<Step>, TooMany> {
    let (old, new) = (facts(old)?, facts(new)?);
    let index = |facts: &[Fact]| -> HashMap<String, usize> {
        facts.iter().enumerate().map(|(at, fact)| (fact.object.clone(), at)).collect()
    };
    let (in_old, in_new) = (index(&old), index(&new));
    let mut steps = Vec::new();
    // What stands on something goes before it.
    let gone = old.iter().rev().filter(|fact| !in_new.contains_key(&fact.object));
    steps.extend(gone.map(|fact| Step::Remove(fact.object.clone())));
    for fact in &new {
        let Some(&at) = in_old.get(&fact.object) else { continue };
        let changes = changes(&old[at].values, &fact.values);
        if !changes.is_empty() {
            steps.push(Step::Change(fact.object.clone(), changes));
        }
    }
    let come = new.iter().filter(|fact| !in_old.contains_key(&fact.object));
    steps.extend(come.map(|fact| Step::Add(fact.object.clone())));
    Ok(steps)
}

/// An object and what can change about it.
struct Fact {
    object: String,
    values: Vec<(&'static str, String)>,
}

/// The two lists name the same things in the same order.
fn changes(
    old: &[(&'static str, String)],
    new: &[(&'static str, String)],
) -> Vec<(&'static str, String, String)> {
    old.iter()
        .zip(new)
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| (*name, old.clone(), new.clone()))
        .collect()
}

fn facts(config: &Config) -> Result<Vec<Fact>, TooMany> {
    let mut facts = Vec::new();
    for tunnel in &config.tunnels {
        facts.push(Fact {
            object: format!("tunnel {}", tunnel.name),
            values: vec![
                ("kind", or_none(tunnel.kind.as_ref())),
                ("local", or_none(tunnel.local)),
                ("remote", or_none(tunnel.remote)),
                ("if", or_none(tunnel.interface.as_ref())),
            ],
        });
    }
    for expanded in expand::services(config)? {
        let key = &expanded.key;
        facts.push(Fact { object: format!("service {key}"), values: service_values(expanded.service) });
        let plain = |object: String| Fact { object, values: Vec::new() };
        let local = expanded.local_addresses(config)?.into_iter();
        facts.extend(local.map(|(addr, interface)| plain(format!("laddr {key}: {addr} on {interface}"))));
        let [denied, allowed] = expanded.access(config)?;
        facts.extend(denied.into_iter().map(|client| plain(format!("deny {key}: {client}"))));
        facts.extend(allowed.into_iter().map(|client| plain(format!("allow {key}: {client}"))));
        for (addr, server) in &expanded.dests {
            facts.push(Fact { object: format!("dest {key}: {addr}"), values: dest_values(server) });
        }
    }
    for instance in &config.vrrp_instances {
        let dev = instance.dpdk_interface.as_ref().or(instance.interface.as_ref());
        for vip in &instance.vips {
            facts.push(Fact {
                object: format!("vip {}: {}/{}", instance.name, vip.addr, vip.prefix_len),
                values: vec![("dev", or_none(vip.dev.as_ref().or(dev)))],
            });
        }
    }
    Ok(facts)
}

fn service_values(service: &Service) -> Vec<(&'static str, String)> {
    let dpvs = &service.dpvs;
    let flags = service.flags.names(service.scheduler).join(",");
    let persistence = service.persistence.as_ref();
    let granularity = persistence.and_then(|persistence| persistence.granularity).map(|found| match found {
        Granularity::Mask(mask) => mask.to_string(),
        Granularity::Prefix(len) => len.to_string(),
    });
    let sorry = service.sorry_server.as_ref().map(|sorry| {
        let inhibit = if sorry.inhibit_on_failure { " inhibit" } else { "" };
        format!("{} {}{inhibit}", SocketAddr::new(sorry.addr, sorry.port), method(sorry.method))
    });
    vec![
        ("scheduler", service.scheduler.name().to_string()),
        ("flags", or_none(Some(flags).filter(|flags| !flags.is_empty()))),
        ("persistence", or_none(persistence.map(|persistence| persistence.timeout))),
        ("granularity", or_none(granularity)),
        ("engine", or_none(persistence.and_then(|persistence| persistence.engine.as_ref()))),
        ("sorry_server", or_none(sorry)),
        ("quorum", service.quorum.to_string()),
        ("hysteresis", service.hysteresis.to_string()),
        ("quorum_up", script(service.quorum_up.as_ref())),
        ("quorum_down", script(service.quorum_down.as_ref())),
        ("ha_suspend", service.ha_suspend.to_string()),
        ("omega", service.omega.to_string()),
        ("syn_proxy", dpvs.syn_proxy.to_string()),
        ("expire_quiescent_conn", dpvs.expire_quiescent_conn.to_string()),
        ("quic", dpvs.quic.to_string()),
        ("establish_timeout", dpvs.establish_timeout.to_string()),
        ("proxy_protocol", or_none(dpvs.proxy_protocol.map(|version| version.name()))),
        ("hash_target", or_none(dpvs.hash_target.map(|target| target.name()))),
        ("bps", dpvs.bps.to_string()),
        ("limit_proportion", dpvs.limit_proportion.unwrap_or(100).to_string()),
    ]
}

fn dest_values(server: &RealServer) -> Vec<(&'static str, String)> {
    let mut keywords: Vec<String> = Vec::new();
    for checker in &server.checkers {
        keywords.push(match dump::checker(checker) {
            Value::Object(mut members) => {
                members.remove("type");
                format!("{} {}", checker.check.keyword(), Value::Object(members))
            }
            other => other.to_string(),
        });
    }
    vec![
        ("method", method(server.method)),
        ("weight", server.weight.to_string()),
        ("uthreshold", server.uthreshold.to_string()),
        ("lthreshold", server.lthreshold.to_string()),
        ("inhibit_on_failure", server.inhibit_on_failure.to_string()),
        ("notify_up", script(server.notify_up.as_ref())),
        ("notify_down", script(server.notify_down.as_ref())),
        ("checkers", or_none(Some(keywords.join("; ")).filter(|text| !text.is_empty()))),
    ]
}

fn method(method: Method) -> String {
    match method.tunnel() {
        None => method.forwarding.name().to_string(),
        Some(tunnel) => format!("tun {} {} {}", tunnel.kind.name(), tunnel.port, tunnel.checksum.name()),
    }
}

fn script(script: Option<&Script>) -> String {
    or_none(script.map(|script| match &script.user {
        None => script.argv.join(" "),
        Some(user) => format!("{} as {user}", script.argv.join(" ")),
    }))
}

fn or_none(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "none".to_string(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use crate::keepalived;

    fn plan(old: &str, new: &str) -> Vec<String> {
        let read =
            |text: &str| keepalived::parse(text.as_bytes(), "x.conf", "lb1").expect("good text").config;
        let steps = super::between(&read(old), &read(new)).expect("few addresses");
        steps.iter().map(ToString::to_string).collect()
    }

    const OLD: &str = "virtual_server 192.0.2.1 80 {\n protocol TCP\n lvs_sched rr\n lvs_method NAT\n\
                       real_server 10.0.0.1 80 {\n TCP_CHECK {\n }\n }\n real_server 10.0.0.2 80 {\n }\n}\n";

    #[test]
    fn the_same_configuration_needs_nothing() {
        assert_eq!(plan(OLD, OLD), Vec::<String>::new());
        assert_eq!(plan(OLD, &OLD.replace("virtual", "# moved\nvirtual")), Vec::<String>::new());
    }

    #[test]
    fn only_what_differs_is_touched() {
        let new = OLD.replace("10.0.0.2", "10.0.0.3").replace("sched rr", "sched wlc\n quorum 2");
        assert_eq!(
            plan(OLD, &new),
            [
                "- dest tcp 192.0.2.1:80: 10.0.0.2:80",
                "~ service tcp 192.0.2.1:80: scheduler rr -> wlc, quorum 1 -> 2",
                "+ dest tcp 192.0.2.1:80: 10.0.0.3:80",
            ]
        );
    }

    #[test]
    fn what_stands_on_a_service_goes_before_it() {
        assert_eq!(
            plan(OLD, ""),
            [
                "- dest tcp 192.0.2.1:80: 10.0.0.2:80",
                "- dest tcp 192.0.2.1:80: 10.0.0.1:80",
                "- service tcp 192.0.2.1:80",
            ]
        );
    }
}
