// SPDX-License-Identifier: Apache-2.0
//! Scripts: who runs them, and for how long.

use std::process::Stdio;
use std::time::Duration;

use keepalived_conf::keepalived::script::Script;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Group, Pid, User};
use tokio::process::Child;

/// Between the signal that asks a script to end and the one that ends it.
const MERCY: Duration = Duration::from_secs(2);

/// The user that runs scripts which name none, where there is one of that name.
const DEFAULT_USER: &str = "keepalived_script";

/// A command that is ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// User and group number; `None`: those of the daemon.
    pub user: Option<(u32, u32)>,
}

impl Command {
    /// A script of the configuration, with the user of scripts that name none.
    ///
    /// # Errors
    /// A user or group that is not known.
    pub fn new(script: &Script, default: Option<&str>) -> Result<Command, String> {
        let user = match script.user.as_deref().or(default) {
            Some(words) => Some(ids(words)?),
            None => ids(DEFAULT_USER).ok(),
        };
        let me = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        Ok(Command { argv: script.argv.clone(), user: user.filter(|user| *user != me) })
    }

    /// Runs it to its end; its exit status.
    ///
    /// # Errors
    /// It cannot be run, ended by a signal, or took too long.
    pub async fn run(&self, limit: Duration) -> Result<i32, String> {
        let mut child = self.spawn()?;
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(status)) => status.code().ok_or_else(|| format!("ended by {status}")),
            Ok(Err(error)) => Err(format!("{}: {error}", self.argv[0])),
            Err(_) => {
                end(&mut child).await;
                Err(format!("not done within {limit:?}"))
            }
        }
    }

    fn spawn(&self) -> Result<Child, String> {
        let mut command = tokio::process::Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.process_group(0).kill_on_drop(true);
        if let Some((uid, gid)) = self.user {
            // Without supplementary groups: std drops them where it changes the user.
            command.gid(gid).uid(uid);
        }
        command.spawn().map_err(|error| format!("{}: {error}", self.argv[0]))
    }
}

/// Asks a script with all it started to end; kills it when it does not.
async fn end(child: &mut Child) {
    let Some(group) = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) else { return };
    let _ = killpg(group, Signal::SIGTERM);
    if tokio::time::timeout(MERCY, child.wait()).await.is_err() {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

/// The numbers of `USER [GROUP]`; a group may have a colon before it, and is the user's own where none is given.
fn ids(words: &str) -> Result<(u32, u32), String> {
    let mut words = words.split_whitespace();
    let name = words.next().unwrap_or_default();
    let user = User::from_name(name).ok().flatten().ok_or_else(|| format!("no user `{name}`"))?;
    let group = match words.next().map(|word| word.trim_start_matches(':')).filter(|word| !word.is_empty()) {
        None => user.gid,
        Some(name) => Group::from_name(name).ok().flatten().ok_or_else(|| format!("no group `{name}`"))?.gid,
    };
    Ok((user.uid.as_raw(), group.as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_have_numbers() {
        assert_eq!(ids("root"), Ok((0, 0)));
        let nobody = ids("nobody").expect("every system has one");
        assert_ne!(nobody.0, 0);
        assert_eq!(ids("nobody root"), Ok((nobody.0, 0)));
        assert_eq!(ids("nobody :"), Ok(nobody));
        assert_eq!(ids("no-such-user"), Err("no user `no-such-user`".to_owned()));
        assert_eq!(ids("root no-such-group"), Err("no group `no-such-group`".to_owned()));
    }
}
