// SPDX-License-Identifier: Apache-2.0
//! The table of keywords: where each may stand, whether it needs a value, and whether it has an effect here.
//!
//! The readers look every statement up here first; what the table does not know is an unknown keyword.

/// A keyword of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// As written.
    pub name: &'static str,
    /// What comes after it.
    pub takes: Takes,
    /// What it does here.
    pub effect: Effect,
}

/// What comes after a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Words that may be missing.
    Words,
    /// At least so many words; without them everything stops.
    Needed(usize),
    /// A word; without it the statement is ignored with a warning.
    Warned,
    /// A word; without it the statement is ignored.
    Ignored,
    /// A block.
    Block,
    /// A name, without which everything stops, and a block.
    NamedBlock,
}

/// What a keyword does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What keepalived does with it.
    Honoured,
    /// Nothing: it is known and left out.
    Accepted,
}

/// A kind of block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Outside all blocks.
    Top,
    /// `global_defs`
    GlobalDefs,
    /// `SSL`
    Ssl,
    /// `track_file`
    TrackFile,
    /// `vrrp_instance`
    VrrpInstance,
    /// `tunnel_group`
    TunnelGroup,
    /// `tunnel_entry`
    TunnelEntry,
    /// `virtual_server`
    VirtualServer,
    /// `real_server`
    RealServer,
    /// `TCP_CHECK` and `PING_CHECK`
    Connection,
    /// `HTTP_GET`
    HttpGet,
    /// `SSL_GET`
    SslGet,
    /// `url` of `HTTP_GET`
    HttpUrl,
    /// `url` of `SSL_GET`
    SslUrl,
    /// `SMTP_CHECK`
    SmtpCheck,
    /// `host` of `SMTP_CHECK`
    SmtpHost,
    /// `DNS_CHECK`
    DnsCheck,
    /// `UDP_CHECK`
    UdpCheck,
    /// `MISC_CHECK`
    MiscCheck,
    /// `BFD_CHECK`
    BfdCheck,
    /// `FILE_CHECK`
    FileCheck,
}

impl Block {
    /// Every block that has keywords.
    pub const ALL: [Block; 21] = [
        Block::Top,
        Block::GlobalDefs,
        Block::Ssl,
        Block::TrackFile,
        Block::VrrpInstance,
        Block::TunnelGroup,
        Block::TunnelEntry,
        Block::VirtualServer,
        Block::RealServer,
        Block::Connection,
        Block::HttpGet,
        Block::SslGet,
        Block::HttpUrl,
        Block::SslUrl,
        Block::SmtpCheck,
        Block::SmtpHost,
        Block::DnsCheck,
        Block::UdpCheck,
        Block::MiscCheck,
        Block::BfdCheck,
        Block::FileCheck,
    ];

    /// Its keywords.
    pub fn keywords(self) -> impl Iterator<Item = &'static Keyword> {
        self.tables().iter().flat_map(|table| table.iter())
    }

    /// Its keyword `name`.
    pub fn find(self, name: &str) -> Option<&'static Keyword> {
        self.keywords().find(|keyword| keyword.name == name)
    }

    fn tables(self) -> &'static [&'static [Keyword]] {
        match self {
            Block::Top => &[TOP],
            Block::GlobalDefs => &[GLOBAL_DEFS, GLOBAL_DEFS_ACCEPTED],
            Block::Ssl => &[SSL],
            Block::TrackFile => &[TRACK_FILE],
            Block::VrrpInstance => &[VRRP_INSTANCE, VRRP_INSTANCE_ACCEPTED],
            Block::TunnelGroup => &[TUNNEL_GROUP],
            Block::TunnelEntry => &[TUNNEL_ENTRY],
            Block::VirtualServer => &[VIRTUAL_SERVER],
            Block::RealServer => &[REAL_SERVER],
            Block::Connection => &[CONNECT, TIMING],
            Block::HttpGet => &[CONNECT, TIMING, HTTP],
            Block::SslGet => &[CONNECT, TIMING, HTTP, TLS],
            Block::HttpUrl => &[URL],
            Block::SslUrl => &[URL, TLS],
            Block::SmtpCheck => &[CONNECT, TIMING, SMTP],
            Block::SmtpHost => &[CONNECT],
            Block::DnsCheck => &[CONNECT, TIMING, DNS],
            Block::UdpCheck => &[CONNECT, TIMING, UDP],
            Block::MiscCheck => &[TIMING, MISC],
            Block::BfdCheck => &[BFD],
            Block::FileCheck => &[FILE],
        }
    }
}

