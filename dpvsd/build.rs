// SPDX-License-Identifier: Apache-2.0
//! Lets DPDK's drivers, which are loaded at run time, find what the shim puts in libc's place.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=setsockopt");
}
