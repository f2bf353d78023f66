// SPDX-License-Identifier: Apache-2.0
//! A keepalived.conf: the director looks after its servers by the host's own stack.
//!
//! ```text
//!  curl ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx 1
//!            vip .100    │   laddr .200        ├─ nginx 2
//!                        └ dpdk1.kni 10.0.2.3  ├─ nginx 3
//!                          (checks)            └─ nginx 4 (sorry server)
//! ```

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dpvs_tests::capture::Capture;
use dpvs_tests::client::{self, Fetched, Pace};
use dpvs_tests::connections::Connections;
use dpvs_tests::{Family, Lab, Plan, Result, scenario, wait};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(30);

/// Servers that a check of each kind looks after and that wait for their first success, a sorry server at 10.0.2.14, and quorum 2 of weight.
fn file(weight: &str) -> String {
    let check = |host: u8, more: &str, check: &str| {
        format!(
            "    real_server 10.0.2.{host} 80 {{\n        weight 1\n{more}        {check} {{\n            \
             connect_timeout 2\n            retry 1\n            delay_before_retry 0.2\n        }}\n    }}\n"
        )
    };
    let misc = format!(
        "MISC_CHECK {{\n            misc_path \"/bin/sh -c 'exit $(/bin/cat {weight})'\"\n            misc_dynamic\n            \
         misc_timeout 5\n        }}"
    );
    let page = "HTTP_GET {\n            url {\n                path /health\n                status_code 200\n            }";
    let mut text = "local_address_group inside {\n    10.0.2.200 dpdk1\n}\nvirtual_server 10.0.1.100 80 {\n    \
                    delay_loop 1\n    warmup 0\n    protocol TCP\n    lb_algo rr\n    lb_kind FNAT\n    laddr_group_name \
                    inside\n    alpha\n    quorum 2\n    sorry_server 10.0.2.14 80\n"
        .to_owned();
    text += &check(11, "", "TCP_CHECK");
    text += &check(12, "        inhibit_on_failure\n", page).replace("} {\n", "}\n");
    text += &check(13, "", "TCP_CHECK")
        .replace("        TCP_CHECK", &format!("        {misc}\n        TCP_CHECK"));
    text + "}\n"
}