const fn keyword(name: &'static str, takes: Takes, effect: Effect) -> Keyword {
    Keyword { name, takes, effect }
}
const fn words(name: &'static str) -> Keyword {
    keyword(name, Takes::Words, Effect::Honoured)
}
const fn value(name: &'static str) -> Keyword {
    keyword(name, Takes::Needed(1), Effect::Honoured)
}
const fn warned(name: &'static str) -> Keyword {
    keyword(name, Takes::Warned, Effect::Honoured)
}
const fn block(name: &'static str) -> Keyword {
    keyword(name, Takes::Block, Effect::Honoured)
}
const fn named(name: &'static str) -> Keyword {
    keyword(name, Takes::NamedBlock, Effect::Honoured)
}
const fn accepted(name: &'static str) -> Keyword {
    keyword(name, Takes::Words, Effect::Accepted)
}
const fn accepted_value(name: &'static str) -> Keyword {
    keyword(name, Takes::Needed(1), Effect::Accepted)
}
const fn accepted_block(name: &'static str) -> Keyword {
    keyword(name, Takes::Block, Effect::Accepted)
}

const TOP: &[Keyword] = &[
    keyword("virtual_server", Takes::Needed(1), Effect::Honoured),
    named("virtual_server_group"),
    named("local_address_group"),
    named("deny_address_group"),
    named("allow_address_group"),
    named("tunnel_group"),
    named("vrrp_instance"),
    block("global_defs"),
    block("SSL"),
    named("track_file"),
    named("vrrp_track_file"),
    named("bfd_instance"),
    accepted_block("vrrp_sync_group"),
    accepted_block("vrrp_script"),
    accepted_block("vrrp_track_process"),
    accepted_block("track_group"),
    accepted_block("garp_group"),
    accepted_block("static_ipaddress"),
    accepted_block("static_routes"),
    accepted_block("static_rules"),
    accepted_block("interface_up_down_delays"),
    accepted_block("linkbeat_interfaces"),
    accepted_value("net_namespace"),
    accepted_value("net_namespace_ipvs"),
    accepted("namespace_with_ipsets"),
    accepted_value("instance"),
    accepted("use_pid_dir"),
    accepted_value("child_wait_time"),
    accepted("linkbeat_use_polling"),
];

const GLOBAL_DEFS: &[Keyword] = &[
    warned("lvs_timeouts"),
    words("lvs_flush"),
    words("lvs_flush_on_stop"),
    words("lvs_flush_onstop"),
    warned("lvs_sync_daemon"),
    words("checker_log_all_failures"),
    words("smtp_alert"),
    words("smtp_alert_checker"),
    words("rs_init_notifies"),
    value("script_user"),
    words("include_check"),
];

