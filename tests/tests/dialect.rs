// SPDX-License-Identifier: Apache-2.0
//! DPVS's dialect: recorded transcripts of its ipvsadm, repeated by ours against a running director.
//!
//! Commands succeed or fail as recorded and listings are the same byte for byte, but for what differs on purpose.

use std::path::Path;
use std::time::Duration;

use dpvs_tests::command::Cmd;
use dpvs_tests::director::built;
use dpvs_tests::netns::need_root;
use dpvs_tests::process::Background;
use dpvs_tests::{Context, Result, ensure};

/// Commands that end differently here, and why.
const OTHERWISE: [(&str, &str); 15] = [
    ("ipvsadm -A -q 10.0.1.100 -s rr", "icmp services are at port 0"),
    ("ipvsadm -A -1 [fd00:1::100]:0 -s rr", "icmp services are at port 0"),
    ("ipvsadm -A -u 10.0.1.100:100 -s rr -j enable", "the syn proxy has nothing to do with datagrams"),
    ("ipvsadm -A -t 10.0.1.100:102 -s rr --proxy-protocol v3", "there is no such version"),
    ("ipvsadm -A -t 10.0.1.100:105 -s rr --pe sip", "the engine is there"),
    ("ipvsadm -a -t 10.0.1.100:80 -r 10.0.2.9:80 -w 70000 -b", "weights are those of LVS"),
    ("ipvsadm -U -t 10.0.1.100:80 -k 10.0.1.66", "what is there already is not added again"),
    ("ipvsadm -B -t 10.0.1.100:12345", "there is no such service"),
    ("ipvsadm -U -t 10.0.1.100:12345 -k 10.0.1.66", "there is no such service"),
    ("ipvsadm -O -t 10.0.1.100:80 -2 10.0.1.2", "what is there already is not added again"),
    ("ipvsadm -O -t 10.0.1.100:12345 -2 1.1.1.1", "there is no such service"),
    ("ipvsadm -L --timeout", "it works"),
    ("ipvsadm --set 100 20 300", "it works"),
    ("ipvsadm -L --daemon", "it lists none, as LVS does"),
    ("ipvsadm -Ln --sockpair tcp:1.1.1.1:1:2.2.2.2:2", "it asks for one connection, which services are not"),
];

/// What lines have in them that one side only lists, as follows from the table above.
const ONE_SIDED: [&str; 12] = [
    "ICMP  ",
    "ICMPv6  ",
    "10.0.1.100:0  ",
    "[fd00:1::100]:0  ",
    "10.0.1.100:100 ",
    "10.0.1.100:102 ",
    "10.0.1.100:iso-tsap ",
    "10.0.1.100:105 ",
    "10.0.2.9:",
    // A server without port has that of its service, and says so.
    "10.0.2.2:0 ",
    "10.0.2.2:85 ",
    "10.0.2.2:mit-ml-dev ",
];

struct Block {
    command: String,
    succeeds: bool,
    stdout: String,
}

fn blocks(text: &str) -> Result<Vec<Block>> {
    let parts = text.split("\n$ ").skip(1);
    parts
        .map(|part| {
            let (command, rest) = part.split_once('\n').context("a command line")?;
            let exit = rest.split("--- exit ").nth(1).and_then(|rest| rest.lines().next()).context("exit")?;
            let stdout = rest.split("--- stdout\n").nth(1).context("stdout")?;
            let (stdout, _) = stdout.split_once("--- stderr").context("stderr")?;
            Ok(Block { command: command.to_owned(), succeeds: exit == "0", stdout: stdout.to_owned() })
        })
        .collect()
}

/// The lines of a listing that both sides have to have.
fn comparable(command: &str, listing: &str) -> Vec<String> {
    let mut lines: Vec<String> = listing
        .lines()
        .filter(|line| !ONE_SIDED.iter().any(|part| line.contains(part)))
        // Version and table size are each program's own.
        .map(|line| {
            if line.starts_with("IP Virtual Server version") { "IP Virtual Server" } else { line }.to_owned()
        })
        .collect();
    let hashed = ["-G", "--get-laddr", "-B", "--get-blklst", "-W", "--get-whtlst", "--nosort"];
    if command.split(' ').any(|word| hashed.contains(&word)) {
        // There they come in the order of a hash table.
        lines.sort();
    }
    lines
}

/// Whether a listing is another one by design.
fn designed_otherwise(command: &str) -> bool {
    // Saves what DPVS loses: local addresses, the SYN proxy, lists and whatever else its services have.
    command.starts_with("ipvsadm -S")
        // Without an argument DPVS lists the services that have local addresses only.
        || command == "ipvsadm -G"
        || command.starts_with("ipvsadm -G --cpu")
        // Says that there is no such worker, and nothing else.
        || command.ends_with("--cpu 5")
}

#[test]
fn recorded_commands_of_dpvs_do_the_same_here() -> Result<()> {
    need_root()?;
    let dir = tempfile::tempdir()?;
    let ipc = dir.path().join("sock");
    let dpvsd =
        Cmd::new(built("dpvsd")?).words("--port dpdk0=null --port dpdk1=null --ipc").arg(ipc.display());
    let mut director = Background::start(&dpvsd, &dir.path().join("log"))?;
    director.wait_for("ready", Duration::from_secs(30))?;
    let ipvsadm = built("ipvsadm")?;
    let programs = Path::new(&ipvsadm).parent().context("a program has a directory")?;
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    let run = |command: &str| {
        Cmd::new("sh")
            .arg("-c")
            .arg(command)
            .env("PATH", &path)
            .env("DPVS_IPC_FILE", ipc.display())
            .env("LC_ALL", "C")
            .run()
    };
    for addr in
        ["10.0.1.1/24 dev dpdk0", "fd00:1::1/64 dev dpdk0", "10.0.2.1/24 dev dpdk1", "fd00:2::1/64 dev dpdk1"]
    {
        ensure!(run(&format!("dpip addr add {addr}"))?.status.success(), "{addr}");
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/dpvs-cli");
    let (mut same, mut otherwise, mut different) = (0, std::collections::BTreeSet::new(), Vec::new());
    for file in ["20-ipvsadm-services.txt", "21-ipvsadm-dests.txt", "22-ipvsadm-laddr-lists.txt"] {
        for Block { command, succeeds, stdout } in blocks(&std::fs::read_to_string(golden.join(file))?)? {
            let styled = command.replacen("ipvsadm ", "ipvsadm --style dpvs ", 1);
            let done = run(&styled)?;
            if command.starts_with("dpip") {
                // Its own recordings are elsewhere.
                continue;
            }
            if done.status.success() != succeeds {
                match OTHERWISE.iter().find(|(known, _)| *known == command) {
                    Some((known, _)) => drop(otherwise.insert(*known)),
                    None => different.push(format!("{command}: {done}")),
                }
            } else if designed_otherwise(&command)
                || comparable(&command, &stdout) == comparable(&command, &done.stdout)
            {
                same += 1;
            } else {
                different.push(format!("{command}\nwanted:\n{stdout}\nseen:\n{}", done.stdout));
            }
        }
    }
    println!("{same} commands agree, {} end otherwise on purpose", otherwise.len());
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    assert!(same >= 140, "only {same} agree");
    let unused: Vec<_> = OTHERWISE.iter().filter(|(command, _)| !otherwise.contains(command)).collect();
    assert!(unused.is_empty(), "these do as recorded by now: {unused:?}");
    assert!(director.stop()?.success());
    Ok(())
}
