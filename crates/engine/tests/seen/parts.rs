// SPDX-License-Identifier: Apache-2.0
//! Datagrams cut into fragments and put together again, by rules of its own: nothing here is the director's.

#![allow(dead_code)] // every test binary uses a part of it

use super::{Seen, see};

/// Where the network layer of a frame begins.
pub fn l3(frame: &[u8]) -> usize {
    if frame[12..14] == [0x81, 0] { 18 } else { 14 }
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
    let total: u32 = words.sum();
    let total = (total & 0xffff) + (total >> 16);
    !((total & 0xffff) + (total >> 16)) as u16
}

/// One fragment of a whole untagged frame: `len` bytes of the datagram from `offset` on.
pub fn part(frame: &[u8], id: u32, offset: usize, len: usize, more: bool) -> Vec<u8> {
    let (six, at) = (frame[14] >> 4 == 6, if frame[14] >> 4 == 6 { 54 } else { 34 });
    let body = &frame[at + offset..at + offset + len];
    let mut out = frame[..at].to_vec();
    let word = offset as u16;
    if six {
        let next = std::mem::replace(&mut out[20], 44);
        out[18..20].copy_from_slice(&((len + 8) as u16).to_be_bytes());
        out.extend([next, 0]);
        out.extend((word | u16::from(more)).to_be_bytes());
        out.extend(id.to_be_bytes());
    } else {
        out[16..18].copy_from_slice(&((len + 20) as u16).to_be_bytes());
        out[18..20].copy_from_slice(&(id as u16).to_be_bytes());
        out[20..22].copy_from_slice(&((word / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
        out[24..26].fill(0);
        let sum = sum(&out[14..34]);
        out[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    out.extend(body);
    out
}

/// A whole untagged frame in fragments of at most `room` bytes of it, a multiple of eight.
pub fn cut(frame: &[u8], id: u32, room: usize) -> Vec<Vec<u8>> {
    let len = frame.len() - if frame[14] >> 4 == 6 { 54 } else { 34 };
    let starts = (0..len).step_by(room);
    starts.map(|at| part(frame, id, at, room.min(len - at), at + room < len)).collect()
}

/// A fragment, read.
pub struct Part {
    pub id: u32,
    pub offset: usize,
    pub more: bool,
    pub body: Vec<u8>,
    /// The frame in front of it, as that of a whole packet, its length left out.
    pub head: Vec<u8>,
}

/// Reads a fragment; `None` for a whole packet.
pub fn read(frame: &[u8]) -> Option<Part> {
    let at = l3(frame);
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if frame[at] >> 4 == 6 {
        let end = at + 40 + usize::from(word(at + 4));
        if frame[at + 6] != 44 {
            return None;
        }
        let mut head = frame[..at + 40].to_vec();
        (head[at + 6], head[at + 4], head[at + 5]) = (frame[at + 40], 0, 0);
        let flags = word(at + 42);
        let id = u32::from(word(at + 44)) << 16 | u32::from(word(at + 46));
        let body = frame[at + 48..end].to_vec();
        return Some(Part { id, offset: usize::from(flags & !7), more: flags & 1 == 1, body, head });
    }
    assert_eq!((frame[at], sum(&frame[at..at + 20])), (0x45, 0), "a sound IPv4 header");
    let flags = word(at + 6);
    if flags & 0x3fff == 0 {
        return None;
    }
    let mut head = frame[..at + 20].to_vec();
    for gone in [2, 3, 4, 5, 6, 7, 10, 11] {
        head[at + gone] = 0;
    }
    let body = frame[at + 20..at + usize::from(word(at + 2))].to_vec();
    let (offset, more) = (usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
    Some(Part { id: word(at + 4).into(), offset, more, body, head })
}

/// The frame that fragments make, in whatever order: all of them there, none twice, all of one datagram.
pub fn join(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut parts: Vec<Part> = frames.iter().map(|frame| read(frame).expect("a fragment")).collect();
    parts.sort_by_key(|part| part.offset);
    let (head, id, count) = (parts[0].head.clone(), parts[0].id, parts.len());
    let mut body = Vec::new();
    for (n, part) in parts.into_iter().enumerate() {
        assert_eq!((part.offset, part.id, &part.head), (body.len(), id, &head), "fragment {n} of {count}");
        assert_eq!(part.more, n + 1 < count, "the last one says so");
        body.extend(part.body);
    }
    let at = l3(&head);
    let mut frame = [head, body].concat();
    let (six, len) = (frame[at] >> 4 == 6, frame.len() - at);
    if six {
        frame[at + 4..at + 6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
    } else {
        frame[at + 2..at + 4].copy_from_slice(&(len as u16).to_be_bytes());
        let sum = sum(&frame[at..at + 20]);
        frame[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// What fragments make, judged with every checksum by an independent decoder.
pub fn joined(frames: &[Vec<u8>]) -> Seen {
    see(&join(frames))
}