/// `ADDR WEIGHT` of every server, sorted.
fn servers(lab: &Lab) -> Result<String> {
    let saved = lab.director.ipvsadm("-S -n")?;
    let mut servers: Vec<String> = Vec::new();
    for line in saved.lines().filter(|line| line.starts_with("-a ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let after = |flag| words.iter().position(|word| *word == flag).and_then(|at| words.get(at + 1));
        let (addr, weight) = (after("-r").unwrap_or(&"?"), after("-w").unwrap_or(&"?"));
        servers.push(format!("{} {weight}", addr.trim_start_matches("10.0.2.").trim_end_matches(":80")));
    }
    servers.sort();
    Ok(servers.join(", "))
}

fn become_(lab: &Lab, wanted: &str) -> Result<()> {
    let mut seen = String::new();
    wait::until(&format!("servers {wanted}"), PATIENCE, || {
        seen = servers(lab)?;
        Ok((seen == wanted).then_some(()))
    })
    .map_err(|error| error.context(format!("servers at the end: {seen}")))
}

/// A lab whose director has that file, the host's own stack among the servers, and pages that are good.
fn watched(text: &str, weight: Option<&str>, body: impl FnOnce(&mut Lab) -> Result<()>) {
    watched_by(4, text, weight, body);
}

fn watched_by(servers: u8, text: &str, weight: Option<&str>, body: impl FnOnce(&mut Lab) -> Result<()>) {
    watched_in("global_defs {\n    kni on\n}\n", servers, text, weight, body);
}

/// The same with this dpvs.conf.
fn watched_in(
    conf: &str,
    servers: u8,
    text: &str,
    weight: Option<&str>,
    body: impl FnOnce(&mut Lab) -> Result<()>,
) {
    let conf = conf.to_owned();
    let plan = Plan { servers, conf, keepalived: Some(text.to_owned()), ..Plan::default() };
    scenario(plan, |lab| {
        if let Some(weight) = weight {
            std::fs::write(weight, "3\n")?;
        }
        let ns = &lab.net.director;
        // The kernel sees the ports too, and must leave alone what arrives there.
        ns.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
        ns.sysctl("net/ipv4/conf/all/rp_filter", "1")?;
        ns.ip("addr add 10.0.2.3/24 dev dpdk1.kni")?;
        for n in 1..=servers {
            std::fs::write(lab.file(&format!("server{n}/www/health")), "well\n")?;
        }
        body(lab)
    });
}

#[test]
fn servers_are_in_service_while_they_are_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let weight = dir.path().join("weight");
    let weight = weight.to_str().expect("text");
    watched(&file(weight), Some(weight), |lab| {
        let vip = lab.vip(Family::V4, 80);
        become_(lab, "11 1, 12 1, 13 1")?;
        let shares = lab.shares(vip, 9, Pace::InTurn)?;
        assert_eq!(shares, [3, 3, 3, 0]);

        // A stopped server is out after one retry, and back with the first success.
        lab.servers[0].kill()?;
        become_(lab, "12 1, 13 1")?;
        assert_eq!(lab.shares(vip, 6, Pace::InTurn)?, [0, 3, 3, 0]);
        lab.servers[0].restart(&lab.net.servers[0])?;
        become_(lab, "11 1, 12 1, 13 1")?;

        // A bad status; this server is inhibited, so that its connections stay.
        let mut held = Connections::open(&lab.net.client, vip, 6)?;
        held.fetch()?;
        let page = lab.file("server2/www/health");
        std::fs::remove_file(&page)?;
        become_(lab, "11 1, 12 0, 13 1")?;
        let health = lab.director.dpip("health show")?;
        assert!(health.contains("HTTP_GET: /health: status 404"), "{health}");
        assert_eq!(held.fetch()?.len(), 6);
        std::fs::write(&page, "well again\n")?;
        become_(lab, "11 1, 12 1, 13 1")?;

        // A script's status is the weight and two.
        std::fs::write(weight, "7\n")?;
        become_(lab, "11 1, 12 1, 13 5")?;
        std::fs::write(weight, "3\n")?;
        become_(lab, "11 1, 12 1, 13 1")?;

        // Below the quorum the sorry server serves alone.
        lab.servers[0].kill()?;
        std::fs::remove_file(&page)?;
        become_(lab, "12 0, 14 1")?;
        assert_eq!(lab.shares(vip, 4, Pace::InTurn)?, [0, 0, 0, 4]);
        lab.servers[0].restart(&lab.net.servers[0])?;
        become_(lab, "11 1, 12 0, 13 1")?;
        Ok(())
    });
}

/// Three services with two servers each; those of the first remember their clients.
#[test]
fn a_persistent_client_stays_with_a_server_whose_digest_is_bad() {
    let service = |port: u16, hosts: [u8; 2], more: &str, check: &str| {
        let server = |host: u8| {
            format!(
                "    real_server 10.0.2.{host} 80 {{\n        inhibit_on_failure\n        {check}\n            \
                 connect_timeout 2\n            retry 1\n            delay_before_retry 0.2\n        }}\n    }}\n"
            )
        };
        format!(
            "virtual_server 10.0.1.100 {port} {{\n    delay_loop 1\n    warmup 0\n    protocol TCP\n    lb_algo rr\n    \
             lb_kind FNAT\n    laddr_group_name inside\n    alpha\n{more}{}{}}}\n",
            server(hosts[0]),
            server(hosts[1])
        )
    };
    // The digest is that of a good page, by md5sum.
    let digest = "HTTP_GET {\n            url {\n                path /health\n                digest \
                  1b42a11f5f647e53d20da8c8f57a9f02\n            }";
    let text = "local_address_group inside {\n    10.0.2.200 dpdk1\n}\n".to_owned()
        + &service(80, [11, 12], "    persistence_timeout 60\n", digest)
        + &service(81, [13, 14], "", "TCP_CHECK {")
        + &service(
            82,
            [15, 16],
            "",
            &digest.replace("digest 1b42a11f5f647e53d20da8c8f57a9f02", "status_code 200"),
        );
    watched_by(6, &text, None, |lab| {
        let vip = |port| lab.vip(Family::V4, port);
        become_(lab, "11 1, 12 1, 13 1, 14 1, 15 1, 16 1")?;
        let shares = lab.shares(vip(80), 4, Pace::InTurn)?;
        assert!(
            shares == [4, 0, 0, 0, 0, 0] || shares == [0, 4, 0, 0, 0, 0],
            "one server for the client: {shares:?}"
        );
        let mine = usize::from(shares[1] > 0);
        let page = lab.file(&format!("server{}/www/health", mine + 1));
        std::fs::write(&page, "unwell\n")?;
        let out = if mine == 0 { "11 0, 12 1" } else { "11 1, 12 0" };
        become_(lab, &format!("{out}, 13 1, 14 1, 15 1, 16 1"))?;
        let health = lab.director.dpip("health show")?;
        assert!(health.contains("digest"), "{health}");
        assert_eq!(lab.shares(vip(80), 4, Pace::InTurn)?, shares, "inhibited, it keeps whom it has");
        assert_eq!(lab.shares(vip(81), 4, Pace::InTurn)?, [0, 0, 2, 2, 0, 0]);
        assert_eq!(lab.shares(vip(82), 4, Pace::InTurn)?, [0, 0, 0, 0, 2, 2]);
        std::fs::write(&page, "well\n")?;
        become_(lab, "11 1, 12 1, 13 1, 14 1, 15 1, 16 1")
    });
}

