// SPDX-License-Identifier: Apache-2.0
//! What a driver is told about the device before it opens it, and what the device allows.

use super::PortConfig;
use crate::device::{DeviceSpec, Driver};
use crate::error::Error;
use crate::netdev::{Netdev, Queues};

/// What is decided before the device is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Arguments for the driver, one device of DPDK's each.
    pub devargs: Vec<String>,
    /// Receive and transmit queues to ask for, over all devices.
    pub queues: u16,
    /// Largest MTU whose frames fit the buffers.
    pub mtu_limit: u32,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// What matters of a kernel interface.
struct Facts {
    mtu: u32,
    queues: Queues,
    gro: bool,
}

/// Plans from the spec, what is wanted, the interface behind it, and the bytes of packet an mbuf takes.
pub(crate) fn plan(
    spec: &DeviceSpec,
    config: &PortConfig,
    netdev: Option<&Netdev>,
    room: u16,
) -> Result<Plan, Error> {
    let facts = netdev.map(|netdev| Facts {
        mtu: config.mtu.map_or_else(|| netdev.mtu().unwrap_or(1500), u32::from),
        queues: netdev.queues(),
        gro: netdev.gro(),
    });
    decide(spec, config, facts.as_ref(), room)
}

/// Rings that af_packet allows, in DPDK's `RTE_PMD_AF_PACKET_MAX_RINGS`; tap allows as many.
const RINGS: u16 = 16;

fn decide(spec: &DeviceSpec, config: &PortConfig, facts: Option<&Facts>, room: u16) -> Result<Plan, Error> {
    let wanted = config.queues.max(1);
    match (spec.driver(), facts) {
        (Driver::AfPacket, Some(facts)) => af_packet(spec, wanted, facts, room),
        (Driver::AfXdp, Some(facts)) => af_xdp(spec, wanted, facts, room),
        (Driver::Tap, _) => Ok(Plan { devargs: vec![devargs(spec, &[])], ..plain(wanted.min(RINGS), room) }),
        (Driver::Null, _) => Ok(Plan { devargs: vec![quiet(spec)], ..plain(wanted, room) }),
        _ => Ok(Plan { devargs: vec![spec.args().to_owned()], ..plain(wanted, room) }),
    }
}

fn plain(queues: u16, room: u16) -> Plan {
    let mtu_limit = u32::from(room).saturating_sub(ETHERNET + VLAN);
    Plan { devargs: Vec::new(), queues, mtu_limit, notes: Vec::new() }
}

fn af_packet(spec: &DeviceSpec, wanted: u16, facts: &Facts, room: u16) -> Result<Plan, Error> {
    let queues = number(spec, "qpairs")?.unwrap_or(wanted.min(RINGS));
    let frame = frame_size(spec, facts.mtu, room)?;
    let mut ours = vec![("qpairs", u32::from(queues))];
    if frame != FRAME {
        ours.push(("framesz", frame));
    }
    if frame > PAGE {
        ours.push(("blocksz", frame.next_multiple_of(PAGE)));
    }
    let plan = plain(queues, room);
    Ok(Plan {
        devargs: vec![devargs(spec, &ours)],
        mtu_limit: plan.mtu_limit.min(frame - FRAME_OVERHEAD - ETHERNET),
        notes: gro_note(spec, facts),
        ..plan
    })
}

fn af_xdp(spec: &DeviceSpec, wanted: u16, facts: &Facts, room: u16) -> Result<Plan, Error> {
    let given = number(spec, "queue_count")?;
    let queues = given.unwrap_or(wanted.min(facts.queues.rx));
    let mut notes = gro_note(spec, facts);
    if queues < facts.queues.rx {
        let kind = if facts.queues.combined > 0 { "combined" } else { "rx" };
        notes.push(format!(
            "{}: {iface} has {} receive queues, {queues} are used and what reaches the others stays in the kernel: \
             'ethtool -L {iface} {kind} {queues}' changes that",
            spec.name(),
            facts.queues.rx,
            iface = spec.iface().unwrap_or_default(),
        ));
    }
    // The driver counts combined queues only. Where an interface has separate ones, each gets a device of its own.
    let split = given.is_none() && queues > facts.queues.combined.max(1);
    let (devices, each) = if split { (queues, 1) } else { (1, queues) };
    let part = |i| devargs(spec, &[("start_queue", u32::from(i)), ("queue_count", u32::from(each))]);
    Ok(Plan { devargs: (0..devices).map(part).collect(), notes, ..plain(queues, room) })
}

