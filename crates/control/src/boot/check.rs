// SPDX-License-Identifier: Apache-2.0
//! What single values must be, and what must hold between them.

use std::collections::HashSet;

use model::net::{RouteScope, RouteSpec};
use model::rule::{Marking, MatchRule};
use model::{Family, Prefix, Transport};

use super::{BootConfig, Device, Driver, Worker, WorkerKind, WorkerQueues};
use crate::decide::check_link_name;

/// Longest name of a network interface on Linux, in bytes.
const IFACE_NAME: usize = 15;

pub(super) fn link_name(name: &str) -> Result<(), String> {
    check_link_name(name).map_err(|status| status.text)
}

pub(super) fn iface_name(name: &str) -> Result<(), String> {
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b':');
    if name.len() > IFACE_NAME || !name.bytes().all(good) {
        return Err(format!("no network interface has such a name: up to {IFACE_NAME} letters and digits"));
    }
    Ok(())
}

/// `[DOMAIN:]BUS:DEVICE.FUNCTION` in hexadecimal, completed.
pub(super) fn pci(text: &str) -> Result<String, String> {
    let full = if text.matches(':').count() == 1 { format!("0000:{text}") } else { text.to_owned() };
    let hex = |word: &str, len| word.len() == len && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = full.split([':', '.']).collect();
    match parts[..] {
        [domain, bus, device, function]
            if hex(domain, 4)
                && hex(bus, 2)
                && hex(device, 2)
                && matches!(function, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7") =>
        {
            Ok(full.to_ascii_lowercase())
        }
        _ => Err("no PCI address: such as 0000:03:00.0 expected".to_owned()),
    }
}

pub(super) fn address(text: &str) -> Result<Prefix, String> {
    text.parse().map_err(|error: model::addr::AddrError| error.to_string())
}

/// `MARK RULE`, the rule as `ipvsadm -H` takes it.
pub(super) fn marking(text: &str) -> Result<Marking, String> {
    let (mark, rule) =
        text.split_once(' ').ok_or("MARK RULE expected, such as `1 proto=tcp,dst-range=192.0.2.1:80`")?;
    let mark = mark.parse().map_err(|_| format!("mark {mark}: 1 to {} expected", u32::MAX))?;
    let rule: MatchRule = rule.trim().parse()?;
    if !matches!(rule.transport, Transport::Tcp | Transport::Udp | Transport::Sctp) {
        return Err(format!("proto {}: marks are for tcp, udp and sctp", rule.transport));
    }
    if rule.oif.is_some() {
        return Err("oif: where packets leave is not known before they have a server".to_owned());
    }
    Ok(Marking { mark, rule })
}

/// A route as `dpip route add` takes it.
pub(super) fn route(text: &str) -> Result<RouteSpec, String> {
    let mut words = text.split(' ');
    let dst = words.next().unwrap_or_default();
    let mut route = RouteSpec {
        dst: if dst == "default" {
            Prefix { addr: Family::Inet.unspecified(), len: 0 }
        } else {
            address(dst)?
        },
        via: None,
        dev: String::new(),
        src: None,
        mtu: 0,
        scope: None,
        metric: 0,
    };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} without a value"))?;
        let ip = || value.parse().map_err(|_| format!("{word} {value}: an IP address expected"));
        let number = || format!("{word} {value}: a number expected");
        match word {
            "via" => route.via = Some(ip()?),
            "src" => route.src = Some(ip()?),
            "dev" => route.dev = value.to_owned(),
            "mtu" => route.mtu = value.parse().map_err(|_| number())?,
            "metric" => route.metric = value.parse().map_err(|_| number())?,
            "scope" => route.scope = Some(scope(value)?),
            _ => return Err(format!("{word} is none of via, dev, src, mtu, metric, scope")),
        }
    }
    let six = route.via.or(route.src).is_some_and(|addr| addr.is_ipv6());
    if dst == "default" && six {
        route.dst.addr = Family::Inet6.unspecified();
    }
    if route.dev.is_empty() && route.via.is_none() {
        return Err("a link (dev) or a gateway (via) is needed".to_owned());
    }
    Ok(route)
}

fn scope(word: &str) -> Result<RouteScope, String> {
    let scopes = [RouteScope::Host, RouteScope::KniHost, RouteScope::Link, RouteScope::Global];
    let found = scopes.into_iter().find(|scope| scope.to_string() == word);
    found.ok_or_else(|| format!("scope {word}: host, kni_host, link or global expected"))
}

/// What does not fit together: the path of the block to blame, and why.
pub(super) fn whole(config: &BootConfig) -> Vec<(String, String)> {
    let of_device = |name: &str, text| (format!("netif_defs/device {name}"), text);
    let mut found: Vec<(String, String)> =
        config.devices.iter().filter_map(|it| Some(of_device(&it.name, device(it)?))).collect();
    found.extend(links(&config.devices));
    found.extend(workers(config));
    found.extend(marks(config));
    found
}

