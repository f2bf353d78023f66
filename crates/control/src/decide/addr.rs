// SPDX-License-Identifier: Apache-2.0
//! Addresses of links: `dpip addr`.

use model::net::{FamilyFilter, IfAddr};
use model::{Family, Prefix};
use sockopt::{Code, Status};

use super::{Decision, refuse, service, unicast};
use crate::change::Row;
use crate::effect::Effect;
use crate::ports::MIN_MTU6;
use crate::rows::{Addr, AddrKey};
use crate::state::State;

pub(super) fn add(state: &State, spec: &IfAddr) -> Result<Decision, Status> {
    let key = key(state, spec.prefix, &spec.dev)?;
    if state.addrs.get(&key).is_some() {
        return refuse(Code::Exists, format!("address {} on {} already exists", spec.prefix, spec.dev));
    }
    check(state, key, spec)?;
    let row = Row::Addr(key, Some(state.addrs.last(row(state, spec))));
    Ok(Decision::new(vec![row], vec![Effect::Announce { link: key.link, addr: key.prefix.addr }]))
}

/// Replaces what is configured. An address that a service had put there is the operator's from now on.
pub(super) fn edit(state: &State, spec: &IfAddr) -> Result<Decision, Status> {
    let key = key(state, spec.prefix, &spec.dev)?;
    if state.addrs.get(&key).is_none() {
        return refuse(Code::NotFound, format!("no address {} on {}", spec.prefix, spec.dev));
    }
    check(state, key, spec)?;
    Ok(Decision::new(vec![Row::Addr(key, Some(state.addrs.instead(&key, row(state, spec))))], Vec::new()))
}

pub(super) fn delete(state: &State, prefix: Prefix, dev: &str) -> Result<Decision, Status> {
    let key = key(state, prefix, dev)?;
    if state.addrs.get(&key).is_none() {
        return refuse(Code::NotFound, format!("no address {prefix} on {dev}"));
    }
    check_unused(state, key, |place| place != key)?;
    Ok(Decision::new(vec![Row::Addr(key, None)], Vec::new()))
}

pub(super) fn flush(state: &State, dev: &str, family: FamilyFilter) -> Result<Decision, Status> {
    let (link, _) = state.link(dev)?;
    let of_family = |prefix: Prefix| family.is_none_or(|family| family == Family::of(prefix.addr));
    let keys: Vec<AddrKey> =
        state.addrs_of(link, dev).map(|(key, _)| key).filter(|key| of_family(key.prefix)).collect();
    for &key in &keys {
        check_unused(state, key, |place| place.link != link)?;
    }
    Ok(Decision::new(keys.into_iter().map(|key| Row::Addr(key, None)).collect(), Vec::new()))
}

/// # Errors
/// `Busy` when a service uses the address and it would be on no link any more but those that `stays` names.
pub(super) fn check_unused(
    state: &State,
    key: AddrKey,
    stays: impl Fn(AddrKey) -> bool,
) -> Result<(), Status> {
    let addr = key.prefix.addr;
    let Some((link, _)) = state.laddr_use(addr).filter(|&(link, _)| link == key.link) else { return Ok(()) };
    if state.places_of(addr).iter().any(|&place| place.link == link && stays(place)) {
        return Ok(());
    }
    let user = service::user_of(state, (addr, link)).map(ToString::to_string).unwrap_or_default();
    refuse(Code::Busy, format!("{addr} is a local address of {user}: take it away there first (ipvsadm -Q)"))
}

fn key(state: &State, prefix: Prefix, dev: &str) -> Result<AddrKey, Status> {
    Ok(AddrKey { link: state.link(dev)?.0, prefix })
}

fn row(state: &State, spec: &IfAddr) -> Addr {
    let after = |secs: u32| (secs > 0).then(|| state.now().plus_secs(secs));
    Addr {
        spec: spec.clone(),
        implied: false,
        until: after(spec.valid_lft),
        preferred_until: after(spec.preferred_lft),
    }
}

fn check(state: &State, key: AddrKey, spec: &IfAddr) -> Result<(), Status> {
    let Prefix { addr, len } = spec.prefix;
    let family = Family::of(addr);
    if len > family.bits() {
        return refuse(
            Code::Invalid,
            format!("address {}: a length of 0 to {} expected", spec.prefix, family.bits()),
        );
    }
    unicast(addr, "address")?;
    if addr.is_loopback() {
        return refuse(Code::Invalid, format!("address {addr} never leaves a host, a link cannot have it"));
    }
    if spec.broadcast.is_some() && family == Family::Inet6 {
        return refuse(Code::Invalid, format!("address {addr}: IPv6 has no broadcast address"));
    }
    let (valid, preferred) = (spec.valid_lft, spec.preferred_lft);
    if valid != 0 && (preferred == 0 || preferred > valid) && preferred != valid {
        let preferred = if preferred == 0 { "for ever".to_owned() } else { format!("{preferred} s") };
        return refuse(
            Code::Invalid,
            format!(
                "address {addr}: preferred {preferred} but valid {valid} s: preferred is the shorter time"
            ),
        );
    }
    let mtu = state.link_in(key.link).map_or(0, |link| state.mtu(link));
    if family == Family::Inet6 && mtu < MIN_MTU6 {
        return refuse(
            Code::Invalid,
            format!("address {addr}: IPv6 needs an MTU of {MIN_MTU6}, {} has {mtu}", spec.dev),
        );
    }
    Ok(())
}
