// SPDX-License-Identifier: Apache-2.0
//! Starts that cannot succeed: each names what is wrong, ends with the right status and leaves nothing behind.

mod support;

use std::path::PathBuf;

use support::{Daemon, refused};

/// Status 1, and a line that says why.
fn assert_refused(options: &[&str], expected: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let ipc = dir.path().join("s");
    let with_ipc: Vec<&str> = [&["--ipc", ipc.to_str().expect("text")], options].concat();
    let (status, said) = refused(&with_ipc);
    assert_eq!(status, 1, "{options:?}: {said}");
    assert!(said.contains(expected), "{options:?}: `{expected}` in: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!ipc.exists(), "{options:?}");
}

struct Conf {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Conf {
    fn new(text: &str) -> Conf {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("dpvs.conf");
        std::fs::write(&path, text).expect("a fresh file");
        Conf { _dir: dir, path }
    }

    fn path(&self) -> &str {
        self.path.to_str().expect("text")
    }
}

#[test]
fn command_lines_that_make_no_sense_end_with_status_2() {
    for options in
        [&["--prot", "x"][..], &["--workers", "0"], &["--workers", "many"], &["stray"], &["--port"]]
    {
        let (status, said) = refused(options);
        assert_eq!(status, 2, "{options:?}: {said}");
        assert!(said.contains("--help"), "{options:?}: {said}");
    }
}

#[test]
fn help_and_version_end_with_status_0() {
    for option in ["--help", "--version"] {
        assert_eq!(refused(&[option]).0, 0, "{option}");
    }
}

#[test]
fn bad_devices_are_named_with_the_fix() {
    assert_refused(&[], "no device: name one, such as --port dpdk0=af_packet:eth0");
    assert_refused(&["--port", "dpdk0"], "device 'dpdk0' is not NAME=DRIVER[:ARGS]");
    assert_refused(
        &["--port", "dpdk0=af_paket:eth0"],
        "unknown driver 'af_paket', known are af_packet, af_xdp",
    );
    assert_refused(&["--port", "dpdk0=af_packet"], "needs an interface, as in dpdk0=af_packet:eth0");
    assert_refused(&["--port", "dpdk0=af_packet:missing7"], "device dpdk0: no interface 'missing7' here");
    assert_refused(&["--port", "dpdk0=null", "--port", "dpdk0=null"], "device dpdk0 is named twice");
    assert_refused(&["--port", "dpdk0=pci:zz"], "'zz' is no PCI address");
    assert_refused(&["--port", "dpdk0=null:nonsense=1"], "device dpdk0");
}

#[test]
fn options_of_the_environment_are_checked() {
    assert_refused(&["--port", "dpdk0=null", "--", "--nonsense"], "--nonsense");
    assert_refused(&["--port", "dpdk0=null", "--", "--proc-type=secondary"], "always the primary process");
}

#[test]
fn the_file_is_blamed_with_line_keyword_and_what_was_expected() {
    assert_refused(&["--conf", "/nonexistent/dpvs.conf"], "cannot read /nonexistent/dpvs.conf");
    let conf = Conf::new("global_defs {\n    log_levle DEBUG\n}\nneigh_defs {\n    timeout soon\n}\n");
    let (path, ports) = (conf.path(), ["--port", "dpdk0=null"]);
    let options = [&["--conf", path][..], &ports].concat();
    assert_refused(
        &options,
        &format!("{path}:2: unknown keyword log_levle in global_defs: did you mean log_level?"),
    );
    assert_refused(&options, &format!("{path}:5: timeout `soon`: a number from 1 to 3600 expected"));
    let open = Conf::new("global_defs {\n");
    assert_refused(&["--conf", open.path(), "--port", "dpdk0=null"], "dpvs.conf");
    let refused = Conf::new(
        "netif_defs {\n device dpdk0 {\n driver null\n }\n}\nroute_defs {\n route 10.0.0.0/8 dev dpdk7\n}\n",
    );
    assert_refused(&["--conf", refused.path()], "no link `dpdk7`");
}

#[test]
fn a_place_where_nothing_can_listen_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").expect("a fresh file");
    let (status, said) = refused(&["--port", "dpdk0=null", "--ipc", file.to_str().expect("text")]);
    assert_eq!(status, 1);
    assert!(said.contains("is there already and is no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("still there"), "precious");
    let (status, said) = refused(&["--port", "dpdk0=null", "--ipc", "/proc/nowhere/s"]);
    assert_eq!(status, 1);
    assert!(said.contains("cannot listen at /proc/nowhere/s"), "{said}");
}

#[test]
fn a_check_does_all_but_start() {
    let good = Conf::new("netif_defs {\n device dpdk0 {\n driver null\n }\n}\n");
    assert_eq!(refused(&["--check", "--conf", good.path()]).0, 0);
    assert_refused(&["--check", "--port", "dpdk0=af_packet:missing7"], "no interface 'missing7' here");
    let bad = Conf::new("global_defs {\n idle doze\n}\n");
    assert_refused(&["--check", "--conf", bad.path(), "--port", "dpdk0=null"], ":2: idle `doze`");
    // A running daemon is not disturbed by a check for another.
    let mut daemon = Daemon::start(&["--port", "dpdk0=null:no-rx=1"]);
    assert_eq!(refused(&["--check", "--conf", good.path()]).0, 0);
    assert!(daemon.is_running());
}
