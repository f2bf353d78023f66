// SPDX-License-Identifier: Apache-2.0
//! Every keyword of dpvs.conf, a section a file.

mod global;
mod ipvs;
mod netif;
mod stack;
mod worker;

use engine::link::RxCsum;
use engine::proto::{sctp, tcp, udp};

use super::value::{Takes, Value};
use super::{BootConfig, Device, Driver, Idle, LogLevel, VlanConf, Worker, WorkerKind, WorkerQueues, check};
use Takes::{Block, Choice, Line, Named, Nothing, Number, Numbers, Switch, Word};
use WhenChanged::{Reload, Restart};

/// A keyword.
#[derive(Debug)]
pub struct Key {
    /// The keywords of the blocks around it and its own: `netif_defs/device/mtu`.
    pub path: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// What holds without it; empty for what its documentation says.
    pub default: &'static str,
    /// What a change of it needs.
    pub changed: WhenChanged,
    /// What it means, in a line.
    pub doc: &'static str,
    set: Set,
}

/// What a keyword does to the configuration.
#[derive(Clone, Copy, Debug)]
enum Set {
    /// Whatever it takes.
    By(By),
    /// Puts a number in its place.
    Number(fn(&mut BootConfig, u32)),
    /// Puts on or off in its place.
    Switch(fn(&mut BootConfig) -> &mut bool),
}

type By = fn(&mut BootConfig, &Value) -> Result<(), String>;

/// What a change of a keyword needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenChanged {
    /// A reload (SIGHUP).
    Reload,
    /// A restart of the daemon.
    Restart,
}

impl Key {
    /// Takes note of a value.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) fn set(&self, config: &mut BootConfig, value: &Value) -> Result<(), String> {
        match self.set {
            Set::By(set) => set(config, value)?,
            Set::Number(set) => set(config, number(value)),
            Set::Switch(place) => *place(config) = on(value),
        }
        Ok(())
    }

    /// The keyword itself.
    pub fn word(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The path of the block it belongs in; empty at the top.
    pub fn block(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(block, _)| block)
    }
}

/// Every keyword, block by block.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [global::KEYS, netif::KEYS, worker::KEYS, stack::KEYS, ipvs::KEYS].into_iter().flatten()
}

/// The key at a path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    keys().find(|key| key.path == path)
}

/// The nearest repeated block a path is in; empty when in none.
pub(super) fn repeated_above(path: &str) -> &str {
    let mut above = path;
    while let Some((block, _)) = above.rsplit_once('/') {
        if find(block).is_some_and(|key| matches!(key.takes, Named(_))) {
            return block;
        }
        above = block;
    }
    ""
}

/// Why there is no key at a path, and what was probably meant.
pub(super) fn unknown(path: &str) -> String {
    let (block, word) = path.rsplit_once('/').unwrap_or(("", path));
    let place = if block.is_empty() { "at the top".to_owned() } else { format!("in {block}") };
    let siblings = keys().filter(|key| key.block() == block);
    let near = siblings.map(|key| (strsim::damerau_levenshtein(key.word(), word), key.word()));
    let near = near.min().filter(|(distance, _)| *distance <= word.len().div_ceil(3));
    let elsewhere = keys().find(|key| key.word() == word && key.block() != block);
    let hint = match (near, elsewhere) {
        (Some((_, word)), _) => format!(": did you mean {word}?"),
        (None, Some(key)) if key.block().is_empty() => format!(": {word} belongs at the top"),
        (None, Some(key)) => format!(": {word} belongs in {}", key.block()),
        (None, None) => String::new(),
    };
    format!("unknown keyword {word} {place}{hint}")
}

const fn key(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    changed: WhenChanged,
    doc: &'static str,
    set: By,
) -> Key {
    Key { path, takes, default, changed, doc, set: Set::By(set) }
}

/// A number.
const fn num(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    changed: WhenChanged,
    doc: &'static str,
    set: fn(&mut BootConfig, u32),
) -> Key {
    Key { path, takes, default, changed, doc, set: Set::Number(set) }
}

/// A switch that a reload changes.
const fn switch(
    path: &'static str,
    default: &'static str,
    doc: &'static str,
    place: fn(&mut BootConfig) -> &mut bool,
) -> Key {
    Key { path, takes: Switch, default, changed: Reload, doc, set: Set::Switch(place) }
}

/// A keyword of DPVS that means nothing here.
const fn ignored(path: &'static str, why: &'static str) -> Key {
    key(path, Nothing(why), "", Reload, "Accepted from files written for DPVS; no effect.", nothing)
}

/// A block that only groups.
const fn group(path: &'static str, doc: &'static str) -> Key {
    key(path, Block, "", Reload, doc, nothing)
}

const SECONDS: Takes = Number(1, 31_535_999);
const STDERR: &str = "the log goes to standard error, with timestamps";
const FLOWS: &str = "return traffic finds its worker without flow rules";
const SIZED: &str = "such tables grow as they need";
const FRAGMENTS: &str = "each worker has room for 4096 fragmented datagrams, and the oldest makes room";
const MESSAGES: &str = "workers take whole configurations, not messages";

fn nothing(_: &mut BootConfig, _: &Value) -> Result<(), String> {
    Ok(())
}

fn put<T>(at: &mut Option<T>, value: T) -> Result<(), String> {
    *at = Some(value);
    Ok(())
}

fn push<T>(at: &mut Vec<T>, value: T) -> Result<(), String> {
    at.push(value);
    Ok(())
}

fn text(value: &Value) -> &str {
    if let Value::Text(text) = value { text } else { "" }
}

fn on(value: &Value) -> bool {
    *value == Value::Switch(true)
}

/// Ranges in the table keep to 32 bits.
fn number(value: &Value) -> u32 {
    if let Value::Number(number) = value { *number as u32 } else { 0 }
}

fn short(value: &Value) -> u16 {
    number(value) as u16
}

fn numbers(value: &Value) -> Vec<u16> {
    if let Value::Numbers(numbers) = value {
        numbers.iter().map(|&number| number as u16).collect()
    } else {
        Vec::new()
    }
}

/// The block being read. Its keys are only looked up inside it, so it is there.
fn device(config: &mut BootConfig) -> Result<&mut Device, String> {
    config.devices.last_mut().ok_or_else(|| "outside a device".to_owned())
}

fn vlan(config: &mut BootConfig) -> Result<&mut VlanConf, String> {
    device(config)?.vlans.last_mut().ok_or_else(|| "outside a vlan".to_owned())
}

fn worker(config: &mut BootConfig) -> Result<&mut Worker, String> {
    config.workers.last_mut().ok_or_else(|| "outside a worker".to_owned())
}

fn queues(config: &mut BootConfig) -> Result<&mut WorkerQueues, String> {
    worker(config)?.queues.last_mut().ok_or_else(|| "outside a port".to_owned())
}
