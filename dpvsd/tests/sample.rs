// SPDX-License-Identifier: Apache-2.0
//! The configuration that packages install: it has to be good as it is. The second test needs root.

mod support;

use std::path::PathBuf;
use std::process::Command;

use control::boot::{self, Driver};
use support::netns::Namespace;

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/dpvs.conf"))
}

#[test]
fn the_sample_is_read_without_warnings_and_has_one_interface() {
    let tree = keepalived_conf::tree::load(&path()).expect("well-formed");
    let checked = boot::read(&tree).expect("it makes sense");
    assert_eq!(checked.warnings, []);
    let [device] = &checked.config.devices[..] else { panic!("one device") };
    assert_eq!(
        (device.name.as_str(), device.driver, device.iface.as_deref()),
        ("dpdk0", Some(Driver::AfPacket), Some("eth1"))
    );
}

/// Comments that show a setting: without the `# ` they have to be good too.
#[test]
fn what_the_sample_offers_in_comments_is_understood() {
    let text = std::fs::read_to_string(path()).expect("it is there");
    let offers = ["kni ", "hugepages ", "rx_csum ", "addr ", "vlan ", "} ", "route_defs ", "route "];
    let uncommented: String = text
        .lines()
        .map(|line| match line.trim_start().strip_prefix("# ") {
            Some(rest) if offers.iter().any(|offer| format!("{} ", rest.trim()).starts_with(offer)) => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        })
        .map(|line| line + "\n")
        .collect();
    let tree = keepalived_conf::tree::parse(&uncommented, "dpvs.conf").expect("well-formed");
    let checked = boot::read(&tree).expect("it makes sense");
    assert_eq!(checked.warnings, []);
    let config = checked.config;
    assert_eq!((config.kernel_path, config.hugepages, config.routes.len()), (true, Some(true), 1));
    assert_eq!((config.devices[0].addrs.len(), config.devices[0].vlans[0].addrs.len()), (2, 1));
}

#[test]
fn the_sample_passes_the_check_where_its_interface_is_there() {
    let space = Namespace::new("sample");
    space.ip("link add eth1 type veth peer name peer1");
    let checked = Command::new("ip")
        .args(["netns", "exec", space.name()])
        .args([env!("CARGO_BIN_EXE_dpvsd"), "--check", "--ipc", "/nonexistent/s", "--conf"])
        .arg(path())
        .env_remove("RUST_LOG")
        .output()
        .expect("ip is installed");
    assert_eq!(String::from_utf8_lossy(&checked.stderr), "");
    assert_eq!(String::from_utf8_lossy(&checked.stdout), "configuration and devices are good\n");
    assert_eq!(checked.status.code(), Some(0));
}
