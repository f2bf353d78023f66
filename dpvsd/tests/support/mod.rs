// SPDX-License-Identifier: Apache-2.0
//! A daemon to try: started on devices that need nothing, and killed when a test ends in whatever way.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod netns;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use sockopt::{Client, Reply, Request};

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Daemon {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    /// Its control socket.
    pub ipc: PathBuf,
    _dir: Option<tempfile::TempDir>,
}

impl Daemon {
    /// Starts a daemon with these options and a socket of its own; returns when it is ready.
    pub fn start(options: &[&str]) -> Daemon {
        let mut daemon = Daemon::launch(options);
        daemon.wait_for("ready ");
        daemon
    }

    /// The same in a network namespace.
    pub fn start_in(namespace: &str, options: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ipc = dir.path().join("dpvs.sock");
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", namespace]).arg(env!("CARGO_BIN_EXE_dpvsd"));
        let mut daemon = Daemon::run(inside, &ipc, options, &[]);
        daemon._dir = Some(dir);
        daemon.wait_for("ready ");
        daemon
    }

    /// The same, not waiting for anything.
    pub fn launch(options: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ipc = dir.path().join("dpvs.sock");
        let mut daemon = Daemon::launch_at(&ipc, options, &[]);
        daemon._dir = Some(dir);
        daemon
    }

    /// The same with a socket and environment of the caller's.
    pub fn launch_at(ipc: &Path, options: &[&str], env: &[(&str, &str)]) -> Daemon {
        Daemon::run(Command::new(env!("CARGO_BIN_EXE_dpvsd")), ipc, options, env)
    }

    fn run(command: Command, ipc: &Path, options: &[&str], env: &[(&str, &str)]) -> Daemon {
        let mut child = clean(command)
            .args(options)
            .arg("--ipc")
            .arg(ipc)
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon was built");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let (lines, log) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Daemon { child, log, seen: Vec::new(), ipc: ipc.to_path_buf(), _dir: None }
    }

    /// The next line of its log that contains `text`.
    ///
    /// # Panics
    /// When it ends, or none comes for a minute.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line with `{text}`; the log says:\n{}", self.seen.join("\n"));
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::connect(&self.ipc).expect("it listens")
    }

    /// Asks it one thing.
    pub fn ask(&self, request: &Request) -> Reply {
        self.client().call(request).expect("a reply")
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is installed");
        assert!(sent.success());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn ended_within(&mut self, time: Duration) -> ExitStatus {
        let deadline = Instant::now() + time;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "still running; the log says:\n{}", self.seen.join("\n"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without what the environment of the test would tell the daemon.
fn clean(mut command: Command) -> Command {
    command.env_remove("RUST_LOG").env_remove("DPVS_IPC_FILE").env_remove("NOTIFY_SOCKET");
    command
}

/// What a start that fails says on standard error, and its exit status.
pub fn refused(options: &[&str]) -> (i32, String) {
    let mut child = clean(Command::new(env!("CARGO_BIN_EXE_dpvsd")))
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon was built");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("dpvsd {options:?} does not end");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
    (status.code().unwrap_or(-status.signal().unwrap_or(0)), said)
}
