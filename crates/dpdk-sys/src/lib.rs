// SPDX-License-Identifier: Apache-2.0
//! Raw bindings to the distribution's libdpdk, 22.11 or newer.
//!
//! Written by hand: the few plain functions of DPDK whose signatures are scalars and opaque pointers are declared
//! directly; inline functions, thread-local variables and every struct that differs between releases stay behind
//! `shim.c`, which is compiled against the installed headers. So nothing here depends on the release. The one
//! struct both sides read is the front of the mbuf, whose offsets the shim asserts when it is compiled.
//!
//! Nothing here is safe to call without DPDK's own documentation at hand: the crate `dpdk` is the one to use.

#![no_std]

use core::ffi::{c_char, c_int, c_uint, c_void};

/// `LCORE_ID_ANY`: the thread is no lcore.
pub const LCORE_ID_ANY: c_uint = c_uint::MAX;
/// `SOCKET_ID_ANY`: memory of any NUMA node.
pub const SOCKET_ID_ANY: c_int = -1;
/// `RTE_PKTMBUF_HEADROOM`, in bytes.
pub const HEADROOM: u16 = 128;
/// `RING_F_SP_ENQ`: one producer.
pub const RING_F_SP_ENQ: c_uint = 1;
/// `RING_F_SC_DEQ`: one consumer.
pub const RING_F_SC_DEQ: c_uint = 2;

/// `RTE_MBUF_F_RX_RSS_HASH`: `rss` holds the hash.
pub const RX_RSS_HASH: u64 = 1 << 1;
/// `RTE_MBUF_F_RX_L4_CKSUM_BAD`.
pub const RX_L4_CKSUM_BAD: u64 = 1 << 3;
/// `RTE_MBUF_F_RX_IP_CKSUM_BAD`.
pub const RX_IP_CKSUM_BAD: u64 = 1 << 4;
/// `RTE_MBUF_F_RX_IP_CKSUM_GOOD`. Together with BAD it means that the packet has none.
pub const RX_IP_CKSUM_GOOD: u64 = 1 << 7;
/// `RTE_MBUF_F_RX_L4_CKSUM_GOOD`. Together with BAD it means that the packet has none.
pub const RX_L4_CKSUM_GOOD: u64 = 1 << 8;
/// `RTE_MBUF_F_TX_TCP_CKSUM`.
pub const TX_TCP_CKSUM: u64 = 1 << 52;
/// `RTE_MBUF_F_TX_SCTP_CKSUM`.
pub const TX_SCTP_CKSUM: u64 = 2 << 52;
/// `RTE_MBUF_F_TX_UDP_CKSUM`.
pub const TX_UDP_CKSUM: u64 = 3 << 52;
/// `RTE_MBUF_F_TX_IP_CKSUM`.
pub const TX_IP_CKSUM: u64 = 1 << 54;
/// `RTE_MBUF_F_TX_IPV4`.
pub const TX_IPV4: u64 = 1 << 55;
/// `RTE_MBUF_F_TX_IPV6`.
pub const TX_IPV6: u64 = 1 << 56;

/// The front of `struct rte_mbuf`. Never made or copied by Rust: only looked at through a pointer from DPDK.
#[repr(C)]
pub struct RteMbuf {
    /// Start of the buffer, headroom included.
    pub buf_addr: *mut u8,
    buf_iova: u64,
    /// Where the data begins, counted from `buf_addr`.
    pub data_off: u16,
    /// References to this mbuf.
    pub refcnt: u16,
    /// Segments of the packet.
    pub nb_segs: u16,
    /// Port it came in on.
    pub port: u16,
    /// Offload flags.
    pub ol_flags: u64,
    packet_type: u32,
    /// Bytes in all segments.
    pub pkt_len: u32,
    /// Bytes in this segment.
    pub data_len: u16,
    vlan_tci: u16,
    /// RSS hash, valid with [`RX_RSS_HASH`].
    pub rss: u32,
    fdir_hi: u32,
    vlan_tci_outer: u16,
    /// Bytes of the buffer, headroom included.
    pub buf_len: u16,
}

/// `struct rte_mempool`, opaque.
#[repr(C)]
pub struct RteMempool {
    _opaque: [u8; 0],
}

/// `struct rte_ring`, opaque.
#[repr(C)]
pub struct RteRing {
    _opaque: [u8; 0],
}

/// Numbers that `shim_port_limits` writes.
pub const LIMITS: usize = 24;

