// SPDX-License-Identifier: Apache-2.0
//! The director.

use engine::identity::Uoa;
use engine::synproxy::config::Config as SynProxy;

use super::*;

pub(super) const KEYS: &[Key] = &[
    group("ipvs_defs", "The director."),
    key(
        "ipvs_defs/mark",
        Line("MARK proto=tcp|udp|sctp[,af=ipv4|ipv6][,src-range=RANGE][,dst-range=RANGE][,iif=LINK]"),
        "",
        Reload,
        "Gives packets a mark, by which `ipvsadm -f` finds them; ranges are those of `ipvsadm -H`. May be repeated, also for one mark; the first \
         rule that fits counts.",
        |c, v| {
            let marking = check::marking(text(v))?;
            push(&mut c.marks, marking)
        },
    ),
    group("ipvs_defs/conn", "Connections."),
    num(
        "ipvs_defs/conn/conn_pool_size",
        Number(1024, 134_217_728),
        "1048576",
        Restart,
        "Connections all workers together can hold.",
        |c, n| c.conns = n,
    ),
    num(
        "ipvs_defs/conn/conn_init_timeout",
        SECONDS,
        "3",
        Reload,
        "Seconds a connection lives in which no state was reached yet.",
        |c, n| c.options.conn_init_timeout = n,
    ),
    switch(
        "ipvs_defs/conn/xmit_ttl",
        "on",
        "Counts down TTL and hop limit of packets to and from servers.",
        |c| &mut c.options.xmit_ttl,
    ),
    switch(
        "ipvs_defs/conn/expire_quiescent_template",
        "off",
        "Clients that a persistent service remembers with a server of weight 0 get another one with their next connection.",
        |c| &mut c.options.expire_quiescent_template,
    ),
    ignored("ipvs_defs/conn/conn_pool_cache", "each worker has a table of its own"),
    ignored("ipvs_defs/conn/fast_xmit_close", "next hops are remembered by connection in any case"),
    ignored("ipvs_defs/conn/redirect", "packets are handed to the worker that owns them where needed"),
    group("ipvs_defs/icmp", "Errors of ICMP about packets of connections, and about nothing."),
    switch(
        "ipvs_defs/icmp/source_quench",
        "on",
        "Passes on source quench, which is obsolete and nobody should heed (RFC 6633).",
        |c| &mut c.options.icmp.source_quench,
    ),
    num(
        "ipvs_defs/icmp/least_mtu",
        Number(68, 1280),
        "68",
        Reload,
        "Fragmentation needed by IPv4 links that are said to take fewer bytes than this is not passed on. 552 is less than any link of today \
         takes, and what forged errors ask for.",
        |c, n| c.options.icmp.least_mtu = n as u16,
    ),
    switch(
        "ipvs_defs/icmp/unrelated_to_host",
        "off",
        "Hands errors to virtual and local addresses that are about no connection to the host's own stack (kni on), instead of dropping \
         them. Those to other addresses of the host always go there.",
        |c| &mut c.options.icmp.unrelated_to_host,
    ),
    group("ipvs_defs/udp", "UDP."),
    switch(
        "ipvs_defs/udp/defence_udp_drop",
        "off",
        "Drops datagrams to an address of services none of which is of UDP, instead of handing them to the host's own stack (kni on).",
        |c| &mut c.options.defend_udp,
    ),
    key(
        "ipvs_defs/udp/uoa_mode",
        Choice(&["opp", "ipo"]),
        "opp",
        Reload,
        "How datagrams tell servers behind FULLNAT the client's address: opp in a header of its own (IP protocol 248), ipo in an IPv4 option.",
        |c, v| {
            c.options.identity.uoa = if text(v) == "ipo" { Uoa::Option } else { Uoa::Header };
            Ok(())
        },
    ),
    num(
        "ipvs_defs/udp/uoa_max_trail",
        Number(0, 255),
        "0",
        Reload,
        "How many datagrams at the beginning of a flow tell it; only where servers understand that (in DPVS it is 3).",
        |c, n| c.options.identity.uoa_trail = n as u8,
    ),
    group("ipvs_defs/udp/timeout", "Idle seconds of UDP connections by state."),
    num(
        "ipvs_defs/udp/timeout/oneway",
        SECONDS,
        "300",
        Reload,
        "While only the client was heard.",
        |c, n| c.timeouts.udp[udp::State::OneWay as usize] = n,
    ),
    num("ipvs_defs/udp/timeout/normal", SECONDS, "300", Reload, "When both sides were heard.", |c, n| {
        c.timeouts.udp[udp::State::Normal as usize] = n;
    }),
    ignored("ipvs_defs/udp/timeout/last", "no UDP connection has such a state"),
    group("ipvs_defs/sctp", "SCTP."),
    group("ipvs_defs/sctp/timeout", "Idle seconds of SCTP associations by state."),
    num("ipvs_defs/sctp/timeout/none", SECONDS, "2", Reload, "Before any state.", |c, n| {
        c.timeouts.sctp[sctp::State::None as usize] = n
    }),
    num("ipvs_defs/sctp/timeout/init1", SECONDS, "4", Reload, "After the client's INIT.", |c, n| {
        c.timeouts.sctp[sctp::State::Init1 as usize] = n
    }),
    num(
        "ipvs_defs/sctp/timeout/init",
        SECONDS,
        "61",
        Reload,
        "After a second INIT of the client.",
        |c, n| c.timeouts.sctp[sctp::State::Init as usize] = n,
    ),
    num(
        "ipvs_defs/sctp/timeout/cookie_sent",
        SECONDS,
        "61",
        Reload,
        "When the server answered INIT.",
        |c, n| c.timeouts.sctp[sctp::State::CookieSent as usize] = n,
    ),
    num(
        "ipvs_defs/sctp/timeout/cookie_replied",
        SECONDS,
        "61",
        Reload,
        "When the client brought the cookie back.",
        |c, n| c.timeouts.sctp[sctp::State::CookieReplied as usize] = n,
    ),
    num("ipvs_defs/sctp/timeout/cookie_wait", SECONDS, "61", Reload, "After the server's INIT.", |c, n| {
        c.timeouts.sctp[sctp::State::CookieWait as usize] = n
    }),
    num(
        "ipvs_defs/sctp/timeout/cookie",
        SECONDS,
        "61",
        Reload,
        "When the client answered INIT twice.",
        |c, n| c.timeouts.sctp[sctp::State::Cookie as usize] = n,
    ),
    num(
        "ipvs_defs/sctp/timeout/cookie_echoed",
        SECONDS,
        "61",
        Reload,
        "When the server brought the cookie back.",
        |c, n| c.timeouts.sctp[sctp::State::CookieEchoed as usize] = n,
    ),
    num("ipvs_defs/sctp/timeout/established", SECONDS, "900", Reload, "While data flows.", |c, n| {
        c.timeouts.sctp[sctp::State::Established as usize] = n
    }),
    num(
        "ipvs_defs/sctp/timeout/shutdown_sent",
        SECONDS,
        "61",
        Reload,
        "While the server shuts down.",
        |c, n| c.timeouts.sctp[sctp::State::ShutdownSent as usize] = n,
    ),
    num(
        "ipvs_defs/sctp/timeout/shutdown_received",
        SECONDS,
        "61",
        Reload,
        "While the client shuts down.",
        |c, n| c.timeouts.sctp[sctp::State::ShutdownReceived as usize] = n,
    ),
    num(
        "ipvs_defs/sctp/timeout/shutdown_ack_sent",
        SECONDS,
        "61",
        Reload,
        "When the server answered the shutdown.",
        |c, n| c.timeouts.sctp[sctp::State::ShutdownAckSent as usize] = n,
    ),
    num("ipvs_defs/sctp/timeout/rejected", SECONDS, "4", Reload, "After a refusal.", |c, n| {
        c.timeouts.sctp[sctp::State::Rejected as usize] = n
    }),
    num("ipvs_defs/sctp/timeout/closed", SECONDS, "61", Reload, "When it is over.", |c, n| {
        c.timeouts.sctp[sctp::State::Closed as usize] = n
    }),
    group("ipvs_defs/tcp", "TCP."),
    switch(
        "ipvs_defs/tcp/defence_tcp_drop",
        "off",
        "Drops TCP packets that none of an address's TCP services wants, instead of handing them to the host's own stack (kni on).",
        |c| &mut c.options.defend_tcp,
    ),
    switch(
        "ipvs_defs/tcp/toa",
        "on",
        "Tells servers behind FULLNAT the client's address in a TCP option (TOA, kind 254), until the client has heard from them; servers \
         that do not know it do not mind. Services with the PROXY protocol have none.",
        |c| &mut c.options.identity.toa,
    ),
    group("ipvs_defs/tcp/timeout", "Idle seconds of TCP connections by state."),
    num("ipvs_defs/tcp/timeout/none", SECONDS, "2", Reload, "Before any state.", |c, n| {
        c.timeouts.tcp[tcp::State::None as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/established", SECONDS, "90", Reload, "While data flows.", |c, n| {
        c.timeouts.tcp[tcp::State::Established as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/syn_sent", SECONDS, "3", Reload, "After the server's SYN.", |c, n| {
        c.timeouts.tcp[tcp::State::SynSent as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/syn_recv", SECONDS, "30", Reload, "After the client's SYN.", |c, n| {
        c.timeouts.tcp[tcp::State::SynRecv as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/fin_wait", SECONDS, "7", Reload, "When the server closed first.", |c, n| {
        c.timeouts.tcp[tcp::State::FinWait as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/time_wait", SECONDS, "7", Reload, "When both sides closed.", |c, n| {
        c.timeouts.tcp[tcp::State::TimeWait as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/close", SECONDS, "3", Reload, "After a reset.", |c, n| {
        c.timeouts.tcp[tcp::State::Close as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/close_wait", SECONDS, "7", Reload, "When the client closed first.", |c, n| {
        c.timeouts.tcp[tcp::State::CloseWait as usize] = n
    }),
    num(
        "ipvs_defs/tcp/timeout/last_ack",
        SECONDS,
        "7",
        Reload,
        "Before the last acknowledgement.",
        |c, n| c.timeouts.tcp[tcp::State::LastAck as usize] = n,
    ),
    num("ipvs_defs/tcp/timeout/listen", SECONDS, "120", Reload, "Listening.", |c, n| {
        c.timeouts.tcp[tcp::State::Listen as usize] = n
    }),
    num("ipvs_defs/tcp/timeout/synack", SECONDS, "30", Reload, "After the SYN-ACK.", |c, n| {
        c.timeouts.tcp[tcp::State::SynAck as usize] = n
    }),
    ignored("ipvs_defs/tcp/timeout/last", "no TCP connection has such a state"),
    group("ipvs_defs/tcp/synproxy", "The SYN proxy of services that have it."),
    key(
        "ipvs_defs/tcp/synproxy/compat",
        Choice(&["dpvs"]),
        "",
        Reload,
        "dpvs: whatever is not said below is as in DPVS. It comes first in its block.",
        |c, _| {
            if c.options.syn_proxy != SynProxy::default() {
                return Err("it comes first in its block, before what it would undo".to_owned());
            }
            c.options.syn_proxy = SynProxy::dpvs();
            Ok(())
        },
    ),
    key(
        "ipvs_defs/tcp/synproxy/key_file",
        Word("a path"),
        "",
        Restart,
        "File with 32 hexadecimal digits that cookie keys follow from, for directors that share addresses; without it they are drawn at start.",
        |c, v| put(&mut c.cookie_key_file, text(v).into()),
    ),
    group("ipvs_defs/tcp/synproxy/synack_options", "What SYN-ACKs to clients offer."),
    num(
        "ipvs_defs/tcp/synproxy/synack_options/mss",
        Number(1, 65_535),
        "8960",
        Reload,
        "Largest segment, in bytes; a link's MTU bounds it too.",
        |c, n| c.options.syn_proxy.mss = n as u16,
    ),
    num(
        "ipvs_defs/tcp/synproxy/synack_options/ttl",
        Number(1, 255),
        "64",
        Reload,
        "TTL and hop limit.",
        |c, n| c.options.syn_proxy.ttl = n as u8,
    ),
    switch("ipvs_defs/tcp/synproxy/synack_options/sack", "on", "Selective acknowledgements.", |c| {
        &mut c.options.syn_proxy.sack
    }),
    key(
        "ipvs_defs/tcp/synproxy/synack_options/wscale",
        Number(0, 14),
        "7",
        Reload,
        "Window shift before a server's own is known; 0 declines scaling.",
        |c, v| {
            c.options.syn_proxy.wscale = Some(number(v) as u8).filter(|&shift| shift > 0);
            Ok(())
        },
    ),
    switch(
        "ipvs_defs/tcp/synproxy/synack_options/learn",
        "on",
        "Whether shift and timestamps follow what servers use. With a key_file it is off unless said: another director cannot know what this one learned.",
        |c| &mut c.options.syn_proxy.learn,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/synack_options/timestamp",
        "on",
        "Timestamps. Where servers decline them, the first client of a service, on each worker, was promised what it does not get: it is served without, which Linux accepts (RFC 7323 3.2 lets others refuse). With learning, later clients are promised none.",
        |c| &mut c.options.syn_proxy.timestamps,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/synack_options/ecn",
        "off",
        "Classic ECN; only where every server does it.",
        |c| &mut c.options.syn_proxy.ecn,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/close_client_window",
        "off",
        "Whether clients may send only once the server has answered.",
        |c| &mut c.options.syn_proxy.close_client_window,
    ),
    switch(
        "ipvs_defs/tcp/synproxy/defer_rs_syn",
        "off",
        "Whether a server is only contacted once the client has sent data.",
        |c| &mut c.options.syn_proxy.defer_rs_syn,
    ),
    num(
        "ipvs_defs/tcp/synproxy/rs_syn_max_retry",
        Number(0, 99),
        "3",
        Reload,
        "How often a SYN to a server is repeated.",
        |c, n| c.options.syn_proxy.rs_syn_max_retry = n as u8,
    ),
    num(
        "ipvs_defs/tcp/synproxy/rs_other",
        Number(0, 9),
        "1",
        Reload,
        "How many other servers are asked, one after the other, when one refuses or is silent. Then the client gets a reset.",
        |c, n| c.options.syn_proxy.rs_other = n as u8,
    ),
    num(
        "ipvs_defs/tcp/synproxy/ack_storm_thresh",
        Number(1, 999),
        "100",
        Reload,
        "Equal acknowledgements in a row from a server after which more are dropped.",
        |c, n| c.options.syn_proxy.ack_storm_thresh = n as u16,
    ),
    num(
        "ipvs_defs/tcp/synproxy/max_ack_saved",
        Number(1, 63),
        "10",
        Reload,
        "Packets kept for a connection until its server answers.",
        |c, n| c.options.syn_proxy.max_ack_saved = n as u8,
    ),
    num(
        "ipvs_defs/tcp/synproxy/synack_rate",
        Number(0, 4_294_967_295),
        "0",
        Reload,
        "SYN-ACKs a second towards one neighbourhood of clients and worker; 0 for no limit.",
        |c, n| c.options.syn_proxy.synack_rate = n,
    ),
    num(
        "ipvs_defs/tcp/synproxy/reset_rate",
        Number(0, 4_294_967_295),
        "100",
        Reload,
        "Resets a second towards one neighbourhood of clients and worker; 0 for no limit.",
        |c, n| c.options.syn_proxy.reset_rate = n,
    ),
    group(
        "ipvs_defs/tcp/synproxy/auto",
        "When the proxy stands before services that have it under load only (ipvsadm -j auto).",
    ),
    num(
        "ipvs_defs/tcp/synproxy/auto/syn_rate",
        Number(0, 4_294_967_295),
        "10000",
        Reload,
        "SYNs a second to a service from which on it stands there; 0 for never by that.",
        |c, n| c.options.syn_proxy.auto.syn_rate = n,
    ),
    num(
        "ipvs_defs/tcp/synproxy/auto/half_open",
        Number(1, 100),
        "50",
        Reload,
        "Percentage of at least 64 handshakes of a second that stay half-open from which on it stands there; 100 for never by that.",
        |c, n| c.options.syn_proxy.auto.half_open = n as u8,
    ),
    num(
        "ipvs_defs/tcp/synproxy/auto/calm",
        Number(1, 3600),
        "30",
        Reload,
        "Seconds with less than half of either after which it steps aside.",
        |c, n| c.options.syn_proxy.auto.calm = n as u16,
    ),
    num(
        "ipvs_defs/tcp/synproxy/auto/known",
        Number(0, 3600),
        "60",
        Reload,
        "Seconds in which a neighbourhood of clients (/24, /56) that has proved itself passes by it, 50 times a second at most.",
        |c, n| c.options.syn_proxy.auto.known = n as u16,
    ),
    group(
        "ipvs_defs/tcp/synproxy/conn_reuse_state",
        "States in which a client's new handshake replaces the old connection.",
    ),
    switch(
        "ipvs_defs/tcp/synproxy/conn_reuse_state/established",
        "on",
        "ESTABLISHED: the client has lost the connection and comes again by the same port. Its server is told by a reset.",
        |c| &mut c.options.syn_proxy.reuse.established,
    ),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/close", "on", "CLOSE.", |c| {
        &mut c.options.syn_proxy.reuse.close
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/time_wait", "on", "TIME_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.time_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/fin_wait", "on", "FIN_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.fin_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/close_wait", "on", "CLOSE_WAIT.", |c| {
        &mut c.options.syn_proxy.reuse.close_wait
    }),
    switch("ipvs_defs/tcp/synproxy/conn_reuse_state/last_ack", "on", "LAST_ACK.", |c| {
        &mut c.options.syn_proxy.reuse.last_ack
    }),
    group("sa_pool", "Local ports."),
    ignored(
        "sa_pool/pool_hash_size",
        "local ports are leased by server, one address serves 64511 connections to each",
    ),
    ignored("sa_pool/flow_enable", FLOWS),
];
