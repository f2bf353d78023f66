// SPDX-License-Identifier: Apache-2.0
//! Two daemons on one machine know nothing of each other.
//!
//! ```text
//!  client ──── director A ──── servers        own ports, own socket, own namespaces
//!  client ──── director B ──── servers        the same file system, memory and CPUs
//! ```

use std::time::Duration;

use dpvs_tests::client::Pace;
use dpvs_tests::director::Director;
use dpvs_tests::{Context, Family, Plan, Result, scenario, wait};
use rustix::process::Signal;

#[test]
fn a_second_daemon_comes_and_goes() {
    scenario(Plan::workers(1), |first| {
        let vip = first.vip(Family::V4, 80);
        first.balance("-t", vip, "rr", &[1, 1])?;
        assert_eq!(first.shares(vip, 10, Pace::InTurn)?, [5, 5]);

        let mut second = first.beside(Plan::workers(2))?;
        assert_eq!(second.director.ipvsadm("-Ln")?.lines().filter(|l| l.starts_with("TCP")).count(), 0);
        second.balance("-t", vip, "wrr", &[1, 4])?;
        std::thread::scope(|scope| -> Result<()> {
            let other = scope.spawn(|| second.shares(vip, 100, Pace::InTurn));
            assert_eq!(first.shares(vip, 100, Pace::InTurn)?, [50, 50]);
            let shares = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            assert!(shares[0].abs_diff(20) <= 2, "{shares:?}");
            Ok(())
        })?;

        second.director.conserves()?;
        second.director.stop()?;
        assert_eq!(first.shares(vip, 10, Pace::InTurn)?, [5, 5]);
        Ok(())
    });
}

#[test]
fn an_interface_belongs_to_one_daemon() {
    scenario(Plan::workers(1), |lab| {
        let vip = lab.vip(Family::V4, 80);
        lab.balance("-t", vip, "rr", &[1, 1])?;
        let thief = Director::start(&lab.net.director, &lab.plan, lab.dir(), "thief");
        let said = format!("{:#}", thief.err().context("a second daemon has taken the interface")?);
        let expected = "device dpdk0: cannot use interface port0: another device or daemon has it";
        assert!(said.contains(expected), "{said}");
        assert_eq!(lab.shares(vip, 10, Pace::InTurn)?, [5, 5]);

        // Whatever way a daemon ends, its interfaces are free again.
        lab.director.signal(Signal::KILL)?;
        let killed = || Ok(lab.director.healthy().is_err().then_some(()));
        wait::until("the end of a killed daemon", Duration::from_secs(5), killed)?;
        lab.director = Director::start(&lab.net.director, &lab.plan, lab.dir(), "heir")?;
        Ok(())
    });
}
