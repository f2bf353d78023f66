// SPDX-License-Identifier: Apache-2.0
//! Sets and their elements.

use engine::link::Mac;
use engine::set::Sought;
use model::ipset::{Element, SetSpec};
use sockopt::reply::{Page, SetEntry, SetMember};
use sockopt::{Code, Status};

use crate::decide::find_set;
use crate::entry;
use crate::rows::IpSet;
use crate::state::State;

/// Elements in a page, about: sets are never cut.
const PAGE: usize = 100_000;

pub(super) fn page(state: &State, name: Option<&str>, cursor: u64) -> Result<Page<SetEntry>, Status> {
    if let Some(name) = name {
        return Ok(Page { entries: vec![entry(state, find_set(state, name)?)], next: None });
    }
    let mut entries = Vec::new();
    let mut size = 0;
    for (place, (_, set)) in state.sets.placed().filter(|(place, _)| *place >= cursor) {
        if size >= PAGE {
            return Ok(Page { entries, next: Some(place) });
        }
        size += 1 + set.members.len();
        entries.push(self::entry(state, set));
    }
    Ok(Page { entries, next: None })
}

fn entry(state: &State, set: &IpSet) -> SetEntry {
    let kind = set.spec.kind;
    let member = |(element, member): (&Element, &model::ipset::Member)| SetMember {
        entry: element.text(kind, member.mac),
        comment: member.comment.clone(),
        nomatch: member.nomatch,
    };
    SetEntry {
        spec: set.spec.clone(),
        bytes: state.compiled_set(&set.spec.name).map_or(0, |set| set.bytes() as u64),
        references: state.set_users(&set.spec.name).len() as u32,
        members: set.members.iter().map(member).collect(),
    }
}

/// Whether what an entry names is in a set, as a packet would find it.
pub(super) fn test(state: &State, name: &str, text: &str) -> Result<bool, Status> {
    let set = find_set(state, name)?;
    let wrong = |why: &str| Status::new(Code::Invalid, format!("set {name}: `{text}`: {why}"));
    // What a bitmap cannot hold is not in it.
    let spec = SetSpec { range: None, ..set.spec.clone() };
    let sought = entry::read(&spec, text).map_err(|why| wrong(&why))?;
    let [(element, mac)] = sought.as_slice() else {
        return Err(wrong("one element expected, no range"));
    };
    let is_wide = |net: Option<model::ipset::Net>| net.is_some_and(|net| net.free > 0);
    if is_wide(element.first) || is_wide(element.second) {
        return Err(wrong("an address expected, no network"));
    }
    let link = match &element.iface {
        None => None,
        Some(iface) => Some(state.link(iface)?.0),
    };
    let compiled = state.compiled_set(name).ok_or_else(|| wrong("no such set"))?;
    Ok(compiled.holds(&Sought {
        first: element.first.map(|net| net.addr),
        second: element.second.map(|net| net.addr),
        port: element.port,
        second_port: element.second_port,
        proto: element.transport.map_or(0, |transport| transport.number()),
        mac: mac.map(|mac| -> Mac { mac.0 }),
        link,
    }))
}
