// SPDX-License-Identifier: Apache-2.0
//! Shows a director at work: two real servers, a client, and every command that makes it so. Leaves nothing behind, unless
//! `KEEP=1` is set; `demo --remove` removes what was kept.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dpvs_tests::client::{self, Pace};
use dpvs_tests::command::Cmd;
use dpvs_tests::netns::Names;
use dpvs_tests::{Context, Family, Lab, Plan, Result, director, sweep};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => end(demonstrate()),
        ["--remove"] => {
            println!("{}", if sweep::kept() { "the lab is removed" } else { "there is no lab to remove" });
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: [KEEP=1] demo\n       demo --remove");
            ExitCode::from(2)
        }
    }
}

fn end(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<()> {
    let keep = std::env::var("KEEP").is_ok_and(|keep| !matches!(keep.as_str(), "" | "0"));
    clean_up_when_interrupted(keep)?;
    let names = if keep { Names::kept() } else { Names::unique() };
    if keep {
        sweep::kept();
    }
    let mut lab = Lab::unconfigured(Plan::workers(2), &names)?;
    if let Err(error) = show(&mut lab) {
        while INTERRUPTED.load(Ordering::Relaxed) {
            // The other thread removes the lab and ends the process; what failed meanwhile is no news.
            std::thread::park();
        }
        lab.report();
        if keep {
            sweep::kept();
        }
        return Err(error);
    }
    if keep {
        say_how_to_enter(&lab)?;
        lab.keep();
        return Ok(());
    }
    title("The end");
    lab.director.conserves()?;
    lab.director.stop()?;
    println!(
        "Every packet is accounted for. The daemon has ended; namespaces, interfaces and files go with it."
    );
    Ok(())
}

fn show(lab: &mut Lab) -> Result<()> {
    println!("{DRAWING}");
    title("The director");
    println!("$ {}", lab.director.command());
    println!("{}", lab.director.log().trim_end());

    title("Its addresses");
    for words in lab.addresses() {
        dpip(lab, &words)?;
    }
    dpip(lab, "link show")?;

    title("Two services, two real servers behind each");
    let (v4, v6) = (lab.vip(Family::V4, 80), lab.vip(Family::V6, 80));
    for words in lab.service("-t", v4, "rr", &[1, 1]).into_iter().chain(lab.service("-t", v6, "wrr", &[1, 3]))
    {
        ipvsadm(lab, &words)?;
    }

    title("A client");
    run(&lab.net.client.cmd("ping").words("-n -c 2 -i 0.2").arg(v4.ip()))?;
    for vip in [v4, v6] {
        for _ in 0..4 {
            run(&lab.net.client.cmd("curl").words("--silent --max-time 5").arg(format!("http://{vip}/")))?;
        }
    }
    hundreds(lab, v4)?;
    hundreds(lab, v6)?;

    title("What the director has seen");
    ipvsadm(lab, "-Ln --stats")?;
    let conns = tool(lab, "ipvsadm", "-Lnc")?;
    println!("{}\n... ({} connections)", head(&conns, 10), lab.director.conns()?.len());
    dpip(lab, "-s link show")?;
    dpip(lab, "neigh show")?;
    dpip(lab, "drops show")
}

fn hundreds(lab: &Lab, vip: SocketAddr) -> Result<()> {
    println!("$ curl http://{vip}/body?[1-200]     200 connections, every byte compared");
    let fetched = client::fetch(&lab.net.client, vip, "body", 200, Pace::InTurn)?;
    let shares = client::shares(&fetched, &lab.servers)?;
    let shares = lab.servers.iter().zip(shares).map(|(server, n)| format!("{} answered {n}", server.name()));
    println!("{}", shares.collect::<Vec<_>>().join(", "));
    Ok(())
}

fn dpip(lab: &Lab, words: &str) -> Result<()> {
    tool(lab, "dpip", words).map(|text| print!("{text}"))
}

fn ipvsadm(lab: &Lab, words: &str) -> Result<()> {
    tool(lab, "ipvsadm", words).map(|text| print!("{text}"))
}

/// Prints the command as a person would type it, and returns what it says.
fn tool(lab: &Lab, name: &str, words: &str) -> Result<String> {
    println!("$ {name} {words}");
    match name {
        "dpip" => lab.director.dpip(words),
        _ => lab.director.ipvsadm(words),
    }
}

fn run(cmd: &Cmd) -> Result<()> {
    println!("$ {cmd}");
    print!("{}", cmd.check()?);
    Ok(())
}

fn say_how_to_enter(lab: &Lab) -> Result<()> {
    title("The lab stays");
    let bin = director::built("dpvsd")?;
    let bin = bin.strip_suffix("/dpvsd").context("the daemon is in a directory")?;
    let demo = std::env::current_exe()?;
    println!("export PATH={bin}:$PATH DPVS_IPC_FILE={}", lab.director.ipc().display());
    println!("ipvsadm -Ln --stats                 # the tools reach the director from anywhere");
    println!(
        "ip netns exec {} bash   # be the client: curl http://{}/",
        lab.net.client.name(),
        lab.vip(Family::V4, 80)
    );
    for (server, ns) in lab.servers.iter().zip(&lab.net.servers) {
        println!("ip netns exec {} bash  # be {}", ns.name(), server.name());
    }
    println!("{} --remove      # remove it", demo.display());
    Ok(())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A signal must not leave a director running.
fn clean_up_when_interrupted(keep: bool) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            INTERRUPTED.store(true, Ordering::Relaxed);
            sweep::own();
            if keep {
                sweep::kept();
            }
            // Programs of the lab that were just starting end with their namespaces.
            std::thread::sleep(Duration::from_millis(100));
            sweep::own();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text} ==");
}

fn head(text: &str, lines: usize) -> String {
    text.lines().take(lines).collect::<Vec<_>>().join("\n")
}

const DRAWING: &str = "
   client               director                          real servers
  +----------+        +------------------------+        +-------------------+
  | 10.0.1.2 |        | dpdk0            dpdk1 |     +--| server1 10.0.2.11 |
  | fd00:1::2|--------| 10.0.1.1      10.0.2.1 |-----+  |         fd00:2::11|
  | curl     |  veth  | fd00:1::1    fd00:2::1 | veth|  +-------------------+
  +----------+        |                        |     |  +-------------------+
                      | vip    10.0.1.100      |     +--| server2 10.0.2.12 |
                      |        fd00:1::100     |        |         fd00:2::12|
                      | local  10.0.2.200      |        | nginx             |
                      |        fd00:2::200     |        +-------------------+
                      +------------------------+
   Each box is a network namespace. The director is dpvsd, a DPDK program, on its two veth ends.";
