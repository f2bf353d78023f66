// SPDX-License-Identifier: Apache-2.0
//! Changes of links: `dpip link set`.

use engine::ids::{LinkId, PortId};
use model::Family;
use model::link::LinkChange;
use sockopt::{Code, Status};

use super::{Decision, refuse};
use crate::change::Row;
use crate::effect::Effect;
use crate::ports::{MAX_MTU, MIN_MTU, MIN_MTU6};
use crate::rows::Link;
use crate::state::State;

pub(super) fn set(state: &State, dev: &str, change: &LinkChange) -> Result<Decision, Status> {
    let (id, old) = state.link(dev)?;
    let mut link = old.clone();
    let mut effects = Vec::new();
    if old.is_port() {
        effects.push(Effect::Device { port: old.port, change: change.clone() });
    } else if let LinkChange::Promisc(_) | LinkChange::AllMulticast(_) | LinkChange::Mac(_) = change {
        if old.tunnel.is_some() {
            return refuse(Code::NotSupported, format!("{dev} is a tunnel: there are no stations on it"));
        }
        let port = state.link_of_port(old.port).map_or("its port", |port| &port.name);
        return refuse(
            Code::NotSupported,
            format!("{dev} is a vlan and has that from its port: set it on {port}"),
        );
    }
    match change {
        LinkChange::Promisc(on) => link.promisc = *on,
        LinkChange::AllMulticast(on) => link.allmulticast = *on,
        LinkChange::Mtu(mtu) => {
            check_mtu(state, id, old, *mtu)?;
            link.mtu = *mtu;
        }
        LinkChange::Mac(mac) => {
            if mac.is_unusable() {
                return refuse(
                    Code::Invalid,
                    format!("{dev}: {mac} is no Ethernet address of a single station"),
                );
            }
            link.mac = *mac;
            effects.extend(announcements(state, old.port));
        }
        LinkChange::Up(true) => {
            link.up = true;
            effects.extend(announcements(state, old.port));
        }
        LinkChange::Up(false) => {
            link.up = false;
            effects.push(Effect::ForgetNeighbours { link: id, addr: None });
        }
    }
    let rows = if link == *old { Vec::new() } else { vec![row(state, id, link)] };
    Ok(Decision::new(rows, effects))
}

pub(super) fn row(state: &State, id: LinkId, link: Link) -> Row {
    Row::Link(id, Some((state.links.generation(id.0.into()), link)))
}

/// Every address behind a port: neighbours have to learn anew where it is.
fn announcements(state: &State, port: PortId) -> Vec<Effect> {
    let on_port = |link: LinkId| state.link_in(link).is_some_and(|link| link.port == port);
    let mut addrs: Vec<(LinkId, std::net::IpAddr)> =
        state.addrs.rows().map(|(key, _)| (key.link, key.prefix.addr)).filter(|&(l, _)| on_port(l)).collect();
    addrs.sort_unstable();
    addrs.dedup();
    addrs.into_iter().map(|(link, addr)| Effect::Announce { link, addr }).collect()
}

fn check_mtu(state: &State, id: LinkId, link: &Link, mtu: u16) -> Result<(), Status> {
    let name = &link.name;
    let port = state.link_of_port(link.port);
    let max = match port {
        Some(_) if link.tunnel.is_some() => state.mtu(&Link { mtu: 0, ..link.clone() }),
        Some(port) if !link.is_port() => port.mtu,
        _ => state.ports.get(link.port.index()).map_or(MAX_MTU, |facts| facts.max_mtu).min(MAX_MTU),
    };
    if !(MIN_MTU..=max).contains(&mtu) {
        return refuse(Code::Invalid, format!("{name}: MTU {mtu}: {MIN_MTU} to {max} expected"));
    }
    let shrinks =
        |at: LinkId| at == id || link.is_port() && state.link_in(at).is_some_and(|l| l.port == link.port);
    let six =
        state.addrs.rows().any(|(key, _)| Family::of(key.prefix.addr) == Family::Inet6 && shrinks(key.link));
    if six && mtu < MIN_MTU6 {
        return refuse(
            Code::Invalid,
            format!("{name}: MTU {mtu} is too small for the IPv6 addresses on it: {MIN_MTU6} at least"),
        );
    }
    Ok(())
}
