// SPDX-License-Identifier: Apache-2.0
//! Sets of addresses, networks and ports: `dpip ipset`.

use model::Family;
use model::ipset::{Member, SetKind, SetRange, SetSpec};
use sockopt::{Code, Status};

use super::{Decision, refuse};
use crate::change::Row;
use crate::entry;
use crate::rows::IpSet;
use crate::state::State;

/// Elements a set may hold at most.
const MAX_ELEMENTS: u32 = 1_000_000;

/// Characters in the name of a set, and in a comment, at most.
const MAX_TEXT: usize = 31;

/// Addresses and ports a bitmap holds at most.
const MAX_BITMAP: u128 = 65_536;

pub(super) fn create(state: &State, spec: &SetSpec) -> Result<Decision, Status> {
    let name = &spec.name;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:+".contains(c);
    if name.is_empty() || name.len() > MAX_TEXT || !name.chars().all(plain) {
        let text = format!("set name `{name}`: 1 to {MAX_TEXT} letters, digits and _-.:+ expected");
        return refuse(Code::Invalid, text);
    }
    if state.sets.get(name).is_some() {
        return refuse(Code::Exists, format!("set {name} already exists"));
    }
    if !(1..=MAX_ELEMENTS).contains(&spec.maxelem) {
        let text = format!("set {name}: maxelem {}: 1 to {MAX_ELEMENTS} expected", spec.maxelem);
        return refuse(Code::Invalid, text);
    }
    if spec.hashsize == 0 {
        return refuse(Code::Invalid, format!("set {name}: hashsize 0: a number from 1 expected"));
    }
    check_range(spec)?;
    // As listings of DPVS show it: the power of two not above.
    let hashsize = 1 << spec.hashsize.ilog2();
    let set = IpSet { spec: SetSpec { hashsize, ..spec.clone() }, members: Default::default() };
    Ok(Decision::new(vec![Row::Set(name.clone(), Some(state.sets.last(set)))], Vec::new()))
}

fn check_range(spec: &SetSpec) -> Result<(), Status> {
    let SetSpec { name, kind, family, range, .. } = spec;
    let wrong = |text: &str| refuse(Code::Invalid, format!("set {name}: {text}"));
    if !kind.is_bitmap() {
        return if range.is_some() { wrong(&format!("{kind} has no range")) } else { Ok(()) };
    }
    if *family != Family::Inet {
        return wrong(&format!("{kind} is for IPv4 only"));
    }
    let size = match (kind, range) {
        (SetKind::BitmapPort, Some(SetRange::Ports(first, last))) => {
            (u128::from(*last) + 1).checked_sub(u128::from(*first))
        }
        (SetKind::BitmapPort, _) => return wrong("bitmap:port needs `range PORT-PORT`"),
        (_, Some(range)) => entry::span(range).map(|(first, last)| u128::from(last - first) + 1),
        _ => return wrong(&format!("{kind} needs `range NET` or `range IP-IP`")),
    };
    match size {
        Some(1..=MAX_BITMAP) => Ok(()),
        _ => wrong(&format!("a range goes from low to high, at most {MAX_BITMAP} of IPv4 or of ports")),
    }
}

pub(super) fn destroy(state: &State, name: &str) -> Result<Decision, Status> {
    find(state, name)?;
    let users = state.set_users(name);
    if let Some(user) = users.first() {
        let text = format!("set {name} is used by {} access list(s), such as that of {user}", users.len());
        return refuse(Code::Busy, text);
    }
    Ok(Decision::new(vec![Row::Set(name.to_owned(), None)], Vec::new()))
}

pub(super) fn flush(state: &State, name: Option<&str>) -> Result<Decision, Status> {
    let names: Vec<&String> = match name {
        Some(name) => vec![&find(state, name)?.spec.name],
        None => state.sets.rows().map(|(name, _)| name).collect(),
    };
    let emptied = |name: &String| {
        let spec = state.sets.get(name)?.spec.clone();
        let row = state.sets.instead(name, IpSet { spec, members: Default::default() });
        Some(Row::Set(name.clone(), Some(row)))
    };
    Ok(Decision::new(names.into_iter().filter_map(emptied).collect(), Vec::new()))
}

pub(super) fn add(
    state: &State,
    name: &str,
    text: &str,
    comment: Option<&str>,
    nomatch: bool,
    force: bool,
) -> Result<Decision, Status> {
    let set = find(state, name)?;
    let SetSpec { kind, maxelem, .. } = set.spec;
    if let Some(comment) = comment {
        if !set.spec.comment {
            let text = format!("set {name} has no comments: it was created without `comment`");
            return refuse(Code::Invalid, text);
        }
        if comment.len() > MAX_TEXT || comment.chars().any(|c| c.is_control() || c == '"') {
            let text = format!("comment `{comment}`: at most {MAX_TEXT} characters without quotes expected");
            return refuse(Code::Invalid, text);
        }
    }
    if nomatch && !kind.name().contains("net") {
        return refuse(Code::Invalid, format!("set {name}: nomatch is for networks, and {kind} has none"));
    }
    let elements = elements(set, text)?;
    let mut new = 0;
    for (element, mac) in &elements {
        match set.members.contains_key(element) {
            true if !force => {
                let text = format!("{} is in set {name} already", element.text(kind, *mac));
                return refuse(Code::Exists, text);
            }
            true => {}
            false => new += 1,
        }
    }
    if set.members.len() + new > maxelem as usize {
        return refuse(Code::NoResource, format!("set {name} holds at most {maxelem} elements (maxelem)"));
    }
    let row = |(element, mac)| {
        let member = Member { mac, comment: comment.map(str::to_owned), nomatch };
        Row::Member(name.to_owned(), element, Some(member))
    };
    Ok(Decision::new(elements.into_iter().map(row).collect(), Vec::new()))
}

pub(super) fn delete(state: &State, name: &str, text: &str, force: bool) -> Result<Decision, Status> {
    let set = find(state, name)?;
    let mut rows = Vec::new();
    for (element, mac) in elements(set, text)? {
        if set.members.contains_key(&element) {
            rows.push(Row::Member(name.to_owned(), element, None));
        } else if !force {
            let text = format!("{} is not in set {name}", element.text(set.spec.kind, mac));
            return refuse(Code::NotFound, text);
        }
    }
    Ok(Decision::new(rows, Vec::new()))
}

/// # Errors
/// `Invalid`, for a text that names no elements of that set.
fn elements(set: &IpSet, text: &str) -> Result<Vec<entry::Named>, Status> {
    entry::read(&set.spec, text)
        .map_err(|why| Status::new(Code::Invalid, format!("set {}: `{text}`: {why}", set.spec.name)))
}

/// # Errors
/// `NotFound`.
pub(crate) fn find<'s>(state: &'s State, name: &str) -> Result<&'s IpSet, Status> {
    state
        .sets
        .get(&name.to_owned())
        .ok_or_else(|| Status::new(Code::NotFound, format!("no set `{name}`: `dpip ipset create` makes one")))
}