/// A rule that names a link nobody has would never fit.
fn marks(config: &BootConfig) -> Option<(String, String)> {
    let links: Vec<String> = config
        .devices
        .iter()
        .flat_map(|device| {
            let vlans = device.vlans.iter().map(|vlan| vlan.link(&device.name));
            std::iter::once(device.name.clone()).chain(vlans)
        })
        .collect();
    let named = config.marks.iter().filter_map(|marking| Some((marking.mark, marking.rule.iif.as_ref()?)));
    let (mark, name) = named.into_iter().find(|(_, name)| !links.contains(name))?;
    Some(("ipvs_defs/mark".to_owned(), format!("mark {mark}: no device or VLAN is named {name}")))
}

/// What is understood and does nothing: the path of the block, and why.
pub(super) fn idle(config: &BootConfig) -> Vec<(String, String)> {
    let served = config.workers.iter().filter(|worker| worker.kind == WorkerKind::Kni);
    let text = |name: &str| format!("worker {name} has no effect: control serves the host's own stack");
    served.map(|worker| (format!("worker_defs/worker {}", worker.name), text(&worker.name))).collect()
}

fn device(device: &Device) -> Option<String> {
    let Device { name, driver, iface, pci, .. } = device;
    let by_iface = matches!(driver, Some(Driver::AfPacket | Driver::AfXdp | Driver::Tap));
    let by_pci = matches!(driver, None | Some(Driver::Pci));
    if by_iface && iface.is_none() {
        return Some(format!("device {name}: its driver needs the name of an interface (iface)"));
    }
    if iface.is_some() && !by_iface {
        return Some(format!("device {name}: iface is for the drivers af_packet, af_xdp and tap"));
    }
    if pci.is_some() && !by_pci {
        return Some(format!("device {name}: pci is for the driver pci"));
    }
    (*driver == Some(Driver::Pci) && pci.is_none())
        .then(|| format!("device {name}: the driver pci needs an address (pci)"))
}

fn links(devices: &[Device]) -> Vec<(String, String)> {
    let mut names: HashSet<String> = devices.iter().map(|device| device.name.clone()).collect();
    let mut found = Vec::new();
    for device in devices {
        for vlan in &device.vlans {
            let name = vlan.link(&device.name);
            let place = format!("netif_defs/device {}/vlan {}", device.name, vlan.id);
            if !names.insert(name.clone()) {
                found.push((place, format!("vlan {}: another link is called {name}", vlan.id)));
            }
        }
    }
    found
}

/// DPVS's rules: one master at most, a CPU for one thread only, queues of a port from 0 without gaps, each with one worker.
fn workers(config: &BootConfig) -> Vec<(String, String)> {
    let place = |worker: &Worker| format!("worker_defs/worker {}", worker.name);
    let mut found = Vec::new();
    let (mut masters, mut cpus) = (0, HashSet::new());
    for worker in &config.workers {
        masters += usize::from(worker.kind == WorkerKind::Master);
        if masters > 1 && worker.kind == WorkerKind::Master {
            found.push((place(worker), format!("worker {}: another one is of type master", worker.name)));
        }
        if worker.cpu.is_some_and(|cpu| !cpus.insert(cpu)) {
            found.push((place(worker), format!("worker {}: another one has its cpu_id", worker.name)));
        }
        for queues in worker.queues.iter().filter(|queues| config.device(&queues.device).is_none()) {
            let text = format!("port {}: no device of that name", queues.device);
            found.push((format!("{}/port {}", place(worker), queues.device), text));
        }
    }
    let slaves = config.workers.iter().filter(|worker| worker.kind == WorkerKind::Slave).count();
    if let Some(count) = config.worker_count
        && !config.workers.is_empty()
        && usize::from(count) != slaves
    {
        let text = format!("workers {count}, but {slaves} of type slave are named: leave one of the two out");
        found.push(("worker_defs/workers".to_owned(), text));
    }
    for device in &config.devices {
        found.extend(queue_ids(config, device, "rx", |queues| &queues.rx));
        found.extend(queue_ids(config, device, "tx", |queues| &queues.tx));
    }
    found
}

fn queue_ids(
    config: &BootConfig,
    device: &Device,
    direction: &str,
    ids: impl Fn(&WorkerQueues) -> &Vec<u16>,
) -> Option<(String, String)> {
    let queues = config.workers.iter().flat_map(|worker| &worker.queues);
    let mut ids: Vec<u16> = queues.filter(|it| it.device == device.name).flat_map(ids).copied().collect();
    ids.sort_unstable();
    let gapless = ids.iter().copied().eq(0..ids.len() as u16);
    (!gapless).then(|| {
        let text = format!(
            "device {}: {direction}_queue_ids of all workers together are {ids:?}: from 0, each once, without gaps expected",
            device.name
        );
        (format!("netif_defs/device {}", device.name), text)
    })
}
