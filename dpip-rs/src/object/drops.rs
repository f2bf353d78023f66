// SPDX-License-Identifier: Apache-2.0
//! `dpip drops`: where every packet went.

use cli::columns::{Align, Table};
use cli::json;
use model::stats::Traffic;
use sockopt::{Get, Reply};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;

/// `dpip drops`.
pub static OBJECT: Object = Object {
    name: "drops",
    about: "where every packet went",
    commands: &[Command {
        verb: Verb::Show,
        forms: &[""],
        about: "list what became of all packets, and the reasons of drops; -v explains them",
        parse: show,
    }],
    terms: &[],
    text,
    json,
};

fn show(call: &Call) -> Result<Job, Failure> {
    call.words().end()?;
    Ok(Job::get(Get::Traffic))
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Traffic(traffic)] = replies else { return Err(Failure::unexpected()) };
    Ok(balance(traffic, call.options.verbose))
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Traffic(traffic)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("traffic", traffic))
}

/// The balance of all packets: what came in, what became of it. Explained when `verbose`.
pub fn balance(traffic: &Traffic, verbose: bool) -> String {
    let mut table = Table::new(&[("packets", Align::Left), ("", Align::Right), ("", Align::Left)]);
    let mut row = |name: &str, count: i128, meaning: &str| {
        table.row([name, &count.to_string(), if verbose { meaning } else { "" }]);
    };
    let Traffic { rx, generated, tx, drops, consumed, kernel, held, in_ring } = traffic;
    let dropped: i128 = drops.iter().map(|(_, count)| i128::from(*count)).sum();
    let known = [tx, consumed, kernel, held, in_ring].map(|&count| i128::from(count));
    let missing = i128::from(*rx) + i128::from(*generated) - known.iter().sum::<i128>() - dropped;

    row("received", (*rx).into(), "taken from devices");
    row("generated", (*generated).into(), "made by the director itself: ARP, neighbour discovery, ICMP");
    row("  transmitted", (*tx).into(), "given to devices");
    row("  consumed", (*consumed).into(), "served their purpose inside the director");
    row("  kernel", (*kernel).into(), "handed to the host's own stack");
    row("  held", (*held).into(), "waiting for a neighbour right now");
    row("  in ring", (*in_ring).into(), "on the way between two workers right now");
    row("  dropped", dropped, "the reasons follow");
    for (reason, count) in drops {
        row(&format!("    {reason}"), (*count).into(), meaning(reason));
    }
    row("  unaccounted", missing, "counted while packets moved; stays near 0");
    table.to_string()
}

/// What a drop reason means, for people.
fn meaning(reason: &str) -> &'static str {
    MEANINGS.iter().find(|(name, _)| *name == reason).map_or("", |(_, meaning)| meaning)
}

