// SPDX-License-Identifier: Apache-2.0
//! Tunnels of a keepalived.conf, compared with those that run.

use std::net::{IpAddr, Ipv4Addr};

use keepalived_conf::Span;
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object::Tunnel;
use model::tunnel::{TunnelEnd, TunnelMode, TunnelSpec};
use sockopt::Set;

/// What makes tunnels as a file has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Tunnels that come or become others: before services need them.
    pub come: Vec<Set>,
    /// Tunnels that go: after services needed them.
    pub go: Vec<Set>,
}

/// The tunnels of a file that can be made, the first of each name.
pub fn wanted(config: &Config) -> Vec<TunnelSpec> {
    let mut wanted: Vec<TunnelSpec> = Vec::new();
    for spec in config.tunnels.iter().filter_map(spec) {
        if !wanted.iter().any(|other| other.name == spec.name) {
            wanted.push(spec);
        }
    }
    wanted
}

/// What makes the tunnels `present` those that are `wanted`. Of others only those go that were wanted `before`.
pub fn changes(wanted: &[TunnelSpec], before: &[TunnelSpec], present: &[TunnelSpec]) -> Changes {
    let named = |list: &'_ [TunnelSpec], name: &str| list.iter().find(|other| other.name == name).cloned();
    let come = |spec: &TunnelSpec| match named(present, &spec.name) {
        None => Some(Set::AddTunnel(spec.clone())),
        Some(present) if present == *spec => None,
        Some(_) => Some(Set::EditTunnel(spec.clone())),
    };
    let gone =
        |spec: &&TunnelSpec| named(wanted, &spec.name).is_none() && named(present, &spec.name).is_some();
    Changes {
        come: wanted.iter().filter_map(come).collect(),
        go: before.iter().filter(gone).map(|spec| Set::DelTunnel(spec.name.clone())).collect(),
    }
}

/// The place in the file that asks for a change.
pub fn place<'c>(config: &'c Config, set: &Set) -> Option<&'c Span> {
    let (Set::AddTunnel(wanted) | Set::EditTunnel(wanted)) = set else { return None };
    config.tunnels.iter().find(|tunnel| tunnel.name == wanted.name).map(|tunnel| &tunnel.span)
}

/// An entry as a tunnel; `None` without a kind, or with an end that is IPv6.
pub(crate) fn spec(tunnel: &Tunnel) -> Option<TunnelSpec> {
    let end = |addr: Option<IpAddr>| match addr {
        Some(IpAddr::V4(addr)) => Some(addr),
        Some(IpAddr::V6(_)) => None,
        None => Some(Ipv4Addr::UNSPECIFIED),
    };
    Some(TunnelSpec {
        name: tunnel.name.clone(),
        mode: match tunnel.kind.as_deref()? {
            "gre" => TunnelMode::Gre,
            _ => TunnelMode::Ipip,
        },
        local: end(tunnel.local)?,
        remote: end(tunnel.remote)?,
        dev: tunnel.interface.clone(),
        ttl: 0,
        tos: 0,
        input: TunnelEnd::default(),
        output: TunnelEnd::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &str) -> Config {
        let text = format!("tunnel_group G {{\n{entries}}}\n");
        keepalived_conf::keepalived::parse(text.as_bytes(), "k", "lb").expect("good text").config
    }

    const TWO: &str = "tunnel_entry a {\nkind gre\nlocal 10.0.0.1\nremote 10.0.0.2\nif dpdk0\n}\ntunnel_entry b {\nkind ipip\n}\n";

    fn gre(remote: [u8; 4]) -> TunnelSpec {
        TunnelSpec {
            name: "a".into(),
            mode: TunnelMode::Gre,
            local: [10, 0, 0, 1].into(),
            remote: remote.into(),
            dev: Some("dpdk0".into()),
            ttl: 0,
            tos: 0,
            input: TunnelEnd::default(),
            output: TunnelEnd::default(),
        }
    }

    #[test]
    fn entries_are_tunnels_and_those_that_cannot_be_are_left_out() {
        let both = wanted(&config(TWO));
        assert_eq!(both[0], gre([10, 0, 0, 2]));
        assert_eq!(
            (both[1].name.as_str(), both[1].mode, both[1].remote),
            ("b", TunnelMode::Ipip, Ipv4Addr::UNSPECIFIED)
        );
        let odd = "tunnel_entry c {\nremote 10.0.0.2\n}\ntunnel_entry d {\nkind gre\nremote fd00::1\n}\n";
        assert_eq!(wanted(&config(odd)), []);
        assert_eq!(
            wanted(&config(&format!("{TWO}tunnel_entry a {{\nkind ipip\n}}\n"))).len(),
            2,
            "the first of a name"
        );
    }

    #[test]
    fn only_what_differs_changes_and_only_what_was_of_the_file_goes() {
        let now = config(TWO);
        let (wanted, other) = (wanted(&now), gre([10, 0, 0, 9]));
        let by_hand = TunnelSpec { name: "mine".into(), ..other.clone() };
        let fresh = changes(&wanted, &[], std::slice::from_ref(&by_hand));
        assert_eq!(fresh.come, wanted.iter().cloned().map(Set::AddTunnel).collect::<Vec<_>>());
        assert_eq!(fresh.go, []);
        let present = [by_hand.clone(), other, wanted[1].clone()];
        assert_eq!(
            changes(&wanted, &wanted, &present),
            Changes { come: vec![Set::EditTunnel(wanted[0].clone())], go: vec![] }
        );
        let fewer = changes(&wanted[..1], &wanted, &[by_hand, wanted[0].clone(), wanted[1].clone()]);
        assert_eq!(fewer, Changes { come: vec![], go: vec![Set::DelTunnel("b".into())] });
        let place = place(&now, &Set::EditTunnel(wanted[0].clone())).map(|span| span.line);
        assert_eq!(place, Some(2));
    }
}