const GLOBAL_DEFS_ACCEPTED: &[Keyword] = &[
    accepted_block("notification_email"),
    accepted("router_id"),
    accepted("notification_email_from"),
    accepted("smtp_server"),
    accepted("smtp_helo_name"),
    accepted("smtp_connect_timeout"),
    accepted("smtp_alert_vrrp"),
    accepted("no_checker_emails"),
    accepted("no_email_faults"),
    accepted("enable_script_security"),
    accepted("use_symlink_paths"),
    accepted("set_supplementary_groups"),
    accepted("umask"),
    accepted("nftables_ipvs"),
    accepted_value("nftables_ipvs_priority"),
    accepted_value("nftables_ipvs_start_fwmark"),
    accepted("nftables_counters"),
    accepted_value("notify_fifo"),
    accepted_value("notify_fifo_script"),
    accepted_value("lvs_notify_fifo"),
    accepted_value("lvs_notify_fifo_script"),
    accepted("lvs_netlink_cmd_rcv_bufs"),
    accepted("lvs_netlink_cmd_rcv_bufs_force"),
    accepted("lvs_netlink_monitor_rcv_bufs"),
    accepted("lvs_netlink_monitor_rcv_bufs_force"),
    accepted("checker_priority"),
    accepted("checker_no_swap"),
    accepted("checker_rt_priority"),
    accepted("checker_cpu_affinity"),
    accepted("checker_rlimit_rttime"),
    accepted("checker_rlimit_rtime"),
    accepted("checker_process_name"),
    accepted("lvs_process_name"),
    accepted("random_seed"),
    accepted("tmp_config_directory"),
    accepted("config_save_dir"),
    accepted("reload_check_config"),
    accepted("reload_time_file"),
    accepted("reload_repeat"),
    accepted("reload_file"),
    accepted("data_use_instance"),
    accepted("state_dump_file"),
    accepted("stats_dump_file"),
    accepted("json_dump_file"),
    accepted("json_version"),
    accepted("enable_snmp_checker"),
    accepted("snmp_socket"),
    accepted("enable_traps"),
    accepted("snmp_vs_stats_update_interval"),
    accepted("snmp_rs_stats_update_interval"),
    accepted("startup_script"),
    accepted("startup_script_timeout"),
    accepted("shutdown_script"),
    accepted("shutdown_script_timeout"),
    accepted("max_auto_priority"),
    accepted("min_auto_priority_delay"),
    accepted("process_names"),
    accepted("process_name"),
    accepted("vrrp_process_name"),
    accepted("bfd_process_name"),
    accepted("dynamic_interfaces"),
    accepted("default_interface"),
    accepted("disable_local_igmp"),
    accepted("v3_checksum_as_v2"),
    accepted("vrrp_mcast_group4"),
    accepted("vrrp_mcast_group6"),
    accepted("vrrp_garp_master_delay"),
    accepted("vrrp_garp_master_repeat"),
    accepted("vrrp_garp_master_refresh"),
    accepted("vrrp_garp_master_refresh_repeat"),
    accepted("vrrp_garp_lower_prio_delay"),
    accepted("vrrp_garp_lower_prio_repeat"),
    accepted("vrrp_down_timer_adverts"),
    accepted("vrrp_garp_interval"),
    accepted("vrrp_gna_interval"),
    accepted("vrrp_min_garp"),
    accepted("vrrp_garp_extra_if"),
    accepted("vrrp_vmac_garp_intvl"),
    accepted("vrrp_lower_prio_no_advert"),
    accepted("vrrp_higher_prio_send_advert"),
    accepted("vrrp_version"),
    accepted("vrrp_iptables"),
    accepted("vrrp_ipsets"),
    accepted("nftables"),
    accepted("nftables_priority"),
    accepted("nftables_ifindex"),
    accepted("vrrp_check_unicast_src"),
    accepted("vrrp_skip_check_adv_addr"),
    accepted("vrrp_strict"),
    accepted("vrrp_priority"),
    accepted("vrrp_no_swap"),
    accepted("vrrp_rt_priority"),
    accepted("vrrp_cpu_affinity"),
    accepted("vrrp_rlimit_rttime"),
    accepted("vrrp_rlimit_rtime"),
    accepted("bfd_priority"),
    accepted("bfd_no_swap"),
    accepted("bfd_rt_priority"),
    accepted("bfd_cpu_affinity"),
    accepted("bfd_rlimit_rttime"),
    accepted("bfd_rlimit_rtime"),
    accepted("vrrp_notify_fifo"),
    accepted("vrrp_notify_fifo_script"),
    accepted("vrrp_notify_priority_changes"),
    accepted("fifo_write_vrrp_states_on_reload"),
    accepted("enable_snmp_vrrp"),
    accepted("enable_snmp_keepalived"),
    accepted("enable_snmp_rfc"),
    accepted("enable_snmp_rfcv2"),
    accepted("enable_snmp_rfcv3"),
    accepted("enable_dbus"),
    accepted("dbus_service_name"),
    accepted("dbus_no_interface_name"),
    accepted("vrrp_netlink_cmd_rcv_bufs"),
    accepted("vrrp_netlink_cmd_rcv_bufs_force"),
    accepted("vrrp_netlink_monitor_rcv_bufs"),
    accepted("vrrp_netlink_monitor_rcv_bufs_force"),
    accepted("process_monitor_rcv_bufs"),
    accepted("process_monitor_rcv_bufs_force"),
    accepted("vrrp_rx_bufs_policy"),
    accepted("vrrp_rx_bufs_multiplier"),
    accepted("vrrp_startup_delay"),
    accepted("vrrp_delay_after_boot"),
    accepted("log_unknown_vrids"),
    accepted("vrrp_owner_ignore_adverts"),
    accepted("vmac_prefix"),
    accepted("vmac_addr_prefix"),
    accepted("iproute_usr_dir"),
    accepted("iproute_etc_dir"),
];

