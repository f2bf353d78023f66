// SPDX-License-Identifier: Apache-2.0
//! What a packet costs in the engine alone: no device, no system call, one worker, 60-byte frames, bursts of 32.
//!
//! A journey is a loop over prepared frames: each is copied into a fresh buffer (what a memory-only device does too), the burst is
//! processed, what comes out is given back. The same loop without the engine is the floor, and is taken off. Time is the time
//! this thread was on a processor, so that a busy machine costs precision and not truth; cycles are that times the processor's
//! nominal frequency. A cell is the median of the rounds, and the spread is shown beside it.
//!
//! `cargo bench -p engine` for the table; `-- --quick` for a smoke run; `-- TEXT` for journeys whose name
//! and family ("syn to syn-ack 4") contain TEXT.

mod device;
mod memory;
mod network;
mod proxy;

use arrayvec::ArrayVec;
use engine::forward::Forwarding;
use engine::lcore::{BURST, Config, Lcore};
use engine::pipeline::Origin;
use engine::sched::Scheduler;
use engine::snapshot::Snapshot;
use engine::tick::Tick;
use model::TunnelKind;
use model::dest::TunnelCsum;

use device::{Clock, Device, Frames, Packet};
use network::{Family, Flow, Traffic};
use proxy::Asking;

/// What is measured.
#[derive(Clone, Copy)]
struct Journey {
    name: &'static str,
    family: Family,
    traffic: Traffic,
    forwarding: Forwarding,
    /// Cycles at most, by number of connections.
    budgets: &'static [(usize, u32)],
}

const UDP_HIT: &[(usize, u32)] = &[(1_000, 130), (100_000, 330), (1_000_000, 600)];
const TCP_HIT: &[(usize, u32)] = &[(1_000, 140), (100_000, 340)];
const DIRECT: &[(usize, u32)] = &[(1_000, 90), (100_000, 300)];
const MISS: &[(usize, u32)] = &[(1_000, 60)];
/// SYN to SYN-ACK, random sources; the same holds for what proves nothing.
const COOKIE: &[(usize, u32)] = &[(1_000, 150), (100_000, 150)];
const OPEN: &[(usize, u32)] = &[(1_000_000, 1_500)];

const IPIP: Forwarding = Forwarding::Tunnel(TunnelKind::Ipip);
const GRE: Forwarding = Forwarding::Tunnel(TunnelKind::Gre { csum: TunnelCsum::None });
const GUE: Forwarding = Forwarding::Tunnel(TunnelKind::Gue { port: 6080, csum: TunnelCsum::None });

const fn journey(
    name: &'static str,
    family: Family,
    traffic: Traffic,
    forwarding: Forwarding,
    budgets: &'static [(usize, u32)],
) -> Journey {
    Journey { name, family, traffic, forwarding, budgets }
}

const JOURNEYS: [Journey; 31] = [
    journey("fullnat udp hit", Family::V4, Traffic::UdpHit, Forwarding::FullNat, UDP_HIT),
    journey("fullnat udp hit", Family::V6, Traffic::UdpHit, Forwarding::FullNat, &[]),
    journey("fullnat tcp hit", Family::V4, Traffic::TcpHit, Forwarding::FullNat, TCP_HIT),
    journey("fullnat tcp hit", Family::V6, Traffic::TcpHit, Forwarding::FullNat, &[]),
    journey("nat udp hit", Family::V4, Traffic::UdpHit, Forwarding::Nat, &[]),
    journey("nat tcp hit", Family::V4, Traffic::TcpHit, Forwarding::Nat, &[]),
    journey("direct udp hit", Family::V4, Traffic::UdpHit, Forwarding::DirectRouting, DIRECT),
    journey("direct udp hit", Family::V6, Traffic::UdpHit, Forwarding::DirectRouting, &[]),
    journey("direct tcp hit", Family::V4, Traffic::TcpHit, Forwarding::DirectRouting, &[]),
    journey("ipip udp hit", Family::V4, Traffic::UdpHit, IPIP, &[]),
    journey("gue udp hit", Family::V4, Traffic::UdpHit, GUE, &[]),
    journey("ipip udp hit", Family::V6, Traffic::UdpHit, IPIP, &[]),
    journey("gre udp hit", Family::V4, Traffic::UdpHit, GRE, &[]),
    journey("6-to-4 udp hit", Family::V6, Traffic::CrossHit, Forwarding::FullNat, &[]),
    journey("nat udp hit", Family::V6, Traffic::UdpHit, Forwarding::Nat, &[]),
    journey("snat udp out", Family::V4, Traffic::SnatHit, Forwarding::FullNat, &[]),
    journey("snat udp out", Family::V6, Traffic::SnatHit, Forwarding::FullNat, &[]),
    journey("no service", Family::V4, Traffic::NoService, Forwarding::FullNat, MISS),
    journey("no service", Family::V6, Traffic::NoService, Forwarding::FullNat, &[]),
    journey("nobody's address", Family::V4, Traffic::Nobody, Forwarding::FullNat, MISS),
    journey("nobody's address", Family::V6, Traffic::Nobody, Forwarding::FullNat, &[]),
    journey("udp open + expire", Family::V4, Traffic::UdpOpen, Forwarding::FullNat, OPEN),
    journey("udp open + expire", Family::V6, Traffic::UdpOpen, Forwarding::FullNat, &[]),
    journey("tcp open + expire", Family::V4, Traffic::TcpOpen, Forwarding::FullNat, &[]),
    journey("syn to syn-ack", Family::V4, Traffic::Proxied(Asking::Syn), Forwarding::FullNat, COOKIE),
    journey("syn to syn-ack", Family::V6, Traffic::Proxied(Asking::Syn), Forwarding::FullNat, &[]),
    journey("syn, all options", Family::V4, Traffic::Proxied(Asking::FullSyn), Forwarding::FullNat, &[]),
    journey("rejected ack", Family::V4, Traffic::Proxied(Asking::BadAck), Forwarding::FullNat, COOKIE),
    journey("rejected ack", Family::V6, Traffic::Proxied(Asking::BadAck), Forwarding::FullNat, &[]),
    journey("good ack + give up", Family::V4, Traffic::Proxied(Asking::GoodAck), Forwarding::FullNat, &[]),
    journey("direct open+expire", Family::V4, Traffic::UdpOpen, Forwarding::DirectRouting, &[]),
];

