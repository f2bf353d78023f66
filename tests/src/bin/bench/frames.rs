// SPDX-License-Identifier: Apache-2.0
//! The traffic: files of frames that the pcap driver feeds to a port for ever.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use packet::build::{self, Macs, Segment};

/// Ethernet addresses of every frame: the pcap driver's own first address, and a station that does not exist.
const MACS: Macs = ([0x02, 0x70, 0x63, 0x61, 0x70, 0x00], [0x02, 0xaa, 0, 0, 0, 0x01]);

/// The service of every flow that hits.
pub const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 100), 80);

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Datagrams of 18 bytes to the service, one of each flow in turn.
    Udp,
    /// A SYN of each flow, then rounds of segments with six bytes of data.
    Tcp,
    /// Datagrams to the service, each of a flow that has no connection when it comes.
    UdpOpen,
    /// SYNs to the service, each of a flow that has no connection when it comes.
    TcpOpen,
    /// Datagrams to an address of nobody.
    NoHost,
    /// Datagrams to a port of the virtual address that has no service.
    NoPort,
}

/// Writes a file of `flows` flows and returns how many frames it has.
pub fn write(path: &Path, traffic: Traffic, flows: u32) -> io::Result<u32> {
    let mut file = BufWriter::new(File::create(path)?);
    // Classic pcap, microseconds, version 2.4, 64 KiB snaplen, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_le_bytes())?;
    }
    let mut frames = 0;
    let mut put = |frame: Vec<u8>| {
        frames += 1;
        let len = (frame.len() as u32).to_le_bytes();
        [&[0; 8][..], &len, &len, &frame].iter().try_for_each(|part| file.write_all(part))
    };
    let rounds = rounds(traffic, flows);
    for round in 0..rounds {
        for flow in 0..flows {
            put(frame(traffic, flow, round == 0))?;
        }
    }
    file.flush()?;
    Ok(frames)
}

/// A file has at least a thousand frames, and enough data segments that the SYNs among them do not count.
fn rounds(traffic: Traffic, flows: u32) -> u32 {
    let rounds = 1024_u32.div_ceil(flows);
    match traffic {
        Traffic::Tcp => match flows {
            0..=1 => 1024,
            2..=1000 => 20,
            _ => 4,
        },
        _ => rounds,
    }
}

fn frame(traffic: Traffic, flow: u32, first: bool) -> Vec<u8> {
    let source = source(flow);
    let service = SocketAddr::V4(SERVICE);
    match traffic {
        Traffic::Udp | Traffic::UdpOpen => build::udp(MACS, source, service, &[0; 18]),
        Traffic::NoHost => build::udp(MACS, source, ([10, 0, 77, 77], 80).into(), &[0; 18]),
        Traffic::NoPort => build::udp(MACS, source, ([10, 0, 0, 100], 9999).into(), &[0; 18]),
        Traffic::Tcp | Traffic::TcpOpen if first => {
            let options = [2, 4, 0x05, 0xb4];
            build::tcp(
                MACS,
                source,
                service,
                Segment { seq: 1000, flags: SYN, options: &options, ..Segment::default() },
            )
        }
        Traffic::Tcp | Traffic::TcpOpen => {
            let data =
                Segment { seq: 1001, ack: 5001, flags: PSH | ACK, payload: &[0; 6], ..Segment::default() };
            build::tcp(MACS, source, service, data)
        }
    }
}

/// Different for every flow below four million, neighbours far apart.
fn source(flow: u32) -> SocketAddr {
    let host = 0x0a40_0000 + (u64::from(flow) * 2_654_435_761 % (1 << 22)) as u32;
    let port = 1024 + (u64::from(flow) * 40_503 % 64_000) as u16;
    (Ipv4Addr::from_bits(host), port).into()
}

const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
