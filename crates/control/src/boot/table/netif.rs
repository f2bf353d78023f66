// SPDX-License-Identifier: Apache-2.0
//! Devices and their packet buffers.

use super::*;

pub(super) const KEYS: &[Key] = &[
    group("netif_defs", "Devices and their packet buffers."),
    key(
        "netif_defs/pktpool_size",
        Number(1023, 134_217_727),
        "65535",
        Restart,
        "Packet buffers for each NUMA node, rounded up to a power of two less one. Where it is not written, virtual devices take what they need.",
        |c, v| {
            c.pool_size = (number(v) + 1).next_power_of_two() - 1;
            Ok(())
        },
    ),
    key(
        "netif_defs/pktpool_cache",
        Number(32, 8192),
        "256",
        Restart,
        "Packet buffers each worker keeps at hand, rounded up to a power of two.",
        |c, v| {
            c.pool_cache = number(v).next_power_of_two();
            Ok(())
        },
    ),
    ignored("netif_defs/fdir_mode", FLOWS),
    ignored("netif_defs/mode", FLOWS),
    key("netif_defs/device", Named("NAME"), "", Restart, "A device, such as dpdk0.", |c, v| {
        let name = text(v);
        check::link_name(name)?;
        if c.device(name).is_some() {
            return Err("there is a device of that name already".to_owned());
        }
        c.devices.push(Device { name: name.to_owned(), ..Device::default() });
        Ok(())
    }),
    key(
        "netif_defs/device/driver",
        Choice(&["pci", "af_packet", "af_xdp", "tap", "null", "pcap", "memif"]),
        "",
        Restart,
        "What drives it; without it and pci, the next device the DPDK environment finds.",
        |c, v| {
            put(
                &mut device(c)?.driver,
                match text(v) {
                    "af_packet" => Driver::AfPacket,
                    "af_xdp" => Driver::AfXdp,
                    "tap" => Driver::Tap,
                    "null" => Driver::Null,
                    "pcap" => Driver::Pcap,
                    "memif" => Driver::Memif,
                    _ => Driver::Pci,
                },
            )
        },
    ),
    key(
        "netif_defs/device/iface",
        Word("the name of a network interface"),
        "",
        Restart,
        "The network interface behind it, for af_packet, af_xdp and tap.",
        |c, v| {
            check::iface_name(text(v))?;
            put(&mut device(c)?.iface, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/pci",
        Word("a PCI address such as 0000:03:00.0"),
        "",
        Restart,
        "Its PCI address.",
        |c, v| put(&mut device(c)?.pci, check::pci(text(v))?),
    ),
    key(
        "netif_defs/device/args",
        Line("arguments of the driver, separated by commas"),
        "",
        Restart,
        "Further arguments of the driver.",
        |c, v| put(&mut device(c)?.args, text(v).to_owned()),
    ),
    group("netif_defs/device/rx", "Its receive queues."),
    key(
        "netif_defs/device/rx/queue_number",
        Number(0, 16),
        "",
        Restart,
        "Receive queues; without it or with 0, one for each worker as far as the device has them.",
        |c, v| {
            device(c)?.rx_queues = Some(short(v)).filter(|&queues| queues > 0);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/rx/descriptor_number",
        Number(16, 8192),
        "256",
        Restart,
        "Descriptors of a receive queue, rounded up to a power of two.",
        |c, v| {
            device(c)?.rx_descriptors = short(v).next_power_of_two();
            Ok(())
        },
    ),
    ignored("netif_defs/device/rx/rss", "devices spread packets by the addresses and ports of tcp and udp"),
    group("netif_defs/device/tx", "Its transmit queues."),
    key(
        "netif_defs/device/tx/queue_number",
        Number(0, 16),
        "",
        Restart,
        "Transmit queues; without it or with 0, one for each worker as far as the device has them.",
        |c, v| {
            device(c)?.tx_queues = Some(short(v)).filter(|&queues| queues > 0);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/tx/descriptor_number",
        Number(16, 8192),
        "512",
        Restart,
        "Descriptors of a transmit queue, rounded up to a power of two.",
        |c, v| {
            device(c)?.tx_descriptors = short(v).next_power_of_two();
            Ok(())
        },
    ),
    ignored(
        "netif_defs/device/tx/mbuf_fast_free",
        "buffers of sent packets go back to where they came from, each by itself",
    ),
    key(
        "netif_defs/device/promisc_mode",
        Switch,
        "off",
        Reload,
        "Receives frames of all stations.",
        |c, v| {
            device(c)?.promisc = on(v);
            Ok(())
        },
    ),
    key(
        "netif_defs/device/allmulticast",
        Switch,
        "on",
        Reload,
        "Receives all multicast frames; neighbour discovery of IPv6 needs it.",
        |c, v| {
            device(c)?.allmulticast = on(v);
            Ok(())
        },
    ),
    key("netif_defs/device/mtu", Number(68, 9000), "1500", Reload, "Longest IP packet in bytes.", |c, v| {
        device(c)?.mtu = short(v);
        Ok(())
    }),
    key(
        "netif_defs/device/rx_csum",
        Choice(&["trust", "verify", "recompute"]),
        "verify",
        Restart,
        "Received checksums: believed, checked where state is made, or made anew (for senders on the same host).",
        |c, v| {
            device(c)?.rx_csum = match text(v) {
                "trust" => RxCsum::Trust,
                "recompute" => RxCsum::Recompute,
                _ => RxCsum::Verify,
            };
            Ok(())
        },
    ),
    key(
        "netif_defs/device/kni_name",
        Word("the name of a network interface"),
        "",
        Restart,
        "Name of its interface in the host's own stack; without it the device's name and .kni.",
        |c, v| {
            check::iface_name(text(v))?;
            put(&mut device(c)?.kni_name, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/addr",
        Line("an address with its length, such as 192.0.2.1/24"),
        "",
        Reload,
        "An address of it; may be repeated.",
        |c, v| {
            let prefix = check::address(text(v))?;
            push(&mut device(c)?.addrs, prefix)
        },
    ),
    key("netif_defs/device/vlan", Named("ID"), "", Reload, "A VLAN of it, 1 to 4094.", |c, v| {
        // As listings write it: places of errors are found by it.
        let id = text(v).parse().ok().filter(|id: &u16| (1..=4094).contains(id) && id.to_string() == text(v));
        let id = id.ok_or("an identifier from 1 to 4094 expected")?;
        let device = device(c)?;
        if device.vlans.iter().any(|vlan| vlan.id == id) {
            return Err(format!("{} has that vlan already", device.name));
        }
        device.vlans.push(VlanConf { id, ..VlanConf::default() });
        Ok(())
    }),
    key(
        "netif_defs/device/vlan/name",
        Word("a name"),
        "",
        Reload,
        "Its name; without it the device's name, a dot and the identifier.",
        |c, v| {
            check::link_name(text(v))?;
            put(&mut vlan(c)?.name, text(v).to_owned())
        },
    ),
    key(
        "netif_defs/device/vlan/addr",
        Line("an address with its length, such as 192.0.2.1/24"),
        "",
        Reload,
        "An address of it; may be repeated.",
        |c, v| {
            let prefix = check::address(text(v))?;
            push(&mut vlan(c)?.addrs, prefix)
        },
    ),
    ignored("netif_defs/bonding", "bonds are not there yet: name their devices one by one"),
];
