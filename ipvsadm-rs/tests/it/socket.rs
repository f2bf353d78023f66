// SPDX-License-Identifier: Apache-2.0
//! The program itself beside daemons that are not there, not ours, or not for long.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use cli::Ask;
use sockopt::frame::{self, FrameReader};
use sockopt::{Reply, Request};

use crate::table::Table;

struct Daemon {
    dir: tempfile::TempDir,
}

impl Daemon {
    /// Listens, and serves each connection.
    fn start(serve: impl Fn(UnixStream) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
        Daemon { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s")
    }
}

fn ipvsadm(ipc: &Path, words: &str) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_ipvsadm"))
        .args(words.split_whitespace())
        .env("DPVS_IPC_FILE", ipc)
        .env_remove("IPVSADM_STYLE")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

/// Status, standard output and standard error.
fn told(output: &Output) -> (i32, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Answers requests as `reply` says, until it says nothing more.
fn answer(mut stream: UnixStream, mut reply: impl FnMut(Request) -> Option<Reply>) {
    let mut reader = FrameReader::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk) {
        reader.feed(&chunk[..n]);
        while let Ok(Some(frame)) = reader.next() {
            let Some(reply) = reply(frame::decode(&frame.body).unwrap()) else { return };
            stream.write_all(&frame::encode(frame.id, &reply).unwrap()).unwrap();
        }
    }
}

fn table(services: u8) -> Table {
    let mut table = Table::default();
    for n in 0..services {
        let line = format!("ipvsadm -A -t 10.0.0.{n}:80");
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        crate::tool::run(&argv, "", &mut table, &crate::tool::names(), ipvsadm_rs::args::Style::Stock);
    }
    table
}

#[test]
fn without_a_daemon_one_line_says_so_and_help_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("s");
    let output = ipvsadm(&nowhere, "-Ln");
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout), (3, ""));
    assert_eq!(
        stderr,
        format!(
            "ipvsadm: cannot reach the daemon at {}: No such file or directory (os error 2); is dpvsd running?\n",
            nowhere.display()
        )
    );
    assert_eq!(told(&ipvsadm(&nowhere, "-A -t 10.0.0.1:80")).0, 3);
    assert_eq!(told(&ipvsadm(&nowhere, "-h")).0, 0);
    assert_eq!(told(&ipvsadm(&nowhere, "-v")).1.lines().count(), 1);
    assert_eq!(told(&ipvsadm(&nowhere, "-A -t nonsense:80")).0, 2);
    assert_eq!(told(&ipvsadm(&nowhere, "--nonsense")).0, 255);
}

#[test]
fn a_socket_that_is_not_ours_to_open_is_named() {
    let daemon = Daemon::start(drop);
    std::fs::set_permissions(daemon.path(), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::set_permissions(daemon.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_ipvsadm"), "-Ln"])
        .env("DPVS_IPC_FILE", daemon.path())
        .output()
        .unwrap();
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout), (3, ""), "{stderr}");
    assert!(
        stderr.ends_with("Permission denied (os error 13); become root or join the socket's group\n"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn a_daemon_of_another_release_is_named() {
    let daemon = Daemon::start(|mut stream| {
        let mut chunk = [0; 64];
        let _ = stream.read(&mut chunk).unwrap();
        let mut versions = frame::versions_known(1);
        *versions.last_mut().unwrap() = 9;
        stream.write_all(&versions).unwrap();
    });
    let output = ipvsadm(&daemon.path(), "-Ln");
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout), (3, ""));
    assert!(
        stderr.ends_with("did not answer: the other side speaks protocol version 9, not 1: use tools and daemon of the same release\n"),
        "{stderr}"
    );
}

#[test]
fn a_daemon_that_dies_in_a_listing_leaves_nothing_half_printed() {
    let daemon = Daemon::start(|stream| {
        let (mut table, mut asked) = (table(9), 0);
        answer(stream, |request| {
            asked += 1;
            (asked < 3).then(|| table.ask(&request).unwrap())
        });
    });
    let output = ipvsadm(&daemon.path(), "-Ln");
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout), (3, ""));
    assert_eq!(stderr.lines().count(), 1);
    assert!(stderr.contains("did not answer: "), "{stderr}");
}

#[test]
fn a_daemon_that_sends_rubbish_is_no_daemon() {
    let daemon = Daemon::start(|mut stream| {
        let mut chunk = [0; 64];
        let _ = stream.read(&mut chunk).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
    });
    let output = ipvsadm(&daemon.path(), "-Ln");
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout), (3, ""));
    assert!(stderr.contains("not the control protocol"), "{stderr}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let daemon = Daemon::start(|stream| {
        let mut table = table(250);
        answer(stream, |request| Some(table.ask(&request).unwrap()));
    });
    let script = "set -o pipefail; for n in 1 2 3 4 5 6 7 8; do cat; done | \"$0\" -R | head -1";
    let mut shell = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_ipvsadm")])
        .env("DPVS_IPC_FILE", daemon.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all("-Ln\n".repeat(64).as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    let (status, stdout, stderr) = told(&output);
    assert_eq!((status, stdout, stderr), (0, "IP Virtual Server version 1.2.1 (size=4096)\n", ""));
}

#[test]
fn bash_completes_addresses_after_their_colon() {
    let daemon = Daemon::start(|stream| {
        let mut table = table(3);
        answer(stream, |request| Some(table.ask(&request).unwrap()));
    });
    let completed = |line: &str| {
        let script = "source \"$1\"; COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$' \\t:='; _ipvsadm; echo \"${COMPREPLY[*]}\"";
        let program = Path::new(env!("CARGO_BIN_EXE_ipvsadm"));
        let output = Command::new("bash")
            .args(["--norc", "-c", script, "bash"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/completions/ipvsadm.bash"))
            .arg(line)
            .env("PATH", format!("{}:/usr/bin:/bin", program.parent().unwrap().display()))
            .env("DPVS_IPC_FILE", daemon.path())
            .output()
            .unwrap();
        assert_eq!(told(&output).2, "");
        told(&output).1.trim_end().to_owned()
    };
    assert_eq!(completed("ipvsadm --add-s"), "--add-server --add-service");
    assert_eq!(completed("ipvsadm -D -t "), "10.0.0.0:80 10.0.0.1:80 10.0.0.2:80");
    assert_eq!(completed("ipvsadm -D -t 10.0.0.1:8"), "80");
    assert_eq!(completed("ipvsadm -A -u 10.0.0.9:53 -s conh"), "conhash");
}