/// Ends the load also when something fails before.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_reload_under_load_leaves_alone_what_is_the_same() {
    let conf = |hosts: &[u8]| {
        let mut text =
            "local_address_group inside {\n    10.0.2.200 dpdk1\n}\nvirtual_server 10.0.1.100 80 {\n    \
                        delay_loop 1\n    warmup 0\n    protocol TCP\n    lb_algo rr\n    lb_kind FNAT\n    \
                        laddr_group_name inside\n    alpha\n"
                .to_owned();
        for host in hosts {
            let _ = write!(
                text,
                "    real_server 10.0.2.{host} 80 {{\n        TCP_CHECK {{\n            connect_timeout 2\n        }}\n    }}\n"
            );
        }
        text + "}\n"
    };
    watched(&conf(&[11, 12, 13]), None, |lab| {
        let vip = lab.vip(Family::V4, 80);
        become_(lab, "11 1, 12 1, 13 1")?;
        lab.director.ipvsadm(&format!("-A -t {} -s rr", lab.vip(Family::V4, 81)))?;
        let mut held = Connections::open(&lab.net.client, vip, 9)?;
        held.fetch()?;
        // There is load until everything below has happened.
        let (begun, stop) = (&AtomicBool::new(false), &AtomicBool::new(false));
        std::thread::scope(|scope| -> Result<()> {
            let client = &lab.net.client;
            let load = scope.spawn(move || -> Result<Fetched> {
                let mut all = Fetched::default();
                while !stop.load(Ordering::Relaxed) {
                    let some = client::fetch(client, vip, "body", 50, Pace::InTurn)?;
                    begun.store(true, Ordering::Relaxed);
                    all.bodies.extend(some.bodies);
                    all.failures.extend(some.failures);
                }
                Ok(all)
            });
            let _stops = Stops(stop);
            wait::until("load", PATIENCE, || Ok(begun.load(Ordering::Relaxed).then_some(())))?;
            let reload = |text: &str, said: &str| -> Result<()> {
                std::fs::write(lab.file("dpvsd.keepalived"), text)?;
                lab.director.signal(Signal::HUP)?;
                wait::until(said, PATIENCE, || Ok(lab.director.log().contains(said).then_some(())))
            };
            reload(&conf(&[11, 12, 14]), "not of the file, left alone: service tcp 10.0.1.100:81")?;
            become_(lab, "11 1, 12 1, 14 1")?;
            // A file that keepalived does not run with, and one that the director refuses.
            reload("virtual_server 10.0.1.100 80 {\n    lb_algo\n}\n", "dpvsd.keepalived:2: ")?;
            reload(&conf(&[11]).replace("dpdk1", "dpdk9"), "dpvsd.keepalived:4: no link `dpdk9`")?;
            become_(lab, "11 1, 12 1, 14 1")?;
            assert!(lab.shares(vip, 9, Pace::InTurn)?[3] > 0, "the new server serves");
            stop.store(true, Ordering::Relaxed);
            let fetched = load.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let shares = client::shares(&fetched, &lab.servers)?;
            assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
            Ok(())
        })?;
        assert!(lab.director.ipvsadm("-Ln")?.contains(":81"), "made by hand");
        assert_eq!(held.fetch()?.len(), 9);
        Ok(())
    });
}

