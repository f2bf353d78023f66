// SPDX-License-Identifier: Apache-2.0
//! How the command ends, at the other end of a real socket: status, standard output, standard error.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use sockopt::frame::{self, FrameReader};
use sockopt::{Code, Reply, Request, Set, Status};

/// What one run of the command left.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn done(status: i32, stdout: &str, stderr: &str) -> Done {
    Done { status: Some(status), stdout: stdout.into(), stderr: stderr.into() }
}

fn dpip(socket: &Path, words: &[&str]) -> Done {
    let run = Command::new(env!("CARGO_BIN_EXE_dpip")).arg("--ipc").arg(socket).args(words).output();
    let output = run.expect("dpip runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Done { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs the command against a daemon that answers its one request with these bytes.
fn against(words: &[&str], answer: impl FnOnce(u64, Request) -> Vec<u8> + Send + 'static) -> Done {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("dpvs.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut reader = FrameReader::new();
        let mut chunk = [0; 4096];
        let request = loop {
            if let Some(frame) = reader.next().expect("a good frame") {
                break frame;
            }
            let n = stream.read(&mut chunk).expect("a request");
            reader.feed(&chunk[..n]);
        };
        let bytes = answer(request.id, frame::decode(&request.body).expect("a request"));
        stream.write_all(&bytes).expect("the client waits");
    });
    let done = dpip(&socket, words);
    daemon.join().expect("the daemon saw what it expected");
    done
}

fn reply(id: u64, reply: &Reply) -> Vec<u8> {
    frame::encode(id, reply).expect("a short reply")
}

#[test]
fn a_change_that_is_made_says_nothing() {
    let words = ["neigh", "flush", "dev", "dpdk0"];
    let answer = |id, request| {
        assert_eq!(request, Request::Set(Set::FlushNeigh { dev: "dpdk0".into() }));
        reply(id, &Reply::Done)
    };
    assert_eq!(against(&words, answer), done(0, "", ""));
}

#[test]
fn a_refusal_is_status_1_and_one_line() {
    let answer = |id, _| reply(id, &Reply::Refused(Status::new(Code::NoDevice, "no link `dpdk7`")));
    let refused = against(&["addr", "add", "192.0.2.1/24", "dev", "dpdk7"], answer);
    assert_eq!(refused, done(1, "", "dpip: no link `dpdk7`\n"));
}

#[test]
fn a_missing_ipv4_route_is_a_warning() {
    let answer = |id, _| reply(id, &Reply::Refused(Status::new(Code::NotFound, "no route 10.0.0.0/8")));
    let gone = against(&["route", "del", "10.0.0.0/8"], answer);
    assert_eq!(gone, done(0, "", "dpip: warning: no route 10.0.0.0/8\n"));
}

#[test]
fn misuse_is_status_2_and_asks_nobody() {
    let misuse = dpip(Path::new("/nonexistent/dpvs.sock"), &["link", "set", "dpdk0", "promisc", "maybe"]);
    assert_eq!(misuse, done(2, "", "dpip: promisc `maybe` is unknown: one of on, off expected\n"));
}

#[test]
fn no_daemon_is_status_3() {
    let alone = dpip(Path::new("/nonexistent/dpvs.sock"), &["link", "show"]);
    let reason = "cannot reach the daemon at /nonexistent/dpvs.sock: No such file or directory (os error 2); \
                  is dpvsd running?";
    assert_eq!(alone, done(3, "", &format!("dpip: {reason}\n")));
}

#[test]
fn rubbish_from_the_daemon_is_status_3() {
    let rubbish = against(&["link", "show"], |_, _| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    assert_eq!((rubbish.status, rubbish.stdout.as_str()), (Some(3), ""));
    assert!(rubbish.stderr.starts_with("dpip: the daemon at "), "{}", rubbish.stderr);
    assert_eq!(rubbish.stderr.lines().count(), 1);
}

#[test]
fn the_answer_to_another_question_is_status_1() {
    let other = against(&["link", "show"], |id, _| reply(id, &Reply::Routes(Vec::new())));
    let reason = "the daemon answered another question: are dpip and dpvsd of one version?";
    assert_eq!(other, done(1, "", &format!("dpip: {reason}\n")));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpip"))
        .arg("help")
        .stdout(Stdio::piped())
        .spawn()
        .expect("dpip runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn piped_commands_go_on_after_a_mistake_and_end_with_its_status() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpip"))
        .args(["--shell", "--ipc", "/nonexistent/dpvs.sock"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dpip runs");
    let input = b"addr bogus\n--version\n";
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stdout), concat!("dpip ", env!("CARGO_PKG_VERSION"), "\n"));
}
