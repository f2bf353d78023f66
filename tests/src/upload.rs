// SPDX-License-Identifier: Apache-2.0
//! Bytes from a client to a server that keeps them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;

/// A server that reads one connection to its end.
#[derive(Debug)]
pub struct Sink(JoinHandle<std::io::Result<Vec<u8>>>);

impl Sink {
    /// Listens on an address of a namespace.
    ///
    /// # Errors
    /// The address is not there or taken.
    pub fn start(ns: &Netns, addr: SocketAddr) -> Result<Self> {
        let listener =
            ns.enter(|| TcpListener::bind(addr))?.with_context(|| format!("cannot bind {addr}/tcp"))?;
        Ok(Sink(std::thread::spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes)?;
            Ok(bytes)
        })))
    }

    /// Waits for the end of the connection; all that came.
    ///
    /// # Errors
    /// Nothing came for 30 seconds, or the connection was reset.
    pub fn received(self) -> Result<Vec<u8>> {
        let bytes = self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        bytes.context("the upload does not arrive")
    }
}

/// Sends `len` bytes over a new connection and ends it; what was sent.
///
/// # Errors
/// The connection does not open within five seconds or stalls for 30.
pub fn upload(ns: &Netns, target: SocketAddr, len: usize) -> Result<Vec<u8>> {
    let bytes: Vec<u8> = (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let mut stream = ns.enter(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)))??;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&bytes).with_context(|| format!("uploading {len} bytes to {target}"))?;
    Ok(bytes)
}
