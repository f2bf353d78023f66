// SPDX-License-Identifier: Apache-2.0
//! Sockets of checkers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

/// Where a test goes, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The server.
    pub addr: SocketAddr,
    /// For each step of a test.
    pub timeout: Duration,
    /// Source; port 0 for any.
    pub bind: Option<SocketAddr>,
    /// Device.
    pub device: Option<String>,
    /// Mark of the packets; 0 for none.
    pub mark: u32,
}

impl Target {
    /// Waits for a step.
    ///
    /// # Errors
    /// What it says, or that it takes too long.
    pub async fn within<T>(
        &self,
        what: &str,
        step: impl Future<Output = io::Result<T>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(self.timeout, step).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("{what}: {error}")),
            Err(_) => Err(format!("{what}: nothing within {:?}", self.timeout)),
        }
    }

    /// Opens a TCP connection.
    ///
    /// # Errors
    /// Why not.
    pub async fn connect(&self) -> Result<TcpStream, String> {
        let socket =
            self.socket(Type::STREAM, Some(Protocol::TCP)).map_err(|error| format!("socket: {error}"))?;
        let socket = TcpSocket::from_std_stream(socket.into());
        self.within("connect", socket.connect(self.addr)).await
    }

    /// A datagram socket that talks to the server alone. With a raw protocol its datagrams are what comes after IP, or IP.
    ///
    /// # Errors
    /// Why not.
    pub fn datagrams(&self, kind: Type, protocol: Option<Protocol>) -> io::Result<UdpSocket> {
        let socket = self.socket(kind, protocol)?;
        socket.connect(&self.addr.into())?;
        UdpSocket::from_std(socket.into())
    }

    fn socket(&self, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.addr), kind, protocol)?;
        socket.set_nonblocking(true)?;
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if self.mark != 0 {
            socket.set_mark(self.mark)?;
        }
        if let Some(source) = self.bind {
            socket.set_reuse_address(true)?;
            socket.bind(&source.into())?;
        }
        Ok(socket)
    }
}
