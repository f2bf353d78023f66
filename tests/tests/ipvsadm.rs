// SPDX-License-Identifier: Apache-2.0
//! Scripts run unchanged: the recorded transcripts of stock ipvsadm, through the real programs and a real dpvsd.
//!
//! ```text
//!  ipvsadm, ipvsadm-save, ipvsadm-restore ── socket ── dpvsd ── dpdk0, a device without wires
//! ```
//!
//! All commands of all cases run in one mount namespace of their own, where `/etc/hosts` is the recording machine's.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use dpvs_tests::command::Cmd;
use dpvs_tests::director::built;
use dpvs_tests::netns::need_root;
use dpvs_tests::process::Background;
use dpvs_tests::transcript::{self, Case, Seen};
use dpvs_tests::{Context, Result};

/// A shell script that runs every command and keeps what came of it in files named by number.
fn script(cases: &[Case], dir: &Path) -> Result<String> {
    let mut script = String::from(
        "set -e\nmount --bind hosts /etc/hosts\nmount --bind nsswitch /etc/nsswitch.conf\nset +e\n",
    );
    let mut number = 0;
    for case in cases {
        writeln!(script, "ipvsadm -C && ipvsadm --set 900 120 300 || exit 1")?;
        for command in &case.commands {
            std::fs::write(dir.join(format!("{number}.in")), &command.stdin)?;
            let argv = shlex::try_join(command.argv.iter().map(String::as_str))?;
            writeln!(script, "{argv} <{number}.in >{number}.out 2>{number}.err; echo $? >{number}.status")?;
            number += 1;
        }
    }
    Ok(script)
}

fn seen(number: usize, dir: &Path) -> Result<(Seen, String)> {
    let read = |what: &str| -> Result<String> {
        let path = dir.join(format!("{number}.{what}"));
        let bytes = std::fs::read(&path).with_context(|| format!("{} was not written", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let stderr = read("err")?;
    let seen = Seen {
        stdout: Some(read("out")?),
        complained: !stderr.is_empty(),
        status: read("status")?.trim().parse()?,
    };
    Ok((seen, stderr))
}

#[test]
fn recorded_transcripts_are_repeated_by_a_running_director() -> Result<()> {
    need_root()?;
    let cases = transcript::cases(&transcript::golden())?;
    let dir = tempfile::tempdir()?;
    let ipc = dir.path().join("sock");
    std::fs::copy(transcript::golden().join("hosts"), dir.path().join("hosts"))?;
    std::fs::write(dir.path().join("nsswitch"), "hosts: files\nservices: files\n")?;
    std::fs::write(dir.path().join("script"), script(&cases, dir.path())?)?;

    let dpvsd = Cmd::new(built("dpvsd")?).words("--port dpdk0=null --ipc").arg(ipc.display());
    let mut director = Background::start(&dpvsd, &dir.path().join("log"))?;
    director.wait_for("ready", Duration::from_secs(30))?;
    let ipvsadm = built("ipvsadm")?;
    let programs = Path::new(&ipvsadm).parent().context("a program has a directory")?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    Cmd::new("unshare")
        .words("--mount --propagation private sh -c")
        .arg(format!("cd {} && exec sh script", dir.path().display()))
        .env("PATH", path)
        .env("DPVS_IPC_FILE", ipc.display())
        .env("LC_ALL", "C")
        .timeout(Duration::from_secs(600))
        .check()?;

    let (mut same, mut different, mut number) = (0, Vec::new(), 0);
    for case in &cases {
        let mut first = None;
        for command in &case.commands {
            let (seen, stderr) = seen(number, dir.path())?;
            number += 1;
            if let (None, Some(difference)) = (&first, transcript::difference(&command.seen, &seen)) {
                first = Some(format!("{}: {:?}\n{difference}{stderr}", case.name, command.argv));
            }
        }
        match (first, transcript::differs_on_purpose(&case.name)) {
            (None, false) => same += 1,
            (Some(difference), false) => different.push(difference),
            (Some(_), true) => {}
            (None, true) => different.push(format!("{} no longer differs", case.name)),
        }
    }
    println!("{same} cases agree");
    assert!(different.is_empty(), "{} cases differ:\n{}", different.len(), different.join("\n"));
    assert!(same >= AGREE, "only {same} cases agree: it were {AGREE}");
    assert!(director.stop()?.success());
    Ok(())
}

/// Cases that agree: all that can be replayed, but those that differ on purpose. New recordings are added here.
const AGREE: usize = 393;
