// SPDX-License-Identifier: Apache-2.0
//! `dpip synproxy`: what the SYN proxy did.

use cli::columns::{Align, Table};
use cli::json;
use sockopt::reply::{SynProxyEntry, SynProxyInfo};
use sockopt::{Get, Reply};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;

/// `dpip synproxy`.
pub static OBJECT: Object = Object {
    name: "synproxy",
    about: "what the SYN proxy did",
    commands: &[Command {
        verb: Verb::Show,
        forms: &[""],
        about: "list what the SYN proxy counted, in all and by service; -v explains it",
        parse: show,
    }],
    terms: &[],
    text,
    json,
};

fn show(call: &Call) -> Result<Job, Failure> {
    call.words().end()?;
    Ok(Job::get(Get::SynProxy))
}

fn text(call: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::SynProxy(info)] = replies else { return Err(Failure::unexpected()) };
    let SynProxyInfo { totals, services } = info;
    let verbose = call.options.verbose;
    let mut table = Table::new(&[("synproxy", Align::Left), ("", Align::Right), ("", Align::Left)]);
    let mut row = |name: &str, count: u64, meaning: &str| {
        table.row([name, &count.to_string(), if verbose { meaning } else { "" }]);
    };
    row("sessions", totals.sessions, "connections whose numbers it shifts");
    row("held", totals.held, "packets that wait for their server to answer, right now");
    row("held bytes", totals.held_bytes, "bytes of them");
    for (name, count) in &totals.counters {
        row(name, *count, meaning(name));
    }
    let mut text = table.to_string();
    if !services.is_empty() {
        text.push('\n');
        text += &by_service(services).to_string();
    }
    Ok(text)
}

fn by_service(services: &[SynProxyEntry]) -> Table {
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        ("service", Align::Left),
        ("synproxy", Align::Left),
        right("standing"),
        right("syn"),
        right("syn-ack"),
        right("proved"),
        right("forged"),
        right("expired"),
        right("refused"),
        right("silent"),
    ]);
    for SynProxyEntry { service, synproxy, stats } in services {
        let count = |name: &str| {
            stats
                .counters
                .iter()
                .find(|(counter, _)| counter == name)
                .map_or(0, |(_, count)| *count)
                .to_string()
        };
        table.row([
            &service.to_string(),
            &synproxy.to_string(),
            &stats.standing.to_string(),
            &count("SYNPROXY_SYN_CNT"),
            &count("SYNPROXY_SYN_ACK"),
            &count("SYNPROXY_OK_ACK"),
            &count("SYNPROXY_BAD_ACK"),
            &count("SYNPROXY_EXPIRED_ACK"),
            &count("SYNPROXY_RS_REFUSED"),
            &count("SYNPROXY_RS_TIMEOUT"),
        ]);
    }
    table
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::SynProxy(info)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("synproxy", info))
}

/// What a counter means, for people.
fn meaning(counter: &str) -> &'static str {
    MEANINGS.iter().find(|(name, _)| *name == counter).map_or("", |(_, meaning)| meaning)
}

/// Every counter of the engine's SYN proxy.
const MEANINGS: &[(&str, &str)] = &[
    ("SYNPROXY_SYN_CNT", "SYNs of clients it looked at"),
    ("SYNPROXY_SYN_ACK", "SYN-ACKs with a cookie that it sent"),
    ("SYNPROXY_NO_DEST", "SYNs to a service without a server of any weight"),
    ("SYNPROXY_LIMITED", "answers not sent: see synack_rate and reset_rate in dpvs.conf"),
    ("SYNPROXY_OK_ACK", "ACKs that proved their client"),
    ("SYNPROXY_BAD_ACK", "ACKs that never were a cookie: a flood, a scan, or a lost connection"),
    (
        "SYNPROXY_EXPIRED_ACK",
        "ACKs whose cookie is older than two minutes; counted as bad while resets are limited",
    ),
    ("SYNPROXY_NULL_ACK", "ACKs without data where defer_rs_syn waits for data"),
    ("SYNPROXY_RESET", "resets sent for bad ACKs"),
    ("SYNPROXY_RS_ERROR", "SYNs to servers that had to be repeated"),
    ("SYNPROXY_RS_REFUSED", "servers that answered with a reset"),
    ("SYNPROXY_RS_TIMEOUT", "servers that never answered"),
    ("SYNPROXY_RS_OTHER", "other servers asked in place of such"),
    ("SYNPROXY_SYNSEND_QLEN", "packets of clients not kept: see max_ack_saved in dpvs.conf"),
    ("SYNPROXY_ACK_STORM", "equal ACKs of servers dropped: see ack_storm_thresh in dpvs.conf"),
    ("SYNPROXY_BAD_RESET", "resets whose number neither end would believe"),
    ("SYNPROXY_AUTO_ON", "times it stepped before a service under load, by worker"),
    ("SYNPROXY_AUTO_OFF", "times it stepped aside again"),
    ("SYNPROXY_PASSED_BY", "SYNs that passed by it: no load, or a neighbour had proved itself"),
    ("SYNPROXY_CONN_REUSED", "new handshakes that replaced an old connection"),
    ("SYNPROXY_CONN_REUSED_ESTAB", "... that was open: its client had lost it"),
    ("SYNPROXY_CONN_REUSED_CLOSE", "... in CLOSE"),
    ("SYNPROXY_CONN_REUSED_TIMEWAIT", "... in TIME_WAIT"),
    ("SYNPROXY_CONN_REUSED_FINWAIT", "... in FIN_WAIT"),
    ("SYNPROXY_CONN_REUSED_CLOSEWAIT", "... in CLOSE_WAIT"),
    ("SYNPROXY_CONN_REUSED_LASTACK", "... in LAST_ACK"),
];

