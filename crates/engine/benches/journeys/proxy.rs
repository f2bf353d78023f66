// SPDX-License-Identifier: Apache-2.0
//! The SYN proxy's part of the bench: what clients send it, and its cookies by themselves.

use std::hint::black_box;
use std::net::SocketAddr;

use engine::conn::Tuple;
use engine::snapshot::Snapshot;
use engine::synproxy::config::{Config, MasterKey};
use engine::synproxy::cookie::Cookies;
use engine::synproxy::offer::Offer;
use packet::build::{self, Macs, Segment};

use crate::device::Clock;

/// What comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// SYNs of random clients with a segment size.
    Syn,
    /// SYNs of random clients with all that Linux offers.
    FullSyn,
    /// Acknowledgements that prove nothing.
    BadAck,
    /// Acknowledgements that prove their clients; each opens a connection and asks a server, which is silent and given up.
    GoodAck,
}

const KEY: MasterKey = MasterKey(*b"the bench's own!");
const ISN: u32 = 1000;
const LINUX: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7];

impl Asking {
    /// The frame of a client.
    pub fn frame(self, macs: Macs, client: SocketAddr, vip: SocketAddr) -> Vec<u8> {
        let nothing = Segment::default();
        let segment = match self {
            Asking::Syn => Segment { seq: ISN, flags: 2, options: &LINUX[..4], ..nothing },
            Asking::FullSyn => Segment { seq: ISN, flags: 2, options: &LINUX, ..nothing },
            Asking::BadAck => Segment { seq: 77, ack: 88, flags: 16, payload: b"sixsix", options: &[] },
            Asking::GoodAck => {
                let ack = cookie(&mut Cookies::new(KEY), client, vip).wrapping_add(1);
                Segment { seq: ISN + 1, ack, flags: 16, payload: b"sixsix", options: &[] }
            }
        };
        build::tcp(macs, client, vip, segment)
    }
}

fn cookie(cookies: &mut Cookies, client: SocketAddr, vip: SocketAddr) -> u32 {
    let flow = Tuple::new(client, vip).expect("one family");
    // The virtual time of the bench begins at 0 and ends within the minute.
    cookies.make(&flow, ISN, &Offer { mss: Some(1460), ..Offer::default() }, 0).isn
}

/// Puts the proxy before every TCP service.
pub fn stand(snap: &mut Snapshot) {
    snap.options.syn_proxy = Config { key: KEY, rs_syn_max_retry: 0, rs_other: 0, ..Config::default() };
    for svc in snap.services.iter_mut().flatten() {
        svc.syn_proxy = svc.transport == model::Transport::Tcp;
    }
}

/// Prints what a cookie costs by itself: made, and checked.
pub fn cookies(clock: &Clock) {
    let vip: SocketAddr = ([10, 0, 0, 100], 80).into();
    let flows: Vec<Tuple> = (0..4096_u16)
        .map(|n| Tuple::new(([10, 64, (n >> 8) as u8, n as u8], 1024 + n).into(), vip).expect("one family"))
        .collect();
    let mut cookies = Cookies::new(KEY);
    let offer = Offer { mss: Some(1460), ..Offer::default() };
    let mut timed = |check: bool| {
        let mut best = f64::MAX;
        for _ in 0..5 {
            let ns = clock.on_cpu_ns(|| {
                for _ in 0..50 {
                    for flow in &flows {
                        match check {
                            false => _ = black_box(cookies.make(flow, ISN, &offer, 5_000)),
                            true => {
                                let claim = engine::synproxy::cookie::Claim {
                                    isn: ISN,
                                    cookie: black_box(77),
                                    timestamps: None,
                                };
                                _ = black_box(cookies.check(flow, &claim, 5_000));
                            }
                        }
                    }
                }
            });
            best = best.min(ns as f64 / (50.0 * flows.len() as f64));
        }
        best
    };
    for (name, check) in [("cookie made", false), ("cookie refused", true)] {
        let ns = timed(check);
        println!("{name:<18}  4 {:>11} {ns:>8.1} {:>8.0}", "-", ns * clock.ghz());
    }
}
