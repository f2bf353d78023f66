// SPDX-License-Identifier: Apache-2.0
//! The packages: made twice with the same bytes, installed in a clean root, run as their service would be, upgraded, removed.
//!
//! ```text
//!   clean root (mmdebstrap, chroot)            a namespace: client 192.0.2.10, server 192.0.2.11
//!   dpvsd, by the unit's own line ── eth1 ──── peer
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::command::Cmd;
use dpvs_tests::director::built;
use dpvs_tests::lab::Turn;
use dpvs_tests::netns::{Names, need_root};
use dpvs_tests::process::Background;
use dpvs_tests::server::Server;
use dpvs_tests::{Context, Netns, Result, ensure, sweep};

const PATIENCE: Duration = Duration::from_secs(300);

/// What the packages are, and what of it is the operator's to change.
const PROGRAMS: [&str; 6] = [
    "usr/sbin/dpvsd",
    "usr/sbin/ipvsadm",
    "usr/sbin/ipvsadm-save",
    "usr/sbin/ipvsadm-restore",
    "usr/sbin/dpip",
    "usr/bin/keepalived-conf",
];

#[test]
fn packages_install_run_upgrade_and_leave_nothing() {
    everything().unwrap_or_else(|e| panic!("{e:#}"));
}

fn everything() -> Result<()> {
    need_root()?;
    let _turn = Turn::take()?;
    sweep::orphans();
    let names = Names::unique();
    let dir = names.dir()?;
    let deb = the_same_bytes(dir.path(), "deb")?;
    let rpm = the_same_bytes(dir.path(), "rpm")?;
    Cmd::new("lintian")
        .args(["--fail-on", "warning,error", "--allow-root"])
        .arg(deb.display())
        .timeout(PATIENCE)
        .check()?;
    let rules = source("packaging/rpm/rpmlint.toml");
    let said =
        Cmd::new("rpmlint").arg("-c").arg(rules.display()).arg(rpm.display()).timeout(PATIENCE).run()?;
    ensure!(said.stdout.contains(" 0 errors, 0 warnings"), "{}", said.stdout);

    let root = Root::make(dir.path(), &deb)?;
    let net = Net::build(&names)?;
    root.has_everything("default/dpvsd", "lib/systemd/system")?;
    service_is_sound(&root)?;
    root.balances("deb", &net, dir.path(), "lib/systemd/system")?;

    // What an operator writes stays, over an upgrade and a removal; a purge takes it.
    let conf = root.file("etc/dpvs/dpvs.conf");
    let edited = fs::read_to_string(&conf)?.replace("262144", "65536");
    ensure!(edited.contains("65536"), "the sample has another size");
    fs::write(&conf, &edited)?;
    fs::write(root.file("etc/dpvs/ipvsadm.rules"), "-A -t 192.0.2.100:80 -s rr\n")?;
    fs::copy(&deb, root.file("again.deb"))?;
    root.run("dpkg -i /again.deb")?;
    assert_eq!(fs::read_to_string(&conf)?, edited, "an upgrade keeps the configuration");
    root.run("dpkg -r dpvs-rs")?;
    ensure!(!root.file("usr/sbin/dpvsd").exists(), "removed");
    assert_eq!(fs::read_to_string(&conf)?, edited, "a removal keeps the configuration");
    root.run("dpkg -P dpvs-rs")?;
    assert_eq!(root.remains()?, [] as [String; 0], "a purge leaves nothing");

    // The same with rpm, in a database of its own. Its libraries are there, but Debian's packages are none of rpm's.
    let rpms = format!("rpm --root {}", root.dir.display());
    let rpms =
        |words: &str| Cmd::new("sh").arg("-c").arg(format!("{rpms} {words}")).timeout(PATIENCE).check();
    rpms("--initdb")?;
    rpms(&format!("-i --nodeps {}", rpm.display()))?;
    let needs = rpms("-q --requires dpvs-rs")?;
    ensure!(needs.contains("librte_eal.so") && needs.contains("libc.so.6"), "{needs}");
    root.has_everything("sysconfig/dpvsd", "usr/lib/systemd/system")?;
    root.balances("rpm", &net, dir.path(), "usr/lib/systemd/system")?;
    fs::write(&conf, &edited)?;
    rpms(&format!("-U --nodeps --replacepkgs {}", rpm.display()))?;
    assert_eq!(fs::read_to_string(&conf)?, edited, "an upgrade keeps the configuration");
    rpms("-e dpvs-rs")?;
    assert_eq!(
        root.remains()?,
        ["etc/dpvs", "etc/dpvs/dpvs.conf.rpmsave"],
        "the edited file is saved, nothing else stays"
    );
    Ok(())
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Makes a package twice from the same programs, a while apart.
fn the_same_bytes(dir: &Path, kind: &str) -> Result<PathBuf> {
    let programs = PathBuf::from(built("dpvsd")?).parent().context("a directory")?.to_owned();
    let make = |place: &str| -> Result<PathBuf> {
        let made = Cmd::new(source("packaging/build"))
            .arg(kind)
            .arg(programs.display())
            .arg(dir.join(place).display())
            // What is tried is not how small it gets.
            .env("XZ_LEVEL", 0)
            .timeout(PATIENCE)
            .check()?;
        Ok(PathBuf::from(made.trim()))
    };
    let first = make("first")?;
    std::thread::sleep(Duration::from_millis(1100));
    let second = make("second")?;
    ensure!(
        fs::read(&first)? == fs::read(&second)?,
        "two builds of the {kind} differ: {} {}",
        first.display(),
        second.display()
    );
    Ok(first)
}

/// An interface for the director, and clients and a server behind it.
struct Net {
    director: Netns,
    peer: Netns,
}

impl Net {
    fn build(names: &Names) -> Result<Net> {
        let (director, peer) = (Netns::create(names, "director")?, Netns::create(names, "peer")?);
        director.ip(&format!("link add eth1 type veth peer name eth0 netns {}", peer.name()))?;
        director.ip("link set eth1 up")?;
        peer.ip("link set eth0 up")?;
        peer.ip("addr add 192.0.2.10/24 dev eth0")?;
        peer.ip("addr add 192.0.2.11/24 dev eth0")?;
        peer.plain_frames("eth0")?;
        director.plain_frames("eth1")?;
        Ok(Net { director, peer })
    }
}

/// A minimal Debian.
struct Root {
    dir: PathBuf,
}

impl Root {
    /// With the package and what that depends on.
    fn make(dir: &Path, deb: &Path) -> Result<Root> {
        let root = dir.join("root");
        let make = Cmd::new("mmdebstrap")
            .args(["--quiet", "--variant=apt"])
            // apt fetches what the package depends on.
            .arg(format!("--customize-hook=cp {} \"$1\"/first.deb", deb.display()))
            .arg(
                "--customize-hook=DEBIAN_FRONTEND=noninteractive chroot \"$1\" apt-get install -y /first.deb",
            )
            .arg(codename()?)
            .arg(root.display())
            .timeout(PATIENCE);
        // An archive may be busy, once.
        if let Err(error) = make.check() {
            eprintln!("{error:#}\nonce more");
            let _ = fs::remove_dir_all(&root);
            make.check()?;
        }
        Ok(Root { dir: root })
    }

    fn file(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// Runs a command line in it.
    fn run(&self, line: &str) -> Result<String> {
        self.enter(line).check()
    }

    /// A command line in it, with what the kernel shows; all of it is gone when the command ends.
    fn enter(&self, line: &str) -> Cmd {
        Cmd::new("unshare").args(["--mount", "sh", "-c"]).arg(self.inside(line)).timeout(PATIENCE)
    }

    fn inside(&self, line: &str) -> String {
        let root = self.dir.display();
        format!(
            "for d in proc sys dev; do mount --rbind /$d {root}/$d; done && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
             DEBIAN_FRONTEND=noninteractive $KEEP chroot {root} {line}"
        )
    }

    fn has_everything(&self, options: &str, units: &str) -> Result<()> {
        for program in PROGRAMS {
            if program.starts_with("usr/sbin/ipvsadm-") {
                ensure!(self.file(program).is_file(), "{program} is missing");
                continue;
            }
            let said = self.run(&format!("/{program} --version"))?;
            ensure!(said.contains(env!("CARGO_PKG_VERSION")), "{program}: {said}");
        }
        let files = [
            "etc/dpvs/dpvs.conf",
            &format!("etc/{options}"),
            &format!("{units}/dpvsd.service"),
            "usr/libexec/dpvs/hugepages",
            "usr/libexec/dpvs/restore",
            "usr/share/doc/dpvs-rs/examples/sysctl.conf",
            "usr/share/bash-completion/completions/ipvsadm",
        ];
        for file in files {
            ensure!(self.file(file).is_file(), "{file} is missing");
        }
        for page in fs::read_dir(source("man"))? {
            let name = page?.file_name().to_string_lossy().into_owned();
            let section = name.rsplit('.').next().context("a section")?;
            let packed = format!("usr/share/man/man{section}/{name}.gz");
            ensure!(self.file(&packed).is_file(), "{packed} is missing");
        }
        Ok(())
    }

    /// Starts the director by the line of its unit, with what systemd would give it, and a request comes through it. Services are
    /// those that `ipvsadm -S` saved.
    fn balances(&self, name: &str, net: &Net, dir: &Path, units: &str) -> Result<()> {
        let unit = Unit::read(&self.file(&format!("{units}/dpvsd.service")))?;
        fs::create_dir_all(self.file(&format!("run/{}", unit.one("RuntimeDirectory")?)))?;
        let socket = self.file("run/notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket)?;
        manager.set_read_timeout(Some(Duration::from_secs(60)))?;
        let hear = || -> Result<String> {
            let mut text = [0; 64];
            let len = manager.recv(&mut text)?;
            Ok(String::from_utf8_lossy(&text[..len]).into_owned())
        };
        assert_eq!(
            self.run("dpvsd --check").unwrap_err().to_string().matches("eth1").count(),
            1,
            "no such interface here"
        );
        let line = unit.one("ExecStart")?.replace("$DPVSD_OPTIONS", "");
        let start = |line: &str| {
            net.director
                .cmd("unshare")
                .args(["--mount", "sh", "-c"])
                .arg(self.inside(line))
                .env("KEEP", "NOTIFY_SOCKET=/run/notify WATCHDOG_USEC=1000000")
        };
        start("dpvsd --check").check()?;
        let mut daemon = Background::start(&start(&line), &dir.join("dpvsd.log"))?;
        let outcome = self.drive(name, net, dir, &unit, &hear);
        let outcome = outcome.with_context(|| daemon.said());
        let ended = daemon.stop()?;
        outcome?;
        ensure!(ended.success(), "{ended}: {}", daemon.said());
        let last = std::iter::repeat_with(hear).find(|said| !matches!(said.as_deref(), Ok("WATCHDOG=1\n")));
        assert_eq!(last.context("the end")??, "STOPPING=1\n");
        Ok(())
    }

    fn drive(
        &self,
        name: &str,
        net: &Net,
        dir: &Path,
        unit: &Unit,
        hear: &dyn Fn() -> Result<String>,
    ) -> Result<()> {
        assert_eq!(unit.one("Type")?, "notify");
        assert_eq!(hear()?, "READY=1\n");
        assert_eq!(hear()?, "WATCHDOG=1\n", "twice in the time of the watchdog");
        for line in [
            "dpip addr add 192.0.2.1/24 dev dpdk0",
            "dpip addr add 192.0.2.100/32 dev dpdk0",
            "ipvsadm -A -t 192.0.2.100:80 -s wlc",
            "ipvsadm -P -z 192.0.2.200 -t 192.0.2.100:80 -F dpdk0",
            "ipvsadm -a -t 192.0.2.100:80 -r 192.0.2.11:80 -b",
        ] {
            self.run(line)?;
        }
        let saved = self.run("ipvsadm -S -n")?;
        self.run("ipvsadm -C")?;
        fs::write(self.file("etc/dpvs/ipvsadm.rules"), &saved)?;
        let restore = unit.one("ExecStartPost")?;
        self.run(restore.trim_start_matches('-'))?;
        assert_eq!(self.run("ipvsadm -S -n")?, saved);
        fs::remove_file(self.file("etc/dpvs/ipvsadm.rules"))?;
        let server = Server::start(&net.peer, name, dir)?;
        let vip = "192.0.2.100:80".parse()?;
        let fetched = client::fetch(&net.peer, vip, "body", 2, Pace::InTurn)?;
        assert_eq!(client::shares(&fetched, std::slice::from_ref(&server))?, [2]);
        let seen = server.answered()?;
        ensure!(seen.iter().all(|from| from.ip().to_string() == "192.0.2.200"), "{seen:?}");
        Ok(())
    }

    /// Files that have to do with this product.
    fn remains(&self) -> Result<Vec<String>> {
        let line = "find etc usr lib var run -xdev ( -iname *dpvs* -o -iname *ipvsadm* -o -name *dpip* -o -name keepalived-conf* )";
        let found = Cmd::new("sh")
            .arg("-c")
            .arg(
                format!(
                    "cd {} && set -f && find -H $(echo {}) | sort",
                    self.dir.display(),
                    line.trim_start_matches("find ")
                )
                .replace("( ", "'(' ")
                .replace(" )", " ')'"),
            )
            .check();
        let found = found?;
        let own = |path: &&str| {
            !path.starts_with("run/") && !path.starts_with("var/log") && !path.starts_with("var/cache")
        };
        Ok(found.lines().filter(own).map(str::to_owned).collect())
    }
}

/// The Debian that this machine is: its packages are what the programs were linked with.
fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(line.context("VERSION_CODENAME in /etc/os-release")?.to_owned())
}

/// The lines of a unit.
struct Unit(BTreeMap<String, Vec<String>>);

impl Unit {
    fn read(path: &Path) -> Result<Unit> {
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in fs::read_to_string(path)?.lines().filter_map(|line| line.split_once('=')) {
            lines.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Ok(Unit(lines))
    }

    fn one(&self, key: &str) -> Result<String> {
        match self.0.get(key).map(Vec::as_slice) {
            Some([value]) => Ok(value.clone()),
            other => dpvs_tests::bail!("one {key}: {other:?}"),
        }
    }
}

/// systemd itself finds nothing wrong with the unit, and no more open than is written down.
fn service_is_sound(root: &Root) -> Result<()> {
    let unit = root.file("lib/systemd/system/dpvsd.service");
    let verified = Cmd::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", root.dir.display()))
        .arg("dpvsd.service")
        .run()?;
    ensure!(verified.code() == 0 && verified.stderr.is_empty(), "{}{}", verified.stdout, verified.stderr);
    let threshold = 59;
    let rated = Cmd::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true"])
        .arg(format!("--threshold={threshold}"))
        .arg(unit.display())
        .run()?;
    ensure!(rated.code() == 0, "{}", rated.stdout);
    Ok(())
}
