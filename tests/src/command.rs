// SPDX-License-Identifier: Apache-2.0
//! Programs run to their end, with everything they said kept for the error message.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A program and its arguments, inside a namespace or outside.
#[derive(Clone, Debug)]
pub struct Cmd {
    ns: Option<String>,
    argv: Vec<String>,
    env: Vec<(String, String)>,
    timeout: Duration,
}

/// What a program that ended has left.
#[derive(Clone, Debug)]
pub struct Done {
    /// How it ended; 124 when it ran out of time.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Cmd {
    /// A program by name or path. It gets 60 seconds.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Cmd {
            ns: None,
            argv: vec![program.as_ref().to_string_lossy().into_owned()],
            env: Vec::new(),
            timeout: Duration::from_secs(60),
        }
    }

    /// Inside this namespace.
    pub fn within(mut self, ns: &str) -> Self {
        self.ns = Some(ns.to_owned());
        self
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl fmt::Display) -> Self {
        self.argv.push(arg.to_string());
        self
    }

    /// More arguments.
    pub fn args<T: fmt::Display>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.argv.extend(args.into_iter().map(|a| a.to_string()));
        self
    }

    /// More arguments, separated by blanks, as a person types them.
    pub fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// How long it may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end, whatever the status.
    ///
    /// # Errors
    /// The program, or a tool the lab runs it with, is not installed.
    pub fn run(&self) -> Result<Done> {
        require("timeout")?;
        let mut command = Command::new("timeout");
        command.arg("--kill-after=2").arg(self.timeout.as_secs_f64().to_string()).args(self.words_to_run()?);
        self.surround(&mut command);
        let out = command.output().with_context(|| format!("cannot run `{self}`"))?;
        Ok(Done {
            status: out.status,
            stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
        })
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// # Errors
    /// It did not end with status 0; the message holds all it said.
    pub fn check(&self) -> Result<String> {
        let done = self.run()?;
        if !done.status.success() {
            bail!("`{self}` ended with {done}");
        }
        Ok(done.stdout)
    }

    /// The command for [`crate::process::Background`], without a time limit.
    ///
    /// # Errors
    /// The program, or `ip`, is not installed.
    pub fn to_command(&self) -> Result<Command> {
        let mut words = self.words_to_run()?.into_iter();
        let mut command = Command::new(words.next().context("a command has at least one word")?);
        command.args(words);
        self.surround(&mut command);
        Ok(command)
    }

    fn surround(&self, command: &mut Command) {
        // curl must not look for the machine's proxy inside a namespace.
        for proxy in ["http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(proxy);
        }
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
    }

    fn words_to_run(&self) -> Result<Vec<String>> {
        require(&self.argv[0])?;
        let mut words = Vec::with_capacity(self.argv.len() + 4);
        if let Some(ns) = &self.ns {
            require("ip")?;
            words.extend(["ip", "netns", "exec", ns].map(str::to_owned));
        }
        words.extend(self.argv.iter().cloned());
        Ok(words)
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ns) = &self.ns {
            write!(f, "ip netns exec {ns} ")?;
        }
        f.write_str(&self.argv.join(" "))
    }
}

impl Done {
    /// The exit status, or -1 after a signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// Finds a program, or says which package has it.
///
/// # Errors
/// It is not installed.
pub fn require(program: &str) -> Result<PathBuf> {
    if program.contains('/') {
        let path = Path::new(program);
        if path.is_file() {
            return Ok(path.to_owned());
        }
        bail!("{program} does not exist");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file());
    match (found, PACKAGES.iter().find(|(tool, _)| *tool == program)) {
        (Some(file), _) => Ok(file),
        (None, Some((_, package))) => bail!("{program} is not installed: apt-get install {package}"),
        (None, None) => bail!("{program} is not installed"),
    }
}

/// The Debian package of each tool the lab uses.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("hping3", "hping3"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("keepalived", "keepalived"),
    ("nginx", "nginx-light"),
    ("ping", "iputils-ping"),
    ("sha256sum", "coreutils"),
    ("ss", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("timeout", "coreutils"),
    ("traceroute", "traceroute"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_output_are_kept() {
        let done = Cmd::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).run().unwrap();
        assert_eq!((done.code(), done.stdout.as_str(), done.stderr.as_str()), (3, "out\n", "err\n"));
    }

    #[test]
    fn a_failure_says_what_was_run_and_said() {
        let text = Cmd::new("sh").args(["-c", "echo half; exit 7"]).check().unwrap_err().to_string();
        assert_eq!(
            text,
            "`sh -c echo half; exit 7` ended with exit status: 7\n--- stdout\nhalf\n--- stderr\n"
        );
    }

    #[test]
    fn time_runs_out() {
        let done = Cmd::new("sleep").arg(5).timeout(Duration::from_millis(100)).run().unwrap();
        assert_eq!(done.code(), 124);
    }

    #[test]
    fn a_missing_tool_names_its_package() {
        let text = Cmd::new("/nowhere/nginx").run().unwrap_err().to_string();
        assert_eq!(text, "/nowhere/nginx does not exist");
        assert_eq!(require("no-such-tool").unwrap_err().to_string(), "no-such-tool is not installed");
        assert!(PACKAGES.contains(&("nginx", "nginx-light")));
    }
}
