// SPDX-License-Identifier: Apache-2.0
//! Does what a call asks: questions and changes to the daemon, its answers to the output.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use cli::exit::complain;
use cli::{Ask, exit};
use sockopt::{Get, Reply, Request};

use crate::TOOL;
use crate::args::Call;
use crate::failure::Failure;
use crate::object::{Job, link};

/// Does all of `call`.
///
/// # Errors
///
/// [`Failure`] when the command line makes no sense, the daemon refuses or does not answer, or `out` takes nothing.
pub fn run(daemon: &mut impl Ask, call: &Call, out: &mut impl Write) -> Result<(), Failure> {
    match (call.command.parse)(call)? {
        Job::Change(request, note) => {
            change(daemon, &request)?;
            print(out, &note)
        }
        Job::Tolerant(set, code) => match daemon.ask(&Request::Set(set))? {
            Reply::Done => Ok(()),
            Reply::Refused(status) if status.code == code => {
                complain(TOOL, format_args!("warning: {status}"));
                Ok(())
            }
            Reply::Refused(status) => Err(status.into()),
            _ => Err(Failure::unexpected()),
        },
        Job::Look(get, decide) => {
            let set = decide(&ask(daemon, &Request::Get(get))?)?;
            change(daemon, &Request::Set(set))
        }
        Job::Ask(request) => {
            let reply = ask(daemon, &request)?;
            let show = if call.options.json { call.object.json } else { call.object.text };
            print(out, &show(call, &[reply])?)
        }
        Job::Test(get) => {
            let reply = ask(daemon, &Request::Get(get))?;
            let is_so = matches!(reply, Reply::IsInSet(true));
            let show = if call.options.json { call.object.json } else { call.object.text };
            print(out, &show(call, &[reply])?)?;
            if is_so { Ok(()) } else { Err(Failure::No) }
        }
        Job::Show(gets) => {
            let replies = ask_all(daemon, &gets)?;
            let show = if call.options.json { call.object.json } else { call.object.text };
            print(out, &show(call, &replies)?)?;
            match call.options.interval {
                Some(seconds) => repeat(daemon, call, &gets, replies, seconds, out),
                None => Ok(()),
            }
        }
    }
}

/// Prints what changed, every `seconds`, as often as asked for.
fn repeat(
    daemon: &mut impl Ask,
    call: &Call,
    gets: &[Get],
    mut before: Vec<Reply>,
    seconds: u32,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut asked = Instant::now();
    for nth in 0.. {
        if call.options.count.is_some_and(|count| nth >= count) {
            break;
        }
        thread::sleep(Duration::from_secs(seconds.into()));
        let after = ask_all(daemon, gets)?;
        let elapsed = asked.elapsed().as_secs_f64();
        asked = Instant::now();
        let text = link::interval(call, &before, &after, elapsed)?;
        match call.options.color && nth % 2 == 1 {
            true => print(out, &format!("{BLUE}{text}{PLAIN}"))?,
            false => print(out, &text)?,
        }
        before = after;
    }
    Ok(())
}

const BLUE: &str = "\x1b[34m";
const PLAIN: &str = "\x1b[0m";

fn change(daemon: &mut impl Ask, request: &Request) -> Result<(), Failure> {
    match ask(daemon, request)? {
        Reply::Done => Ok(()),
        _ => Err(Failure::unexpected()),
    }
}

fn ask_all(daemon: &mut impl Ask, gets: &[Get]) -> Result<Vec<Reply>, Failure> {
    let mut replies = Vec::with_capacity(gets.len());
    for get in gets {
        let mut next = Some(get.clone());
        while let Some(get) = next.take() {
            let reply = ask(daemon, &Request::Get(get.clone()))?;
            if let (Get::Sets { name, .. }, Reply::Sets(page)) = (get, &reply) {
                next = page.next.map(|cursor| Get::Sets { name, cursor });
            }
            replies.push(reply);
        }
    }
    Ok(replies)
}

/// A reply that is no refusal.
fn ask(daemon: &mut impl Ask, request: &Request) -> Result<Reply, Failure> {
    match daemon.ask(request)? {
        Reply::Refused(status) => Err(status.into()),
        reply => Ok(reply),
    }
}

/// Writes `text`.
pub fn print(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    exit::print(out, text).map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use cli::AskError;
    use model::link::{CpuCounters, CpuInfo};

    use super::*;
    use crate::golden::call;

    /// A daemon with one worker that goes round its loop 100 times from question to question.
    struct Turning(u64);

    impl Ask for Turning {
        fn ask(&mut self, _: &Request) -> Result<Reply, AskError> {
            self.0 += 100;
            let counters = CpuCounters { lcore_loop: self.0, ..CpuCounters::default() };
            Ok(Reply::Cpus(vec![CpuInfo { cpu: 1, socket: 0, worker: true, queues: vec![], counters }]))
        }
    }

    #[test]
    fn repetitions_are_counted_and_every_other_one_is_coloured() {
        let mut out = Vec::new();
        let call = call("dpip -s -C link show cpu1 -i 1 -c 2").unwrap();
        let begun = Instant::now();
        run(&mut Turning(0), &call, &mut out).unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(2));
        let out = String::from_utf8(out).unwrap();
        let titles: Vec<&str> = out.lines().filter(|line| line.contains("lcore_loop/lps")).collect();
        assert_eq!(titles.len(), 2);
        assert!(!titles[0].starts_with(BLUE) && titles[1].starts_with(BLUE));
        assert!(out.ends_with(PLAIN));
        // 100 in a second and a bit.
        let gained = out.lines().nth(3).unwrap().split_whitespace().next().unwrap();
        assert!((50..=100).contains(&gained.parse::<u32>().unwrap()), "{gained}");
    }
}
