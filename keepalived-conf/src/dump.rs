// SPDX-License-Identifier: Apache-2.0
//! A configuration as the JSON document of `keepalived-conf dump`, schema 1.
//!
//! Within a schema, members are added and never renamed, removed or given another meaning.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use crate::keepalived::object::group::word;
use crate::keepalived::object::{
    AccessGroup, AccessMember, Check, Checker, Connect, Dpvs, Encapsulation, FlushOnStop, Globals,
    Granularity, Group, HttpCheck, LocalGroup, Match, Persistence, RealServer, Service, SorryServer, Ssl,
    Target, TrackFile, Tunnel, UdpCheck, Url, VrrpInstance,
};
use crate::keepalived::report::{Fatal, Report, Severity};
use crate::keepalived::script::Script;
use crate::span::Span;

/// The document of what was read. Services become JSON one at a time, because all at once take ten times the memory of
/// the text.
pub struct Document<'a>(pub &'a Report);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let config = &report.config;
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("schema", &SCHEMA)?;
        members.serialize_entry("config_id", &report.config_id)?;
        members.serialize_entry("globals", &globals(&config.globals))?;
        members.serialize_entry("groups", &Each(&config.groups, group))?;
        members.serialize_entry("services", &Each(&config.services, service))?;
        members.serialize_entry("local_address_groups", &Each(&config.local_groups, local_group))?;
        members.serialize_entry("deny_address_groups", &Each(&config.deny_groups, access_group))?;
        members.serialize_entry("allow_address_groups", &Each(&config.allow_groups, access_group))?;
        members.serialize_entry("tunnels", &Each(&config.tunnels, tunnel_entry))?;
        members.serialize_entry("vrrp_instances", &Each(&config.vrrp_instances, vrrp_instance))?;
        members.serialize_entry("track_files", &Each(&config.track_files, track_file))?;
        members.serialize_entry("ssl", &config.ssl.as_ref().map(ssl))?;
        members.serialize_entry("warnings", &warnings(report))?;
        members.serialize_entry("adjustments", &adjustments(report))?;
        members.serialize_entry("skipped", &skipped(report))?;
        members.end()
    }
}

/// A list whose items become JSON as they are written.
struct Each<'a, T>(&'a [T], fn(&T) -> Value);

impl<T> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// The document of what cannot be used.
pub fn fatal(config_id: &str, fatal: &Fatal) -> Value {
    json!({
        "schema": SCHEMA,
        "config_id": config_id,
        "fatal": {"line": fatal.span.line, "keyword": fatal.keyword},
    })
}

fn local_group(group: &LocalGroup) -> Value {
    let entries = group
        .addresses
        .iter()
        .map(|range| json!({"first": range.first, "last": range.last, "interface": range.interface}));
    json!({"name": group.name, "entries": list(entries)})
}

fn tunnel_entry(tunnel: &Tunnel) -> Value {
    json!({
        "group": tunnel.group, "name": tunnel.name, "kind": tunnel.kind,
        "local": tunnel.local, "remote": tunnel.remote, "if": tunnel.interface,
    })
}

fn track_file(file: &TrackFile) -> Value {
    json!({"name": file.name, "file": file.file, "weight": file.weight, "reverse": file.reverse})
}

fn ssl(ssl: &Ssl) -> Value {
    json!({"password": ssl.password, "ca": ssl.ca, "certificate": ssl.certificate, "key": ssl.key})
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::Array(items.collect())
}

/// A set: sorted by file, line and keyword, each once.
fn warnings(report: &Report) -> Value {
    let warnings: BTreeSet<_> = report
        .findings
        .iter()
        .filter(|found| found.severity == Severity::Warning)
        .map(|found| (file(report, &found.span), found.span.line, found.keyword.as_str()))
        .collect();
    list(
        warnings
            .into_iter()
            .map(|(file, line, keyword)| with_file(json!({"line": line, "keyword": keyword}), file)),
    )
}

fn skipped(report: &Report) -> Value {
    list(report.skipped.iter().map(|skipped| {
        let value = json!({"line": skipped.span.line, "keyword": skipped.keyword, "name": skipped.name});
        with_file(value, file(report, &skipped.span))
    }))
}

/// How an included file was written; `None` for the main file.
fn file<'a>(report: &'a Report, span: &Span) -> Option<&'a str> {
    report.included_as.get(&span.file).map(|name| &**name)
}

fn with_file(mut value: Value, file: Option<&str>) -> Value {
    if let (Some(object), Some(file)) = (value.as_object_mut(), file) {
        object.insert("file".to_string(), json!(file));
    }
    value
}

fn adjustments(report: &Report) -> Value {
    list(report.adjustments.iter().map(|adjustment| {
        let mut object = Map::new();
        object.insert("service".to_string(), json!(adjustment.service));
        object.insert("code".to_string(), json!(adjustment.code.name()));
        if let Some(real_server) = &adjustment.real_server {
            object.insert("real_server".to_string(), json!(real_server));
        }
        Value::Object(object)
    }))
}

