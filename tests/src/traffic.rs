// SPDX-License-Identifier: Apache-2.0
//! Where every packet of a director went, as `dpip` tells.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

/// `rx + generated = tx + drops + consumed + kernel + held + in_ring`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Everything but drops, by name.
    pub counts: BTreeMap<String, u64>,
    /// Drops by reason.
    pub drops: BTreeMap<String, u64>,
}

impl Traffic {
    /// The `dpip` command that tells.
    pub const WORDS: &'static str = "--json drops show";

    /// Reads dpip's JSON.
    ///
    /// # Errors
    /// It is not what dpip documents.
    pub fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).with_context(|| format!("not JSON: {json}"))?;
        let traffic = find(&value, "generated").with_context(|| format!("no traffic in {json}"))?;
        let count = |name: &&str| {
            let n = traffic.get(*name).and_then(Value::as_u64);
            Ok((name.to_string(), n.with_context(|| format!("no number `{name}` in {traffic}"))?))
        };
        let counts = IN.iter().chain(OUT).map(count).collect::<Result<_>>()?;
        Ok(Traffic { counts, drops: drops(traffic.get("drops").context("no drops")?)? })
    }

    /// Packets dropped for a reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        self.drops.get(reason).copied().unwrap_or_default()
    }

    /// A number by its name, such as `kernel`.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Packets that came in and went nowhere.
    pub fn missing(&self) -> i64 {
        let sum = |names: &[&str]| names.iter().map(|n| self.count(n) as i64).sum::<i64>();
        sum(IN) - sum(OUT) - self.drops.values().sum::<u64>() as i64
    }
}

/// Drops come as pairs or as an object.
fn drops(value: &Value) -> Result<BTreeMap<String, u64>> {
    let number = |n: &Value| n.as_u64().with_context(|| format!("not a number of drops: {n}"));
    match value {
        Value::Object(map) => map.iter().map(|(reason, n)| Ok((reason.clone(), number(n)?))).collect(),
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| Ok((pair[0].as_str().context("a reason")?.to_owned(), number(&pair[1])?)))
            .collect(),
        other => anyhow::bail!("drops are {other}"),
    }
}

/// The first object that has a member of this name.
fn find<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) if map.contains_key(member) => Some(value),
        Value::Object(map) => map.values().find_map(|v| find(v, member)),
        Value::Array(list) => list.iter().find_map(|v| find(v, member)),
        _ => None,
    }
}

const IN: &[&str] = &["rx", "generated"];
const OUT: &[&str] = &["tx", "consumed", "kernel", "held", "in_ring"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_nowhere_is_missing() {
        let json = r#"{"traffic":{"rx":10,"generated":2,"tx":7,"drops":[["ttl",2]],"consumed":1,"kernel":0,"held":1,"in_ring":0}}"#;
        let traffic = Traffic::parse(json).unwrap();
        assert_eq!((traffic.missing(), traffic.dropped("ttl"), traffic.dropped("martian")), (1, 2, 0));
    }
}
