// SPDX-License-Identifier: Apache-2.0
//! The listings of connections and timeouts.

use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use model::{ConnEntry, ConnState, EngineData, Timeouts, Transport};

use super::{Labels, protocol};
use crate::args::Style;

/// Connections in the order given. `engines` adds the titles of the persistence engine's columns.
///
/// # Errors
///
/// Those of the writer.
pub fn table(
    conns: &[ConnEntry],
    labels: Labels<'_>,
    style: Style,
    engines: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if style == Style::Stock {
        let engines = if engines { "        pe name          pe_data" } else { "" };
        writeln!(
            out,
            "IPVS connection entries\n\
             pro expire state       source             virtual            destination{engines}"
        )?;
    }
    for conn in conns {
        match style {
            Style::Stock => stock(conn, labels, engines, out)?,
            Style::Dpvs => dpvs(conn, labels, out)?,
        }
    }
    Ok(())
}

fn stock(conn: &ConnEntry, labels: Labels<'_>, engines: bool, out: &mut dyn Write) -> io::Result<()> {
    // Packets of all protocols may have one mark, which stands in the first four bytes of the address.
    let transport = if conn.mark.is_some() { None } else { Some(conn.transport) };
    let marked = |mark: NonZeroU32| match conn.virt {
        SocketAddr::V4(_) => SocketAddr::from((mark.get().to_be_bytes(), 0)),
        SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::from_bits(u128::from(mark.get()) << 96).into(), 0),
    };
    let virt = conn.mark.map_or(conn.virt, marked);
    let [client, virt, dest] = [conn.client, virt, conn.dest].map(|end| labels.end(end, transport));
    write!(
        out,
        "{:<3} {:02}:{:02}  {:<11} {client:<18} {virt:<18} ",
        transport.map_or("IP", protocol),
        conn.expires / 60,
        conn.expires % 60,
        stock_state(conn)
    )?;
    match conn.engine.as_ref().filter(|_| engines) {
        Some(EngineData { name, data }) => writeln!(out, "{dest:<16} {name:<18} {data}"),
        None => writeln!(out, "{dest}"),
    }
}

fn dpvs(conn: &ConnEntry, labels: Labels<'_>, out: &mut dyn Write) -> io::Result<()> {
    let [client, virt, local, dest] =
        [conn.client, conn.virt, conn.local, conn.dest].map(|end| labels.end(end, Some(conn.transport)));
    let expires = format!("{}s", conn.expires);
    writeln!(
        out,
        "[{}]{:<3} {expires:<6} {:<11} {client:<18} {virt:<18} {local:<18} {dest}",
        conn.lcore + 1,
        conn.transport.name(),
        dpvs_state(conn)
    )
}

fn stock_state(conn: &ConnEntry) -> &'static str {
    if conn.template {
        return if conn.state == ConnState::None { "NONE" } else { "ASSURED" };
    }
    match (conn.transport, conn.state) {
        (Transport::Udp, _) => "UDP",
        (Transport::Icmp | Transport::Icmpv6, _) => "ICMP",
        (_, ConnState::None) => "NONE",
        (_, ConnState::Established) => "ESTABLISHED",
        (_, ConnState::SynSent) => "SYN_SENT",
        (_, ConnState::SynRecv) => "SYN_RECV",
        (_, ConnState::FinWait) => "FIN_WAIT",
        (_, ConnState::TimeWait) => "TIME_WAIT",
        (_, ConnState::Close) => "CLOSE",
        (_, ConnState::CloseWait) => "CLOSE_WAIT",
        (_, ConnState::LastAck) => "LAST_ACK",
        (_, ConnState::Listen) => "LISTEN",
        (_, ConnState::SynAck) => "SYNACK",
        (_, ConnState::UdpOneWay | ConnState::UdpNormal) => "UDP",
        (_, ConnState::IcmpNormal) => "ICMP",
        (_, ConnState::SctpInit1) => "INIT1",
        (_, ConnState::SctpInit) => "INIT",
        (_, ConnState::SctpCookieSent) => "COOKIE_SENT",
        (_, ConnState::SctpCookieReplied) => "COOKIE_REPLIED",
        (_, ConnState::SctpCookieWait) => "COOKIE_WAIT",
        (_, ConnState::SctpCookie) => "COOKIE",
        (_, ConnState::SctpCookieEchoed) => "COOKIE_ECHOED",
        (_, ConnState::SctpShutdownSent) => "SHUTDOWN_SENT",
        (_, ConnState::SctpShutdownReceived) => "SHUTDOWN_RECEIVED",
        (_, ConnState::SctpShutdownAckSent) => "SHUTDOWN_ACK_SENT",
        (_, ConnState::SctpRejected) => "REJECTED",
        (_, ConnState::SctpClosed) => "CLOSED",
    }
}

fn dpvs_state(conn: &ConnEntry) -> &'static str {
    // Templates have no state there.
    let state = if conn.template { ConnState::None } else { conn.state };
    match (conn.transport, state) {
        (Transport::Udp, ConnState::None) => "UDP_NONE",
        (Transport::Sctp, ConnState::None) => "SCTP_NONE",
        (Transport::Icmp | Transport::Icmpv6, _) => "ICMP_NORMAL",
        (Transport::Sctp, ConnState::Established) => "SCTP_ESTABLISHED",
        (_, ConnState::None) => "TCP_NONE",
        (_, ConnState::Established) => "TCP_EST",
        (_, ConnState::SynSent) => "SYN_SENT",
        (_, ConnState::SynRecv) => "SYN_RECV",
        (_, ConnState::FinWait) => "FIN_WAIT",
        (_, ConnState::TimeWait) => "TIME_WAIT",
        (_, ConnState::Close) => "TCP_CLOSE",
        (_, ConnState::CloseWait) => "CLOSE_WAIT",
        (_, ConnState::LastAck) => "LAST_ACK",
        (_, ConnState::Listen) => "LISTEN",
        (_, ConnState::SynAck) => "SYNACK",
        (_, ConnState::UdpOneWay) => "UDP_ONEWAY",
        (_, ConnState::UdpNormal) => "UDP_NORM",
        (_, ConnState::IcmpNormal) => "ICMP_NORMAL",
        (_, ConnState::SctpInit1) => "SCTP_INIT1",
        (_, ConnState::SctpInit) => "SCTP_INIT",
        (_, ConnState::SctpCookieSent) => "SCTP_COOKIE_SENT",
        (_, ConnState::SctpCookieReplied) => "SCTP_COOKIE_REPLIED",
        (_, ConnState::SctpCookieWait) => "SCTP_COOKIE_WAIT",
        (_, ConnState::SctpCookie) => "SCTP_COOKIE",
        (_, ConnState::SctpCookieEchoed) => "SCTP_COOKIE_ECHOED",
        (_, ConnState::SctpShutdownSent) => "SCTP_SHUTDOWN_SENT",
        (_, ConnState::SctpShutdownReceived) => "SCTP_SHUTDOWN_RECEIVED",
        (_, ConnState::SctpShutdownAckSent) => "SCTP_SHUTDOWN_ACK_SENT",
        (_, ConnState::SctpRejected) => "SCTP_REJECTED",
        (_, ConnState::SctpClosed) => "SCTP_CLOSED",
    }
}

/// The three idle timeouts.
///
/// # Errors
///
/// Those of the writer.
pub fn timeouts(timeouts: &Timeouts, out: &mut dyn Write) -> io::Result<()> {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    writeln!(out, "Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}")
}
