// SPDX-License-Identifier: Apache-2.0
//! `virtual_server_group`, and DPVS's address and tunnel groups.

use super::Reader;
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{
    AccessGroup, AccessMember, Family, Group, GroupAddress, GroupMark, LocalAddress, LocalGroup, Tunnel,
};
use crate::keepalived::report::Fatal;
use crate::keepalived::value;

impl Reader {
    pub(super) fn virtual_server_group(&mut self, header: &Statement) -> Result<(), Fatal> {
        let (name, span) = (header.value().to_string(), header.span.clone());
        let mut group = Group { name, addresses: Vec::new(), marks: Vec::new(), span };
        self.cursor.open()?;
        while let Some(entry) = self.cursor.statement()? {
            if entry.keyword() == "fwmark" && entry.args().is_empty() {
                return Err(super::missing(&entry, "number"));
            }
            if entry.keyword() == "fwmark" {
                let mark = group_mark(&entry);
                group.marks.extend(self.accept(&entry, mark));
            } else {
                let address = group_address(&entry);
                group.addresses.extend(self.accept(&entry, address));
            }
        }
        let both = group.has(Family::Inet) && group.has(Family::Inet6);
        if group.addresses.is_empty() && group.marks.is_empty() {
            self.warn_at_end(header.keyword(), format!("group {} has no entries, removed", group.name));
        } else if both && group.marks.iter().any(|mark| mark.family.is_none()) {
            let reason = format!("group {} has both families and a fwmark without one, removed", group.name);
            self.warn_at_end(header.keyword(), reason);
        } else {
            self.draft.groups.push(group);
        }
        Ok(())
    }

    pub(super) fn local_address_group(&mut self, header: &Statement) -> Result<(), Fatal> {
        let mut addresses = Vec::new();
        self.cursor.open()?;
        while let Some(entry) = self.cursor.statement()? {
            let address = local_address(&entry);
            addresses.extend(self.accept(&entry, address));
        }
        let (name, span) = (header.value().to_string(), header.span.clone());
        self.draft.local_groups.push(LocalGroup { name, addresses, span });
        Ok(())
    }

    /// `deny_address_group` or `allow_address_group`.
    pub(super) fn access_group(&mut self, header: &Statement) -> Result<(), Fatal> {
        let mut members = Vec::new();
        self.cursor.open()?;
        while let Some(entry) = self.cursor.statement()? {
            let member = access_member(&entry);
            members.extend(self.accept(&entry, member));
        }
        let group = AccessGroup { name: header.value().to_string(), members, span: header.span.clone() };
        match header.keyword() {
            "deny_address_group" => self.draft.deny_groups.push(group),
            _ => self.draft.allow_groups.push(group),
        }
        Ok(())
    }

    pub(super) fn tunnel_group(&mut self, header: &Statement) -> Result<(), Fatal> {
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            if self.known(Block::TunnelGroup, &statement)?.is_some() {
                self.tunnel_entry(header.value(), &statement)?;
            }
        }
        Ok(())
    }

    fn tunnel_entry(&mut self, group: &str, header: &Statement) -> Result<(), Fatal> {
        let mut tunnel = Tunnel {
            group: group.to_string(),
            name: header.value().to_string(),
            kind: None,
            local: None,
            remote: None,
            interface: None,
            span: header.span.clone(),
        };
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::TunnelEntry, &statement)? else { continue };
            let word = statement.value();
            match keyword.name {
                "kind" if matches!(word, "gre" | "ipip") => tunnel.kind = Some(word.to_string()),
                "kind" => self.warn(&statement, format!("`{word}` is unknown, gre or ipip expected")),
                "local" => super::replace(&mut tunnel.local, self.accept(&statement, value::address(word))),
                "remote" => super::replace(&mut tunnel.remote, self.accept(&statement, value::address(word))),
                "if" => super::replace(&mut tunnel.interface, self.interface(&statement)),
                _ => unreachable!("every honoured keyword is listed here"),
            }
        }
        self.draft.tunnels.push(tunnel);
        Ok(())
    }
}

fn group_address(entry: &Statement) -> Result<GroupAddress, String> {
    let (first, last) = value::range(entry.keyword())?;
    let port = value::port(entry.args().first().map(String::as_str))?;
    Ok(GroupAddress { first, last, port, span: entry.span.clone() })
}

fn group_mark(entry: &Statement) -> Result<GroupMark, String> {
    let mark = value::unsigned32(entry.value(), 0, u32::MAX)?;
    let family = match entry.args().get(1).map(String::as_str) {
        None => None,
        Some("inet") => Some(Family::Inet),
        Some("inet6") => Some(Family::Inet6),
        Some(word) => return Err(format!("`{word}` is no family, inet or inet6 expected")),
    };
    Ok(GroupMark { mark, family, span: entry.span.clone() })
}

fn local_address(entry: &Statement) -> Result<LocalAddress, String> {
    let (first, last) = value::short_range(entry.keyword())?;
    let interface = entry.args().first().ok_or("interface missing after the address")?;
    if interface.len() > super::MAX_INTERFACE {
        return Err(format!("interface name `{interface}` is longer than {} bytes", super::MAX_INTERFACE));
    }
    Ok(LocalAddress { first, last, interface: interface.clone(), span: entry.span.clone() })
}

fn access_member(entry: &Statement) -> Result<AccessMember, String> {
    match entry.keyword().strip_prefix("ipset:") {
        Some(set) if set.is_empty() || set.len() > MAX_SET => {
            Err(format!("set name `{set}` must have 1 to {MAX_SET} bytes"))
        }
        Some(set) => Ok(AccessMember::Set(set.to_string())),
        None => value::short_range(entry.keyword()).map(|(first, last)| AccessMember::Range(first, last)),
    }
}

/// Bytes of a set's name.
const MAX_SET: usize = 31;
