// SPDX-License-Identifier: Apache-2.0
//! Two directors, each with a stock keepalived that runs VRRP on the tap beside its port, and one virtual address.
//!
//! ```text
//!           ┌─ dpdk0 director 1 ── dpdk0.kni 10.0.1.51, keepalived, priority 100
//!  switch ──┼─ dpdk0 director 2 ── dpdk0.kni 10.0.1.52, keepalived, priority 150 (dies)
//!           ├─ curl
//!           └─ nginx               vip 10.0.1.150 is on one of them
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::director::{Director, built};
use dpvs_tests::netns::Names;
use dpvs_tests::process::Background;
use dpvs_tests::{Arms, Family, Netns, Plan, Result, scenario, wait};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(30);

/// The file of a director and its keepalived, whose control socket is `ipc`.
fn file(host: u8, priority: u8, dpip: &str, ipc: &Path) -> String {
    let notify =
        |role: &str| format!("    notify_{role} \"{dpip} --ipc {} vrrp VI_1 {role}\"\n", ipc.display());
    format!(
        "local_address_group inside {{\n    10.0.1.20{host} dpdk0\n}}\nvrrp_instance VI_1 {{\n    state BACKUP\n    interface \
         dpdk0.kni\n    virtual_router_id 51\n    priority {priority}\n    advert_int 1\n    virtual_ipaddress {{\n        \
         10.0.1.150/24\n    }}\n{}{}{}}}\nvirtual_server 10.0.1.150 80 {{\n    delay_loop 1\n    warmup 0\n    protocol \
         TCP\n    lb_algo rr\n    lb_kind FNAT\n    laddr_group_name inside\n    real_server 10.0.1.11 80 {{\n        \
         TCP_CHECK {{\n            connect_timeout 2\n        }}\n    }}\n}}\n",
        notify("master"),
        notify("backup"),
        notify("fault"),
    )
}

fn plan(dir: &Path, name: &str, host: u8, priority: u8) -> Result<Plan> {
    let file = file(host, priority, &built("dpip")?, &dir.join(format!("{name}.sock")));
    let conf = "global_defs {\n    kni on\n}\n".to_owned();
    Ok(Plan { arms: Arms::One, servers: 1, conf, keepalived: Some(file), ..Plan::default() })
}

/// keepalived with the file of a director, once that has a tap.
fn keepalived(ns: &Netns, dir: &Path, name: &str, host: u8) -> Result<Background> {
    // The kernel sees the port too, and must leave alone what arrives there.
    ns.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
    ns.sysctl("net/ipv4/conf/all/rp_filter", "1")?;
    ns.ip(&format!("addr add 10.0.1.5{host}/24 dev dpdk0.kni"))?;
    let file = |suffix: &str| dir.join(format!("{name}.{suffix}")).display().to_string();
    let cmd = ns.cmd("keepalived").words("--vrrp --dont-fork --log-console --log-detail --no-syslog");
    let cmd = cmd.args(["-f", &file("keepalived"), "-p", &file("pid"), "-r", &file("vrrp.pid")]);
    Background::start(&cmd, &dir.join(format!("{name}.vrrp.log")))
}

#[test]
fn the_next_request_is_served_when_the_master_dies() {
    let dir = tempfile::tempdir().expect("a directory");
    // The file of the first director names its socket, which is in the lab's directory: the second file is written later.
    let plan_1 = plan(dir.path(), "dpvsd", 0, 100).expect("dpip is built");
    scenario(plan_1, |lab| {
        let text = file(0, 100, &built("dpip")?, lab.director.ipc());
        std::fs::write(lab.file("dpvsd.keepalived"), text)?;
        let ns = Netns::create(&Names::unique(), "director2")?;
        for family in ["all", "default"] {
            ns.sysctl(&format!("net/ipv6/conf/{family}/disable_ipv6"), "1")?;
        }
        lab.net.plug("director2", &ns, "port0")?;
        let second = Director::start(&ns, &plan(lab.dir(), "second", 1, 150)?, lab.dir(), "second")?;
        second.dpip("addr add 10.0.1.4/24 dev dpdk0")?;
        let mut daemons =
            [keepalived(&lab.net.director, lab.dir(), "dpvsd", 1)?, keepalived(&ns, lab.dir(), "second", 2)?];
        let vip = SocketAddr::new(Family::V4.host(1, 150), 80);
        let roles = |director: &Director, wanted: &str| {
            wait::until(&format!("the role {wanted}"), PATIENCE, || {
                Ok(director.dpip("vrrp show")?.contains(wanted).then_some(()))
            })
        };
        let outcome = (|| {
            roles(&second, "master")?;
            roles(&lab.director, "backup")?;
            served(&lab.net.client, vip)?;
            assert!(!second.conns()?.is_empty(), "the second one serves");
            second.signal(Signal::KILL)?;
            roles(&lab.director, "master")?;
            served(&lab.net.client, vip)?;
            let fetched = client::fetch(&lab.net.client, vip, "body", 20, Pace::InTurn)?;
            assert_eq!(client::shares(&fetched, &lab.servers)?, [20]);
            assert!(!lab.director.conns()?.is_empty(), "the first one serves");
            Ok(())
        })();
        if outcome.is_err() {
            daemons.iter().for_each(|daemon| eprintln!("--- keepalived\n{}", daemon.said()));
            eprintln!("--- second\n{}", second.log());
        }
        daemons.iter_mut().try_for_each(|daemon| daemon.stop().map(drop))?;
        outcome
    });
}

/// Waits until a request is served: neighbours of the address must hear where it is.
fn served(client: &Netns, vip: SocketAddr) -> Result<()> {
    wait::until("a request that is served", PATIENCE, || {
        Ok((client::fetch(client, vip, "body", 1, Pace::InTurn)?.bodies.len() == 1).then_some(()))
    })
}
