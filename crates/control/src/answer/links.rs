// SPDX-License-Identifier: Apache-2.0
//! Ports, VLANs, workers, and where packets went.

use engine::counters::LinkCounters;
use engine::ids::{LcoreId, LinkId};
use engine::verdict::DropReason;
use model::link::{CpuCounters, CpuInfo, LinkInfo, LinkKind, LinkStats, VlanSpec};
use model::stats::{PortCounters, Traffic};
use model::tunnel::TunnelSpec;
use sockopt::Status;

use super::net::chosen;
use crate::observed::Observed;
use crate::rows::Link;
use crate::state::State;

pub(super) fn links(state: &State, dev: Option<&str>) -> Result<Vec<LinkInfo>, Status> {
    Ok(listed(state, dev)?.map(|(id, link)| info(state, id, link)).collect())
}

pub(super) fn stats(state: &State, seen: &Observed<'_>, dev: Option<&str>) -> Result<Vec<LinkStats>, Status> {
    let of_link = |(id, link): (LinkId, &Link)| {
        let port = seen.ports.get(link.port.index()).cloned().unwrap_or_default();
        let vlan = !link.is_port();
        LinkStats {
            name: link.name.clone(),
            counters: if vlan { carried(seen, id) } else { port.counters },
            mbuf_avail: port.mbuf_avail,
            mbuf_inuse: port.mbuf_inuse,
            xstats: if vlan { Vec::new() } else { port.xstats },
        }
    };
    Ok(listed(state, dev)?.map(of_link).collect())
}

/// The control thread, then the workers.
pub(super) fn cpus(state: &State, seen: &Observed<'_>) -> Vec<CpuInfo> {
    let control = CpuInfo {
        cpu: 0,
        socket: seen.socket,
        worker: false,
        queues: Vec::new(),
        counters: CpuCounters::default(),
    };
    let worker = |(cpu, report): (u16, &crate::observed::WorkerReport)| CpuInfo {
        cpu,
        socket: report.socket,
        worker: true,
        queues: queues(state, LcoreId(cpu - 1)),
        counters: report.cpu,
    };
    std::iter::once(control).chain((1..).zip(&seen.workers).map(worker)).collect()
}

pub(super) fn traffic(seen: &Observed<'_>) -> Traffic {
    let mut sum = engine::counters::Traffic::default();
    let mut held = 0;
    for worker in &seen.workers {
        let t = &worker.traffic;
        sum.rx += t.rx;
        sum.generated += t.generated;
        sum.tx += t.tx;
        sum.consumed += t.consumed;
        sum.kernel += t.kernel;
        sum.ring_in += t.ring_in;
        sum.ring_out += t.ring_out;
        sum.drops.iter_mut().zip(t.drops).for_each(|(sum, one)| *sum += one);
        held += worker.held;
    }
    let named = DropReason::ALL.iter().map(|&reason| (reason.name().to_owned(), sum.drops_for(reason)));
    Traffic {
        rx: sum.rx,
        generated: sum.generated,
        tx: sum.tx,
        drops: named.filter(|(_, count)| *count > 0).collect(),
        consumed: sum.consumed,
        kernel: sum.kernel,
        held,
        // Workers tell at slightly different times: one may have taken over what another has not counted yet.
        in_ring: sum.ring_out.saturating_sub(sum.ring_in),
    }
}

pub(super) fn vlans(state: &State, dev: Option<&str>) -> Result<Vec<VlanSpec>, Status> {
    let only = chosen(state, dev)?;
    let spec = |(id, link): (LinkId, &Link)| {
        let port = state.link_of_port(link.port)?;
        let wanted = only.is_none_or(|only| only == id || only.0 == link.port.0);
        wanted.then_some(VlanSpec { name: Some(link.name.clone()), dev: port.name.clone(), id: link.vlan? })
    };
    Ok(listed(state, None)?.filter_map(spec).collect())
}

pub(super) fn tunnels(state: &State) -> Vec<TunnelSpec> {
    state.tunnels().map(|(_, tunnel)| tunnel.spec.clone()).collect()
}

fn listed<'s>(
    state: &'s State,
    dev: Option<&str>,
) -> Result<impl Iterator<Item = (LinkId, &'s Link)>, Status> {
    let only = chosen(state, dev)?;
    let links = state.links.iter().map(|(id, link)| (LinkId(id as u16), link));
    Ok(links.filter(move |(id, _)| only.is_none_or(|only| only == *id)))
}

fn info(state: &State, id: LinkId, link: &Link) -> LinkInfo {
    let port = &state.ports[link.port.index()];
    let kind = match (link.vlan, state.link_of_port(link.port)) {
        _ if let Some(tunnel) = &link.tunnel => LinkKind::Tunnel { mode: tunnel.spec.mode.to_string() },
        (Some(id), Some(port)) => LinkKind::Vlan { dev: port.name.clone(), id },
        _ => LinkKind::Port { driver: port.driver.clone(), bus: port.bus.clone() },
    };
    LinkInfo {
        index: id.0.saturating_add(1),
        name: link.name.clone(),
        kind,
        socket: port.socket,
        mtu: state.mtu(link),
        rx_queues: port.rx.len() as u16,
        tx_queues: port.tx.len() as u16,
        up: state.is_up(link) && port.carrier,
        speed: port.speed,
        full_duplex: port.full_duplex,
        autoneg: port.autoneg,
        promisc: link.promisc,
        allmulticast: link.allmulticast,
        mac: state.mac(link),
        offloads: port.offloads.clone(),
        queue_cpus: port.rx.iter().map(|lcore| lcore.0 + 1).collect(),
        capabilities: port.capabilities.clone(),
    }
}

/// What frames of a link carried, as the workers count it.
fn carried(seen: &Observed<'_>, id: LinkId) -> PortCounters {
    let told = seen.workers.iter().filter_map(|worker| worker.links.get(id.index()));
    let sum = told.fold(LinkCounters::default(), |sum, one| LinkCounters {
        ipackets: sum.ipackets + one.ipackets,
        ibytes: sum.ibytes + one.ibytes,
        opackets: sum.opackets + one.opackets,
        obytes: sum.obytes + one.obytes,
    });
    PortCounters {
        ipackets: sum.ipackets,
        opackets: sum.opackets,
        ibytes: sum.ibytes,
        obytes: sum.obytes,
        ..PortCounters::default()
    }
}

/// Names of the queues a worker serves, receive before transmit for each port.
fn queues(state: &State, lcore: LcoreId) -> Vec<String> {
    let mut names = Vec::new();
    for port in &state.ports {
        for (kind, queues) in [("rx", &port.rx), ("tx", &port.tx)] {
            let mine = queues.iter().enumerate().filter(|(_, owner)| **owner == lcore);
            names.extend(mine.map(|(queue, _)| format!("{}:{kind}{queue}", port.name)));
        }
    }
    names
}
