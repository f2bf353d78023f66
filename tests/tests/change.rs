// SPDX-License-Identifier: Apache-2.0
//! What clients see while servers, interfaces and services come and go.
//!
//! ```text
//!  curl ──── dpdk0 director dpdk1 ──── switch ─┬─ nginx 1
//!            vip .100, .101                    └─ nginx 2 (dies, drains, returns)
//! ```

use std::net::SocketAddr;
use std::thread::{ScopedJoinHandle, sleep};
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::connections::Connections;
use dpvs_tests::{Error, Family, Lab, Plan, Result, ensure, scenario, wait};

#[test]
fn a_killed_server_refuses_until_it_is_back() {
    scenario(Plan::workers(1), |lab| {
        for family in Family::BOTH {
            let vip = lab.vip(family, 80);
            let dead = SocketAddr::new(lab.plan.server(family, 1), 80);
            lab.balance("-t", vip, "rr", &[1, 1])?;
            assert_eq!(lab.shares(vip, 20, Pace::InTurn)?, [10, 10]);

            lab.servers[1].kill()?;
            let fetched = client::fetch(&lab.net.client, vip, "body", 20, Pace::InTurn)?;
            // The kernel of the server answers with RST, and the client hears it as a refusal.
            let refused = fetched.failures.iter().filter(|f| f.starts_with("000 7 ")).count();
            assert_eq!((fetched.bodies.len(), refused), (10, 10), "{:?}", fetched.failures);

            lab.director.ipvsadm(&format!("-d -t {vip} -r {dead}"))?;
            assert_eq!(lab.shares(vip, 20, Pace::InTurn)?, [20, 0]);

            lab.servers[1].restart(&lab.net.servers[1])?;
            lab.director.ipvsadm(&format!("-a -t {vip} -r {dead} -b -w 1"))?;
            assert_eq!(lab.shares(vip, 20, Pace::InTurn)?, [10, 10]);
            lab.director.ipvsadm("-C")?;
        }
        Ok(())
    });
}

#[test]
fn a_server_that_vanished_from_the_wire_is_counted_and_returns() {
    scenario(Plan::workers(1), |lab| {
        let vip = lab.vip(Family::V4, 80);
        lab.balance("-t", vip, "rr", &[0, 1])?;
        lab.net.servers[1].ip("link set eth0 down")?;
        let fetched = client::fetch(&lab.net.client, vip, "body", 1, Pace::InTurn)?;
        assert_eq!((fetched.bodies.len(), fetched.failures.len()), (0, 1));
        let unreachable = wait::until("neigh_unreachable", Duration::from_secs(10), || {
            let dropped = lab.director.traffic()?.dropped("neigh_unreachable");
            Ok((dropped > 0).then_some(dropped))
        })?;
        assert!(unreachable >= 1);
        lab.net.servers[1].ip("link set eth0 up")?;
        comes_through(lab, vip)?;
        assert_eq!(lab.shares(vip, 5, Pace::InTurn)?, [0, 5]);
        Ok(())
    });
}

#[test]
fn connections_outlive_an_interface_that_goes_down_and_up() {
    // Each outage takes seconds of a client's patience: every way, but not every combination.
    for (workers, families) in [(1, [Family::V4]), (2, [Family::V6])] {
        scenario(Plan::workers(workers), |lab| {
            for family in families {
                let vip = lab.vip(family, 80);
                lab.balance("-t", vip, "rr", &[1, 1])?;
                let mut held = Connections::open(&lab.net.client, vip, 10)?;
                held.fetch()?;
                for port in ["port0", "port1"] {
                    lab.net.director.ip(&format!("link set {port} down"))?;
                    let fetched = client::fetch(&lab.net.client, vip, "body", 1, Pace::InTurn)?;
                    assert_eq!(fetched.bodies.len(), 0, "{port} is down");
                    lab.net.director.ip(&format!("link set {port} up"))?;
                    comes_through(lab, vip)?;
                    assert_eq!(held.fetch()?.len(), 10, "after {port} is up again");
                }
            }
            Ok(())
        });
    }
}

