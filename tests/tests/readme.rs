// SPDX-License-Identifier: Apache-2.0
//! The README does what it says: every command in it is run here. A marker before each block or table says how; one without a marker, or
//! with one nobody knows, fails.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::command::{Cmd, Done};
use dpvs_tests::director::built;
use dpvs_tests::lab::Turn;
use dpvs_tests::netns::{Names, need_root};
use dpvs_tests::process::Background;
use dpvs_tests::server::Server;
use dpvs_tests::{Context, Netns, Result, bail, ensure, sweep};

const README: &str = include_str!("../../README.md");

/// How blocks and tables are run.
const MARKERS: [&str; 10] =
    ["make", "deb", "rpm", "service", "first", "look", "nic", "lvs", "dpvs", "keepalived"];

/// Commands with the marker that stands before them.
fn commands() -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let (mut marker, mut inside) = (None::<String>, false);
    for line in README.lines() {
        let marked = ["<!-- run: ", "<!-- table: "].iter().find_map(|start| line.strip_prefix(start));
        if let Some(name) = marked.and_then(|rest| rest.strip_suffix(" -->")) {
            marker = Some(name.to_owned());
        } else if line.starts_with("```") {
            ensure!(inside || marker.is_some(), "a block without a marker");
            inside = !inside;
            if !inside {
                marker = None;
            }
        } else if inside {
            let command = line.split(" #").next().unwrap_or_default().trim();
            found.push((marker.clone().context("inside a marked block")?, command.to_owned()));
        } else if line.starts_with("| ") && marker.is_some() {
            // The last column is about this product.
            let cell = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            let spans = cell.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (marker.clone().unwrap_or_default(), span.to_owned())));
        } else if line.starts_with("    ") {
            bail!("a block by indentation has no marker: {line}");
        }
    }
    Ok(found)
}

fn of(marker: &str) -> Vec<String> {
    let all = commands().expect("a README with markers");
    let own: Vec<String> = all.into_iter().filter(|(name, _)| name == marker).map(|(_, text)| text).collect();
    assert!(!own.is_empty(), "nothing is marked {marker}");
    own
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_block_is_run_by_a_test() {
    let found: BTreeSet<String> = commands().expect("markers").into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, MARKERS.iter().map(|&name| name.to_owned()).collect());
}

/// The targets are there. What they do is what runs this test, and `packages.rs`.
#[test]
fn make_knows_its_targets() {
    let lines: Vec<String> = ["make", "deb", "rpm"].iter().flat_map(|marker| of(marker)).collect();
    let targets = lines.iter().filter_map(|line| line.strip_prefix("make "));
    let mut count = 0;
    for target in targets {
        let dry = Cmd::new("make").arg("-n").arg("-C").arg(top().display()).arg(target).check();
        assert!(dry.is_ok(), "{target}: {dry:?}");
        count += 1;
    }
    assert_eq!(count, 4);
}

/// What installs a package is `packages.rs`'s business; here its words are understood by the tools that exist on this machine.
#[test]
fn packages_and_the_service_are_installed_by_these_words() {
    assert_eq!(of("deb")[1], "apt install ./target/packages/dpvs-rs_*.deb");
    assert_eq!(of("rpm")[1], "dnf install ./target/packages/*/dpvs-rs-*.rpm");
    let dir = tempfile::tempdir().expect("a directory");
    let programs = PathBuf::from(built("dpvsd").expect("built")).parent().expect("a directory").to_owned();
    for kind in ["deb", "rpm"] {
        let made = Cmd::new(top().join("packaging/build"))
            .arg(kind)
            .arg(programs.display())
            .arg(dir.path().join("target/packages").display())
            .env("XZ_LEVEL", 0)
            .timeout(Duration::from_secs(300))
            .check();
        made.expect("a package");
    }
    // The shell finds the files by these patterns, and apt would do it.
    let inside = |line: &str| {
        Cmd::new("sh")
            .arg("-c")
            .arg(format!("cd {} && {line}", dir.path().display()))
            .timeout(Duration::from_secs(120))
    };
    let apt = inside(&of("deb")[1].replace("apt install", "apt-get -s install")).check().expect("apt");
    assert!(apt.contains("Inst dpvs-rs"), "{apt}");
    let rpm = inside(&of("rpm")[1].replace("dnf install", "rpm -qp")).check().expect("rpm");
    assert!(rpm.starts_with("dpvs-rs-"), "{rpm}");
    assert_eq!(of("service"), ["dpvsd --check", "systemctl enable --now dpvsd"]);
    let root = dir.path().join("root");
    let unit = root.join("etc/systemd/system/dpvsd.service");
    std::fs::create_dir_all(unit.parent().expect("a directory")).expect("a directory");
    std::fs::copy(top().join("packaging/dpvsd.service"), &unit).expect("a unit");
    let enabled =
        Cmd::new("systemctl").arg(format!("--root={}", root.display())).words("enable dpvsd").check();
    enabled.expect("it is enabled");
    assert!(root.join("etc/systemd/system/multi-user.target.wants/dpvsd.service").is_symlink());
}

