// SPDX-License-Identifier: Apache-2.0
//! net_af_xdp in a namespace of its own, with one queue and with two.

mod common;

#[test]
fn frames_pass_both_ways() {
    common::run("frames_pass_both_ways", dpdk::Driver::AfXdp, &[1, 2]);
}
