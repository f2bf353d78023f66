// SPDX-License-Identifier: Apache-2.0
//! Frames: how requests and replies are cut out of a stream of bytes. No I/O here; who reads and writes is told nothing.
//!
//! ```text
//!  0        4         6       8              16       20
//!  +--------+---------+-------+--------------+--------+------
//!  | "DPVS" | version | kind  | request id   | length | body      numbers in network byte order
//!  +--------+---------+-------+--------------+--------+------
//! ```
//!
//! The header is the same in every version, so that a peer of another version can be told so. The body of a message is
//! a [`crate::Request`] or [`crate::Reply`] encoded with bincode; that of the answer to an unknown version lists the
//! versions known, two bytes each. No length is believed before its bytes are there.

use bincode::{Decode, Encode};

/// Version of the protocol. It changes whenever the encoding of a request or reply does.
pub const VERSION: u16 = 1;

/// Bytes of a header.
pub const HEADER: usize = 20;

/// Longest body in bytes, in either direction. Long listings come in pages; long transactions of some 300 000 steps fit.
pub const MAX_BODY: usize = 64 << 20;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Chosen by the client; the reply repeats it.
    pub id: u64,
    /// An encoded request or reply, see [`decode`].
    pub body: Vec<u8>,
}

/// Why bytes are no frame, or a body no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The stream does not begin with a frame: the peer speaks something else, and nothing after it can be trusted.
    #[error("not the control protocol: a frame begins with `DPVS`")]
    Magic,
    /// The peer speaks another version; [`versions_known`] is the answer.
    #[error("protocol version {version} is unknown: version {VERSION} is spoken here")]
    Version {
        /// What the peer speaks.
        version: u16,
        /// The request it asked.
        id: u64,
    },
    /// The peer does not know our version.
    #[error("the other side speaks protocol version {}, not {VERSION}: use tools and daemon of the same release", list(.known))]
    Refused {
        /// The versions it knows.
        known: Vec<u16>,
    },
    /// A kind of frame that this version does not have.
    #[error("unknown kind of frame {0}")]
    Kind(u16),
    /// The body is longer than allowed.
    #[error("a message of {length} bytes is too long: at most {MAX_BODY} are allowed")]
    TooLong {
        /// Bytes announced or made.
        length: u64,
        /// The request.
        id: u64,
    },
    /// The body is no message.
    #[error("the message cannot be understood: {0}")]
    Body(String),
}

fn list(versions: &[u16]) -> String {
    versions.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// Collects bytes and gives back whole frames.
///
/// It holds at most one unfinished frame and what was fed last, if [`FrameReader::next`] is called until it has no more.
/// After an error nothing that follows can be trusted: close the connection.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    taken: usize,
}

impl FrameReader {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was received.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the stream may end here: no frame is unfinished.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == self.taken
    }

    /// The next frame, or `None` until more bytes are fed.
    ///
    /// # Errors
    ///
    /// [`FrameError`] as soon as the bytes cannot become a message of this version.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: more may be fed")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let bytes = &self.bytes[self.taken..];
        let begun = &bytes[..bytes.len().min(MAGIC.len())];
        if !MAGIC.starts_with(begun) {
            return Err(FrameError::Magic);
        }
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
        let Header { version, kind, id, length } = Header::parse(header);
        if length as usize > MAX_BODY {
            return Err(FrameError::TooLong { length: length.into(), id });
        }
        let body = rest.get(..length as usize);
        match (kind, body) {
            (KIND_VERSIONS, Some(body)) => Err(FrameError::Refused { known: versions(body) }),
            (KIND_VERSIONS, None) => Ok(None),
            _ if version != VERSION => Err(FrameError::Version { version, id }),
            (KIND_MESSAGE, None) => Ok(None),
            (KIND_MESSAGE, Some(body)) => {
                let frame = Frame { id, body: body.to_vec() };
                self.taken += HEADER + length as usize;
                Ok(Some(frame))
            }
            (kind, _) => Err(FrameError::Kind(kind)),
        }
    }
}

/// The frame of a message.
///
/// # Errors
///
/// [`FrameError::TooLong`] when the message is longer than [`MAX_BODY`].
pub fn encode(id: u64, message: &impl Encode) -> Result<Vec<u8>, FrameError> {
    let body = bincode::encode_to_vec(message, bincode::config::standard())
        .map_err(|error| FrameError::Body(error.to_string()))?;
    if body.len() > MAX_BODY {
        return Err(FrameError::TooLong { length: body.len() as u64, id });
    }
    Ok(frame(KIND_MESSAGE, id, &body))
}

/// The message in the body of a frame.
///
/// # Errors
///
/// [`FrameError::Body`] when the bytes are no such message, not all of one, or more than one.
pub fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, FrameError> {
    let config = bincode::config::standard().with_limit::<MAX_BODY>();
    let (message, used) = bincode::decode_from_slice(body, config)
        .map_err(|error: bincode::error::DecodeError| FrameError::Body(error.to_string()))?;
    if used < body.len() {
        return Err(FrameError::Body(format!("{} bytes too many", body.len() - used)));
    }
    Ok(message)
}

/// The answer to a request of an unknown version.
pub fn versions_known(id: u64) -> Vec<u8> {
    frame(KIND_VERSIONS, id, &VERSION.to_be_bytes())
}

const MAGIC: &[u8; 4] = b"DPVS";
const KIND_MESSAGE: u16 = 0;
const KIND_VERSIONS: u16 = 1;

struct Header {
    version: u16,
    kind: u16,
    id: u64,
    length: u32,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Self {
        let [_, _, _, _, v0, v1, k0, k1, id @ .., l0, l1, l2, l3] = *bytes;
        Header {
            version: u16::from_be_bytes([v0, v1]),
            kind: u16::from_be_bytes([k0, k1]),
            id: u64::from_be_bytes(id),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        }
    }
}

fn frame(kind: u16, id: u64, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("callers keep bodies below MAX_BODY");
    let mut frame = Vec::with_capacity(HEADER + body.len());
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&VERSION.to_be_bytes());
    frame.extend_from_slice(&kind.to_be_bytes());
    frame.extend_from_slice(&id.to_be_bytes());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn versions(body: &[u8]) -> Vec<u16> {
    body.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect()
}