/// What a port is and can do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PortInfo {
    /// Name of the driver, zero-terminated.
    pub driver: [c_char; 64],
    /// Most receive queues.
    pub max_rx_queues: u32,
    /// Most transmit queues.
    pub max_tx_queues: u32,
    /// Smallest MTU.
    pub min_mtu: u32,
    /// Largest MTU.
    pub max_mtu: u32,
    /// Entries of the RSS redirection table; 0 without.
    pub rss_table: u32,
    /// Bytes of the RSS key; 0 without.
    pub rss_key: u32,
    /// Smallest receive buffer, in bytes.
    pub min_rx_bufsize: u32,
    /// Checksums verified on receive: bit 0 IPv4, 1 UDP, 2 TCP.
    pub csum_rx: u8,
    /// Checksums written on transmit: bit 0 IPv4, 1 UDP, 2 TCP.
    pub csum_tx: u8,
    /// Not 0: hashes addresses and ports of TCP and UDP over IPv4 and IPv6.
    pub rss: u8,
    /// Not 0: delivers the hash with the packet.
    pub rss_hash: u8,
}

/// How a port shall be set up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PortConf {
    /// MTU in bytes; 0 leaves the default.
    pub mtu: u32,
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Receive descriptors per queue; the shim writes back what the device can do.
    pub rx_desc: u16,
    /// Transmit descriptors per queue; the shim writes back what the device can do.
    pub tx_desc: u16,
    /// Not 0: spread by RSS.
    pub rss: u8,
    /// Not 0: verify checksums where the device can.
    pub csum_rx: u8,
    /// Not 0: write checksums where the device can.
    pub csum_tx: u8,
    /// Bytes of `key`; 0 leaves the driver's own.
    pub key_len: u8,
    /// RSS key.
    pub key: [u8; 64],
}

/// Counters of a port.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Stats {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Dropped by the device: queue full.
    pub rx_missed: u64,
    /// Received with errors.
    pub rx_errors: u64,
    /// Not sent.
    pub tx_errors: u64,
    /// Dropped for want of an mbuf.
    pub rx_no_mbuf: u64,
}

/// One driver-specific counter.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Xstat {
    /// Name, zero-terminated.
    pub name: [c_char; 64],
    /// Value.
    pub value: u64,
}

/// State of the link.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Link {
    /// Mbit/s; 0 none, `u32::MAX` unknown.
    pub speed: u32,
    /// Not 0: up.
    pub up: u8,
    /// Not 0: full duplex.
    pub full_duplex: u8,
    /// Not 0: negotiated.
    pub autoneg: u8,
}

/// Takes a message of DPDK's log: level 1 (emergency) to 8 (debug), bytes, their number.
pub type LogFn = unsafe extern "C" fn(level: c_uint, text: *const c_char, len: usize);

#[allow(missing_docs)] // DPDK's own names; its manual documents them
unsafe extern "C" {
    pub fn rte_eal_init(argc: c_int, argv: *mut *mut c_char) -> c_int;
    pub fn rte_eal_cleanup() -> c_int;
    pub fn rte_eal_hotplug_add(bus: *const c_char, name: *const c_char, args: *const c_char) -> c_int;
    pub fn rte_eal_hotplug_remove(bus: *const c_char, name: *const c_char) -> c_int;
    pub fn rte_thread_register() -> c_int;
    pub fn rte_thread_unregister();
    pub fn rte_get_next_lcore(i: c_uint, skip_main: c_int, wrap: c_int) -> c_uint;
    pub fn rte_lcore_to_cpu_id(lcore: c_int) -> c_int;
    pub fn rte_version() -> *const c_char;

    pub fn rte_pktmbuf_pool_create(
        name: *const c_char,
        count: c_uint,
        cache: c_uint,
        private: u16,
        data_room: u16,
        socket: c_int,
    ) -> *mut RteMempool;
    pub fn rte_pktmbuf_free_bulk(mbufs: *mut *mut RteMbuf, count: c_uint);
    pub fn rte_mempool_avail_count(pool: *const RteMempool) -> c_uint;
    pub fn rte_mempool_in_use_count(pool: *const RteMempool) -> c_uint;

    pub fn rte_ring_create(name: *const c_char, count: c_uint, socket: c_int, flags: c_uint) -> *mut RteRing;
    pub fn rte_ring_free(ring: *mut RteRing);

    pub fn rte_eth_dev_get_port_by_name(name: *const c_char, port: *mut u16) -> c_int;
    pub fn rte_eth_dev_socket_id(port: u16) -> c_int;
    pub fn rte_eth_dev_start(port: u16) -> c_int;
    pub fn rte_eth_dev_stop(port: u16) -> c_int;
    pub fn rte_eth_dev_close(port: u16) -> c_int;
    pub fn rte_eth_dev_set_link_up(port: u16) -> c_int;
    pub fn rte_eth_dev_set_link_down(port: u16) -> c_int;
    pub fn rte_eth_dev_get_mtu(port: u16, mtu: *mut u16) -> c_int;
    pub fn rte_eth_dev_set_mtu(port: u16, mtu: u16) -> c_int;
    pub fn rte_eth_macaddr_get(port: u16, mac: *mut [u8; 6]) -> c_int;
    pub fn rte_eth_dev_default_mac_addr_set(port: u16, mac: *mut [u8; 6]) -> c_int;
    pub fn rte_eth_promiscuous_enable(port: u16) -> c_int;
    pub fn rte_eth_promiscuous_disable(port: u16) -> c_int;
    pub fn rte_eth_promiscuous_get(port: u16) -> c_int;
    pub fn rte_eth_allmulticast_enable(port: u16) -> c_int;
    pub fn rte_eth_allmulticast_disable(port: u16) -> c_int;
    pub fn rte_eth_allmulticast_get(port: u16) -> c_int;
    pub fn rte_eth_stats_reset(port: u16) -> c_int;
    pub fn rte_eth_xstats_reset(port: u16) -> c_int;
}

