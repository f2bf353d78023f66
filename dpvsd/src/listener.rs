// SPDX-License-Identifier: Apache-2.0
//! The control socket: clients in, requests to the one control thread, replies back.
//!
//! One thread for each client. A client can hang, send rubbish, half a frame or a length it does not mean: it loses its own
//! connection and nothing else. When there are too many clients, the one that was silent longest has to go.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use interprocess::local_socket::Stream;
use interprocess::local_socket::prelude::*;
use sockopt::{Code, Frame, FrameError, FrameReader, Reply, Request, Status, frame};

use crate::socket::{self, ListenError, SocketFile};

/// Clients served at a time.
const MAX_CLIENTS: usize = 64;

/// How long a frame may take from its first byte to its last, and a reply to be taken.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client waits for the control thread.
const REPLY_TIMEOUT: Duration = Duration::from_secs(55);

/// Requests that wait for the control thread.
const QUEUE: usize = 256;

/// A request on its way to the control thread.
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Who asks.
    pub peer: Peer,
    /// Where the reply goes. It never blocks: there is room for one.
    pub reply: Sender<Reply>,
}

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Process.
    pub pid: Option<i32>,
    /// Effective user.
    pub uid: Option<u32>,
}

impl fmt::Display for Peer {
    /// `pid=1 uid=0`, with `?` for what the kernel does not say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |number: Option<i64>| number.map_or("?".to_owned(), |n| n.to_string());
        write!(f, "pid={} uid={}", or_unknown(self.pid.map(i64::from)), or_unknown(self.uid.map(i64::from)))
    }
}

/// A socket that listens. Its file goes when this is dropped.
pub struct Listener {
    requests: Receiver<Asked>,
    _file: SocketFile,
}

impl Listener {
    /// Listens at `path` and begins to serve clients. A socket that a dead daemon left there is replaced.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn start(path: &Path) -> Result<Listener, ListenError> {
        let system = |reason| ListenError::System { path: path.to_path_buf(), reason };
        let (socket, file) = socket::bind(path)?;
        let (to_control, requests) = bounded(QUEUE);
        let clients = Arc::new(Clients::default());
        let accept = move || accept(&socket, &to_control, &clients);
        thread::Builder::new().name("listener".to_owned()).spawn(accept).map_err(system)?;
        Ok(Listener { requests, _file: file })
    }

    /// Where requests arrive.
    pub fn requests(&self) -> &Receiver<Asked> {
        &self.requests
    }
}

