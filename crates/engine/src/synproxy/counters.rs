// SPDX-License-Identifier: Apache-2.0
//! What the proxy counts, under the names operators of DPVS know, and some more.

macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident => $name:literal,)*) => {
        /// What the proxy of one worker has counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters { $($(#[$doc])* pub $field: u64,)* }

        impl Counters {
            /// Every counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field),)*].into_iter()
            }
        }

        impl std::ops::AddAssign for Counters {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counters! {
    /// SYNs of clients that the proxy looked at.
    syn => "SYNPROXY_SYN_CNT",
    /// SYN-ACKs sent.
    syn_ack => "SYNPROXY_SYN_ACK",
    /// SYNs for a service without a server of any weight.
    no_dest => "SYNPROXY_NO_DEST",
    /// Answers not sent because their neighbourhood had enough.
    limited => "SYNPROXY_LIMITED",
    /// Acknowledgements that proved their client.
    ok_ack => "SYNPROXY_OK_ACK",
    /// Acknowledgements that never were a cookie, or that nobody is answered for any more.
    bad_ack => "SYNPROXY_BAD_ACK",
    /// Acknowledgements whose cookie is too old; told from bad ones only as long as resets may be sent.
    expired_ack => "SYNPROXY_EXPIRED_ACK",
    /// Acknowledgements without data where the server waits for data.
    null_ack => "SYNPROXY_NULL_ACK",
    /// Resets sent for bad acknowledgements.
    reset => "SYNPROXY_RESET",
    /// SYNs to servers repeated.
    rs_error => "SYNPROXY_RS_ERROR",
    /// Servers that answered with a reset.
    rs_refused => "SYNPROXY_RS_REFUSED",
    /// Servers that never answered.
    rs_timeout => "SYNPROXY_RS_TIMEOUT",
    /// Other servers asked in place of one that refused or was silent.
    rs_other => "SYNPROXY_RS_OTHER",
    /// Packets of clients not kept while their server had not answered.
    synsend_qlen => "SYNPROXY_SYNSEND_QLEN",
    /// Acknowledgements of servers dropped as a storm.
    ack_storm => "SYNPROXY_ACK_STORM",
    /// Resets that no end would believe.
    bad_reset => "SYNPROXY_BAD_RESET",
    /// Times the proxy stepped before a service under load.
    auto_on => "SYNPROXY_AUTO_ON",
    /// Times it stepped aside again.
    auto_off => "SYNPROXY_AUTO_OFF",
    /// SYNs that passed by it: no load, or their neighbourhood had proved itself.
    passed_by => "SYNPROXY_PASSED_BY",
    /// New handshakes that replaced an old connection.
    reused => "SYNPROXY_CONN_REUSED",
    /// ... that was open: its client had lost it.
    reused_established => "SYNPROXY_CONN_REUSED_ESTAB",
    /// ... in CLOSE.
    reused_close => "SYNPROXY_CONN_REUSED_CLOSE",
    /// ... in TIME_WAIT.
    reused_time_wait => "SYNPROXY_CONN_REUSED_TIMEWAIT",
    /// ... in FIN_WAIT.
    reused_fin_wait => "SYNPROXY_CONN_REUSED_FINWAIT",
    /// ... in CLOSE_WAIT.
    reused_close_wait => "SYNPROXY_CONN_REUSED_CLOSEWAIT",
    /// ... in LAST_ACK.
    reused_last_ack => "SYNPROXY_CONN_REUSED_LASTACK",
}
