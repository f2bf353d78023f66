// SPDX-License-Identifier: Apache-2.0
//! Dense numbers for what workers index arrays with.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The position in an array of these.
            #[inline(always)]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id! {
    /// A DPDK device.
    PortId(u16)
}
id! {
    /// What addresses and routes hang on: a port or a VLAN of one.
    LinkId(u16)
}
id! {
    /// One worker; workers are numbered from 0 without gaps.
    LcoreId(u16)
}
id! {
    /// A slot of the snapshot's service table. [`crate::snapshot::Service::generation`] tells a reused slot from the old one.
    ServiceId(u32)
}
id! {
    /// A slot of the snapshot's destination table. [`crate::snapshot::Dest::generation`] tells a reused slot from the old one.
    DestId(u32)
}