#[cfg(test)]
mod tests {
    use model::ServiceKey;
    use model::stats::{SynProxyStats, SynProxyTotals};

    use super::*;
    use crate::golden::{questions, text, usage};

    fn info() -> Reply {
        Reply::SynProxy(SynProxyInfo {
            totals: SynProxyTotals {
                sessions: 3,
                held: 1,
                held_bytes: 78,
                counters: vec![("SYNPROXY_SYN_CNT".into(), 12), ("SYNPROXY_BAD_ACK".into(), 0)],
            },
            services: vec![SynProxyEntry {
                service: ServiceKey::Endpoint {
                    transport: model::Transport::Tcp,
                    vip: "10.0.1.100:80".parse().expect("a literal address"),
                },
                synproxy: "auto,hold".parse().expect("known words"),
                stats: SynProxyStats { standing: 2, counters: vec![("SYNPROXY_SYN_CNT".into(), 12)] },
            }],
        })
    }

    #[test]
    fn every_counter_of_the_engine_is_explained() {
        let counters = engine::synproxy::counters::Counters::default();
        let known: Vec<_> = counters.named().map(|(name, _)| name).collect();
        let explained: Vec<_> = MEANINGS.iter().map(|(name, _)| *name).collect();
        assert_eq!(explained, known);
    }

    #[test]
    fn totals_and_services_are_listed() {
        let shown = text("dpip synproxy show", &[info()]);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(lines.contains(&vec!["sessions", "3"]) && lines.contains(&vec!["held", "bytes", "78"]));
        assert!(
            lines.contains(&vec!["SYNPROXY_SYN_CNT", "12"]) && lines.contains(&vec!["SYNPROXY_BAD_ACK", "0"])
        );
        let last = lines.last().expect("a service");
        assert_eq!(last[1..], ["10.0.1.100:80", "auto,hold", "2", "12", "0", "0", "0", "0", "0", "0"]);
        let verbose = text("dpip -v synproxy", &[info()]);
        assert!(verbose.contains("12  SYNs of clients it looked at\n"), "{verbose}");
    }

    #[test]
    fn it_takes_no_words() {
        assert_eq!(questions("dpip synproxy").unwrap(), [Get::SynProxy]);
        assert_eq!(usage("dpip synproxy show dpdk0"), "unexpected `dpdk0`");
    }

    #[test]
    fn the_keys_of_the_json_listing_are_fixed() {
        let expected = r#"{
  "version": 1,
  "synproxy": {
    "sessions": 3,
    "held": 1,
    "held_bytes": 78,
    "counters": {
      "SYNPROXY_SYN_CNT": 12,
      "SYNPROXY_BAD_ACK": 0
    },
    "services": [
      {
        "service": {
          "endpoint": {
            "transport": "tcp",
            "vip": "10.0.1.100:80"
          }
        },
        "synproxy": "auto,hold",
        "standing": 2,
        "counters": {
          "SYNPROXY_SYN_CNT": 12
        }
      }
    ]
  }
}
"#;
        assert_eq!(text("dpip synproxy --json", &[info()]), expected);
    }
}