/// What is wrong with one file, be it that the director refuses it, leaves the other without effect; what needs the other file to be
/// changed first, whichever of them, is done in one reload.
#[test]
fn both_files_are_reloaded_together_or_not_at_all() {
    let conf = |of0: &str, of1: &str| {
        format!(
            "global_defs {{\n    kni on\n}}\nnetif_defs {{\n    device dpdk0 {{\n{of0}    }}\n    device dpdk1 {{\n{of1}    }}\n}}\n"
        )
    };
    let new = "        addr 10.0.1.160/32\n";
    let vlan = "        vlan 102 {\n            addr 10.0.7.1/24\n        }\n";
    let service = |port: u16, server: u8, laddr: &str| {
        format!(
            "local_address_group of{port} {{\n    {laddr}\n}}\nvirtual_server 10.0.1.100 {port} {{\n    delay_loop 1\n    warmup \
             0\n    protocol TCP\n    lb_algo rr\n    lb_kind FNAT\n    laddr_group_name of{port}\n    real_server 10.0.2.{server} 80 \
             {{\n        TCP_CHECK {{\n            connect_timeout 2\n        }}\n    }}\n}}\n"
        )
    };
    let (at_home, in_vlan) = ("10.0.2.200 dpdk1", "10.0.7.200 dpdk1.102");
    let before = service(80, 11, at_home);
    watched_in(&conf("", ""), 4, &before, None, |lab| {
        let seen = |lab: &Lab| -> Result<(String, bool, bool)> {
            let addrs = lab.director.dpip("addr show")?;
            Ok((servers(lab)?, addrs.contains("10.0.1.160/32"), addrs.contains("10.0.7.1/24")))
        };
        let reload = |lab: &Lab, dpvs: &str, keepalived: &str, said: &str| -> Result<()> {
            std::fs::write(lab.file("dpvsd.conf"), dpvs)?;
            std::fs::write(lab.file("dpvsd.keepalived"), keepalived)?;
            let times = |lab: &Lab| lab.director.log().matches(said).count();
            let heard = times(lab);
            lab.director.signal(Signal::HUP)?;
            wait::until(said, PATIENCE, || Ok((times(lab) > heard).then_some(())))
        };
        const NOTHING: &str = "not reloaded, everything stays as it was";
        become_(lab, "11 1")?;
        let typo = "virtual_server 10.0.1.100 80 {\n    lb_algo\n}\n";
        let wrong_link = before.replace("dpdk1", "dpdk9");
        for (dpvs, keepalived, place) in [
            (conf(new, ""), typo, "dpvsd.keepalived:2: "),
            (conf(new, ""), wrong_link.as_str(), "dpvsd.keepalived:4: no link `dpdk9`"),
            (conf("        adr 1\n", ""), &service(80, 12, at_home), "dpvsd.conf:6: "),
            (
                conf(new, "") + "route_defs {\n    route 10.9.0.0/24 dev nowhere\n}\n",
                &service(80, 12, at_home),
                "dpvsd.conf:12: ",
            ),
        ] {
            reload(lab, &dpvs, keepalived, NOTHING)?;
            assert!(lab.director.log().contains(place), "{place}: {}", lab.director.log());
            assert_eq!(seen(lab)?, ("11 1".to_owned(), false, false), "{place}");
        }
        reload(lab, &conf(new, ""), &service(80, 12, at_home), "] reloaded")?;
        become_(lab, "12 1")?;
        assert!(seen(lab)?.1, "the address is there");
        // The VLAN comes before the service that needs it, and goes after it; a tunnel comes and goes with its file.
        let tunnel = "tunnel_group T {\n    tunnel_entry gre5 {\n        kind gre\n        local 10.0.2.1\n        remote 10.0.2.12\n    }\n}\n";
        let both = before.clone() + tunnel + &service(82, 13, in_vlan);
        reload(lab, &conf("", vlan), &both, "] reloaded")?;
        let tunnels = lab.director.dpip("tunnel show")?;
        assert_eq!(tunnels, "gre5:  gre remote 10.0.2.12 local 10.0.2.1 ttl inherit \n");
        assert_eq!(lab.director.ipvsadm("--get-laddr")?.matches("10.0.7.200").count(), 1);
        let (_, address, in_vlan) = seen(lab)?;
        assert_eq!((address, in_vlan), (false, true));
        reload(lab, &conf("", ""), &before, "] reloaded")?;
        assert_eq!(seen(lab)?, ("11 1".to_owned(), false, false));
        assert!(!lab.director.ipvsadm("-Ln")?.contains("10.0.1.100:82"));
        assert_eq!(lab.director.dpip("tunnel show")?, "");
        Ok(())
    });
}

