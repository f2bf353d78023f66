// SPDX-License-Identifier: Apache-2.0
//! What a decision asks of the daemon: everything that needs a device or a worker.

use std::net::IpAddr;

use engine::ids::{DestId, LinkId, PortId, ServiceId};
use model::link::LinkChange;

/// One thing to do.
///
/// Devices can refuse. So the daemon does [`Effect::Device`] first and, when one is refused, commits [`crate::Applied::undo`] and
/// answers with [`sockopt::Code::System`]. The others come after the snapshot is published and cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Change a device.
    Device {
        /// The device.
        port: PortId,
        /// What to change.
        change: LinkChange,
    },
    /// Tell everybody on a link that an address is here: [`engine::lcore::Lcore::announce`] on one worker.
    Announce {
        /// The link.
        link: LinkId,
        /// The address.
        addr: IpAddr,
    },
    /// Forget learned neighbours: [`engine::lcore::Lcore::forget_neighbours`] on every worker.
    ForgetNeighbours {
        /// The link.
        link: LinkId,
        /// Only this one.
        addr: Option<IpAddr>,
    },
    /// Zero counters: [`engine::lcore::Lcore::zero`] for each destination on every worker, then [`crate::Meter::zero`].
    Zero {
        /// The services.
        services: Vec<ServiceId>,
        /// Their destinations.
        dests: Vec<DestId>,
    },
    /// Destinations are gone: feed the meter once more before the snapshot without them is published, so that their counts stay in
    /// the sum of their service.
    Retire,
}
