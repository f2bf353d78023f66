// SPDX-License-Identifier: Apache-2.0
//! Packets that get lost: rules of nftables in a namespace of a kernel's.

use anyhow::{Context, Result};

use crate::netns::Netns;

/// Where a namespace's kernel loses packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Those that come in.
    Input,
    /// Those that go out.
    Output,
}

/// How many of the packets that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first.
    First,
    /// All.
    All,
}

/// A rule that loses packets, as long as it lives.
#[derive(Debug)]
pub struct Loss<'n> {
    ns: &'n Netns,
    table: String,
}

impl<'n> Loss<'n> {
    /// Loses packets that match an expression of nftables. `name` tells several rules of one namespace apart.
    ///
    /// # Errors
    /// nftables is not installed or does not understand the expression.
    pub fn of(ns: &'n Netns, name: &str, hook: Hook, which: Which, matching: &str) -> Result<Self> {
        let table = format!("loss_{name}");
        let hook = if hook == Hook::Input { "input" } else { "output" };
        // A bucket of one that takes a day to fill again.
        let limit = if which == Which::First { "limit rate 1/day burst 1 packets" } else { "" };
        let rules = format!(
            "table inet {table} {{ chain c {{ type filter hook {hook} priority -300; policy accept; \
             {matching} {limit} counter drop; }}; }}"
        );
        ns.cmd("nft").arg(rules).check()?;
        Ok(Loss { ns, table })
    }

    /// Packets lost so far.
    ///
    /// # Errors
    /// The rule is gone.
    pub fn lost(&self) -> Result<u64> {
        let text = self.ns.cmd("nft").args(["list", "table", "inet", &self.table]).check()?;
        let count = text.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|count| count.parse().ok()).with_context(|| format!("no counter in {text}"))
    }
}

impl Drop for Loss<'_> {
    fn drop(&mut self) {
        // Where the namespace is gone, so is the rule.
        let _ = self.ns.cmd("nft").args(["delete", "table", "inet", &self.table]).run();
    }
}
