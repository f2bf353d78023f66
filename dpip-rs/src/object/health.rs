// SPDX-License-Identifier: Apache-2.0
//! `dpip health`: how the real servers of the daemon's keepalived.conf are.

use cli::columns::{Align, Table};
use cli::json;
use sockopt::reply::{HealthEntry, ServerHealth};
use sockopt::{Files, Reply, Request};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;

/// `dpip health`.
pub static OBJECT: Object = Object {
    name: "health",
    about: "real servers of the keepalived.conf",
    commands: &[Command {
        verb: Verb::Show,
        forms: &[""],
        about: "list services with the servers that are down, and why; -v lists all servers",
        parse: show,
    }],
    terms: &[],
    text,
    json,
};

fn show(call: &Call) -> Result<Job, Failure> {
    call.words().end()?;
    Ok(Job::Ask(Request::Files(Files::Health)))
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Health(entries)] = replies else { return Err(Failure::unexpected()) };
    let mut table = Table::new(&[
        ("service", Align::Left),
        ("servers", Align::Right),
        ("up", Align::Right),
        ("", Align::Left),
    ]);
    for HealthEntry { service, quorum, sorry, servers } in entries {
        let up = servers.iter().filter(|server| server.alive).count();
        let state = match (quorum, sorry) {
            (true, _) => "",
            (false, true) => "no quorum, the sorry server serves",
            (false, false) => "no quorum",
        };
        table.row([service, &servers.len().to_string(), &up.to_string(), state]);
        for server in servers.iter().filter(|server| call.options.verbose || !server.alive) {
            let state = if server.alive { "up" } else { "down" };
            table.row([format!("  {}", server.server).as_str(), "", state, about(server).as_str()]);
        }
    }
    Ok(table.to_string())
}

fn about(server: &ServerHealth) -> String {
    match (server.failed.is_empty(), server.checkers) {
        (true, 0) => format!("weight {}, not checked", server.weight),
        (true, _) => format!("weight {}", server.weight),
        (false, _) => server.failed.join("; "),
    }
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Health(entries)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("health", entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::call;

    #[test]
    fn who_is_down_is_listed_with_the_reason() {
        let server = |host: u8, checkers, failed: &[&str]| ServerHealth {
            server: std::net::SocketAddr::from(([10, 0, 0, host], 80)),
            alive: failed.is_empty(),
            weight: 5,
            checkers,
            failed: failed.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let servers =
            vec![server(1, 1, &[]), server(2, 0, &[]), server(3, 1, &["TCP_CHECK: connect: refused"])];
        let service = "192.0.2.1:80".to_owned();
        let reply = [Reply::Health(vec![HealthEntry { service, quorum: false, sorry: true, servers }])];
        let shown = |line: &str| {
            let text = text(&call(line).expect("a call"), &reply).expect("servers");
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        let (title, service) = ("service servers up", "192.0.2.1:80 3 2 no quorum, the sorry server serves");
        let down = "10.0.0.3:80 down TCP_CHECK: connect: refused";
        assert_eq!(shown("dpip health"), [title, service, down]);
        let up = ["10.0.0.1:80 up weight 5", "10.0.0.2:80 up weight 5, not checked"];
        assert_eq!(shown("dpip -v health show"), [title, service, up[0], up[1], down]);
    }
}
