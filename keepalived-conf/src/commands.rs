// SPDX-License-Identifier: Apache-2.0
//! A configuration as ipvsadm commands: the director once every checker is content.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::expand::{self, Expanded, Key, TooMany};
use crate::keepalived::Config;
use crate::keepalived::object::{
    Family, Forwarding, Granularity, Method, Protocol, Scheduler, Service, TunnelChecksum, TunnelType,
};

/// The commands, one a line, that make the director what the configuration says. What has no command is a comment.
///
/// # Errors
///
/// Groups with more addresses than anybody can mean.
pub fn ipvsadm(config: &Config) -> Result<String, TooMany> {
    let mut text = String::new();
    let timeouts = config.globals.lvs_timeouts;
    if config.globals.lvs_flush {
        text.push_str("ipvsadm -C\n");
    }
    if [timeouts.tcp, timeouts.tcpfin, timeouts.udp] != [0; 3] {
        line(&mut text, format_args!("--set {} {} {}", timeouts.tcp, timeouts.tcpfin, timeouts.udp));
    }
    for service in expand::services(config)? {
        let target = target(&service.key);
        line(&mut text, format_args!("-A {target}{}", service_options(service.service)));
        for (addr, interface) in service.local_addresses(config)? {
            line(&mut text, format_args!("-P {target} -z {addr} -F {interface}"));
        }
        let [denied, allowed] = service.access(config)?;
        for client in denied {
            line(&mut text, format_args!("-U {target} -k {client}"));
        }
        for client in allowed {
            line(&mut text, format_args!("-O {target} -2 {client}"));
        }
        dests(&mut text, &target, &service);
    }
    Ok(text)
}

fn dests(text: &mut String, target: &str, service: &Expanded<'_>) {
    for (addr, server) in &service.dests {
        let mut limits = String::new();
        if server.uthreshold > 0 || server.lthreshold > 0 {
            let (upper, lower) = (server.uthreshold.min(MAX_LIMIT), server.lthreshold.min(MAX_LIMIT));
            let _ = write!(limits, " -x {upper} -y {lower}");
        }
        let method = method_options(server.method);
        line(text, format_args!("-a {target} -r {addr}{method} -w {}{limits}", server.weight));
    }
    if let Some(sorry) = &service.service.sorry_server {
        let addr = SocketAddr::new(sorry.addr, sorry.port);
        let _ =
            writeln!(text, "# without quorum: -a {target} -r {addr}{} -w 1", method_options(sorry.method));
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "ipvsadm {arguments}");
}

/// How the commands name a service.
fn target(key: &Key) -> String {
    match key {
        Key::Endpoint(protocol, addr) => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
                Protocol::Icmp => "-q",
                Protocol::Icmpv6 => "-1",
            };
            format!("{option} {addr}")
        }
        Key::Mark(mark, Family::Inet) => format!("-f {mark}"),
        Key::Mark(mark, Family::Inet6) => format!("-f {mark} -6"),
        Key::Match(..) => format!("-H {}", key.expression().unwrap_or_default()),
    }
}

fn service_options(service: &Service) -> String {
    let mut text = format!(" -s {}", service.scheduler.name());
    let flags = service.flags.names(service.scheduler);
    let (ops, flags): (Vec<&str>, Vec<&str>) = flags.into_iter().partition(|flag| *flag == "ops");
    if !flags.is_empty() {
        let _ = write!(text, " -b {}", flags.join(","));
    }
    if let Some(persistence) = &service.persistence {
        let _ = write!(text, " -p {}", persistence.timeout);
        let _ = match persistence.granularity {
            None => Ok(()),
            Some(Granularity::Mask(mask)) => write!(text, " -M {mask}"),
            Some(Granularity::Prefix(len)) => write!(text, " -M {len}"),
        };
        if let Some(engine) = &persistence.engine {
            let _ = write!(text, " --pe {engine}");
        }
    }
    if !ops.is_empty() {
        text.push_str(" -o");
    }
    dpvs_options(service, &mut text);
    text
}

