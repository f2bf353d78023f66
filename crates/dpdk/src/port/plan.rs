// SPDX-License-Identifier: Apache-2.0
//! What a driver is told about the device before it opens it, and what the device allows.

use super::PortConfig;
use crate::device::{DeviceSpec, Driver};
use crate::error::Error;
use crate::netdev::Netdev;

/// What is decided before the device is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Arguments for the driver.
    pub devargs: String,
    /// Receive and transmit queues to ask for.
    pub queues: u16,
    /// Largest MTU whose frames fit the buffers.
    pub mtu_limit: u32,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// What matters of a kernel interface.
struct Facts {
    mtu: u32,
    rx_queues: u16,
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
        rx_queues: netdev.rx_queues(),
        gro: netdev.gro(),
    });
    decide(spec, config, facts.as_ref(), room)
}

/// Rings that af_packet allows, in DPDK's `RTE_PMD_AF_PACKET_MAX_RINGS`; tap allows as many.
const RINGS: u16 = 16;

fn decide(spec: &DeviceSpec, config: &PortConfig, facts: Option<&Facts>, room: u16) -> Result<Plan, Error> {
    let wanted = config.queues.max(1);
    let mut plan = Plan {
        devargs: spec.args().to_owned(),
        queues: wanted,
        mtu_limit: u32::from(room).saturating_sub(ETHERNET + VLAN),
        notes: Vec::new(),
    };
    let iface = spec.iface().unwrap_or_default();
    match (spec.driver(), facts) {
        (Driver::AfPacket, Some(facts)) => {
            plan.queues = number(spec, "qpairs")?.unwrap_or(wanted.min(RINGS));
            let frame = frame_size(spec, facts.mtu, room)?;
            plan.mtu_limit = plan.mtu_limit.min(frame - FRAME_OVERHEAD - ETHERNET);
            plan.devargs = join([
                format!("iface={iface}"),
                unless_given(spec, "qpairs", plan.queues.to_string()),
                if frame == FRAME { String::new() } else { unless_given(spec, "framesz", frame.to_string()) },
                if frame > PAGE { unless_given(spec, "blocksz", frame.to_string()) } else { String::new() },
                spec.args().to_owned(),
            ]);
            plan.notes.extend(facts.gro.then(|| gro_note(spec.name(), iface)));
        }
        (Driver::AfXdp, Some(facts)) => {
            plan.queues = number(spec, "queue_count")?.unwrap_or(wanted.min(facts.rx_queues));
            if plan.queues < facts.rx_queues {
                plan.notes.push(format!(
                    "{}: {iface} has {} receive queues, {} are used and what reaches the others stays in the kernel: \
                     'ethtool -L {iface} combined {}' changes that",
                    spec.name(),
                    facts.rx_queues,
                    plan.queues,
                    plan.queues
                ));
            }
            plan.devargs = join([
                format!("iface={iface}"),
                unless_given(spec, "start_queue", "0".to_owned()),
                unless_given(spec, "queue_count", plan.queues.to_string()),
                spec.args().to_owned(),
            ]);
            plan.notes.extend(facts.gro.then(|| gro_note(spec.name(), iface)));
        }
        (Driver::Tap, _) => {
            plan.queues = wanted.min(RINGS);
            plan.devargs = join([format!("iface={iface}"), spec.args().to_owned()]);
        }
        _ => {}
    }
    Ok(plan)
}

const ETHERNET: u32 = 14;
const VLAN: u32 = 4;
/// Bytes of a frame of an af_packet ring that hold no packet: the kernel begins the Ethernet header at 66.
const FRAME_OVERHEAD: u32 = 66;
/// af_packet's default `framesz`.
const FRAME: u32 = 2048;
/// af_packet's default `blocksz`.
const PAGE: u32 = 4096;

/// The frame size of an af_packet ring: the kernel silently cuts longer packets, so they have to fit.
fn frame_size(spec: &DeviceSpec, mtu: u32, room: u16) -> Result<u32, Error> {
    let refuse = |why| Err(Error::Argument { device: spec.name().to_owned(), why });
    let iface = spec.iface().unwrap_or_default();
    let needed = mtu + ETHERNET + FRAME_OVERHEAD;
    if let Some(given) = number(spec, "framesz")?.map(u32::from) {
        return if given < needed {
            refuse(format!("framesz={given} cuts packets of {iface}'s MTU {mtu}, {needed} are needed"))
        } else {
            Ok(given)
        };
    }
    let frame = needed.next_power_of_two().max(FRAME);
    if mtu + ETHERNET + VLAN > u32::from(room) {
        let limit = u32::from(room) - ETHERNET - VLAN;
        return refuse(format!(
            "{iface} has MTU {mtu} and packet buffers are made for {limit}: 'ip link set {iface} mtu 1500', or say mtu 1500 \
             for the device"
        ));
    }
    Ok(frame)
}

