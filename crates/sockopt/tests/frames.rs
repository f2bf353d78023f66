// SPDX-License-Identifier: Apache-2.0
//! Frames against a hostile peer.

use std::net::{IpAddr, SocketAddr};

use model::{DestSpec, Forwarding, ServiceKey, ServiceSpec, Transport};
use proptest::prelude::*;
use sockopt::frame::{self, Frame, FrameError, FrameReader, HEADER, MAX_BODY};
use sockopt::{Code, Get, Reply, Request, Set, Status};

fn all(reader: &mut FrameReader) -> Result<Vec<Frame>, FrameError> {
    std::iter::from_fn(|| reader.next().transpose()).collect()
}

#[test]
fn a_frame_has_the_layout_that_is_written_down() {
    let bytes = frame::encode(0x0102, &Request::Get(Get::Timeouts)).unwrap();
    let header = [b'D', b'P', b'V', b'S', 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2];
    assert_eq!(bytes[..HEADER], header);
    assert_eq!(bytes.len(), HEADER + 2);
}

#[test]
fn an_unknown_version_is_named_and_answered_with_the_known_ones() {
    let mut bytes = frame::encode(7, &Request::Get(Get::Timeouts)).unwrap();
    bytes[5] = 9;
    let mut reader = FrameReader::new();
    reader.feed(&bytes[..HEADER]);
    assert_eq!(reader.next(), Err(FrameError::Version { version: 9, id: 7 }));

    let mut client = FrameReader::new();
    client.feed(&frame::versions_known(7));
    assert_eq!(client.next(), Err(FrameError::Refused { known: vec![1] }));
    assert_eq!(
        FrameError::Refused { known: vec![2, 3] }.to_string(),
        "the other side speaks protocol version 2, 3, not 1: use tools and daemon of the same release"
    );
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
    let mut bytes = frame::encode(7, &Request::Get(Get::Timeouts)).unwrap();
    bytes[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut reader = FrameReader::new();
    reader.feed(&bytes);
    assert_eq!(reader.next(), Err(FrameError::TooLong { length: u64::from(u32::MAX), id: 7 }));
    assert!((u32::MAX as usize) > MAX_BODY);
}

#[test]
fn rubbish_is_refused_at_its_first_byte() {
    let mut reader = FrameReader::new();
    reader.feed(b"G");
    assert_eq!(reader.next(), Err(FrameError::Magic));
}

#[test]
fn a_body_with_bytes_left_over_or_missing_is_no_message() {
    let bytes = frame::encode(1, &Request::Get(Get::Timeouts)).unwrap();
    let body = &bytes[HEADER..];
    assert_eq!(frame::decode(body), Ok(Request::Get(Get::Timeouts)));
    assert!(frame::decode::<Request>(&body[..1]).is_err());
    let longer = [body, &[0]].concat();
    assert_eq!(frame::decode::<Request>(&longer), Err(FrameError::Body("1 bytes too many".into())));
}

#[test]
fn a_body_that_announces_a_huge_list_is_refused_without_reserving_it() {
    // Request::Transaction with 2^60 steps, and none of them there.
    let body = [1, 253, 0, 0, 0, 0, 0, 0, 0, 0x10];
    assert!(frame::decode::<Request>(&body).is_err());
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from), //
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

fn service() -> impl Strategy<Value = ServiceKey> {
    (address(), any::<u16>()).prop_map(|(addr, port)| ServiceKey::endpoint(Transport::Tcp, addr, port))
}

fn step() -> impl Strategy<Value = Set> {
    let dest = (address(), any::<u16>(), any::<u16>(), any::<u32>());
    prop_oneof![
        (service(), "[a-z]{0,9}", any::<Option<u32>>()).prop_map(|(key, scheduler, timeout)| {
            let mut spec = ServiceSpec::default();
            spec.scheduling.scheduler = scheduler;
            spec.options.conn_timeout = timeout;
            Set::AddService(key, spec)
        }),
        (service(), dest).prop_map(|(key, (addr, port, weight, upper))| {
            let spec = DestSpec { forwarding: Forwarding::FullNat, weight: weight.into(), upper, lower: 0 };
            Set::AddDest(key, SocketAddr::new(addr, port), spec)
        }),
        Just(Set::FlushServices),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        step().prop_map(Request::Set),
        (proptest::collection::vec(step(), 0..20), any::<bool>())
            .prop_map(|(steps, dry_run)| Request::Transaction { steps, dry_run }),
        any::<u64>().prop_map(|cursor| Request::Get(Get::Conns { cursor })),
    ]
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded_however_the_stream_is_cut(
        requests in proptest::collection::vec((any::<u64>(), request()), 0..5),
        piece in 1..200_usize,
    ) {
        let stream: Vec<u8> =
            requests.iter().flat_map(|(id, request)| frame::encode(*id, request).unwrap()).collect();
        let mut reader = FrameReader::new();
        let mut seen = Vec::new();
        for part in stream.chunks(piece) {
            reader.feed(part);
            for frame in all(&mut reader).unwrap() {
                seen.push((frame.id, frame::decode::<Request>(&frame.body).unwrap()));
            }
        }
        prop_assert!(reader.is_empty());
        prop_assert_eq!(seen, requests);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut reader = FrameReader::new();
        reader.feed(&bytes);
        let _ = all(&mut reader);
        let _ = frame::decode::<Request>(&bytes);
        let _ = frame::decode::<Reply>(&bytes);
    }

    #[test]
    fn a_damaged_frame_never_panics(request in request(), at in any::<usize>(), bit in 0..8_u8) {
        let mut bytes = frame::encode(1, &request).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let mut reader = FrameReader::new();
        reader.feed(&bytes);
        for frame in all(&mut reader).unwrap_or_default() {
            let _ = frame::decode::<Request>(&frame.body);
        }
    }

    #[test]
    fn replies_round_trip(text in ".{0,40}", step in any::<Option<u32>>()) {
        let reply = Reply::Refused(Status { code: Code::Exists, text, step });
        let bytes = frame::encode(1, &reply).unwrap();
        prop_assert_eq!(frame::decode::<Reply>(&bytes[HEADER..]), Ok(reply));
    }
}
