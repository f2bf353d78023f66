// SPDX-License-Identifier: Apache-2.0
//! What a keepalived.conf asks for in vain: one line for each kind, at its first place.

use keepalived_conf::Span;
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object::{RealServer, Service};
use model::net::VrrpRole;

use crate::tunnels;
use crate::vips::first_role;

/// Who reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A tool that fills the table once: nobody looks after the servers.
    Tool,
    /// The daemon, which does.
    Daemon,
}

/// Lines `FILE:LINE: not done: ...`.
pub fn of(config: &Config, reader: Reader) -> Vec<String> {
    let mut remarks = Remarks(Vec::new());
    if reader == Reader::Tool {
        remarks.unwatched(config);
    }
    remarks.services(
        config,
        "smtp_alert: nobody sends mail; let a quorum or notify script do it",
        |service| service.smtp_alert,
    );
    remarks.services(
        config,
        "vip_bind_dev: addresses are put on a port by vrrp_instance or dpvs.conf",
        |service| service.dpvs.vip_bind_dev.is_some(),
    );
    let lame = config.tunnels.iter().filter(|tunnel| tunnels::spec(tunnel).is_none());
    remarks.note(lame.map(|tunnel| &tunnel.span), "tunnel_entry without kind, or with an end that is IPv6");
    if let Some(sync) = &config.globals.lvs_sync_daemon {
        remarks.0.push(format!(
            "not done: lvs_sync_daemon {}: connections are not copied to other directors",
            sync.interface
        ));
    }
    remarks.0
}

struct Remarks(Vec<String>);

impl Remarks {
    fn note<'a>(&mut self, places: impl Iterator<Item = &'a Span>, what: &str) {
        let mut places = places;
        let Some(first) = places.next() else { return };
        let more = match places.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        self.0.push(format!("{first}: not done: {what}{more}"));
    }

    fn services(&mut self, config: &Config, what: &str, has: impl Fn(&Service) -> bool) {
        self.note(config.services.iter().filter(|service| has(service)).map(|service| &service.span), what);
    }

    fn servers(&mut self, config: &Config, what: &str, has: impl Fn(&RealServer) -> bool) {
        let servers = config.services.iter().flat_map(|service| &service.real_servers);
        self.note(servers.filter(|server| has(server)).map(|server| &server.span), what);
    }

    /// What only somebody can do who stays.
    fn unwatched(&mut self, config: &Config) {
        let checkers =
            config.services.iter().flat_map(|service| &service.real_servers).flat_map(|s| &s.checkers);
        self.note(checkers.map(|checker| &checker.span), "health checks; every server counts as alive");
        let sorry = config.services.iter().filter_map(|service| service.sorry_server.as_ref());
        self.note(sorry.map(|sorry| &sorry.span), "sorry_server: it would serve without quorum");
        self.services(config, "quorum", |service| service.quorum > 1 || service.hysteresis > 0);
        self.services(config, "quorum_up and quorum_down", |service| {
            service.quorum_up.is_some() || service.quorum_down.is_some()
        });
        self.servers(config, "notify_up and notify_down", |server| {
            server.notify_up.is_some() || server.notify_down.is_some()
        });
        self.servers(config, "inhibit_on_failure", |server| server.inhibit_on_failure);
        self.servers(config, "alpha: servers do not wait for a first check", |server| server.alpha);
        self.services(config, "omega", |service| service.omega);
        self.services(config, "ha_suspend", |service| service.ha_suspend);
        let waiting =
            config.vrrp_instances.iter().filter(|instance| first_role(instance) != VrrpRole::Master);
        let vips = waiting.flat_map(|instance| &instance.vips).map(|vip| &vip.span);
        self.note(
            vips,
            "virtual addresses of an instance that is not MASTER: dpvsd --keepalived lets them come",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepalived_conf::keepalived;

    #[test]
    fn each_kind_is_said_once_at_its_first_place() {
        let text = "\
vrrp_instance A {
    virtual_ipaddress {
        192.0.2.1
        192.0.2.2
    }
}
virtual_server 192.0.2.1 80 {
    protocol TCP
    alpha
    omega
    ha_suspend
    quorum 2
    quorum_up /bin/true
    inhibit_on_failure
    sorry_server 10.0.0.9 80
    real_server 10.0.0.1 80 {
        notify_up /bin/true
        TCP_CHECK {
        }
    }
    real_server 10.0.0.2 80 {
        TCP_CHECK {
        }
    }
}
tunnel_group G {
    tunnel_entry T {
        kind gre
        remote fd00::1
        if dpdk0
    }
}
";
        let report = keepalived::parse(text.as_bytes(), "k", "lb").expect("good text");
        assert_eq!(
            of(&report.config, Reader::Tool),
            [
                "k:18: not done: health checks; every server counts as alive (and 1 more)",
                "k:15: not done: sorry_server: it would serve without quorum",
                "k:7: not done: quorum",
                "k:7: not done: quorum_up and quorum_down",
                "k:16: not done: notify_up and notify_down",
                "k:16: not done: inhibit_on_failure (and 1 more)",
                "k:16: not done: alpha: servers do not wait for a first check (and 1 more)",
                "k:7: not done: omega",
                "k:7: not done: ha_suspend",
                "k:3: not done: virtual addresses of an instance that is not MASTER: dpvsd --keepalived lets them come (and 1 more)",
                "k:27: not done: tunnel_entry without kind, or with an end that is IPv6",
            ]
        );
        assert_eq!(
            of(&report.config, Reader::Daemon),
            ["k:27: not done: tunnel_entry without kind, or with an end that is IPv6",]
        );
    }
}