/// How long and how often.
struct Effort {
    /// Connections the worker has room for: what a director is configured for, however few it has.
    capacity: usize,
    connections: &'static [usize],
    rounds: usize,
    round_ms: u64,
}

const FULL: Effort =
    Effort { capacity: 2_097_152, connections: &[1, 1_000, 100_000, 1_000_000], rounds: 5, round_ms: 300 };
const QUICK: Effort = Effort { capacity: 131_072, connections: &[1, 1_000, 10_000], rounds: 3, round_ms: 20 };

fn main() -> std::io::Result<()> {
    memory::on_huge_pages()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let effort = if args.iter().any(|arg| arg == "--quick") { QUICK } else { FULL };
    let wanted = args.iter().find(|arg| !arg.starts_with('-'));
    let clock = Clock::calibrated();
    println!("{}", clock.machine());
    println!("one worker, bursts of {BURST}, device cost taken off, median of {} rounds\n", effort.rounds);
    println!(
        "{:<18} {:>2} {:>11} {:>8} {:>8} {:>15} {:>7} {:>7}",
        "journey", "ip", "connections", "ns", "cycles", "spread", "budget", "device"
    );
    let label = |journey: &Journey| format!("{} {}", journey.name, journey.family.digit());
    for journey in JOURNEYS.iter().filter(|journey| wanted.is_none_or(|name| label(journey).contains(name))) {
        for &connections in effort.connections {
            // Cookies are good for a minute: with few connections that come and go, the bench takes longer.
            if journey.traffic == Traffic::Proxied(Asking::GoodAck) && connections < 100_000 {
                continue;
            }
            measure(journey.name, journey, None, connections, &effort, &clock);
        }
    }
    // The scheduler that chooses nobody opens nothing.
    for scheduler in Scheduler::ALL.into_iter().filter(|scheduler| *scheduler != Scheduler::None) {
        let name = format!("open by {}", format!("{scheduler:?}").to_lowercase());
        for servers in [10, 1_000].into_iter().filter(|_| wanted.is_none_or(|part| name.contains(part))) {
            let journey = journey("", Family::V4, Traffic::UdpOpen, Forwarding::FullNat, &[]);
            let name = format!("{name} {servers}");
            measure(&name, &journey, Some((scheduler, servers)), 10_000, &effort, &clock);
        }
    }
    if wanted.is_none_or(|name| "cookie".contains(name.as_str())) {
        proxy::cookies(&clock);
    }
    Ok(())
}

/// A scheduler, and how many servers it chooses from.
type Crowd = (Scheduler, usize);

/// One line of the table.
fn measure(
    name: &str,
    journey: &Journey,
    crowd: Option<Crowd>,
    connections: usize,
    effort: &Effort,
    clock: &Clock,
) {
    let flows = journey.traffic.flows(connections);
    let frames_of =
        |traffic: Traffic| Frames::new((0..flows).map(|n| traffic.frame(&Flow::new(journey.family, n))));
    let frames = frames_of(journey.traffic);
    let mut bench = Bench::new(journey, crowd, connections, effort.capacity);
    bench.warm_up(&frames_of(journey.traffic.opening()), &frames);
    let floor = median(&rounds(effort, clock, |packets| bench.idle(&frames, packets)));
    let all = rounds(effort, clock, |packets| bench.run(&frames, packets));
    bench.judge(journey, connections);
    let net: Vec<f64> = all.iter().map(|ns| (ns - floor).max(0.0)).collect();
    let cycles = |ns: f64| ns * clock.ghz();
    let (low, high) = net.iter().fold((f64::MAX, 0f64), |(low, high), &ns| (low.min(ns), high.max(ns)));
    let budget = journey.budgets.iter().find(|(n, _)| *n == connections);
    println!(
        "{:<18} {:>2} {:>11} {:>8.1} {:>8.0} {:>15} {:>7} {:>7.0}",
        name,
        journey.family.digit(),
        connections,
        median(&net),
        cycles(median(&net)),
        format!("{:.0}-{:.0}", cycles(low), cycles(high)),
        budget.map_or_else(|| "-".to_owned(), |(_, cycles)| cycles.to_string()),
        cycles(floor),
    );
}