const ETHERNET: u32 = 14;
const VLAN: u32 = 4;
/// Bytes of a frame of an af_packet ring that hold no packet: the kernel begins the Ethernet header at 66.
const FRAME_OVERHEAD: u32 = 66;
/// Those that the driver thinks hold none; the rest has to fit an mbuf.
const FRAME_HEADER: u32 = 32;
/// Frames begin at multiples of this.
const FRAME_ALIGN: u32 = 16;
/// af_packet's default `framesz`.
const FRAME: u32 = 2048;
/// af_packet's default `blocksz`, and what one is a multiple of.
const PAGE: u32 = 4096;

/// The frame size of an af_packet ring: the kernel silently cuts longer packets, so they have to fit.
fn frame_size(spec: &DeviceSpec, mtu: u32, room: u16) -> Result<u32, Error> {
    let refuse = |why| Err(Error::Argument { device: spec.name().to_owned(), why });
    let iface = spec.iface().unwrap_or_default();
    let needed = (mtu + ETHERNET + FRAME_OVERHEAD).next_multiple_of(FRAME_ALIGN);
    let largest = u32::from(room) + FRAME_HEADER;
    if needed > largest {
        let limit = largest - FRAME_OVERHEAD - ETHERNET;
        return refuse(format!(
            "{iface} has MTU {mtu} and packet buffers are made for {limit}: 'ip link set {iface} mtu 1500', or say mtu \
             1500 for the device"
        ));
    }
    match number(spec, "framesz")?.map(u32::from) {
        Some(given) if given < needed => {
            refuse(format!("framesz={given} cuts packets of {iface}'s MTU {mtu}, {needed} are needed"))
        }
        Some(given) => Ok(given),
        None => Ok(needed.max(FRAME)),
    }
}

fn gro_note(spec: &DeviceSpec, facts: &Facts) -> Vec<String> {
    let (device, iface) = (spec.name(), spec.iface().unwrap_or_default());
    let note = || {
        format!(
            "{device}: {iface} merges received packets, those longer than its MTU are dropped: \
             'ethtool -K {iface} gro off' avoids that"
        )
    };
    facts.gro.then(note).into_iter().collect()
}

/// The interface, our options where the operator did not give them, and the operator's.
fn devargs(spec: &DeviceSpec, ours: &[(&str, u32)]) -> String {
    let mut all = format!("iface={}", spec.iface().unwrap_or_default());
    for (key, value) in ours.iter().filter(|(key, _)| spec.option(key).is_none()) {
        all += &format!(",{key}={value}");
    }
    if !spec.args().is_empty() {
        all += ",";
        all += spec.args();
    }
    all
}

/// The options of a null device. Left to itself the driver receives empty packets without end; a device that stands for nothing
/// receives nothing, unless `no-rx=0` asks for them.
fn quiet(spec: &DeviceSpec) -> String {
    match (spec.option("no-rx"), spec.args()) {
        (Some(_), args) => args.to_owned(),
        (None, "") => "no-rx=1".to_owned(),
        (None, args) => format!("{args},no-rx=1"),
    }
}

