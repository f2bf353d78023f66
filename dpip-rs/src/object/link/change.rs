// SPDX-License-Identifier: Apache-2.0
//! `dpip link set IF ITEM VALUE...`.

use cli::value;
use model::link::LinkChange;
use sockopt::{Request, Set};

use super::super::Job;
use crate::args::Call;
use crate::failure::Failure;
use crate::words;

/// Items that DPVS has and this director does not, or not yet.
const UNSUPPORTED: [&str; 10] = [
    "forward2kni",
    "tc-egress",
    "tc-ingress",
    "lldp",
    "bond-mode",
    "bond-primary",
    "bond-xmit-policy",
    "bond-monitor-interval",
    "bond-link-down-prop",
    "bond-link-up-prop",
];

/// Reads a link and pairs of item and value.
pub fn parse(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let dev = match words.next() {
        Some("dev") => words.value("dev")?,
        Some(name) => name,
        None => return Err(words::missing("the link: `IF`")),
    };
    let mut steps = Vec::new();
    while let Some(item) = words.next() {
        let change = change(item, words.value(item)?)?;
        steps.push(Set::SetLink { dev: dev.to_owned(), change });
    }
    match steps.len() {
        0 => Err(words::missing("the change: `ITEM VALUE`")),
        1 => Ok(Job::set(steps.swap_remove(0))),
        _ => Ok(Job::Change(Request::Transaction { steps, dry_run: false }, String::new())),
    }
}

fn change(item: &str, text: &str) -> Result<LinkChange, Failure> {
    Ok(match item {
        "promisc" => LinkChange::Promisc(value::on_off(item, text)?),
        "allmulticast" => LinkChange::AllMulticast(value::on_off(item, text)?),
        "link" => LinkChange::Up(value::word(item, text, &[("up", true), ("down", false)])?),
        "mtu" => LinkChange::Mtu(value::number(item, text, 68..=9000)?),
        "addr" => LinkChange::Mac(text.parse()?),
        _ if UNSUPPORTED.contains(&item) => {
            return Err(Failure::usage(format!("`{item}` is not supported")));
        }
        _ => {
            return Err(Failure::usage(format!(
                "`{item}` is unknown: one of promisc, allmulticast, link, mtu, addr expected"
            )));
        }
    })
}
