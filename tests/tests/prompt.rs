// SPDX-License-Identifier: Apache-2.0
//! `ipvsadm --shell` and `--top` in a terminal, beside a real dpvsd on a device without wires.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dpvs_tests::command::Cmd;
use dpvs_tests::director::built;
use dpvs_tests::netns::need_root;
use dpvs_tests::process::Background;
use dpvs_tests::pty::Terminal;
use dpvs_tests::{Result, ensure};

struct Desk {
    dir: tempfile::TempDir,
    director: Background,
}

fn start(dir: &Path) -> Result<Background> {
    let cmd = Cmd::new(built("dpvsd")?).words("--port dpdk0=null --ipc").arg(dir.join("sock").display());
    let mut director = Background::start(&cmd, &dir.join("log"))?;
    director.wait_for("ready", Duration::from_secs(30))?;
    Ok(director)
}

impl Desk {
    fn new() -> Result<Self> {
        need_root()?;
        let dir = tempfile::tempdir()?;
        let director = start(dir.path())?;
        Ok(Desk { dir, director })
    }

    fn ipc(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn terminal(&self, words: &[&str]) -> Result<Terminal> {
        let (ipc, state) = (self.ipc().display().to_string(), self.dir.path().display().to_string());
        Terminal::start(&built("ipvsadm")?, words, &[("DPVS_IPC_FILE", &ipc), ("XDG_STATE_HOME", &state)])
    }

    fn ipvsadm(&self, words: &str) -> Result<String> {
        Cmd::new(built("ipvsadm")?).words(words).env("DPVS_IPC_FILE", self.ipc().display()).check()
    }
}

/// What the line editor writes when it begins to read: pasted text is to be marked.
const READY: &str = "\x1b[?2004h";

/// Types a line at the prompt and waits for the next prompt.
fn say(terminal: &mut Terminal, line: &str) -> Result<String> {
    terminal.forget();
    terminal.types(line)?;
    terminal.types("\r")?;
    terminal.wait_for(READY)?;
    Ok(terminal.seen())
}

#[test]
fn the_prompt_runs_completes_forgives_and_remembers() -> Result<()> {
    let mut desk = Desk::new()?;
    let mut terminal = desk.terminal(&["--shell"])?;
    terminal.wait_for(READY)?;
    for line in ["-A -t 10.0.0.1:80 -s rr", "# a note", ""] {
        say(&mut terminal, line)?;
    }
    let said = say(&mut terminal, "ipvsadm -Ln")?;
    ensure!(said.contains("TCP  10.0.0.1:80 rr\r\n"), "{said:?}");
    let said = say(&mut terminal, "-A -t 10.0.0.1:80")?;
    ensure!(said.contains("ipvsadm: service tcp 10.0.0.1:80 already exists\r\n"), "{said:?}");
    let said = say(&mut terminal, "--frobnicate")?;
    ensure!(said.contains("unknown option `--frobnicate`"), "{said:?}");
    let said = say(&mut terminal, "help -a")?;
    ensure!(said.contains("--real-server"), "{said:?}");

    // Control-C gives up the line: nothing of it is run.
    terminal.forget();
    terminal.types("-C\x03")?;
    terminal.wait_for(READY)?;
    terminal.forget();
    terminal.types("-E -t 10.0\t")?;
    terminal.wait_for("10.0.0.1:80 ")?;
    say(&mut terminal, "-s wrr")?;
    let said = say(&mut terminal, "-Sn")?;
    ensure!(said.contains("-A -t 10.0.0.1:80 -s wrr\r\n"), "{said:?}");

    // The daemon is restarted: the next line goes to the new one.
    ensure!(desk.director.stop()?.success());
    let said = say(&mut terminal, "-Ln")?;
    ensure!(said.contains("is dpvsd running?"), "{said:?}");
    desk.director = start(desk.dir.path())?;
    say(&mut terminal, "-A -u 10.0.0.3:53")?;
    let said = say(&mut terminal, "-Sn")?;
    ensure!(said.contains("\n-A -u 10.0.0.3:53 -s wlc\r\n"), "{said:?}");

    terminal.types("exit\r")?;
    ensure!(terminal.ended()?.success());
    ensure!(terminal.is_plain()?, "the terminal was not given back");
    let history = std::fs::read_to_string(desk.dir.path().join("dpvs/ipvsadm_history"))?;
    ensure!(history.lines().any(|line| line == "-A -u 10.0.0.3:53"), "{history}");

    let mut again = desk.terminal(&["--shell"])?;
    again.wait_for(READY)?;
    again.forget();
    again.types("\x1b[A")?;
    again.wait_for("exit")?;
    Ok(())
}

#[test]
fn a_pipe_is_read_without_a_prompt() -> Result<()> {
    let desk = Desk::new()?;
    let script = "printf '%s\\n' '-A -t 10.0.0.1:80' '# note' '' '-D -t 10.0.0.9:80' '-Sn' | \"$0\" --shell";
    let done = Cmd::new("sh")
        .arg("-c")
        .arg(script)
        .arg(built("ipvsadm")?)
        .env("DPVS_IPC_FILE", desk.ipc().display())
        .run()?;
    ensure!(done.stdout == "-A -t 10.0.0.1:80 -s wlc\n", "{done}");
    ensure!(done.stderr == "ipvsadm: no service tcp 10.0.0.9:80\n", "{done}");
    ensure!(done.code() == 255, "{done}");
    Ok(())
}

#[test]
fn the_view_follows_and_gives_the_terminal_back() -> Result<()> {
    let desk = Desk::new()?;
    desk.ipvsadm("-A -t 10.0.0.1:80 -s rr")?;
    let mut terminal = desk.terminal(&["--top", "-n"])?;
    terminal.wait_for("1 services, 0 servers, by name")?;
    terminal.wait_for("TCP  10.0.0.1:80")?;
    ensure!(!terminal.is_plain()?, "keys are read one by one");
    desk.ipvsadm("-a -t 10.0.0.1:80 -r 10.0.1.1:80 -b")?;
    terminal.wait_for("  -> 10.0.1.1:80")?;
    terminal.types("p")?;
    terminal.wait_for("by packets per second")?;
    terminal.types("q")?;
    ensure!(terminal.ended()?.success());
    terminal.wait_for("\x1b[?1049l")?;
    ensure!(terminal.is_plain()?, "the terminal was not given back");

    let mut terminal = desk.terminal(&["--top"])?;
    terminal.wait_for("1 services")?;
    let pid = rustix::process::Pid::from_raw(terminal.pid().cast_signed());
    rustix::process::kill_process(pid.expect("not 0"), rustix::process::Signal::TERM)?;
    terminal.ended()?;
    terminal.wait_for("\x1b[?1049l")?;
    ensure!(terminal.is_plain()?, "the terminal was not given back after a signal");

    let piped = Cmd::new(built("ipvsadm")?).arg("--top").env("DPVS_IPC_FILE", desk.ipc().display()).run()?;
    ensure!(piped.code() == 2 && piped.stderr.contains("needs a terminal"), "{piped}");
    Ok(())
}