/// Nanoseconds for each packet, round by round. `run` processes as many packets as it is told.
fn rounds(effort: &Effort, clock: &Clock, mut run: impl FnMut(usize)) -> Vec<f64> {
    let mut packets = 1 << 14;
    let mut timed = |packets: usize| clock.on_cpu_ns(|| run(packets)) as f64;
    let first = timed(packets).max(1.0);
    packets = ((packets as f64 * effort.round_ms as f64 * 1e6 / first) as usize).next_multiple_of(BURST);
    (0..effort.rounds).map(|_| timed(packets) / packets as f64).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A worker, its device and its time.
struct Bench {
    lcore: Lcore<Packet>,
    snap: Snapshot,
    device: Device,
    /// Virtual time in microseconds, and how much of it a burst takes.
    now_us: u64,
    step_us: u64,
    at: usize,
}

impl Bench {
    fn new(journey: &Journey, crowd: Option<Crowd>, connections: usize, capacity: usize) -> Bench {
        let mut snap = network::snapshot(journey.traffic, journey.forwarding);
        if let Some((scheduler, servers)) = crowd {
            snap = network::crowd(snap, scheduler, servers);
        }
        let config = Config {
            id: engine::ids::LcoreId(0),
            workers: 1,
            conns: capacity,
            neighs: 2048,
            held: 64,
            seed: 0x5eed,
        };
        let mut bench = Bench {
            lcore: Lcore::new(config),
            snap,
            device: Device::default(),
            now_us: 0,
            step_us: journey.traffic.burst_us(connections),
            at: 0,
        };
        bench.lcore.adopt(&bench.snap, Tick(0), &mut bench.device);
        bench
    }

    /// Opens the connections there shall be, or lets openings and expiries come into balance.
    fn warm_up(&mut self, openings: &Frames, frames: &Frames) {
        self.run(openings, openings.len());
        self.run(frames, 2 * frames.len());
    }

    fn run(&mut self, frames: &Frames, packets: usize) {
        let mut burst: ArrayVec<Packet, BURST> = ArrayVec::new();
        for _ in 0..packets.div_ceil(BURST) {
            self.device.receive(frames, &mut self.at, &mut burst);
            self.now_us += self.step_us;
            let now = Tick(self.now_us / 1000);
            self.lcore.process(network::PORT, Origin::Wire, &mut burst, &self.snap, now, &mut self.device);
            self.lcore.tick(&self.snap, now, &mut self.device);
        }
    }

    /// The same without the engine.
    fn idle(&mut self, frames: &Frames, packets: usize) {
        let mut at = 0;
        let mut burst: ArrayVec<Packet, BURST> = ArrayVec::new();
        for _ in 0..packets.div_ceil(BURST) {
            self.device.receive(frames, &mut at, &mut burst);
            burst.drain(..).for_each(|pkt| self.device.give_back(pkt));
        }
    }

    /// A figure for something else than it says would be worse than none.
    fn judge(&self, journey: &Journey, connections: usize) {
        let traffic = self.lcore.traffic();
        let (conns, passed) = (self.lcore.conn_count(), traffic.tx == traffic.rx && traffic.rx > 0);
        let fine = match journey.traffic {
            Traffic::UdpHit | Traffic::CrossHit | Traffic::SnatHit | Traffic::TcpHit => {
                passed && conns == connections
            }
            Traffic::NoService | Traffic::Nobody => traffic.dropped() == traffic.rx && conns == 0,
            Traffic::Proxied(Asking::Syn | Asking::FullSyn) => passed && conns == 0,
            // A hundred resets a second leave for each neighbourhood. Among a million flows one may guess a cookie, present or past, in every
            // round: once in eight million tries.
            Traffic::Proxied(Asking::BadAck) => {
                let by_chance = traffic.rx / 100_000;
                let refused = self.lcore.proxy_counters().bad_ack;
                refused <= traffic.rx && refused + by_chance >= traffic.rx && conns as u64 <= by_chance
            }
            Traffic::Proxied(Asking::GoodAck) => {
                let opened = self.lcore.proxy_counters().ok_ack;
                opened == traffic.rx && (connections / 2..=2 * connections).contains(&conns)
            }
            Traffic::UdpOpen | Traffic::TcpOpen => {
                let opened: u64 = self.lcore.dest_counters().iter().map(|c| c.conns).sum();
                let live = connections.max(2 * BURST);
                passed && opened == traffic.rx && (live / 2..=2 * live).contains(&conns)
            }
        };
        assert!(fine, "{} did something else: {conns} connections, {traffic:?}", journey.name);
    }
}