#[test]
fn virtual_addresses_follow_the_role_of_their_instance() {
    let conf = |more: &str| {
        format!(
            "vrrp_instance VI_1 {{\n    state BACKUP\n    interface dpdk0.kni\n    virtual_router_id 51\n    \
             virtual_ipaddress {{\n        10.0.1.150/24\n        fd00:1::150/64\n{more}    }}\n}}\n"
        )
    };
    watched(&conf(""), None, |lab| {
        let vips = [Family::V4, Family::V6].map(|family| family.host(1, 150));
        let client = &lab.net.client;
        let answer = |wanted: bool| {
            vips.iter().try_for_each(|vip| {
                wait::until(&format!("{vip} to answer: {wanted}"), PATIENCE, || {
                    Ok(((client::ping(client, *vip, 1)? == 1) == wanted).then_some(()))
                })
            })
        };
        answer(false)?;
        // As keepalived does, which has the addresses on the tap before it says so. The host's own addresses are noticed after a
        // while and get a route there; virtual ones are none of them.
        lab.net.director.ip("addr add 10.0.1.150/24 dev dpdk0.kni")?;
        lab.net.director.ip("addr add 10.0.1.9/24 dev dpdk0.kni")?;
        wait::until("a route to the host's own 10.0.1.9", PATIENCE, || {
            Ok(lab.director.dpip("route show")?.contains("10.0.1.9/32").then_some(()))
        })?;
        let routes = lab.director.dpip("route show")?;
        assert!(!routes.contains("10.0.1.150"), "{routes}");
        let arp = Capture::start(client, "eth0", "arp or icmp6", &lab.file("arp.pcap"))?;
        lab.director.dpip("vrrp VI_1 master")?;
        answer(true)?;
        let seen = arp.stop()?;
        let announced = |what: &str| seen.iter().any(|packet| packet.contains(what));
        assert!(announced("who-has 10.0.1.150") || announced("10.0.1.150 is-at"), "{seen:#?}");
        assert!(announced("neighbor advertisement, length 32, tgt is fd00:1::150"), "{seen:#?}");
        assert!(lab.director.dpip("vrrp show")?.contains("master"), "{}", lab.director.dpip("vrrp show")?);

        std::fs::write(lab.file("dpvsd.keepalived"), conf("        10.0.1.151/24\n"))?;
        lab.director.dpip("config reload")?;
        assert_eq!(client::ping(client, Family::V4.host(1, 151), 1)?, 1);
        std::fs::write(
            lab.file("dpvsd.keepalived"),
            conf("").replace("virtual_router_id 51", "virtual_router_id"),
        )?;
        let refused = lab.director.try_dpip("config reload")?;
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        assert!(refused.stderr.contains("dpvsd.keepalived:4: "), "{refused}");

        lab.director.dpip("vrrp VI_1 backup")?;
        lab.net.director.ip("addr del 10.0.1.150/24 dev dpdk0.kni")?;
        answer(false)?;
        assert_eq!(client::ping(client, Family::V4.host(1, 151), 1)?, 0);
        let unknown = lab.director.try_dpip("vrrp VI_2 master")?;
        assert!(unknown.stderr.contains("no vrrp_instance `VI_2`"), "{unknown}");
        Ok(())
    });
}
