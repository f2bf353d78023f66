// SPDX-License-Identifier: Apache-2.0
//! Listings of links and their counters.

use std::fmt::Write;

use cli::columns::{Align, Table};
use model::link::{LinkInfo, LinkStats};
use model::stats::PortCounters;

use super::{pairs, per_second};
use crate::args::Call;

/// All links, as `dpip link show` lists them; with counters, where `stats` has some.
pub fn listing(call: &Call, links: &[LinkInfo], stats: &[LinkStats]) -> String {
    let mut text = String::new();
    for link in links {
        text += &head(link);
        // An interval prints what changes instead of totals.
        if let Some(stats) = stats_of(stats, link).filter(|_| call.options.interval.is_none()) {
            text += &totals(stats);
            if call.options.verbose {
                text += &xstats(stats);
            }
        }
        if call.options.verbose {
            text += &capabilities(link);
        }
    }
    text
}

/// The counters of `link`.
pub fn stats_of<'a>(stats: &'a [LinkStats], link: &LinkInfo) -> Option<&'a LinkStats> {
    stats.iter().find(|stats| stats.name == link.name)
}

/// Three lines; the second and third end in a blank.
fn head(link: &LinkInfo) -> String {
    let LinkInfo { index, name, socket, mtu, rx_queues, tx_queues, speed, .. } = link;
    let word = |yes: bool, word: &'static str| if yes { word } else { "" };
    let octets = link.mac.0.map(|octet| format!("{octet:02X}"));
    format!(
        "{index}: {name}: socket {socket} mtu {mtu} rx-queue {rx_queues} tx-queue {tx_queues}\n    \
         {up} {speed} Mbps {duplex} {nego} {promisc}{allmulticast}\n    addr {mac} {offloads}\n",
        up = if link.up { "UP" } else { "DOWN" },
        duplex = if link.full_duplex { "full-duplex" } else { "half-duplex" },
        nego = if link.autoneg { "auto-nego" } else { "fixed-nego" },
        promisc = word(link.promisc, "promisc "),
        allmulticast = word(link.allmulticast, "allmulticast "),
        mac = octets.join(":"),
        offloads = link.offloads.iter().map(|offload| format!("{offload} ")).collect::<String>(),
    )
}

fn totals(stats: &LinkStats) -> String {
    let PortCounters { ipackets, opackets, ibytes, obytes, ierrors, oerrors, imissed, rx_nombuf } =
        stats.counters;
    pairs(
        20,
        &[
            &[
                ("ipackets", ipackets.to_string()),
                ("opackets", opackets.to_string()),
                ("ibytes", ibytes.to_string()),
                ("obytes", obytes.to_string()),
            ],
            &[
                ("ierrors", ierrors.to_string()),
                ("oerrors", oerrors.to_string()),
                ("imissed", imissed.to_string()),
                ("rx_nombuf", rx_nombuf.to_string()),
            ],
            &[("mbuf-avail", stats.mbuf_avail.to_string()), ("mbuf-inuse", stats.mbuf_inuse.to_string())],
        ],
    )
}

fn xstats(stats: &LinkStats) -> String {
    let mut text = String::from("    xstats list:\n");
    if stats.xstats.is_empty() {
        text += "        not supported\n";
    }
    for (id, (name, value)) in stats.xstats.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "        {id:<6}{name}: {value}");
    }
    text
}

/// Bus and driver in wide columns, the rest four in a row; then who serves which queue.
fn capabilities(link: &LinkInfo) -> String {
    let cells: Vec<(&str, String)> =
        link.capabilities.iter().map(|(title, value)| (title.as_str(), value.clone())).collect();
    let (wide, narrow) = cells.split_at(cells.len().min(2));
    let mut text = if wide.is_empty() { String::new() } else { pairs(32, &[wide]) };
    text += &pairs(16, &narrow.chunks(4).collect::<Vec<_>>());
    if !link.queue_cpus.is_empty() {
        text += "    Queue Configuration:\n";
    }
    for (queue, cpu) in link.queue_cpus.iter().enumerate() {
        let (queues, cpus) = (format!("rx{queue}-tx{queue}"), format!("cpu{cpu}-cpu{cpu}"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {queues:<12}{cpus:<25}");
    }
    text
}

/// What each link's counters gained per second. Where there are several links, each is named.
pub fn rates(before: &[LinkStats], after: &[LinkStats], seconds: f64) -> String {
    let mut text = String::new();
    for new in after {
        let old = before.iter().find(|old| old.name == new.name).map_or(new.counters, |old| old.counters);
        if after.len() > 1 {
            text += &format!("{}:\n", new.name);
        }
        text += &gains(old, new.counters, seconds);
    }
    text
}

fn gains(old: PortCounters, new: PortCounters, seconds: f64) -> String {
    let gain = |count: fn(PortCounters) -> u64| per_second(count(old), count(new), seconds);
    pairs(
        16,
        &[
            &[
                ("ipackets/pps", gain(|c| c.ipackets)),
                ("opackets/pps", gain(|c| c.opackets)),
                ("ibytes/Bps", gain(|c| c.ibytes)),
                ("obytes/Bps", gain(|c| c.obytes)),
            ],
            &[
                ("ierrors/pps", gain(|c| c.ierrors)),
                ("oerrors/pps", gain(|c| c.oerrors)),
                ("imissed/pps", gain(|c| c.imissed)),
                ("rx_nombuf/pps", gain(|c| c.rx_nombuf)),
            ],
        ],
    )
}

/// The counters of all links, a row each.
pub fn table(stats: &[LinkStats]) -> String {
    let number = |title| (title, Align::Right);
    let mut table = Table::new(&[
        ("link", Align::Left),
        number("ipackets"),
        number("opackets"),
        number("ibytes"),
        number("obytes"),
        number("ierrors"),
        number("oerrors"),
        number("imissed"),
        number("rx_nombuf"),
    ]);
    for LinkStats { name, counters: c, .. } in stats {
        let counts =
            [c.ipackets, c.opackets, c.ibytes, c.obytes, c.ierrors, c.oerrors, c.imissed, c.rx_nombuf];
        table.row(std::iter::once(name.clone()).chain(counts.map(|count| count.to_string())));
    }
    table.to_string()
}
