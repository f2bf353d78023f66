// SPDX-License-Identifier: Apache-2.0
//! What bash makes of an unfinished line, by the completion that is installed.

use std::path::Path;
use std::process::Command;

/// What bash would offer after `line`.
fn offered(line: &str) -> String {
    let dpip = Path::new(env!("CARGO_BIN_EXE_dpip"));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/completions/dpip.bash");
    let bash = format!(
        "source {script}; COMP_LINE='{line}'; COMP_POINT={}; _dpip; echo \"${{COMPREPLY[*]}}\"",
        line.len()
    );
    let output = Command::new("bash")
        .args(["-c", &bash])
        .env("PATH", format!("{}:/usr/bin:/bin", dpip.parent().expect("a directory").display()))
        .env("DPVS_IPC_FILE", "/nonexistent/dpvs.sock")
        .output()
        .expect("bash runs");
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[test]
fn words_are_completed_and_the_next_ones_offered() {
    for (line, words) in [
        ("dpip ro", "route"),
        ("dpip link ", "help set show stats"),
        ("dpip addr add fd00::1/64 sc", "scope"),
        ("dpip -6 route add default via fd00::1 m", "metric mtu"),
        ("dpip --st", "--statistics --stats"),
        // No daemon, no links to offer.
        ("dpip addr add fd00::1/64 dev ", ""),
    ] {
        assert_eq!(offered(line), words, "{line}");
    }
}
