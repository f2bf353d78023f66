// SPDX-License-Identifier: Apache-2.0
//! `vrrp_instance`: identity and addresses.

use super::Reader;
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::Block;
use crate::keepalived::object::{Vip, VrrpInstance};
use crate::keepalived::report::Fatal;
use crate::keepalived::value;

impl Reader {
    pub(super) fn vrrp_instance(&mut self, header: &Statement) -> Result<(), Fatal> {
        let mut instance = VrrpInstance {
            name: header.value().to_string(),
            state: None,
            interface: None,
            dpdk_interface: None,
            virtual_router_id: None,
            priority: 100,
            vips: Vec::new(),
            span: header.span.clone(),
        };
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::VrrpInstance, &statement)? else { continue };
            let word = statement.value();
            match keyword.name {
                "state" if matches!(word, "MASTER" | "BACKUP") => instance.state = Some(word.to_string()),
                "state" => self.warn(&statement, format!("`{word}` is unknown, MASTER or BACKUP expected")),
                "interface" => super::replace(&mut instance.interface, self.interface(&statement)),
                "dpdk_interface" => super::replace(&mut instance.dpdk_interface, self.interface(&statement)),
                "virtual_router_id" => {
                    super::replace(&mut instance.virtual_router_id, self.number(&statement, 1, 255));
                }
                "priority" => {
                    instance.priority = self.number(&statement, 1, 255).unwrap_or(instance.priority)
                }
                "virtual_ipaddress" => self.vips(&mut instance, false)?,
                "virtual_ipaddress_excluded" => self.vips(&mut instance, true)?,
                _ => unreachable!("every honoured keyword is listed here"),
            }
        }
        self.draft.vrrp_instances.push(instance);
        Ok(())
    }

    fn vips(&mut self, instance: &mut VrrpInstance, excluded: bool) -> Result<(), Fatal> {
        self.cursor.open()?;
        while let Some(entry) = self.cursor.statement()? {
            let vip = vip(&entry, excluded);
            instance.vips.extend(self.accept(&entry, vip));
        }
        Ok(())
    }
}

/// `ADDR[/LEN] [dev IF] ...`; the other options are for the kernel's address only.
fn vip(entry: &Statement, excluded: bool) -> Result<Vip, String> {
    let (addr, len) = match entry.keyword().split_once('/') {
        Some((addr, len)) => (addr, Some(len)),
        None => (entry.keyword(), None),
    };
    let addr = value::exact_address(addr)?;
    let bits = if addr.is_ipv4() { 32 } else { 128 };
    let prefix_len = match len {
        None => bits,
        Some(len) => value::unsigned32(len, 0, bits).map_err(|reason| format!("prefix length {reason}"))?,
    };
    let mut words = entry.args().iter();
    let mut dev = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "dev" => {
                let name = words.next().ok_or("dev without an interface")?;
                if name.len() > super::MAX_INTERFACE {
                    return Err(format!(
                        "interface name `{name}` is longer than {} bytes",
                        super::MAX_INTERFACE
                    ));
                }
                dev = Some(name.clone());
            }
            "brd" | "broadcast" | "scope" | "label" | "peer" | "preferred_lft" | "track_group" => {
                words.next().ok_or_else(|| format!("{word} without a value"))?;
            }
            _ => {}
        }
    }
    Ok(Vip { addr, prefix_len, dev, excluded, span: entry.span.clone() })
}
