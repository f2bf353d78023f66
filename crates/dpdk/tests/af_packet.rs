// SPDX-License-Identifier: Apache-2.0
//! net_af_packet in a namespace of its own, with one queue and with two.

mod common;

#[test]
fn frames_pass_both_ways() {
    common::run("frames_pass_both_ways", dpdk::Driver::AfPacket, &[1, 2]);
}