/// Every drop reason of the engine.
const MEANINGS: &[(&str, &str)] = &[
    ("truncated", "shorter than its own headers"),
    ("other_host", "Ethernet destination of another station"),
    ("unknown_vlan", "VLAN tag without a link: see `dpip vlan add`"),
    ("ether_type", "an Ethernet type nobody handles"),
    ("link_down", "the link is down: see `dpip link set IF link up`"),
    ("ip_header", "IP header contradicts itself"),
    ("ip_checksum", "IPv4 header checksum is wrong"),
    ("martian", "an address that may not be on the wire"),
    (
        "fragment",
        "a fragment that opens a TCP or SCTP connection, or whose change would take the whole packet",
    ),
    ("fragment_overlap", "a fragment that overlaps others of its datagram, or a copy of one"),
    ("fragment_tiny", "a first fragment without a whole header behind IP, or one that reaches into it"),
    (
        "fragment_table_full",
        "more fragmented datagrams, or fragments before their first one, than there is room for",
    ),
    (
        "fragment_timeout",
        "a fragment whose first one did not come in time: see `ipv4_defs/fragment` in dpvs.conf",
    ),
    ("fragment_no_first", "a fragment whose first one was dropped"),
    ("extension_header", "IPv6 extension headers malformed or unsupported"),
    ("source_route", "a packet whose sender says by which routers it goes"),
    ("l4_header", "TCP, UDP, SCTP or ICMP header malformed"),
    ("l4_checksum", "TCP, UDP, SCTP or ICMP checksum is wrong"),
    ("arp", "ARP packet malformed or not for the director"),
    ("neighbour_discovery", "neighbour discovery packet malformed or not for the director"),
    ("icmp", "an ICMP message for the director that nobody handles"),
    ("icmp_unrelated", "an ICMP error that belongs to no connection"),
    ("icmp_family", "an ICMP error that the family of its receiver has no word for"),
    (
        "icmp_quote",
        "an ICMP error that quotes too little, a later fragment, or neither TCP, UDP, SCTP nor an ICMP query",
    ),
    (
        "icmp_foreign",
        "an ICMP error told to somebody who did not send the packet it quotes: forged, most likely",
    ),
    ("icmp_policy", "an ICMP error that dpvs.conf keeps back: see `ipvs_defs/icmp`"),
    ("icmp_limited", "an ICMP error more than a thousand a second towards one neighbourhood of receivers"),
    (
        "error_limited",
        "an ICMP error of the director's own more than 1000 a second, or 50 towards one neighbourhood; made and not sent",
    ),
    ("echo_policy", "an ICMP query that the policy of its service (--echo) leaves unanswered"),
    ("echo_limited", "an ICMP query more than ten thousand a second from one neighbourhood"),
    ("ttl", "TTL or hop limit used up"),
    ("too_big", "longer than the MTU and not to be fragmented"),
    ("merged", "several segments merged into one by the device: switch off GRO/LRO"),
    ("no_source", "the link to the server has no address for an outer header: see `dpip addr show`"),
    ("family", "the server's address is of another family than its forwarding mode can reach"),
    ("no_route", "no route to the destination: see `dpip route show`"),
    ("not_forwarding", "not for the director, which does not forward"),
    ("no_service", "for an address of the director, but no service there"),
    ("not_syn", "TCP segment of no connection, and not the first of one"),
    ("bad_flags", "a SYN that ends or resets what it begins"),
    ("port_zero", "port 0, which no client and no TCP service can have"),
    ("own_source", "a packet to a service that claims to come from it"),
    ("syn_proxy_option", "a SYN whose options rule out the SYN proxy"),
    ("syn_proxy_limited", "a SYN not answered: its neighbourhood had enough answers"),
    ("syn_proxy_bad_ack", "an ACK that proves nothing: a scan, or a cookie too old"),
    ("syn_proxy_null_ack", "an ACK without data, where the server is asked for data only"),
    ("syn_proxy_queue", "more packets of a client than are kept until its server answers"),
    ("syn_proxy_reset", "a reset of a proxied connection that its receiver would not believe"),
    ("syn_proxy_server", "from a server that was asked something else, or for one that is silent"),
    ("syn_proxy_storm", "one acknowledgement too many of a storm"),
    ("access_blocked", "the service's access list refuses the client: see `ipvsadm -B`"),
    ("access_not_allowed", "the service's access list does not name the client: see `ipvsadm -W`"),
    ("quiesced", "the connection's server has weight 0 or is gone, and its service ends such connections"),
    ("bandwidth", "the service's bandwidth is used up: see `ipvsadm --bps`"),
    ("proportion", "the service lets only a share of its packets through: see `ipvsadm --limit-proportion`"),
    ("no_dest", "the service has no usable real server"),
    ("no_laddr", "the service has no local address of the server's family"),
    ("lport_exhausted", "every local port towards the server is in use: add local addresses"),
    ("not_init", "an SCTP packet ends or answers an association that there is none of"),
    (
        "proxy_header",
        "data overtook that which a PROXY protocol header belongs before, or too many headers are on their way",
    ),
    ("defence_tcp", "no service wants a TCP packet to an address of TCP services (defence_tcp_drop)"),
    ("defence_udp", "a datagram is for an address of services, none of them of UDP (defence_udp_drop)"),
    ("conn_table_full", "the connection table is full"),
    ("templates_full", "persistent services remember too many client networks"),
    ("conn_clash", "a connection with the same addresses and ports exists"),
    ("neigh_table_full", "the neighbour table is full"),
    ("neigh_queue_full", "too many packets wait for one neighbour"),
    ("neigh_unreachable", "the neighbour did not answer"),
    ("no_headroom", "no room in front of the packet for another header"),
    ("redirect_ring", "the worker that owns the connection does not keep up"),
    ("redirect_loop", "two workers disagree on who owns the connection"),
    ("tunnel_header", "a tunnel's packet without a GRE header of RFC 2784 or an IP packet in it"),
    (
        "tunnel_checksum",
        "a tunnel's packet with a wrong GRE checksum, or without one: see `dpip tunnel`, icsum",
    ),
    ("tunnel_sequence", "a tunnel's packet that is not newer than those before it: see `dpip tunnel`, iseq"),
    ("tunnel_ecn", "a tunnel's packet met congestion, its sender does not understand that (RFC 6040)"),
    ("tunnel_nested", "a tunnel's packet holds another tunnel's"),
    ("tunnel_route", "no way to the other end of a tunnel: see `dpip route`"),
    ("no_buffer", "no packet buffer for a packet of the director"),
    ("tx_queue_full", "the device did not take it"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{questions, text, usage};

    fn traffic() -> Traffic {
        Traffic { rx: 12, tx: 5, drops: vec![("no_route".into(), 7)], ..Traffic::default() }
    }

    #[test]
    fn every_reason_of_the_engine_is_explained() {
        let known: Vec<_> = engine::verdict::DropReason::ALL.iter().map(|reason| reason.name()).collect();
        let unexplained: Vec<_> = known.iter().filter(|name| meaning(name).is_empty()).collect();
        assert!(unexplained.is_empty(), "to be explained in MEANINGS: {unexplained:?}");
        let gone: Vec<_> = MEANINGS.iter().filter(|(name, _)| !known.contains(name)).collect();
        assert!(gone.is_empty(), "to be taken out of MEANINGS: {gone:?}");
    }

    #[test]
    fn reasons_are_explained_on_request() {
        let replies = [Reply::Traffic(traffic())];
        let brief = text("dpip drops", &replies);
        assert!(brief.ends_with("  dropped       7\n    no_route    7\n  unaccounted   0\n"), "{brief}");
        let verbose = text("dpip -v drops show", &replies);
        assert!(
            verbose.contains("    no_route    7  no route to the destination: see `dpip route show`\n"),
            "{verbose}"
        );
    }

    #[test]
    fn packets_counted_while_others_moved_may_be_negative() {
        let ahead = Traffic { tx: 6, ..traffic() };
        let shown = text("dpip drops", &[Reply::Traffic(ahead)]);
        assert!(shown.ends_with("  unaccounted  -1\n"), "{shown}");
    }

    #[test]
    fn the_word_show_may_be_left_out() {
        assert_eq!(questions("dpip drops").unwrap(), [Get::Traffic]);
        assert_eq!(questions("dpip drops list").unwrap(), [Get::Traffic]);
        assert_eq!(usage("dpip drops show dpdk0"), "unexpected `dpdk0`");
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let expected = r#"{
  "version": 1,
  "traffic": {
    "rx": 12,
    "generated": 0,
    "tx": 5,
    "drops": {
      "no_route": 7
    },
    "consumed": 0,
    "kernel": 0,
    "held": 0,
    "in_ring": 0
  }
}
"#;
        assert_eq!(text("dpip drops --json", &[Reply::Traffic(traffic())]), expected);
    }
}