fn gro_note(device: &str, iface: &str) -> String {
    format!(
        "{device}: {iface} merges received packets, those longer than its MTU are dropped: \
         'ethtool -K {iface} gro off' avoids that"
    )
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

/// `key=value`, or nothing when the operator gave the key.
fn unless_given(spec: &DeviceSpec, key: &str, value: String) -> String {
    if spec.option(key).is_some() { String::new() } else { format!("{key}={value}") }
}

fn join(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u16 = 2048;

    fn planned(text: &str, queues: u16, facts: Facts) -> Result<Plan, String> {
        let spec = text.parse().expect("a spec");
        let config = PortConfig { queues, ..PortConfig::default() };
        decide(&spec, &config, Some(&facts), ROOM).map_err(|e| e.to_string())
    }

    fn veth(mtu: u32, rx_queues: u16) -> Facts {
        Facts { mtu, rx_queues, gro: false }
    }

    #[test]
    fn af_packet_makes_its_own_queues() {
        let plan = planned("d=af_packet:eth0", 2, veth(1500, 1)).expect("fine");
        assert_eq!((plan.devargs.as_str(), plan.queues), ("iface=eth0,qpairs=2", 2));
        assert_eq!(plan.mtu_limit, 1968);
        assert_eq!(planned("d=af_packet:eth0", 40, veth(1500, 1)).expect("fine").queues, 16);
        let plan = planned("d=af_packet:eth0,qpairs=4,qdisc_bypass=1", 2, veth(1500, 1)).expect("fine");
        assert_eq!((plan.devargs.as_str(), plan.queues), ("iface=eth0,qpairs=4,qdisc_bypass=1", 4));
    }

    #[test]
    fn af_packet_never_cuts_a_packet_silently() {
        let plan = planned("d=af_packet:eth0", 1, veth(2000, 1)).expect("2018 bytes fit an mbuf");
        assert_eq!(plan.devargs, "iface=eth0,qpairs=1,framesz=4096");
        assert_eq!(plan.mtu_limit, 2030);
        assert_eq!(
            planned("d=af_packet:eth0", 1, veth(9000, 1)).expect_err("too long"),
            "device d: eth0 has MTU 9000 and packet buffers are made for 2030: 'ip link set eth0 mtu 1500', or say mtu 1500 \
             for the device"
        );
        assert_eq!(
            planned("d=af_packet:eth0,framesz=1024", 1, veth(1500, 1)).expect_err("too small"),
            "device d: framesz=1024 cuts packets of eth0's MTU 1500, 1580 are needed"
        );
    }

    #[test]
    fn af_xdp_gets_no_more_queues_than_the_interface_has() {
        let plan = planned("d=af_xdp:eth0,force_copy=1", 4, veth(1500, 2)).expect("fine");
        assert_eq!(
            (plan.devargs.as_str(), plan.queues),
            ("iface=eth0,start_queue=0,queue_count=2,force_copy=1", 2)
        );
        assert_eq!(plan.notes, [] as [String; 0]);
        let plan = planned("d=af_xdp:eth0", 2, veth(1500, 8)).expect("fine");
        assert_eq!(plan.queues, 2);
        assert_eq!(
            plan.notes,
            ["d: eth0 has 8 receive queues, 2 are used and what reaches the others stays in the kernel: \
              'ethtool -L eth0 combined 2' changes that"]
        );
        assert_eq!(
            planned("d=af_xdp:eth0,queue_count=many", 1, veth(1500, 8)).expect_err("no number"),
            "device d: queue_count=many is no number from 1 to 65535"
        );
    }

    #[test]
    fn merged_packets_are_warned_of() {
        let facts = Facts { gro: true, ..veth(1500, 1) };
        let plan = planned("d=af_packet:eth0", 1, facts).expect("fine");
        assert_eq!(
            plan.notes,
            [
                "d: eth0 merges received packets, those longer than its MTU are dropped: 'ethtool -K eth0 gro off' avoids that"
            ]
        );
    }
}
