// SPDX-License-Identifier: Apache-2.0
//! A configuration as text in normal form: every effective value written out, nothing left to definitions, conditions,
//! includes, inheritance or defaults. Reading it gives the same configuration again.

use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;

use super::object::{
    AccessGroup, AccessMember, Check, Checker, Config, Connect, FlushOnStop, Forwarding, Globals,
    Granularity, Group, HttpCheck, LocalGroup, Method, RealServer, Service, SorryServer, Target, Timing,
    TunnelType, UdpCheck, Url, VrrpInstance,
};
use super::script::Script;
use super::value::Pattern;

/// The text of a whole configuration.
pub fn config(config: &Config) -> String {
    let mut out = Printer::default();
    globals(&mut out, &config.globals);
    if let Some(ssl) = &config.ssl {
        out.block("SSL", |out| {
            out.some("password", ssl.password.as_deref().map(word));
            out.some("ca", ssl.ca.as_deref().map(word));
            out.some("certificate", ssl.certificate.as_deref().map(word));
            out.some("key", ssl.key.as_deref().map(word));
        });
    }
    for file in &config.track_files {
        out.block(format_args!("track_file {}", word(&file.name)), |out| {
            out.line(format_args!("file {}", word(&file.file)));
            out.line(format_args!("weight {} {}", file.weight, reverse(file.reverse)));
        });
    }
    for name in bfd_instances(config) {
        out.block(format_args!("bfd_instance {}", word(name)), |_| {});
    }
    config.vrrp_instances.iter().for_each(|instance| vrrp_instance(&mut out, instance));
    config.local_groups.iter().for_each(|group| local_group(&mut out, group));
    config.deny_groups.iter().for_each(|group| access_group(&mut out, "deny_address_group", group));
    config.allow_groups.iter().for_each(|group| access_group(&mut out, "allow_address_group", group));
    tunnels(&mut out, config);
    config.groups.iter().for_each(|found| group(&mut out, found));
    config.services.iter().for_each(|found| service(&mut out, found));
    out.text
}

/// Lines, four blanks a level.
#[derive(Default)]
struct Printer {
    text: String,
    level: usize,
}

impl Printer {
    fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.text, "{:1$}{line}", "", 4 * self.level);
    }

    fn block(&mut self, header: impl Display, body: impl FnOnce(&mut Printer)) {
        self.line(format_args!("{header} {{"));
        self.level += 1;
        body(self);
        self.level -= 1;
        self.line("}");
    }

    fn some(&mut self, keyword: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(format_args!("{keyword} {value}"));
        }
    }

    fn flag(&mut self, keyword: &str, on: bool) {
        if on {
            self.line(keyword);
        }
    }
}

fn globals(out: &mut Printer, globals: &Globals) {
    if *globals == Globals::default() {
        return;
    }
    out.block("global_defs", |out| {
        out.flag("lvs_flush", globals.lvs_flush);
        match globals.lvs_flush_on_stop {
            FlushOnStop::None => {}
            FlushOnStop::Full => out.line("lvs_flush_on_stop"),
            FlushOnStop::Services => out.line("lvs_flush_on_stop VS"),
        }
        let timeouts = globals.lvs_timeouts;
        if [timeouts.tcp, timeouts.tcpfin, timeouts.udp] != [0; 3] {
            let (tcp, fin, udp) = (timeouts.tcp, timeouts.tcpfin, timeouts.udp);
            out.line(format_args!("lvs_timeouts tcp {tcp} tcpfin {fin} udp {udp}"));
        }
        if let Some(daemon) = &globals.lvs_sync_daemon {
            let mut line = format!("lvs_sync_daemon {}", word(&daemon.interface));
            let option = |line: &mut String, name: &str, value: Option<String>| {
                if let Some(value) = value {
                    let _ = write!(line, " {name} {value}");
                }
            };
            option(&mut line, "inst", daemon.vrrp_instance.as_deref().map(|name| word(name).to_string()));
            option(&mut line, "id", daemon.id.map(|id| id.to_string()));
            option(&mut line, "maxlen", daemon.maxlen.map(|len| len.to_string()));
            option(&mut line, "port", daemon.port.map(|port| port.to_string()));
            option(&mut line, "ttl", daemon.ttl.map(|ttl| ttl.to_string()));
            option(&mut line, "group", daemon.group.map(|addr| addr.to_string()));
            out.line(line);
        }
        out.flag("checker_log_all_failures", globals.checker_log_all_failures);
        out.some("smtp_alert", globals.smtp_alert.map(yes));
        out.some("smtp_alert_checker", globals.smtp_alert_checker.map(yes));
        out.flag("rs_init_notifies", globals.rs_init_notifies);
        out.some("script_user", globals.script_user.as_deref().map(words));
    });
}