/// The number behind an option of the driver's.
fn number(spec: &DeviceSpec, key: &str) -> Result<Option<u16>, Error> {
    let Some(value) = spec.option(key) else { return Ok(None) };
    match value.parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Error::Argument {
            device: spec.name().to_owned(),
            why: format!("{key}={value} is no number from 1 to 65535"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_device_receives_nothing_unless_asked() {
        let args = |text: &str| quiet(&text.parse().expect("a spec"));
        assert_eq!(args("dpdk0=null"), "no-rx=1");
        assert_eq!(args("dpdk0=null:size=60"), "size=60,no-rx=1");
        assert_eq!(args("dpdk0=null:no-rx=0,size=60"), "no-rx=0,size=60");
    }

    const ROOM: u16 = 2048;

    fn planned(text: &str, queues: u16, facts: Facts) -> Result<Plan, String> {
        let spec = text.parse().expect("a spec");
        let config = PortConfig { queues, ..PortConfig::default() };
        decide(&spec, &config, Some(&facts), ROOM).map_err(|e| e.to_string())
    }

    fn card(mtu: u32, queues: u16) -> Facts {
        Facts { mtu, queues: Queues { rx: queues, combined: queues }, gro: false }
    }

    #[test]
    fn af_packet_makes_its_own_queues() {
        let plan = planned("d=af_packet:eth0", 2, card(1500, 1)).expect("fine");
        assert_eq!((plan.devargs, plan.queues), (vec!["iface=eth0,qpairs=2".to_owned()], 2));
        assert_eq!(plan.mtu_limit, 1968);
        assert_eq!(planned("d=af_packet:eth0", 40, card(1500, 1)).expect("fine").queues, 16);
        let plan = planned("d=af_packet:eth0,qpairs=4,qdisc_bypass=1", 2, card(1500, 1)).expect("fine");
        assert_eq!((plan.devargs, plan.queues), (vec!["iface=eth0,qpairs=4,qdisc_bypass=1".to_owned()], 4));
    }

    #[test]
    fn af_packet_never_cuts_a_packet_silently() {
        let plan = planned("d=af_packet:eth0", 1, card(2000, 1)).expect("it just fits an mbuf");
        assert_eq!(plan.devargs, ["iface=eth0,qpairs=1,framesz=2080"]);
        assert_eq!(plan.mtu_limit, 2000);
        assert_eq!(
            planned("d=af_packet:eth0", 1, card(9000, 1)).expect_err("too long"),
            "device d: eth0 has MTU 9000 and packet buffers are made for 2000: 'ip link set eth0 mtu 1500', or say mtu \
             1500 for the device"
        );
        assert_eq!(
            planned("d=af_packet:eth0,framesz=1024", 1, card(1500, 1)).expect_err("too small"),
            "device d: framesz=1024 cuts packets of eth0's MTU 1500, 1584 are needed"
        );
    }

    #[test]
    fn af_xdp_gets_no_more_queues_than_the_interface_has() {
        let plan = planned("d=af_xdp:eth0,force_copy=1", 4, card(1500, 2)).expect("fine");
        assert_eq!(plan.devargs, ["iface=eth0,start_queue=0,queue_count=2,force_copy=1"]);
        assert_eq!((plan.queues, plan.notes), (2, vec![]));
        let plan = planned("d=af_xdp:eth0", 2, card(1500, 8)).expect("fine");
        assert_eq!(plan.queues, 2);
        assert_eq!(
            plan.notes,
            ["d: eth0 has 8 receive queues, 2 are used and what reaches the others stays in the kernel: \
              'ethtool -L eth0 combined 2' changes that"]
        );
        assert_eq!(
            planned("d=af_xdp:eth0,queue_count=many", 1, card(1500, 8)).expect_err("no number"),
            "device d: queue_count=many is no number from 1 to 65535"
        );
    }

    #[test]
    fn af_xdp_takes_separate_queues_one_by_one() {
        let veth = Facts { mtu: 1500, queues: Queues { rx: 2, combined: 0 }, gro: false };
        let plan = planned("d=af_xdp:veth0", 2, veth).expect("fine");
        assert_eq!(
            plan.devargs,
            ["iface=veth0,start_queue=0,queue_count=1", "iface=veth0,start_queue=1,queue_count=1"]
        );
        assert_eq!((plan.queues, plan.notes), (2, vec![]));
    }

    #[test]
    fn merged_packets_are_warned_of() {
        let facts = Facts { gro: true, ..card(1500, 1) };
        let plan = planned("d=af_packet:eth0", 1, facts).expect("fine");
        assert_eq!(
            plan.notes,
            [
                "d: eth0 merges received packets, those longer than its MTU are dropped: 'ethtool -K eth0 gro off' avoids that"
            ]
        );
    }
}
