// SPDX-License-Identifier: Apache-2.0
//! Many HTTP connections held open at once by a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

/// Open connections, each of which has fetched something.
#[derive(Debug)]
pub struct Connections(Vec<TcpStream>);

impl Connections {
    /// Opens `count` connections and leaves them idle.
    ///
    /// # Errors
    /// One is refused or does not open within five seconds.
    pub fn open(ns: &Netns, target: SocketAddr, count: usize) -> Result<Self> {
        let open = || {
            (0..count)
                .map(|n| {
                    let stream = TcpStream::connect_timeout(&target, Duration::from_secs(5))
                        .with_context(|| format!("connection {} of {count} to {target}", n + 1))?;
                    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                    Ok(stream)
                })
                .collect::<Result<Vec<_>>>()
        };
        Ok(Connections(ns.enter(open)??))
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fetches `/body` over each of them, which stays open.
    ///
    /// # Errors
    /// A connection breaks or answers with anything but status 200.
    pub fn fetch(&mut self) -> Result<Vec<Vec<u8>>> {
        self.0
            .iter_mut()
            .enumerate()
            .map(|(n, s)| get(s).with_context(|| format!("connection {}", n + 1)))
            .collect()
    }
}

/// One `GET /body` over an open connection.
///
/// # Errors
/// The connection breaks or the answer is not status 200 with a length.
pub fn get(stream: &mut TcpStream) -> Result<Vec<u8>> {
    stream.write_all(b"GET /body HTTP/1.1\r\nHost: lab\r\n\r\n")?;
    let mut answer = Vec::new();
    let end = loop {
        if let Some(at) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut answer)?;
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    ensure!(head.starts_with("HTTP/1.1 200 "), "the server answers {head}");
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .with_context(|| format!("no length in {head}"))?
        .parse()?;
    while answer.len() < end + length {
        read_more(stream, &mut answer)?;
    }
    Ok(answer.split_off(end))
}

fn read_more(stream: &mut TcpStream, answer: &mut Vec<u8>) -> Result<()> {
    let mut buffer = [0; 16384];
    let len = stream.read(&mut buffer)?;
    ensure!(len > 0, "the connection ended after {} bytes", answer.len());
    answer.extend(&buffer[..len]);
    Ok(())
}