fn accept(socket: &LocalSocketListener, to_control: &Sender<Asked>, clients: &Arc<Clients>) {
    loop {
        match socket.accept() {
            Ok(stream) => seat(stream, to_control.clone(), Arc::clone(clients)),
            // Out of descriptors, most likely: clients that leave give some back.
            Err(error) => {
                log::warn!("cannot accept a client: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn seat(stream: Stream, to_control: Sender<Asked>, clients: Arc<Clients>) {
    let stream = Arc::new(stream);
    let peer = peer(&stream);
    let id = clients.enter(Arc::clone(&stream), peer);
    let seats = Arc::clone(&clients);
    let serve = move || {
        let client = Client { stream: &stream, peer, to_control: &to_control, seen: &|| seats.seen(id) };
        if let Err(error) = client.serve() {
            log::debug!("client {peer}: {error}");
        }
        seats.leave(id);
    };
    if let Err(error) = thread::Builder::new().name("client".to_owned()).spawn(serve) {
        log::warn!("cannot serve a client {peer}: {error}");
        clients.leave(id);
    }
}

fn peer(stream: &Stream) -> Peer {
    stream.peer_creds().map_or(Peer::default(), |creds| Peer { pid: creds.pid(), uid: creds.euid() })
}

/// Everybody who is connected.
#[derive(Default)]
struct Clients(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    last_id: u64,
    taken: Vec<Seat>,
}

struct Seat {
    id: u64,
    peer: Peer,
    last_seen: Instant,
    stream: Arc<Stream>,
}

impl Clients {
    /// Takes in a client; who was silent longest leaves when there is no room.
    fn enter(&self, stream: Arc<Stream>, peer: Peer) -> u64 {
        let mut seats = self.seats();
        if seats.taken.len() >= MAX_CLIENTS {
            seats.evict();
        }
        seats.last_id += 1;
        let id = seats.last_id;
        seats.taken.push(Seat { id, peer, last_seen: Instant::now(), stream });
        id
    }

    fn seen(&self, id: u64) {
        if let Some(seat) = self.seats().taken.iter_mut().find(|seat| seat.id == id) {
            seat.last_seen = Instant::now();
        }
    }

    fn leave(&self, id: u64) {
        self.seats().taken.retain(|seat| seat.id != id);
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn evict(&mut self) {
        let oldest = self.taken.iter().enumerate().min_by_key(|(_, seat)| seat.last_seen).map(|(at, _)| at);
        let Some(seat) = oldest.map(|at| self.taken.swap_remove(at)) else { return };
        log::warn!("more than {MAX_CLIENTS} clients: the silent one with {} is disconnected", seat.peer);
        let Stream::UdSocket(socket) = &*seat.stream;
        // Its thread wakes and ends.
        let _ = socket.inner().shutdown(std::net::Shutdown::Both);
    }
}

/// One conversation.
struct Client<'a> {
    stream: &'a Stream,
    peer: Peer,
    to_control: &'a Sender<Asked>,
    seen: &'a dyn Fn(),
}

impl Client<'_> {
    fn serve(&self) -> io::Result<()> {
        self.stream.set_send_timeout(Some(TRANSFER_TIMEOUT))?;
        let mut reader = FrameReader::new();
        let mut begun = None;
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    begun = None;
                    (self.seen)();
                    self.answer(&frame)?;
                }
                Ok(None) => {
                    let since = if reader.is_empty() { None } else { begun.or(Some(Instant::now())) };
                    begun = since;
                    if !self.read(&mut reader, since)? {
                        return Ok(());
                    }
                }
                Err(error) => return self.refuse_frame(error),
            }
        }
    }

    /// Reads on; `false` at the end of the stream. A frame begun at `begun` has to be whole in time.
    fn read(&self, reader: &mut FrameReader, begun: Option<Instant>) -> io::Result<bool> {
        let left = begun.map(|begun| TRANSFER_TIMEOUT.saturating_sub(begun.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_recv_timeout(left)?;
        let mut chunk = [0; 16 << 10];
        let mut stream = self.stream;
        match stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                reader.feed(&chunk[..n]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn answer(&self, frame: &Frame) -> io::Result<()> {
        let reply = match frame::decode::<Request>(&frame.body) {
            Ok(request) => self.ask(request),
            Err(error) => refusal(Code::Protocol, error.to_string()),
        };
        self.send(frame.id, &reply)
    }

    fn ask(&self, request: Request) -> Reply {
        let (reply, answer) = bounded(1);
        let asked = Asked { request, peer: self.peer, reply };
        let deadline = Instant::now() + REPLY_TIMEOUT;
        let busy = || refusal(Code::Busy, "the daemon is too busy to answer; try again");
        if self.to_control.send_deadline(asked, deadline).is_err() {
            return busy();
        }
        answer.recv_deadline(deadline).unwrap_or_else(|_| busy())
    }

    fn send(&self, id: u64, reply: &Reply) -> io::Result<()> {
        let bytes = frame::encode(id, reply).or_else(|error| {
            frame::encode(id, &refusal(Code::NoResource, format!("the answer cannot be sent: {error}")))
        });
        self.write(&bytes.map_err(io::Error::other)?)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream;
        stream.write_all(bytes)
    }

    /// Says what is wrong with the bytes, where there is a request to answer; nothing after them can be trusted.
    fn refuse_frame(&self, error: FrameError) -> io::Result<()> {
        match error {
            FrameError::Version { id, .. } => self.write(&frame::versions_known(id))?,
            FrameError::TooLong { id, .. } => self.send(id, &refusal(Code::Protocol, error.to_string()))?,
            _ => {}
        }
        Err(io::Error::other(error))
    }
}

fn refusal(code: Code, text: impl Into<String>) -> Reply {
    Reply::Refused(Status::new(code, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use sockopt::{Client as Tool, Get};

    use super::*;

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("run").join("s");
        (dir, path)
    }

    /// A control thread that says `Done` to everything.
    fn agree(listener: &Listener) {
        let requests = listener.requests().clone();
        thread::spawn(move || {
            requests.iter().for_each(|asked| asked.reply.send(Reply::Done).expect("room for one"))
        });
    }

    fn ask(path: &Path) -> Reply {
        let mut tool = Tool::connect(path).expect("somebody listens");
        tool.call(&Request::Get(Get::Timeouts)).expect("a reply")
    }

    #[test]
    fn the_silent_longest_leaves_when_there_are_too_many() {
        let (_dir, path) = fresh();
        let listener = Listener::start(&path).expect("a fresh directory");
        agree(&listener);
        let mut silent = UnixStream::connect(&path).expect("somebody listens");
        // Seats are given in the order of arrival.
        let others: Vec<_> =
            (0..MAX_CLIENTS).map(|_| UnixStream::connect(&path).expect("somebody listens")).collect();
        silent.set_read_timeout(Some(Duration::from_secs(10))).expect("a duration");
        assert_eq!(silent.read(&mut [0; 1]).expect("an end, no timeout"), 0);
        assert_eq!(ask(&path), Reply::Done);
        drop(others);
    }

    #[test]
    fn an_unknown_version_is_answered_with_the_versions_known() {
        let (_dir, path) = fresh();
        let listener = Listener::start(&path).expect("a fresh directory");
        agree(&listener);
        let mut client = UnixStream::connect(&path).expect("somebody listens");
        client.write_all(b"DPVS\x00\x63\x00\x00\0\0\0\0\0\0\0\x07\0\0\0\0").expect("room in the socket");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("an answer and the end");
        assert_eq!(answer, b"DPVS\x00\x01\x00\x01\0\0\0\0\0\0\0\x07\0\0\0\x02\x00\x01");
    }
}