const SSL: &[Keyword] = &[warned("password"), warned("ca"), warned("certificate"), warned("key")];

const TRACK_FILE: &[Keyword] = &[value("file"), warned("weight"), accepted("init_file")];

const VRRP_INSTANCE: &[Keyword] = &[
    value("state"),
    value("interface"),
    value("dpdk_interface"),
    value("virtual_router_id"),
    value("priority"),
    block("virtual_ipaddress"),
    block("virtual_ipaddress_excluded"),
];

const VRRP_INSTANCE_ACCEPTED: &[Keyword] = &[
    accepted_block("unicast_peer"),
    accepted_block("track_interface"),
    accepted_block("track_script"),
    accepted_block("track_file"),
    accepted_block("track_process"),
    accepted_block("track_bfd"),
    accepted_block("virtual_routes"),
    accepted_block("virtual_rules"),
    accepted_block("authentication"),
    accepted_block("auth_hmac"),
    accepted("use_vmac"),
    accepted("use_vmac_addr"),
    accepted("vmac_xmit_base"),
    accepted("use_ipvlan"),
    accepted("unicast_fault_no_peer"),
    accepted("check_unicast_src"),
    accepted("old_unicast_checksum"),
    accepted("native_ipv6"),
    accepted("vrf"),
    accepted("dont_track_primary"),
    accepted("mcast_src_ip"),
    accepted("unicast_src_ip"),
    accepted("mcast_dst_ip"),
    accepted("track_src_ip"),
    accepted("unicast_ttl"),
    accepted("version"),
    accepted("advert_int"),
    accepted("no_virtual_ipaddress"),
    accepted("promote_secondaries"),
    accepted("linkbeat_use_polling"),
    accepted("v3_checksum_as_v2"),
    accepted("accept"),
    accepted("no_accept"),
    accepted("skip_check_adv_addr"),
    accepted("strict_mode"),
    accepted("preempt"),
    accepted("nopreempt"),
    accepted("preempt_delay"),
    accepted("debug"),
    accepted("notify_backup"),
    accepted("notify_master"),
    accepted("notify_fault"),
    accepted("notify_stop"),
    accepted("notify_deleted"),
    accepted("notify"),
    accepted("notify_master_rx_lower_pri"),
    accepted("smtp_alert"),
    accepted("notify_priority_changes"),
    accepted("lvs_sync_daemon_interface"),
    accepted("garp_master_delay"),
    accepted("garp_master_refresh"),
    accepted("garp_master_repeat"),
    accepted("garp_master_refresh_repeat"),
    accepted("garp_lower_prio_delay"),
    accepted("garp_lower_prio_repeat"),
    accepted("down_timer_adverts"),
    accepted("timer_expired_backup"),
    accepted("thread_timer_expired"),
    accepted("garp_extra_if"),
    accepted("vmac_garp_intvl"),
    accepted("lower_prio_no_advert"),
    accepted("higher_prio_send_advert"),
    accepted("owner_ignore_adverts"),
    accepted("kernel_rx_buf_size"),
];

const TUNNEL_GROUP: &[Keyword] = &[named("tunnel_entry")];

const TUNNEL_ENTRY: &[Keyword] = &[value("kind"), value("local"), value("remote"), value("if")];