/// Those that checkers watch; the others do not matter here.
fn bfd_instances(config: &Config) -> Vec<&str> {
    let mut seen = HashSet::new();
    let servers = config.services.iter().flat_map(|service| &service.real_servers);
    servers
        .flat_map(|server| &server.checkers)
        .filter_map(|checker| match &checker.check {
            Check::Bfd { name } if seen.insert(name.as_str()) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

fn vrrp_instance(out: &mut Printer, instance: &VrrpInstance) {
    out.block(format_args!("vrrp_instance {}", word(&instance.name)), |out| {
        out.some("state", instance.state.as_deref());
        out.some("interface", instance.interface.as_deref().map(word));
        out.some("dpdk_interface", instance.dpdk_interface.as_deref().map(word));
        out.some("virtual_router_id", instance.virtual_router_id);
        out.line(format_args!("priority {}", instance.priority));
        for (keyword, excluded) in [("virtual_ipaddress", false), ("virtual_ipaddress_excluded", true)] {
            out.block(keyword, |out| {
                for vip in instance.vips.iter().filter(|vip| vip.excluded == excluded) {
                    let dev = vip.dev.as_deref().map(|dev| format!(" dev {}", word(dev))).unwrap_or_default();
                    out.line(format_args!("{}/{}{dev}", vip.addr, vip.prefix_len));
                }
            });
        }
    });
}

fn local_group(out: &mut Printer, group: &LocalGroup) {
    out.block(format_args!("local_address_group {}", word(&group.name)), |out| {
        for range in &group.addresses {
            out.line(format_args!("{} {}", short_range(range.first, range.last), word(&range.interface)));
        }
    });
}

fn access_group(out: &mut Printer, keyword: &str, group: &AccessGroup) {
    out.block(format_args!("{keyword} {}", word(&group.name)), |out| {
        for member in &group.members {
            match member {
                AccessMember::Range(first, last) => out.line(short_range(*first, *last)),
                AccessMember::Set(set) => out.line(word(&format!("ipset:{set}"))),
            }
        }
    });
}

/// A range within the last octet or 16-bit group, as DPVS's groups have it.
fn short_range(first: IpAddr, last: IpAddr) -> String {
    match last {
        _ if first == last => first.to_string(),
        IpAddr::V4(last) => format!("{first}-{}", last.octets()[3]),
        IpAddr::V6(last) => format!("{first}-{:x}", last.segments()[7]),
    }
}

fn tunnels(out: &mut Printer, config: &Config) {
    for entries in config.tunnels.chunk_by(|a, b| a.group == b.group) {
        out.block(format_args!("tunnel_group {}", word(&entries[0].group)), |out| {
            for tunnel in entries {
                out.block(format_args!("tunnel_entry {}", word(&tunnel.name)), |out| {
                    out.some("kind", tunnel.kind.as_deref());
                    out.some("local", tunnel.local);
                    out.some("remote", tunnel.remote);
                    out.some("if", tunnel.interface.as_deref().map(word));
                });
            }
        });
    }
}

fn group(out: &mut Printer, group: &Group) {
    out.block(format_args!("virtual_server_group {}", word(&group.name)), |out| {
        for range in &group.addresses {
            match range.first == range.last {
                true => out.line(format_args!("{} {}", range.first, range.port)),
                false => out.line(format_args!("{}-{} {}", range.first, range.last, range.port)),
            }
        }
        for mark in &group.marks {
            let family = mark.family.map(|family| format!(" {}", super::object::group::word(family)));
            out.line(format_args!("fwmark {}{}", mark.mark, family.unwrap_or_default()));
        }
    });
}

fn service(out: &mut Printer, service: &Service) {
    let header = match &service.target {
        Target::Address(addr, port) => format!("{addr} {port}"),
        Target::Mark(mark) => format!("fwmark {mark}"),
        Target::Group(name) => format!("group {}", word(name)),
        Target::Match(rule) => format!("match {}", word(&rule.name)),
    };
    out.block(format_args!("virtual_server {header}"), |out| {
        out.some("ip_family", service.family.map(super::object::group::word));
        out.some("protocol", service.protocol.map(|protocol| protocol.name().to_uppercase()));
        out.line(format_args!("lvs_sched {}", service.scheduler.name()));
        out.some("lvs_method", service.method.map(method));
        if let Target::Match(rule) = &service.target {
            out.some("src-range", rule.src_range.as_deref().map(word));
            out.some("dst-range", rule.dst_range.as_deref().map(word));
            out.some("oif", rule.oif.as_deref().map(word));
            out.some("iif", rule.iif.as_deref().map(word));
        }
        if let Some(persistence) = &service.persistence {
            out.line(format_args!("persistence_timeout {}", persistence.timeout));
            match persistence.granularity {
                None => {}
                Some(Granularity::Mask(mask)) => out.line(format_args!("persistence_granularity {mask}")),
                Some(Granularity::Prefix(len)) => out.line(format_args!("persistence_granularity {len}")),
            }
            out.some("persistence_engine", persistence.engine.as_deref().map(word));
        }
        let flags = service.flags;
        out.flag("ops", flags.ops);
        out.flag("flag-1", flags.flag1);
        out.flag("flag-2", flags.flag2);
        out.flag("flag-3", flags.flag3);
        out.flag("ha_suspend", service.ha_suspend);
        out.flag("alpha", service.alpha);
        out.flag("omega", service.omega);
        // Weights of 0 in all make a quorum of 0, which cannot be written.
        out.line(format_args!("quorum {}", service.quorum.max(1)));
        out.line(format_args!("hysteresis {}", service.hysteresis));
        out.line(format_args!("smtp_alert {}", yes(service.smtp_alert)));
        out.some("quorum_up", service.quorum_up.as_ref().map(script));
        out.some("quorum_down", service.quorum_down.as_ref().map(script));
        out.some("virtualhost", service.virtualhost.as_deref().map(word));
        out.some("snmp_name", service.snmp_name.as_deref().map(word));
        dpvs(out, service);
        if let Some(sorry) = &service.sorry_server {
            sorry_server(out, sorry);
        }
        let mut seen = HashSet::new();
        for server in &service.real_servers {
            real_server(out, server, &mut seen);
        }
    });
}

fn dpvs(out: &mut Printer, service: &Service) {
    let dpvs = &service.dpvs;
    out.some("laddr_group_name", dpvs.local_group.as_deref().map(word));
    out.some("daddr_group_name", dpvs.deny_group.as_deref().map(word));
    out.some("waddr_group_name", dpvs.allow_group.as_deref().map(word));
    out.flag("syn_proxy", dpvs.syn_proxy);
    out.flag("expire_quiescent_conn", dpvs.expire_quiescent_conn);
    out.flag("quic", dpvs.quic);
    out.some("establish_timeout", Some(dpvs.establish_timeout).filter(|seconds| *seconds > 0));
    out.some("proxy_protocol", dpvs.proxy_protocol.map(|version| version.name()));
    out.some("hash_target", dpvs.hash_target.map(|target| target.name()));
    out.some("bps", Some(dpvs.bps).filter(|bps| *bps != 0));
    out.some("limit_proportion", dpvs.limit_proportion);
    out.some("vip_bind_dev", dpvs.vip_bind_dev.as_deref().map(word));
}

fn sorry_server(out: &mut Printer, sorry: &SorryServer) {
    out.line(format_args!("sorry_server {} {}", sorry.addr, sorry.port));
    out.line(format_args!("sorry_server_lvs_method {}", method(sorry.method)));
    out.flag("sorry_server_inhibit", sorry.inhibit_on_failure);
}

/// `seen` holds the servers of the service written so far. Some may have differed only by ports that are not used, and
/// must differ again; a checker without a port of its own tells that its real server was written without one.
fn real_server(out: &mut Printer, server: &RealServer, seen: &mut HashSet<(IpAddr, u16)>) {
    let portless =
        server.checkers.iter().any(|checker| checker.connect.as_ref().is_some_and(|to| to.port == 0));
    let ports = [if portless { 0 } else { server.port }].into_iter().chain(0..=u16::MAX);
    let port = ports.into_iter().find(|port| seen.insert((server.addr, *port))).unwrap_or(server.port);
    out.block(format_args!("real_server {} {port}", server.addr), |out| {
        out.line(format_args!("weight {}", server.weight));
        out.line(format_args!("lvs_method {}", method(server.method)));
        out.line(format_args!("inhibit_on_failure {}", yes(server.inhibit_on_failure)));
        out.line(format_args!("uthreshold {}", server.uthreshold));
        out.line(format_args!("lthreshold {}", server.lthreshold));
        out.line(format_args!("alpha {}", yes(server.alpha)));
        out.line(format_args!("smtp_alert {}", yes(server.smtp_alert)));
        out.some("virtualhost", server.virtualhost.as_deref().map(word));
        out.some("snmp_name", server.snmp_name.as_deref().map(word));
        out.some("notify_up", server.notify_up.as_ref().map(script));
        out.some("notify_down", server.notify_down.as_ref().map(script));
        for found in &server.checkers {
            out.block(found.check.keyword(), |out| checker(out, found, server.addr, port));
        }
    });
}

fn checker(out: &mut Printer, checker: &Checker, addr: IpAddr, port: u16) {
    if let Some(target) = &checker.connect {
        connect(out, target, addr, port);
    }
    if let Some(found) = checker.timing {
        timing(out, found);
    }
    if !matches!(checker.check, Check::File { .. }) {
        out.line(format_args!("alpha {}", yes(checker.alpha)));
    }
    match &checker.check {
        Check::Tcp | Check::Ping => {}
        Check::Http(http) => http_check(out, http, false),
        Check::Ssl(http) => http_check(out, http, true),
        Check::Smtp { helo_name } => out.line(format_args!("helo_name {}", word(helo_name))),
        Check::Dns { kind, name } => {
            out.line(format_args!("type {kind}"));
            out.some("name", Some(name).filter(|name| !name.is_empty()).map(|name| word(name)));
        }
        Check::Udp(udp) => udp_check(out, udp),
        Check::Misc { script, timeout_us, dynamic } => {
            out.line(format_args!("misc_path \"{}\"", command_line(&script.argv)));
            out.some("user", script.user.as_deref().map(words));
            out.line(format_args!("misc_timeout {}", timeout_us / 1_000_000));
            out.flag("misc_dynamic", *dynamic);
        }
        Check::Bfd { name } => out.line(format_args!("name {}", word(name))),
        Check::File { track_file, weight, reverse: backwards } => {
            out.line(format_args!("track_file {}", word(track_file)));
            out.line(format_args!("weight {weight} {}", reverse(*backwards)));
        }
    }
}

fn connect(out: &mut Printer, connect: &Connect, addr: IpAddr, port: u16) {
    out.some("connect_ip", Some(connect.addr).filter(|own| *own != addr));
    out.some("connect_port", Some(connect.port).filter(|own| *own != port));
    out.line(format_args!("connect_timeout {}", seconds(connect.timeout_us)));
    out.some("bindto", connect.bindto);
    out.some("bind_port", Some(connect.bind_port).filter(|port| *port != 0));
    out.some("bind_if", connect.bind_if.as_deref().map(word));
    out.some("fwmark", Some(connect.fwmark).filter(|mark| *mark != 0));
}

fn timing(out: &mut Printer, timing: Timing) {
    out.line(format_args!("delay_loop {}", seconds(timing.delay_loop_us)));
    out.line(format_args!("warmup {}", seconds(timing.warmup_us)));
    out.line(format_args!("retry {}", timing.retry));
    out.line(format_args!("delay_before_retry {}", seconds(timing.delay_before_retry_us)));
    out.flag("log_all_failures", timing.log_all_failures);
}

fn http_check(out: &mut Printer, http: &HttpCheck, tls: bool) {
    out.line(format_args!("http_protocol {}", http.protocol.name()));
    out.some("virtualhost", http.virtualhost.as_deref().map(word));
    out.flag("fast_recovery", http.fast_recovery);
    // The name switches it on, so that it must come first.
    out.some("sni_name", http.sni_name.as_deref().map(word));
    out.line(format_args!("enable_sni {}", yes(http.enable_sni)));
    out.flag("tls_compliant", tls && http.tls_compliant);
    for page in &http.urls {
        out.block("url", |out| url(out, page, tls));
    }
}

fn url(out: &mut Printer, url: &Url, tls: bool) {
    out.line(format_args!("path {}", word(&url.path)));
    out.some("digest", url.digest.as_deref());
    let codes: Vec<String> = url.status_codes.0.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    out.line(format_args!("status_code {}", codes.join(" ")));
    out.some("virtualhost", url.virtualhost.as_deref().map(word));
    out.flag("tls_compliant", tls && url.tls_compliant);
    let Some(regex) = &url.regex else { return };
    out.line(format_args!("regex \"{}\"", escaped(&regex.pattern)));
    out.flag("regex_no_match", regex.no_match);
    if !regex.options.is_empty() {
        out.line(format_args!("regex_options {}", regex.options.join(" ")));
    }
    out.line(format_args!("regex_min_offset {}", regex.min_offset));
    out.some("regex_max_offset", regex.max_offset);
}

fn udp_check(out: &mut Printer, udp: &UdpCheck) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    out.some("payload", udp.payload.as_deref().map(hex));
    match &udp.reply {
        None => {}
        Some(reply) => {
            out.line(format_args!("require_reply {}", reply.pattern.as_ref().map(wild).unwrap_or_default()))
        }
    }
    out.line(format_args!("min_reply_length {}", udp.min_reply_length));
    out.line(format_args!("max_reply_length {}", udp.max_reply_length));
}

/// Hexadecimal digits with `x` for wildcards.
fn wild(pattern: &Pattern) -> String {
    let digit = |value: u8, mask: u8| if mask == 0 { format!("{value:x}") } else { "x".to_string() };
    let mask = |at: usize| pattern.mask.as_ref().and_then(|mask| mask.get(at)).copied().unwrap_or(0);
    let byte =
        |(at, byte): (usize, &u8)| digit(byte >> 4, mask(at) >> 4) + &digit(byte & 0xf, mask(at) & 0xf);
    pattern.bytes.iter().enumerate().map(byte).collect()
}

fn method(method: Method) -> String {
    let word = match method.forwarding {
        Forwarding::Nat => "NAT",
        Forwarding::Dr => "DR",
        Forwarding::Tun => "TUN",
        Forwarding::FullNat => "FNAT",
        Forwarding::Snat => "SNAT",
    };
    let Some(tunnel) = method.tunnel() else { return word.to_string() };
    let port = if tunnel.kind == TunnelType::Gue { format!(" port {}", tunnel.port) } else { String::new() };
    format!("{word} type {}{port} {}", tunnel.kind.name(), tunnel.checksum.name())
}

fn script(script: &Script) -> String {
    let user = script.user.as_deref().map(|user| format!(" {}", words(user))).unwrap_or_default();
    format!("\"{}\"{user}", command_line(&script.argv))
}

fn command_line(argv: &[String]) -> String {
    let words = argv.iter().map(|arg| if arg.is_empty() { "''".to_string() } else { escaped(arg) });
    words.collect::<Vec<_>>().join(" ")
}

/// Text for between double quotes, where it is split at blanks and quotes and its escapes are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        let _ = match c {
            // A quote inside quotes cannot be escaped by itself: it ends them before anybody looks at escapes.
            '"' => write!(escaped, "\\x22"),
            '\\' | '\'' | ' ' => write!(escaped, "\\{c}"),
            c if c.is_ascii_control() => write!(escaped, "\\x{:02x}", u32::from(c)),
            c => write!(escaped, "{c}"),
        };
    }
    escaped
}

/// A word, in quotes where it would not be one without.
fn word(text: &str) -> Word<'_> {
    Word(text)
}

/// Words that were joined by blanks.
fn words(text: &str) -> String {
    text.split(' ').map(|part| word(part).to_string()).collect::<Vec<_>>().join(" ")
}

struct Word<'a>(&'a str);

impl Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:/-,+=?&%*@".contains(c);
        match !self.0.is_empty() && self.0.chars().all(plain) {
            true => f.write_str(self.0),
            false => write!(f, "\"{}\"", self.0),
        }
    }
}

fn seconds(us: u64) -> String {
    match us % 1_000_000 {
        0 => (us / 1_000_000).to_string(),
        decimals => format!("{}.{decimals:06}", us / 1_000_000),
    }
}

fn yes(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

fn reverse(reverse: bool) -> &'static str {
    if reverse { "reverse" } else { "noreverse" }
}
