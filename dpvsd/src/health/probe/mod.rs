// SPDX-License-Identifier: Apache-2.0
//! What checkers do: one file for each kind. They reach servers by the host's own network stack, as keepalived does.

mod dns;
mod file;
pub mod http;
mod misc;
mod net;
mod ping;
mod smtp;
mod tcp;
pub mod tls;
mod udp;

pub use file::File;
pub use http::Http;
pub use misc::Misc;
pub use net::Target;
pub use udp::Udp;

use keepalived_conf::keepalived::object::HttpProtocol;

/// One test of a server, ready to be made again and again.
#[derive(Clone, Debug)]
pub enum Probe {
    /// A TCP connection.
    Tcp(Target),
    /// An ICMP echo.
    Ping(Target),
    /// Pages over HTTP or HTTPS.
    Http(Box<Http>),
    /// A greeting over SMTP.
    Smtp(Target, String),
    /// A question over DNS: type and name.
    Dns(Target, String, String),
    /// A datagram.
    Udp(Box<Udp>),
    /// A script.
    Misc(Box<Misc>),
    /// A number in a file.
    File(File),
}

impl Probe {
    /// Tests. What is added to the server's weight is told where the test says it.
    ///
    /// # Errors
    /// Why the server is not well.
    pub async fn test(&self, page: usize) -> Result<Option<i64>, String> {
        match self {
            Probe::Tcp(target) => tcp::test(target).await.map(|()| None),
            Probe::Ping(target) => ping::test(target).await.map(|()| None),
            Probe::Http(http) => http.test(page).await.map(|()| None),
            Probe::Smtp(target, helo) => smtp::test(target, helo).await.map(|()| None),
            Probe::Dns(target, kind, name) => dns::test(target, kind, name).await.map(|()| None),
            Probe::Udp(udp) => udp.test().await.map(|()| None),
            Probe::Misc(misc) => misc.test().await,
            Probe::File(file) => file.test().map(Some),
        }
    }

    /// Whether its interval counts from the beginning of a test.
    pub fn counts_from_start(&self) -> bool {
        matches!(self, Probe::Misc(_))
    }
}

/// The PROXY header before a test's own data, where servers expect one: it says that nobody is proxied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// None.
    None,
    /// `PROXY UNKNOWN`.
    V1,
    /// LOCAL.
    V2,
}

impl Preamble {
    /// Its bytes.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Preamble::None => b"",
            Preamble::V1 => b"PROXY UNKNOWN\r\n",
            Preamble::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        }
    }
}

/// The version of HTTP on the request line, and whether the end of the connection is announced.
fn version(protocol: HttpProtocol) -> (hyper::Version, bool) {
    match protocol {
        HttpProtocol::V10 => (hyper::Version::HTTP_10, false),
        HttpProtocol::V10Close => (hyper::Version::HTTP_10, true),
        HttpProtocol::V11 => (hyper::Version::HTTP_11, true),
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::Target;

    /// Runs a test of sockets; nothing in it may take longer than ten seconds.
    pub fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(10), future).await.expect("an end") })
    }

    /// Checks of a server on this machine.
    pub fn target(addr: SocketAddr) -> Target {
        Target { addr, timeout: Duration::from_secs(3), bind: None, device: None, mark: 0 }
    }

    /// A server for one client: it says the first text, then another after each part that it hears, and closes after the last.
    /// What it heard.
    pub async fn serve(says: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let addr = listener.local_addr().expect("an address");
        let serve = async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut heard = Vec::new();
            for (at, text) in says.iter().enumerate() {
                let before = heard.len();
                // A request is whole at its empty line, a command at the end of its line.
                let whole = |heard: &[u8]| {
                    let end: &[u8] = if heard.starts_with(b"PROXY") { b"\r\n\r\n" } else { b"\r\n" };
                    heard[before..].ends_with(end)
                };
                while at > 0 && !whole(&heard) && client.read_buf(&mut heard).await.expect("to read") > 0 {}
                client.write_all(text.as_bytes()).await.expect("to write");
            }
            String::from_utf8(heard).expect("text")
        };
        (addr, tokio::spawn(serve))
    }

    #[test]
    fn a_server_that_listens_is_well() {
        block_on(async {
            let (addr, _) = serve(&[]).await;
            assert_eq!(super::tcp::test(&target(addr)).await, Ok(()));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let closed = listener.local_addr().expect("an address");
            drop(listener);
            let refused = super::tcp::test(&target(closed)).await.expect_err("nobody listens");
            assert!(refused.starts_with("connect: "), "{refused}");
        });
    }

    #[test]
    fn checks_come_from_the_address_they_are_bound_to() {
        block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let server = target(listener.local_addr().expect("an address"));
            let source = Target { bind: Some("127.0.0.9:0".parse().expect("an address")), ..server.clone() };
            let (outcome, accepted) = tokio::join!(super::tcp::test(&source), listener.accept());
            assert_eq!(outcome, Ok(()));
            assert_eq!(accepted.expect("a client").1.ip().to_string(), "127.0.0.9");
            let nowhere = Target { device: Some("nosuchdev".into()), ..server };
            let error = super::tcp::test(&nowhere).await.expect_err("there is no such device");
            assert!(error.starts_with("socket: "), "{error}");
        });
    }
}