const VIRTUAL_SERVER: &[Keyword] = &[
    keyword("real_server", Takes::Needed(1), Effect::Honoured),
    value("lvs_sched"),
    value("lb_algo"),
    value("lvs_method"),
    value("lb_kind"),
    value("protocol"),
    value("delay_loop"),
    value("ip_family"),
    value("connect_timeout"),
    value("retry"),
    value("delay_before_retry"),
    value("warmup"),
    words("persistence_timeout"),
    value("persistence_granularity"),
    value("persistence_engine"),
    words("ops"),
    words("flag-1"),
    words("flag-2"),
    words("flag-3"),
    words("sh-port"),
    words("sh-fallback"),
    words("mh-port"),
    words("mh-fallback"),
    words("hashed"),
    value("weight"),
    words("alpha"),
    words("omega"),
    words("inhibit_on_failure"),
    value("quorum"),
    value("hysteresis"),
    value("quorum_up"),
    value("quorum_down"),
    words("ha_suspend"),
    words("smtp_alert"),
    warned("virtualhost"),
    warned("snmp_name"),
    value("sorry_server"),
    words("sorry_server_inhibit"),
    value("sorry_server_lvs_method"),
    value("laddr_group_name"),
    value("daddr_group_name"),
    value("waddr_group_name"),
    words("syn_proxy"),
    words("expire_quiescent_conn"),
    words("quic"),
    value("establish_timeout"),
    value("proxy_protocol"),
    value("hash_target"),
    value("bps"),
    value("limit_proportion"),
    value("vip_bind_dev"),
    value("src-range"),
    value("dst-range"),
    value("oif"),
    value("iif"),
];

const REAL_SERVER: &[Keyword] = &[
    value("weight"),
    value("lvs_method"),
    value("uthreshold"),
    value("lthreshold"),
    words("inhibit_on_failure"),
    words("alpha"),
    value("retry"),
    value("delay_before_retry"),
    value("warmup"),
    value("delay_loop"),
    value("connect_timeout"),
    value("notify_up"),
    value("notify_down"),
    words("smtp_alert"),
    warned("virtualhost"),
    warned("snmp_name"),
    block("TCP_CHECK"),
    block("HTTP_GET"),
    block("SSL_GET"),
    block("SMTP_CHECK"),
    block("DNS_CHECK"),
    block("UDP_CHECK"),
    block("PING_CHECK"),
    block("MISC_CHECK"),
    block("BFD_CHECK"),
    block("FILE_CHECK"),
];

/// Where a checker connects to.
const CONNECT: &[Keyword] = &[
    value("connect_ip"),
    value("connect_port"),
    value("bindto"),
    value("bind_port"),
    value("bind_if"),
    value("connect_timeout"),
    value("fwmark"),
];

/// When a checker tests.
const TIMING: &[Keyword] = &[
    value("retry"),
    value("delay_before_retry"),
    value("warmup"),
    value("delay_loop"),
    words("alpha"),
    words("log_all_failures"),
];

const HTTP: &[Keyword] = &[
    value("nb_get_retry"),
    warned("http_protocol"),
    warned("virtualhost"),
    words("enable_sni"),
    words("sni_name"),
    words("fast_recovery"),
    block("url"),
];

/// Of SSL_GET and its pages.
const TLS: &[Keyword] = &[words("tls_compliant")];

const URL: &[Keyword] = &[
    value("path"),
    value("digest"),
    keyword("status_code", Takes::Ignored, Effect::Honoured),
    warned("virtualhost"),
    warned("regex"),
    words("regex_no_match"),
    value("regex_options"),
    value("regex_min_offset"),
    value("regex_max_offset"),
    keyword("regex_stack", Takes::Needed(2), Effect::Honoured),
];

const SMTP: &[Keyword] = &[warned("helo_name"), block("host")];

const DNS: &[Keyword] = &[value("type"), value("name")];

const UDP: &[Keyword] =
    &[warned("payload"), words("require_reply"), value("min_reply_length"), value("max_reply_length")];

const MISC: &[Keyword] = &[
    keyword("misc_path", Takes::Ignored, Effect::Honoured),
    value("misc_timeout"),
    words("misc_dynamic"),
    warned("user"),
];

const BFD: &[Keyword] = &[warned("name"), words("alpha")];

const FILE: &[Keyword] = &[value("track_file"), warned("weight")];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_block_has_a_keyword_twice() {
        for block in Block::ALL {
            let mut seen = HashSet::new();
            for keyword in block.keywords() {
                assert!(seen.insert(keyword.name), "{block:?} has {} twice", keyword.name);
            }
        }
    }
}