fn globals(globals: &Globals) -> Value {
    let flush = match globals.lvs_flush_on_stop {
        FlushOnStop::None => "none",
        FlushOnStop::Full => "full",
        FlushOnStop::Services => "vs",
    };
    let timeouts = globals.lvs_timeouts;
    let daemon = globals.lvs_sync_daemon.as_ref().map(
        |daemon| json!({"interface": daemon.interface, "vrrp_instance": daemon.vrrp_instance, "id": daemon.id}),
    );
    json!({
        "lvs_flush": globals.lvs_flush,
        "lvs_flush_on_stop": flush,
        "lvs_timeouts": {"tcp": timeouts.tcp, "tcpfin": timeouts.tcpfin, "udp": timeouts.udp},
        "lvs_sync_daemon": daemon,
        "checker_log_all_failures": globals.checker_log_all_failures,
    })
}

fn group(group: &Group) -> Value {
    let addresses = group
        .addresses
        .iter()
        .map(|range| json!({"first": range.first, "last": range.last, "port": range.port}));
    let marks = group.marks.iter().map(|mark| json!({"fwmark": mark.mark, "family": mark.family.map(word)}));
    json!({"name": group.name, "entries": list(addresses.chain(marks))})
}

fn access_group(group: &AccessGroup) -> Value {
    let entries = group.members.iter().map(|member| match member {
        AccessMember::Range(first, last) => json!({"first": first, "last": last}),
        AccessMember::Set(set) => json!({"ipset": set}),
    });
    json!({"name": group.name, "entries": list(entries)})
}

fn vrrp_instance(instance: &VrrpInstance) -> Value {
    let vips = instance.vips.iter().map(
        |vip| json!({"address": vip.addr, "prefix_len": vip.prefix_len, "dev": vip.dev, "excluded": vip.excluded}),
    );
    json!({
        "name": instance.name,
        "state": instance.state,
        "interface": instance.interface,
        "dpdk_interface": instance.dpdk_interface,
        "virtual_router_id": instance.virtual_router_id,
        "priority": instance.priority,
        "vips": list(vips),
    })
}

fn service(service: &Service) -> Value {
    let kind = match service.target {
        Target::Address(..) => "address",
        Target::Mark(_) => "fwmark",
        Target::Group(_) => "group",
        Target::Match(_) => "match",
    };
    let (address, port) = match service.target {
        Target::Address(addr, port) => (Some(addr), Some(port)),
        _ => (None, None),
    };
    let fwmark = if let Target::Mark(mark) = service.target { Some(mark) } else { None };
    let group = if let Target::Group(name) = &service.target { Some(name) } else { None };
    let rule = if let Target::Match(rule) = &service.target { Some(matching(rule)) } else { None };
    json!({
        "kind": kind,
        "family": service.family.map(word),
        "protocol": service.protocol.map(|protocol| protocol.name()),
        "address": address,
        "port": port,
        "fwmark": fwmark,
        "group": group,
        "match": rule,
        "scheduler": service.scheduler.name(),
        "flags": service.flags.names(service.scheduler),
        "forwarding": service.method.map(|method| method.forwarding.name()),
        "tunnel": tunnel(service.method.and_then(|method| method.tunnel())),
        "persistence": service.persistence.as_ref().map(persistence),
        "ha_suspend": service.ha_suspend,
        "alpha": service.alpha,
        "omega": service.omega,
        "quorum": service.quorum,
        "hysteresis": service.hysteresis,
        "smtp_alert": service.smtp_alert,
        "quorum_up": script(service.quorum_up.as_ref()),
        "quorum_down": script(service.quorum_down.as_ref()),
        "virtualhost": service.virtualhost,
        "snmp_name": service.snmp_name,
        "dpvs": dpvs(&service.dpvs),
        "sorry_server": service.sorry_server.as_ref().map(sorry_server),
        "real_servers": list(service.real_servers.iter().map(real_server)),
    })
}

fn matching(rule: &Match) -> Value {
    json!({
        "name": rule.name, "src_range": rule.src_range, "dst_range": rule.dst_range,
        "oif": rule.oif, "iif": rule.iif,
    })
}

fn tunnel(tunnel: Option<Encapsulation>) -> Value {
    let Some(tunnel) = tunnel else { return Value::Null };
    json!({"type": tunnel.kind.name(), "port": tunnel.port, "checksum": tunnel.checksum.name()})
}

fn persistence(persistence: &Persistence) -> Value {
    let granularity = match persistence.granularity {
        None => Value::Null,
        Some(Granularity::Mask(mask)) => json!(mask),
        Some(Granularity::Prefix(len)) => json!(len),
    };
    json!({"timeout": persistence.timeout, "granularity": granularity, "engine": persistence.engine})
}

fn script(script: Option<&Script>) -> Value {
    script.map_or(Value::Null, |script| json!({"argv": script.argv, "user": script.user}))
}

