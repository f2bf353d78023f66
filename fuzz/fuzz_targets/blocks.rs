// SPDX-License-Identifier: Apache-2.0
//! The block language: any bytes give a tree or an error, in bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = keepalived_conf::tree::parse(&text, "fuzz.conf");
});
