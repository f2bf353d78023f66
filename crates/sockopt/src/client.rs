// SPDX-License-Identifier: Apache-2.0
//! A client that asks one request at a time and waits for each reply.

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::Stream as _;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, Stream, ToFsName};

use crate::frame::{self, FrameError, FrameReader};
use crate::{Reply, Request};

/// How long to wait for a daemon that accepts no connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a reply: longer than the longest transaction takes.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    reader: FrameReader,
    last_id: u64,
    reply_timeout: Duration,
}

/// Why there is no reply. The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or not to us.
    #[error("{0}")]
    Connect(io::Error),
    /// The connection broke.
    #[error("{0}")]
    Io(io::Error),
    /// The daemon closed the connection before it answered.
    #[error("it closed the connection")]
    Closed,
    /// It takes too long.
    #[error("no reply within {} s", .0.as_secs())]
    Timeout(Duration),
    /// What came is no reply, or the request is too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is the reply to something else.
    #[error("reply to request {got} instead of {expected}")]
    OtherReply {
        /// The request asked.
        expected: u64,
        /// The request answered.
        got: u64,
    },
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Connect`] when nobody listens there, when permission lacks, or after [`CONNECT_TIMEOUT`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let name = path.to_fs_name::<GenericFilePath>().map_err(ClientError::Connect)?;
        let options = ConnectOptions::new().name(name).wait_mode(ConnectWaitMode::Timeout(CONNECT_TIMEOUT));
        let stream = options.connect_sync().map_err(ClientError::Connect)?;
        stream.set_nonblocking(false).map_err(ClientError::Connect)?;
        Ok(Client { stream, reader: FrameReader::new(), last_id: 0, reply_timeout: REPLY_TIMEOUT })
    }

    /// Waits so long for each reply from now on.
    pub fn set_reply_timeout(&mut self, timeout: Duration) {
        self.reply_timeout = timeout;
    }

    /// Sends a request and waits for its reply. A refusal is a reply.
    ///
    /// # Errors
    ///
    /// [`ClientError`] when there is no reply; the connection must then be given up.
    pub fn call(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + self.reply_timeout;
        self.last_id += 1;
        let frame = frame::encode(self.last_id, request)?;
        self.send(&frame)?;
        self.receive(deadline)
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), ClientError> {
        self.stream.set_send_timeout(Some(self.reply_timeout)).map_err(ClientError::Io)?;
        let sent = self.stream.write_all(frame).and_then(|()| self.stream.flush());
        sent.map_err(|error| self.broken(error))
    }

    fn receive(&mut self, deadline: Instant) -> Result<Reply, ClientError> {
        let mut chunk = [0; 64 << 10];
        loop {
            if let Some(frame) = self.reader.next()? {
                return self.reply(&frame);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ClientError::Timeout(self.reply_timeout));
            }
            self.stream.set_recv_timeout(Some(left)).map_err(ClientError::Io)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(n) => self.reader.feed(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn reply(&self, frame: &frame::Frame) -> Result<Reply, ClientError> {
        if frame.id != self.last_id {
            return Err(ClientError::OtherReply { expected: self.last_id, got: frame.id });
        }
        Ok(frame::decode(&frame.body)?)
    }

    fn broken(&self, error: io::Error) -> ClientError {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Timeout(self.reply_timeout),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ClientError::Closed,
            _ => ClientError::Io(error),
        }
    }
}
