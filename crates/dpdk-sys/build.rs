// SPDX-License-Identifier: Apache-2.0
//! Compiles the shim against the installed libdpdk and names the libraries to link.

use std::process::Command;

/// What the shim and the declarations of lib.rs use. Drivers are no link-time matter: EAL loads them as plugins.
const LIBRARIES: [&str; 5] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal"];

fn main() {
    println!("cargo:rerun-if-changed=src/shim.c");
    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .unwrap_or_else(|e| {
            panic!("DPDK 22.11 or newer is needed: install libdpdk-dev and pkg-config ({e})")
        });
    let mut cc = cc::Build::new();
    for flag in cflags() {
        cc.flag(flag);
    }
    // rte_thread_register is marked experimental in 22.11.
    cc.file("src/shim.c").define("ALLOW_EXPERIMENTAL_API", None).opt_level(3).compile("dpdkshim");
    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for library in LIBRARIES {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

/// The flags as pkg-config prints them: the crate of that name drops `-include rte_config.h` and `-march=`, and DPDK's headers need both.
fn cflags() -> Vec<String> {
    let tool = std::env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    let out = Command::new(tool).args(["--cflags", "libdpdk"]).output().expect("pkg-config ran a moment ago");
    let text = String::from_utf8(out.stdout).expect("compiler flags are text");
    text.split_whitespace().map(str::to_owned).collect()
}