/// One interface, and behind it a client at 192.0.2.10, servers at .11 and .12.
struct Place {
    director: Netns,
    peers: Vec<Netns>,
    dir: tempfile::TempDir,
    /// Where the programs are.
    programs: String,
    _turn: Turn,
}

impl Place {
    fn new() -> Result<Place> {
        need_root()?;
        let turn = Turn::take()?;
        sweep::orphans();
        let names = Names::unique();
        let director = Netns::create(&names, "director")?;
        let switch = Netns::create(&names, "switch")?;
        switch.ip("link add br0 type bridge")?;
        switch.ip("link set br0 up")?;
        let join = |ns: &Netns, iface: &str, port: &str| -> Result<()> {
            ns.ip(&format!("link add {iface} type veth peer name {port} netns {}", switch.name()))?;
            switch.ip(&format!("link set {port} master br0 up"))?;
            ns.ip(&format!("link set {iface} up"))?;
            ns.plain_frames(iface)
        };
        join(&director, "eth1", "director")?;
        let mut peers = Vec::new();
        for (n, role) in ["client", "server1", "server2"].iter().enumerate() {
            let ns = Netns::create(&names, role)?;
            join(&ns, "eth0", role)?;
            ns.ip(&format!("addr add 192.0.2.{}/24 dev eth0", 10 + n))?;
            peers.push(ns);
        }
        peers.push(switch);
        let programs = PathBuf::from(built("dpvsd")?).parent().context("a directory")?.display().to_string();
        Ok(Place { director, peers, dir: names.dir()?, programs, _turn: turn })
    }

    /// A line of the README, as somebody types it in the director's place.
    fn line(&self, line: &str) -> Cmd {
        let path = std::env::var("PATH").unwrap_or_default();
        self.director
            .cmd("sh")
            .arg("-c")
            .arg(format!("cd {} && exec {line}", self.dir.path().display()))
            .env("PATH", format!("{}:{path}", self.programs))
            .env("DPVS_IPC_FILE", self.dir.path().join("s").display())
    }

    fn daemon(&self, line: &str) -> Result<Background> {
        let line = line.strip_suffix(" &").context("a daemon runs in the background")?;
        let mut daemon = Background::start(&self.line(line), &self.dir.path().join("dpvsd.log"))?;
        daemon.wait_for("ready ports=", Duration::from_secs(30))?;
        Ok(daemon)
    }

    fn run(&self, line: &str) -> Result<String> {
        self.line(line).check().with_context(|| format!("README: {line}"))
    }

    fn tries(&self, line: &str) -> Result<Done> {
        self.line(line).run()
    }
}

#[test]
fn a_first_service_works_as_told() {
    first_service().unwrap_or_else(|e| panic!("{e:#}"));
}

