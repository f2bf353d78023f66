// SPDX-License-Identifier: Apache-2.0
//! The client against daemons that behave well and badly.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use sockopt::client::{Client, ClientError};
use sockopt::frame::{self, Frame, FrameError, FrameReader};
use sockopt::{Get, Reply, Request};

/// Listens, and lets `serve` have the first connection.
fn daemon(serve: impl FnOnce(UnixStream) + Send + 'static) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    (dir, path)
}

fn receive(stream: &mut UnixStream, reader: &mut FrameReader) -> Frame {
    loop {
        if let Some(frame) = reader.next().unwrap() {
            return frame;
        }
        let mut chunk = [0; 100];
        let n = stream.read(&mut chunk).unwrap();
        assert_ne!(n, 0, "the client went away");
        reader.feed(&chunk[..n]);
    }
}

const QUESTION: Request = Request::Get(Get::Timeouts);

#[test]
fn several_requests_go_over_one_connection() {
    let (_dir, path) = daemon(|mut stream| {
        let mut reader = FrameReader::new();
        for _ in 0..3 {
            let request = receive(&mut stream, &mut reader);
            assert_eq!(frame::decode(&request.body), Ok(QUESTION));
            let reply = frame::encode(request.id, &Reply::Done).unwrap();
            let (first, second) = reply.split_at(5);
            stream.write_all(first).unwrap();
            stream.write_all(second).unwrap();
        }
    });
    let mut client = Client::connect(&path).unwrap();
    for _ in 0..3 {
        assert_eq!(client.call(&QUESTION).unwrap(), Reply::Done);
    }
    assert!(matches!(client.call(&QUESTION), Err(ClientError::Closed)));
}

#[test]
fn a_daemon_that_never_answers_is_given_up() {
    let (_dir, path) = daemon(|stream| {
        thread::sleep(Duration::from_secs(5));
        drop(stream);
    });
    let mut client = Client::connect(&path).unwrap();
    client.set_reply_timeout(Duration::from_millis(50));
    assert!(matches!(client.call(&QUESTION), Err(ClientError::Timeout(_))));
}

#[test]
fn a_daemon_of_another_version_is_named() {
    let (_dir, path) = daemon(|mut stream| {
        let request = receive(&mut stream, &mut FrameReader::new());
        let mut answer = frame::versions_known(request.id);
        *answer.last_mut().unwrap() = 4;
        stream.write_all(&answer).unwrap();
    });
    let mut client = Client::connect(&path).unwrap();
    match client.call(&QUESTION) {
        Err(ClientError::Frame(FrameError::Refused { known })) => assert_eq!(known, [4]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reply_to_something_else_is_not_taken() {
    let (_dir, path) = daemon(|mut stream| {
        let request = receive(&mut stream, &mut FrameReader::new());
        stream.write_all(&frame::encode(request.id + 1, &Reply::Done).unwrap()).unwrap();
    });
    let mut client = Client::connect(&path).unwrap();
    assert!(matches!(client.call(&QUESTION), Err(ClientError::OtherReply { expected: 1, got: 2 })));
}

#[test]
fn nobody_listening_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Client::connect(&dir.path().join("s")), Err(ClientError::Connect(_))));
}