#[allow(missing_docs)] // documented in shim.c
unsafe extern "C" {
    pub fn shim_plugin_dir() -> *const c_char;
    pub fn shim_errno() -> c_int;
    pub fn shim_lcore_id() -> c_uint;
    pub fn shim_log_to(sink: LogFn) -> c_int;
    pub fn shim_bpf_log();

    pub fn shim_alloc(pool: *mut RteMempool) -> *mut RteMbuf;
    pub fn shim_alloc_bulk(pool: *mut RteMempool, mbufs: *mut *mut RteMbuf, count: c_uint) -> c_int;
    pub fn shim_free(mbuf: *mut RteMbuf);
    pub fn shim_data_room(pool: *mut RteMempool) -> u16;
    pub fn shim_rx(
        port: u16,
        queue: u16,
        owner: u16,
        mbufs: *mut *mut RteMbuf,
        count: u16,
        bad: *mut u16,
    ) -> u16;
    pub fn shim_tx(port: u16, queue: u16, mbufs: *mut *mut RteMbuf, count: u16, prepare: c_int) -> u16;
    pub fn shim_request_csum(mbuf: *mut RteMbuf, flags: u64, l2_len: u16, l3_len: u16);

    pub fn shim_ring_put(ring: *mut RteRing, objs: *const *mut c_void, count: c_uint) -> c_uint;
    pub fn shim_ring_take(ring: *mut RteRing, objs: *mut *mut c_void, count: c_uint) -> c_uint;
    pub fn shim_ring_count(ring: *const RteRing) -> c_uint;

    pub fn shim_port_info(port: u16, out: *mut PortInfo) -> c_int;
    pub fn shim_port_limits(port: u16, out: *mut [u64; LIMITS]) -> c_int;
    pub fn shim_port_configure(port: u16, conf: *mut PortConf, pool: *mut RteMempool) -> c_int;
    pub fn shim_port_stats(port: u16, out: *mut Stats) -> c_int;
    pub fn shim_port_xstats(port: u16, out: *mut Xstat, room: c_uint) -> c_int;
    pub fn shim_port_link(port: u16, out: *mut Link) -> c_int;
    pub fn shim_rss_key(port: u16, key: *mut u8, room: c_uint) -> c_int;
    pub fn shim_rss_table_set(port: u16, table: *const u16, size: u16) -> c_int;
    pub fn shim_rss_table_get(port: u16, table: *mut u16, size: u16) -> c_int;
}

const _: () = {
    assert!(core::mem::offset_of!(RteMbuf, data_off) == 16);
    assert!(core::mem::offset_of!(RteMbuf, ol_flags) == 24);
    assert!(core::mem::offset_of!(RteMbuf, pkt_len) == 36);
    assert!(core::mem::offset_of!(RteMbuf, rss) == 44);
    assert!(core::mem::offset_of!(RteMbuf, buf_len) == 54);
    assert!(size_of::<PortInfo>() == 96);
    assert!(size_of::<PortConf>() == 80);
    assert!(size_of::<Stats>() == 64);
    assert!(size_of::<Xstat>() == 72);
    assert!(size_of::<Link>() == 8);
};
