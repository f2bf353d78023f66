// SPDX-License-Identifier: Apache-2.0
//! Two daemons on one machine know nothing of each other.
//!
//! ```text
//!  client ──── director A ──── servers        own ports, own socket, own namespaces
//!  client ──── director B ──── servers        the same file system, memory and CPUs
//! ```

use dpvs_tests::client::Pace;
use dpvs_tests::{Family, Plan, Result, scenario};

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