fn dpvs(dpvs: &Dpvs) -> Value {
    json!({
        "local_address_group": dpvs.local_group,
        "deny_address_group": dpvs.deny_group,
        "allow_address_group": dpvs.allow_group,
        "syn_proxy": dpvs.syn_proxy,
        "expire_quiescent_conn": dpvs.expire_quiescent_conn,
        "quic": dpvs.quic,
        "establish_timeout": dpvs.establish_timeout,
        "bps": dpvs.bps,
        "limit_proportion": dpvs.limit_proportion.unwrap_or(100),
        "proxy_protocol": dpvs.proxy_protocol.map(|version| version.name()),
        "hash_target": dpvs.hash_target.map(|target| target.name()),
        "vip_bind_dev": dpvs.vip_bind_dev,
    })
}

fn sorry_server(sorry: &SorryServer) -> Value {
    json!({
        "address": sorry.addr,
        "port": sorry.port,
        "weight": 1,
        "forwarding": sorry.method.forwarding.name(),
        "tunnel": tunnel(sorry.method.tunnel()),
        "inhibit_on_failure": sorry.inhibit_on_failure,
    })
}

fn real_server(server: &RealServer) -> Value {
    json!({
        "address": server.addr,
        "port": server.port,
        "weight": server.weight,
        "forwarding": server.method.forwarding.name(),
        "tunnel": tunnel(server.method.tunnel()),
        "inhibit_on_failure": server.inhibit_on_failure,
        "uthreshold": server.uthreshold,
        "lthreshold": server.lthreshold,
        "alpha": server.alpha,
        "smtp_alert": server.smtp_alert,
        "virtualhost": server.virtualhost,
        "snmp_name": server.snmp_name,
        "notify_up": script(server.notify_up.as_ref()),
        "notify_down": script(server.notify_down.as_ref()),
        "checkers": list(server.checkers.iter().map(checker)),
    })
}

/// The member of one checker.
pub fn checker(checker: &Checker) -> Value {
    let mut members = match &checker.check {
        Check::Tcp | Check::Ping => json!({}),
        Check::Http(http) | Check::Ssl(http) => http_check(http),
        Check::Smtp { helo_name } => json!({"helo_name": helo_name}),
        Check::Dns { kind, name } => json!({"dns_type": kind, "name": name}),
        Check::Udp(udp) => udp_check(udp),
        Check::Misc { script, timeout_us, dynamic } => {
            json!({"timeout_us": timeout_us, "dynamic": dynamic, "script": {"argv": script.argv, "user": script.user}})
        }
        Check::Bfd { name } => json!({"name": name, "alpha": checker.alpha}),
        Check::File { track_file, weight, reverse } => {
            json!({"track_file": track_file, "weight": weight, "reverse": reverse})
        }
    };
    members["type"] = json!(checker.check.keyword());
    if let Some(timing) = checker.timing {
        members["delay_loop_us"] = json!(timing.delay_loop_us);
        members["warmup_us"] = json!(timing.warmup_us);
        members["retry"] = json!(timing.retry);
        members["delay_before_retry_us"] = json!(timing.delay_before_retry_us);
        members["alpha"] = json!(checker.alpha);
        members["log_all_failures"] = json!(timing.log_all_failures);
    }
    if let Some(target) = &checker.connect {
        members["connect"] = connect(target);
    }
    members
}

fn connect(connect: &Connect) -> Value {
    json!({
        "address": connect.addr,
        "port": connect.port,
        "timeout_us": connect.timeout_us,
        "bindto": connect.bindto,
        "bind_port": connect.bind_port,
        "bind_if": connect.bind_if,
        "fwmark": connect.fwmark,
    })
}

fn http_check(http: &HttpCheck) -> Value {
    json!({
        "http_protocol": http.protocol.name(),
        "virtualhost": http.virtualhost,
        "fast_recovery": http.fast_recovery,
        "enable_sni": http.enable_sni,
        "sni_name": http.sni_name,
        "tls_compliant": http.tls_compliant,
        "urls": list(http.urls.iter().map(url)),
    })
}

fn url(url: &Url) -> Value {
    let regex = url.regex.as_ref().map(|regex| {
        json!({
            "pattern": regex.pattern,
            "no_match": regex.no_match,
            "options": regex.options,
            "min_offset": regex.min_offset,
            "max_offset": regex.max_offset,
        })
    });
    json!({
        "path": url.path,
        "digest": url.digest,
        "virtualhost": url.virtualhost,
        "tls_compliant": url.tls_compliant,
        "status_codes": url.status_codes.0,
        "regex": regex,
    })
}

fn udp_check(udp: &UdpCheck) -> Value {
    let pattern = udp.reply.as_ref().and_then(|reply| reply.pattern.as_ref());
    let mask = pattern.and_then(|pattern| pattern.mask.as_ref());
    json!({
        "payload": udp.payload.as_ref().map(|bytes| hex(bytes)),
        "require_reply": udp.reply.is_some(),
        "reply": pattern.map(|pattern| hex(&pattern.bytes)),
        "reply_mask": mask.map(|bytes| hex(bytes)),
        "min_reply_length": udp.min_reply_length,
        "max_reply_length": udp.max_reply_length,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Version of the document.
const SCHEMA: u32 = 1;
