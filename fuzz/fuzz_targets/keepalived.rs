// SPDX-License-Identifier: Apache-2.0
//! keepalived.conf: any bytes give a report or a reason, and the normal form of what was read can be read.
#![no_main]

use keepalived_conf::keepalived;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Includes would walk this machine's files; the property tests of the crate have their own.
    if bytes.windows(7).any(|window| window == b"include") {
        return;
    }
    if let Ok(report) = keepalived::parse(bytes, "fuzz.conf", "lb1") {
        let printed = keepalived::print::config(&report.config);
        keepalived::parse(printed.as_bytes(), "normal.conf", "lb1").expect("the normal form is good");
    }
});
