// SPDX-License-Identifier: Apache-2.0
//! The part of `man/dpvs-keepalived.7` that follows from the table of keywords, in mdoc; and the test that it is there.
//!
//! `UPDATE_MAN=1 cargo test -p keepalived-conf guide` writes it anew.

use std::fmt::Write as _;

use keepalived_conf::keepalived::keyword::{Block, Effect};

const BEGIN: &str = ".\\\" begin keywords\n";
const END: &str = ".\\\" end keywords\n";

/// Keywords that are read and not done, each with the reason.
const NOT_DONE: &[(Block, &str, &str)] = &[
    (Block::Top, "bfd_instance", "Only its name is known; see BFD_CHECK."),
    (Block::GlobalDefs, "lvs_flush", "A daemon that starts has no services; ipvsadm --import obeys it."),
    (Block::GlobalDefs, "lvs_flush_on_stop", "Services end with the daemon in any case."),
    (Block::GlobalDefs, "lvs_flush_onstop", "The same."),
    (Block::GlobalDefs, "lvs_sync_daemon", "Connections are not copied to other directors."),
    (Block::GlobalDefs, "smtp_alert", "Nobody sends mail; let a quorum or notify script do it."),
    (Block::GlobalDefs, "smtp_alert_checker", "The same."),
    (Block::Ssl, "password", "Refused together with a certificate or key: store the key without."),
    (Block::Ssl, "ca", "Certificates of servers are not verified, as keepalived does not either."),
    (Block::VrrpInstance, "virtual_router_id", "The VRRP daemon's business."),
    (Block::VrrpInstance, "priority", "The VRRP daemon's business."),
    (Block::VirtualServer, "hashed", "Never had an effect."),
    (Block::VirtualServer, "smtp_alert", "Nobody sends mail."),
    (Block::VirtualServer, "snmp_name", "There is no SNMP."),
    (Block::VirtualServer, "vip_bind_dev", "Addresses are put on a link by vrrp_instance or dpvs.conf."),
    (Block::RealServer, "smtp_alert", "Nobody sends mail."),
    (Block::RealServer, "snmp_name", "There is no SNMP."),
    (Block::RealServer, "BFD_CHECK", "Refused: there is no BFD to watch; take PING_CHECK."),
    (Block::BfdCheck, "name", "Refused with the block."),
    (Block::BfdCheck, "alpha", "Refused with the block."),
    (Block::HttpUrl, "regex_stack", "Expressions have a limit of their own."),
    (Block::SslUrl, "regex_stack", "Expressions have a limit of their own."),
];

fn title(block: Block) -> &'static str {
    match block {
        Block::Top => "Outside all blocks",
        Block::GlobalDefs => "global_defs",
        Block::Ssl => "SSL",
        Block::TrackFile => "track_file",
        Block::VrrpInstance => "vrrp_instance",
        Block::TunnelGroup => "tunnel_group",
        Block::TunnelEntry => "tunnel_entry",
        Block::VirtualServer => "virtual_server",
        Block::RealServer => "real_server",
        Block::Connection => "TCP_CHECK and PING_CHECK",
        Block::HttpGet => "HTTP_GET",
        Block::SslGet => "SSL_GET",
        Block::HttpUrl => "url of HTTP_GET",
        Block::SslUrl => "url of SSL_GET",
        Block::SmtpCheck => "SMTP_CHECK",
        Block::SmtpHost => "host of SMTP_CHECK",
        Block::DnsCheck => "DNS_CHECK",
        Block::UdpCheck => "UDP_CHECK",
        Block::MiscCheck => "MISC_CHECK",
        Block::BfdCheck => "BFD_CHECK",
        Block::FileCheck => "FILE_CHECK",
    }
}

fn reason(block: Block, name: &str) -> Option<&'static str> {
    NOT_DONE.iter().find(|(of, keyword, _)| (*of, *keyword) == (block, name)).map(|(.., reason)| *reason)
}

/// A section for each block: what is honoured, what is not with the reason, and what is of another trade.
fn keywords() -> String {
    let mut text = String::new();
    for block in Block::ALL {
        let names = |effect: Effect| {
            block.keywords().filter(move |keyword| keyword.effect == effect).map(|keyword| keyword.name)
        };
        let _ = writeln!(text, ".Ss {}", title(block));
        list(&mut text, "Honoured:", names(Effect::Honoured).filter(|name| reason(block, name).is_none()));
        let not: Vec<_> =
            names(Effect::Honoured).filter_map(|name| Some((name, reason(block, name)?))).collect();
        if !not.is_empty() {
            text.push_str("Not done:\n.Bl -tag -width Ds\n");
            for (name, reason) in not {
                let _ = writeln!(text, ".It Ic {name}\n{reason}");
            }
            text.push_str(".El\n");
        }
        list(&mut text, "Read and not obeyed:", names(Effect::Accepted));
    }
    text
}

/// A paragraph with keywords, eight a line.
fn list<'a>(text: &mut String, head: &str, names: impl Iterator<Item = &'a str>) {
    let names: Vec<&str> = names.collect();
    let lines: Vec<String> = names.chunks(8).map(|line| format!(".Ic {}", line.join(" , "))).collect();
    if !lines.is_empty() {
        let _ = writeln!(text, "{head}\n{} .", lines.join(" ,\n"));
    }
}

#[test]
fn the_guide_lists_every_keyword_and_what_becomes_of_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../man/dpvs-keepalived.7");
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(BEGIN).expect("a begin mark");
    let (found, after) = rest.split_once(END).expect("an end mark");
    let wanted = keywords();
    if found != wanted && std::env::var_os("UPDATE_MAN").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{wanted}{END}{after}"))
            .expect("the page can be written");
    }
    assert_eq!(found, wanted, "UPDATE_MAN=1 cargo test -p keepalived-conf guide writes it");
}

#[test]
fn every_reason_belongs_to_a_keyword_that_is_read() {
    for (block, name, _) in NOT_DONE {
        let keyword = block.find(name).unwrap_or_else(|| panic!("{} has no {name}", title(*block)));
        assert_eq!(keyword.effect, Effect::Honoured, "{name}");
    }
}