fn first_service() -> Result<()> {
    let place = Place::new()?;
    let lines = of("first");
    let mut daemon = place.daemon(&lines[0])?;
    let servers: Vec<Server> = (1..3)
        .map(|n| Server::start(&place.peers[n], &format!("server{n}"), place.dir.path()))
        .collect::<Result<_>>()?;
    let mut listing = String::new();
    for line in &lines[1..] {
        listing = place.run(line)?;
    }
    ensure!(listing.contains("192.0.2.12:80") && listing.contains("FullNat"), "{listing}");
    let ask = || {
        let vip = "192.0.2.100:80".parse()?;
        client::shares(&client::fetch(&place.peers[0], vip, "body", 6, Pace::InTurn)?, &servers)
    };
    assert_eq!(ask()?, [2, 4], "weights 1 and 2");
    let mut said = Vec::new();
    for line in of("look") {
        said.push(place.run(&line)?);
    }
    ensure!(said[0].contains("192.0.2.10:"), "connections: {}", said[0]);
    ensure!(said[2].contains("drop"), "{}", said[2]);
    let after = place.run("ipvsadm -S -n")?;
    assert_eq!(after, std::fs::read_to_string(place.dir.path().join("rules"))?, "saved, cleared, restored");
    ensure!(after.contains("192.0.2.100:80") && after.contains("-j enable"), "{after}");
    assert_eq!(ask()?, [2, 4]);
    let ended = daemon.stop()?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

/// There is no such card here, nor may memory be reserved: every line is refused for that reason and no other.
#[test]
fn a_network_card_is_asked_for_by_these_words() {
    card().unwrap_or_else(|e| panic!("{e:#}"));
}

fn card() -> Result<()> {
    let lines = of("nic");
    let [pages, module, bind, start] = &lines[..] else { bail!("four lines: {lines:?}") };
    let script = top().join("packaging/hugepages");
    ensure!(pages.starts_with("/usr/libexec/dpvs/hugepages "), "{pages}");
    let refused = Cmd::new(&script).arg("1").run()?;
    assert_eq!((refused.code(), refused.stderr.starts_with("usage: ")), (2, true));
    let known = Cmd::new("sh").arg("-c").arg(format!("sh -n {}", script.display())).run()?;
    assert_eq!(known.code(), 0);
    assert_eq!(module, "modprobe vfio-pci");
    let (program, device) = (bind.split(' ').next().unwrap_or_default(), "0000:03:00.0");
    let bound = Cmd::new("sh").arg("-c").arg(bind.replace(program, &format!("/usr/bin/{program}"))).run()?;
    let said = format!("{}{}", bound.stdout, bound.stderr);
    // Most kernels without such cards have no such driver.
    let why = said.contains(device) || said.contains("Driver 'vfio-pci' is not loaded");
    ensure!(bound.code() != 0 && why, "{bound:?}");
    let place = Place::new()?;
    let done = place.tries(start.strip_suffix(" &").context("in the background")?)?;
    ensure!(done.code() != 0 && done.stderr.contains(device), "{}", done.stderr);
    Ok(())
}

/// The right column of the tables, before a daemon that has the port they speak of.
#[test]
fn the_commands_of_those_who_move_over_are_taken() {
    moving().unwrap_or_else(|e| panic!("{e:#}"));
}

fn moving() -> Result<()> {
    let place = Place::new()?;
    let file = place.dir.path().join("keepalived.conf");
    std::fs::write(
        &file,
        "virtual_server 192.0.2.100 80 {\n lb_algo rr\n lb_kind DR\n protocol TCP\n \
         real_server 192.0.2.11 80 {\n weight 1\n TCP_CHECK {\n connect_timeout 1\n}\n}\n}\n",
    )?;
    for table in ["lvs", "dpvs", "keepalived"] {
        let conf = place.dir.path().join("dpvs.conf");
        let lines = of(table);
        let marks: Vec<&String> = lines.iter().filter(|line| line.starts_with("mark ")).collect();
        let marks = marks.iter().map(|line| format!(" {line}\n")).collect::<String>();
        std::fs::write(&conf, format!("ipvs_defs {{\n{marks}}}\n"))?;
        let keepalived =
            if table == "keepalived" { format!(" --keepalived {}", file.display()) } else { String::new() };
        let mut daemon = place
            .daemon(&format!("dpvsd --conf {} --port dpdk0=af_packet:eth1{keepalived} &", conf.display()))?;
        place.run("dpip addr add 192.0.2.1/24 dev dpdk0")?;
        let mut count = 0;
        for line in lines
            .iter()
            .filter(|line| !line.starts_with("mark ") && !line.ends_with("dpvs.conf") && line.contains(' '))
        {
            if table == "dpvs" && line.contains("-a -t") {
                place.run("ipvsadm -A -t 192.0.2.100:80 -s wlc")?;
            }
            if line.starts_with("ipvsadm --import") {
                // The daemon has these services already: they are as the file says.
                place.run("ipvsadm -C")?;
            }
            let line = line.replace("/etc/keepalived/keepalived.conf", &file.display().to_string());
            if line.starts_with("dpvsd --check") {
                // Beside the one that runs: it only looks.
                let done = place
                    .tries(&format!("{line} --ipc other --conf {} --port dpdk0=null", conf.display()))?;
                ensure!(done.code() == 0, "{line}: {}{}", done.stdout, done.stderr);
            } else {
                place.run(&line)?;
            }
            count += 1;
        }
        ensure!(count >= 5, "{table}: {count} commands: {lines:?}");
        daemon.stop()?;
    }
    Ok(())
}
