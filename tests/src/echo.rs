// SPDX-License-Identifier: Apache-2.0
//! UDP echo on the kernel's own stack: a server thread and a client that counts what came back unchanged.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;

/// Returns every datagram to where it came from.
#[derive(Debug)]
pub struct EchoServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl EchoServer {
    /// Listens on an address of a namespace.
    ///
    /// # Errors
    /// The address is not there or taken.
    pub fn start(ns: &Netns, addr: SocketAddr) -> Result<Self> {
        let socket =
            ns.enter(|| UdpSocket::bind(addr))?.with_context(|| format!("cannot bind {addr}/udp"))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || echo(&socket, &stop)
        });
        Ok(EchoServer { stop, thread: Some(thread) })
    }

    /// Ends it and returns how many datagrams it has returned.
    pub fn stop(mut self) -> u64 {
        self.end()
    }

    fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.end();
    }
}

fn echo(socket: &UdpSocket, stop: &AtomicBool) -> u64 {
    let mut datagram = [0; 65536];
    let mut returned = 0;
    while !stop.load(Ordering::Relaxed) {
        if let Ok((len, from)) = socket.recv_from(&mut datagram)
            && socket.send_to(&datagram[..len], from).is_ok()
        {
            returned += 1;
        }
    }
    returned
}

/// A client with one socket.
#[derive(Debug)]
pub struct EchoClient(UdpSocket);

impl EchoClient {
    /// Sends from a free port of `from` to `target`.
    ///
    /// # Errors
    /// The address is not there.
    pub fn connect(ns: &Netns, from: IpAddr, target: SocketAddr) -> Result<Self> {
        let socket = ns.enter(|| {
            let socket = UdpSocket::bind((from, 0))?;
            socket.connect(target)?;
            Ok::<_, std::io::Error>(socket)
        })??;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(EchoClient(socket))
    }

    /// Sends a datagram of `len` bytes, all derived from `seed`. Returns whether the very same bytes came back within two seconds.
    ///
    /// # Errors
    /// The kernel refuses to send: an ICMP error came back, or the datagram is longer than the path takes.
    pub fn round_trip(&self, len: usize, seed: u8) -> Result<bool> {
        let sent: Vec<u8> = (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        self.0.send(&sent).with_context(|| format!("cannot send {len} bytes"))?;
        let mut answer = [0; 65536];
        Ok(self.0.recv(&mut answer).is_ok_and(|got| answer[..got] == sent[..]))
    }

    /// Lengths out of `lens` that did not come back unchanged.
    ///
    /// # Errors
    /// The kernel refuses to send.
    pub fn lost(&self, lens: impl IntoIterator<Item = usize>) -> Result<Vec<usize>> {
        let mut lost = Vec::new();
        for len in lens {
            if !self.round_trip(len, len as u8)? {
                lost.push(len);
            }
        }
        Ok(lost)
    }
}