#[test]
fn a_link_the_operator_takes_down_is_down_for_its_peer() {
    scenario(Plan::workers(1), |lab| {
        let vip = lab.vip(Family::V4, 80);
        lab.balance("-t", vip, "rr", &[1, 1])?;
        assert_eq!(lab.shares(vip, 2, Pace::InTurn)?, [1, 1]);
        lab.director.dpip("link set dpdk0 link down")?;
        assert!(lab.director.dpip("link show dpdk0")?.contains("DOWN"));
        assert!(lab.net.client.ip("link show eth0")?.contains("NO-CARRIER"));
        assert_eq!(client::ping(&lab.net.client, vip.ip(), 2)?, 0);
        lab.director.dpip("link set dpdk0 link up")?;
        comes_through(lab, vip)?;
        assert_eq!(lab.shares(vip, 2, Pace::InTurn)?, [1, 1]);
        Ok(())
    });
}

#[test]
fn weight_zero_drains() {
    for workers in [1, 2] {
        scenario(Plan::workers(workers), |lab| {
            for family in Family::BOTH {
                let vip = lab.vip(family, 80);
                let draining = SocketAddr::new(lab.plan.server(family, 1), 80);
                lab.balance("-t", vip, "rr", &[1, 1])?;
                let mut held = Connections::open(&lab.net.client, vip, 20)?;
                let before = held.fetch()?;
                lab.director.ipvsadm(&format!("-e -t {vip} -r {draining} -b -w 0"))?;
                assert_eq!(lab.shares(vip, 30, Pace::InTurn)?, [30, 0], "{family:?}: new connections");
                assert_eq!(held.fetch()?, before, "{family:?}: old connections stay where they are");
                assert!(before.contains(&lab.servers[1].body()), "none of 20 was at the draining server");
                lab.director.ipvsadm(&format!("-e -t {vip} -r {draining} -b -w 1"))?;
                let shares = lab.shares(vip, 20, Pace::InTurn)?;
                ensure!(shares[1] >= 9, "{family:?}: {shares:?} after the weight is back");
            }
            Ok(())
        });
    }
}

#[test]
fn a_service_deleted_under_load_takes_nothing_from_others() {
    for workers in [1, 2] {
        scenario(Plan::workers(workers), |lab| {
            for family in Family::BOTH {
                under_load(lab, family)?;
            }
            Ok(())
        });
    }
}

fn under_load(lab: &Lab, family: Family) -> Result<()> {
    let (stays, goes) = (lab.vip(family, 80), SocketAddr::new(family.host(1, 101), 80));
    lab.director.dpip(&format!("addr add {}/{} dev dpdk0", goes.ip(), family.whole()))?;
    lab.balance("-t", stays, "rr", &[1, 1])?;
    lab.balance("-t", goes, "rr", &[1, 1])?;
    let client = &lab.net.client;
    let mut held = Connections::open(client, stays, 10)?;
    let (kept, lost) = std::thread::scope(|scope| {
        let kept = scope.spawn(|| client::fetch(client, stays, "body", 600, Pace::InTurn));
        let lost = scope.spawn(|| {
            let one = "curl -s -o /dev/null -m 1 http://$0/body || echo lost";
            let loop_of_them = format!("for i in $(seq 60); do {one}; done");
            client
                .cmd("sh")
                .args(["-c", &loop_of_them, &goes.to_string()])
                .timeout(Duration::from_secs(80))
                .check()
        });
        for _ in 0..5 {
            sleep(Duration::from_millis(150));
            lab.director.ipvsadm(&format!("-D -t {goes}"))?;
            sleep(Duration::from_millis(150));
            lab.balance("-t", goes, "rr", &[1, 1])?;
        }
        Ok::<_, Error>((join(kept)?, join(lost)?))
    })?;
    let shares = client::shares(&kept, &lab.servers)?;
    assert!(shares[0].abs_diff(300) <= 1 && shares[1].abs_diff(300) <= 1, "{family:?}: {shares:?}");
    assert_eq!(held.fetch()?.len(), 10);
    ensure!(lost.contains("lost"), "{family:?}: nobody noticed that {goes} was deleted: no load");
    let shares = lab.shares(goes, 10, Pace::InTurn)?;
    assert!(shares[0].abs_diff(5) <= 1, "{family:?}: {shares:?} after it is back");
    Ok(())
}

/// Waits until a request is answered again: neighbours that did not answer are asked again after a while only.
fn comes_through(lab: &Lab, vip: SocketAddr) -> Result<()> {
    wait::until("the way through", Duration::from_secs(20), || {
        let fetched = client::fetch(&lab.net.client, vip, "body", 1, Pace::InTurn)?;
        Ok((fetched.bodies.len() == 1).then_some(()))
    })
}

fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
