// SPDX-License-Identifier: Apache-2.0
//! net_pcap on files written and read here by hand: every byte of what goes in and comes out, and packets of several
//! segments, which this driver makes of long ones.

use std::fs;
use std::time::{Duration, Instant};

use dpdk::{Burst, DeviceSpec, Eal, EalConfig, Pool, PoolConfig, Port, PortConfig};
use packet::Buffer;

#[test]
fn files_are_read_and_written_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
    let frames: Vec<Vec<u8>> = (0..50_u8).map(|n| vec![n; 60 + usize::from(n)]).collect();
    // 3000 bytes need two segments of 2048 and do not fit into one: dropped, and the rest is not disturbed.
    let mut read = frames.clone();
    read.insert(25, vec![0xee; 3000]);
    fs::write(&input, pcap(&read)).expect("a temporary file");

    let text = format!("dpdk0=pcap:rx_pcap={},tx_pcap={}", input.display(), output.display());
    let spec: DeviceSpec = text.parse().expect("a spec");
    let eal = Eal::init(EalConfig::for_devices([&spec])).expect("it starts anywhere");
    let pool =
        Pool::new(&eal, "packets", &PoolConfig { mbufs: 1023, ..PoolConfig::default() }).expect("small");
    let wanted = PortConfig { queues: 2, ..PortConfig::default() };
    let mut port = Port::open(&eal, &spec, &wanted, &pool).expect("the file is there");
    assert_eq!((port.rx_queues(), port.tx_queues()), (1, 1));
    assert_eq!(
        port.notes(),
        [
            "dpdk0: 1 of 2 receive queues: workers without one get their packets from the others",
            "dpdk0: 1 of 2 transmit queues: workers share"
        ]
    );
    let mut rx = port.take_rx(0).expect("the only one");
    let mut tx = port.take_tx(0).expect("the only one");

    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while seen.len() < frames.len() && Instant::now() < end {
        let mut burst = Burst::new();
        rx.burst(&mut burst);
        seen.extend(burst.iter().map(|packet| packet.data().to_vec()));
        tx.send(&mut burst);
    }
    assert_eq!(seen, frames);
    assert_eq!(rx.unusable(), 1);
    drop((rx, tx, port));
    assert_eq!(pool.in_use(), 0, "the unusable packet was freed too");
    assert_eq!(unpcap(&fs::read(&output).expect("the driver wrote it")), frames);
}

/// A capture file: header, then each frame behind its own header of time, length kept and length. Little-endian.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    for frame in frames {
        let len = (frame.len() as u32).to_le_bytes();
        file.extend([0; 8]);
        file.extend(len);
        file.extend(len);
        file.extend(frame);
    }
    file
}

fn unpcap(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[24..];
    let mut frames = Vec::new();
    while let Some((header, data)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        frames.push(data[..len].to_vec());
        rest = &data[len..];
    }
    frames
}
