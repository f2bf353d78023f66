// SPDX-License-Identifier: Apache-2.0
//! MISC_CHECK: a script says whether the server is well, and may say its weight.

use std::time::Duration;

use crate::health::script::Command;

/// The test.
#[derive(Clone, Debug)]
pub struct Misc {
    /// What is run.
    pub command: Command,
    /// For how long, at most.
    pub timeout: Duration,
    /// Whether its status says the weight.
    pub dynamic: bool,
    /// The server's weight as configured.
    pub weight: u32,
}

impl Misc {
    /// Runs it once.
    ///
    /// # Errors
    /// What its status says.
    pub async fn test(&self) -> Result<Option<i64>, String> {
        let status = self.command.run(self.timeout).await?;
        self.judge(status)
    }

    fn judge(&self, status: i32) -> Result<Option<i64>, String> {
        match status {
            0 => Ok(self.dynamic.then_some(0)),
            2..=255 if self.dynamic => Ok(Some(i64::from(status) - 2 - i64::from(self.weight))),
            status => Err(format!("status {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::block_on;
    use super::*;

    fn misc(line: &str, dynamic: bool) -> Misc {
        let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        let command = Command { argv, user: None };
        Misc { command, timeout: Duration::from_millis(300), dynamic, weight: 10 }
    }

    #[test]
    fn the_status_says_health_and_weight() {
        let outcome = |line: &str, dynamic| block_on(async move { misc(line, dynamic).test().await });
        assert_eq!(outcome("exit 0", false), Ok(None));
        assert_eq!(outcome("exit 3", false), Err("status 3".to_owned()));
        assert_eq!(outcome("exit 0", true), Ok(Some(0)));
        assert_eq!(outcome("exit 1", true), Err("status 1".to_owned()));
        assert_eq!(outcome("exit 5", true), Ok(Some(-7)), "5 - 2 instead of 10");
    }

    #[test]
    fn who_takes_too_long_is_told_to_end_and_has_failed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mark = dir.path().join("told");
        let line = format!("trap 'echo > {}; exit 0' TERM; sleep 9 & wait", mark.display());
        let outcome = block_on(async move { misc(&line, false).test().await });
        assert_eq!(outcome, Err("not done within 300ms".to_owned()));
        assert!(mark.exists(), "it got a SIGTERM");
    }

    #[test]
    fn what_cannot_be_run_has_failed() {
        let command = Command { argv: vec!["/nonexistent".into()], user: None };
        let misc = Misc { command, ..misc("", false) };
        let outcome = block_on(async move { misc.test().await });
        assert_eq!(outcome, Err("/nonexistent: No such file or directory (os error 2)".to_owned()));
    }
}