fn dpvs_options(service: &Service, text: &mut String) {
    let dpvs = &service.dpvs;
    let hashes = service.scheduler == Scheduler::Conhash;
    if let Some(target) = dpvs.hash_target.filter(|_| hashes) {
        let _ = write!(text, " --hash-target {}", target.name());
    }
    if dpvs.syn_proxy {
        text.push_str(" -j enable");
    }
    if dpvs.expire_quiescent_conn {
        text.push_str(" --expire-quiescent");
    }
    if dpvs.establish_timeout > 0 {
        let _ = write!(text, " --conn-timeout {}", dpvs.establish_timeout);
    }
    if let Some(version) = dpvs.proxy_protocol {
        let _ = write!(text, " --proxy-protocol {}", version.name());
    }
    if dpvs.quic {
        text.push_str(" --quic");
    }
}

fn method_options(method: Method) -> String {
    let option = match method.forwarding {
        Forwarding::Nat => "-m",
        Forwarding::Dr => "-g",
        Forwarding::Tun => "-i",
        Forwarding::FullNat => "-b",
        Forwarding::Snat => "-J",
    };
    let mut text = format!(" {option}");
    if let Some(tunnel) = method.tunnel().filter(|tunnel| tunnel.kind != TunnelType::Ipip) {
        let _ = write!(text, " --tun-type {}", tunnel.kind.name());
        if tunnel.port != 0 {
            let _ = write!(text, " --tun-port {}", tunnel.port);
        }
        text.push_str(match tunnel.checksum {
            TunnelChecksum::None => " --tun-nocsum",
            TunnelChecksum::Full => " --tun-csum",
            TunnelChecksum::Remote => " --tun-remcsum",
        });
    }
    text
}

/// The highest limit that the command takes. No server has as many connections.
const MAX_LIMIT: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use crate::keepalived;

    fn commands(text: &str) -> String {
        let report = keepalived::parse(text.as_bytes(), "x.conf", "lb1").expect("good text");
        super::ipvsadm(&report.config).expect("few addresses")
    }

    #[test]
    fn a_fullnat_service_has_its_local_addresses_and_lists() {
        let text = "local_address_group L {\n 192.0.2.100-101 dpdk0\n}\n\
                    deny_address_group D {\n ipset:bad\n}\n\
                    virtual_server 192.0.2.1 80 {\n protocol TCP\n lb_algo conhash\n lb_kind FNAT\n syn_proxy\n\
                    establish_timeout 60\n proxy_protocol v2\n laddr_group_name L\n daddr_group_name D\n\
                    sorry_server 10.0.0.9 80\n real_server 10.0.0.1 8080 {\n weight 5\n uthreshold 9\n }\n}";
        let expected = "\
ipvsadm -A -t 192.0.2.1:80 -s conhash -j enable --conn-timeout 60 --proxy-protocol v2
ipvsadm -P -t 192.0.2.1:80 -z 192.0.2.100 -F dpdk0
ipvsadm -P -t 192.0.2.1:80 -z 192.0.2.101 -F dpdk0
ipvsadm -U -t 192.0.2.1:80 -k ipset:bad
ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:8080 -b -w 5 -x 9 -y 0
# without quorum: -a -t 192.0.2.1:80 -r 10.0.0.9:80 -b -w 1
";
        assert_eq!(commands(text), expected);
    }

    #[test]
    fn marks_matches_and_tunnels_have_their_own_options() {
        let text = "global_defs {\n lvs_timeouts tcp 900\n}\n\
                    virtual_server fwmark 5 {\n lvs_sched sh\n sh-port\n persistence_timeout 50\n\
                    lvs_method TUN type gue port 6080\n real_server 2001:db8::1 {\n }\n}\n\
                    virtual_server match S {\n protocol ICMP\n lb_algo rr\n src-range 10.0.0.1-10.0.0.9\n oif dpdk1\n\
                    real_server 192.0.2.9 0 {\n }\n}";
        let expected = "\
ipvsadm --set 900 0 0
ipvsadm -A -f 5 -6 -s sh -b sh-port -p 50
ipvsadm -a -f 5 -6 -r [2001:db8::1]:0 -i --tun-type gue --tun-port 6080 --tun-nocsum -w 1
ipvsadm -A -H proto=icmp,src-range=10.0.0.1-10.0.0.9,oif=dpdk1 -s rr
ipvsadm -a -H proto=icmp,src-range=10.0.0.1-10.0.0.9,oif=dpdk1 -r 192.0.2.9:0 -J -w 1
";
        assert_eq!(commands(text), expected);
    }
}
