// SPDX-License-Identifier: Apache-2.0
//! The small stack: timers, neighbours, routes, IP, messages to workers.

use super::*;

pub(super) const KEYS: &[Key] = &[
    group("timer_defs", "Timers."),
    ignored("timer_defs/schedule_interval", "timers are exact to a millisecond"),
    group("neigh_defs", "Neighbours."),
    num(
        "neigh_defs/unres_queue_length",
        Number(16, 8192),
        "128",
        Reload,
        "Packets that may wait for one neighbour.",
        |c, n| c.options.neigh_queue = n as u16,
    ),
    num(
        "neigh_defs/timeout",
        Number(1, 3600),
        "60",
        Reload,
        "Seconds a neighbour stays reachable without confirmation.",
        |c, n| c.options.neigh_timeout = n,
    ),
    group("route_defs", "Routes."),
    key(
        "route_defs/route",
        Line(
            "PREFIX|default [via IP] [dev LINK] [src IP] [mtu N] [metric N] [scope host|kni_host|link|global]",
        ),
        "",
        Reload,
        "A route, as `dpip route add` takes it; may be repeated.",
        |c, v| {
            let route = check::route(text(v))?;
            push(&mut c.routes, route)
        },
    ),
    group("ipset_defs", "Sets."),
    ignored("ipset_defs/ipset_hash_pool_size", SIZED),
    group("ipv4_defs", "IPv4."),
    switch(
        "ipv4_defs/forwarding",
        "off",
        "Forwards packets that are neither for the director nor of a connection.",
        |c| &mut c.options.forward4,
    ),
    num(
        "ipv4_defs/default_ttl",
        Number(1, 255),
        "64",
        Reload,
        "TTL and hop limit of packets the director makes.",
        |c, n| c.options.default_ttl = n as u8,
    ),
    group("ipv4_defs/fragment", "Fragments to and from services, of both families."),
    num(
        "ipv4_defs/fragment/ttl",
        Number(1, 255),
        "10",
        Reload,
        "Seconds in which the fragments of a datagram have to come. Those that come before the first one wait for it as long.",
        |c, n| c.options.fragment_ttl = n,
    ),
    ignored("ipv4_defs/fragment/bucket_number", FRAGMENTS),
    ignored("ipv4_defs/fragment/bucket_entries", FRAGMENTS),
    ignored("ipv4_defs/fragment/max_entries", FRAGMENTS),
    group("ipv6_defs", "IPv6."),
    switch(
        "ipv6_defs/forwarding",
        "off",
        "Forwards packets that are neither for the director nor of a connection.",
        |c| &mut c.options.forward6,
    ),
    ignored("ipv6_defs/disable", "a link speaks IPv6 when it has an address of it"),
    ignored("ipv6_defs/addr_gen_mode", "links have the addresses they are given"),
    ignored("ipv6_defs/stable_secret", "links have the addresses they are given"),
    ignored("ipv6_defs/route6", SIZED),
    group("ctrl_defs", "Messages to workers."),
    ignored("ctrl_defs/lcore_msg", MESSAGES),
];
