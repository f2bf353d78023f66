// SPDX-License-Identifier: Apache-2.0
//! `dpip vrrp`: instances of the daemon's keepalived.conf, whose addresses follow a VRRP daemon.

use cli::columns::{Align, Table};
use cli::{json, value};
use model::net::VrrpRole;
use sockopt::{Files, Reply, Request};

use super::{Command, Job, Object, Verb};
use crate::args::Call;
use crate::failure::Failure;
use crate::words::missing;

/// `dpip vrrp`.
pub static OBJECT: Object = Object {
    name: "vrrp",
    about: "virtual addresses of the keepalived.conf",
    commands: &[
        Command {
            verb: Verb::Set,
            forms: &["INSTANCE master|backup|fault"],
            about: "let the addresses of an instance come or go; `set` may be left out",
            parse: set,
        },
        Command { verb: Verb::Show, forms: &[""], about: "list instances with their addresses", parse: show },
    ],
    terms: &[("INSTANCE", "name of a vrrp_instance")],
    text,
    json,
};

fn set(call: &Call) -> Result<Job, Failure> {
    let mut words = call.words();
    let instance = words.next().ok_or_else(|| missing("the instance"))?.to_owned();
    let role = words.next().ok_or_else(|| missing("the role: master, backup or fault"))?;
    let role = value::word("role", role, &VrrpRole::ALL)?;
    words.end()?;
    Ok(Job::Change(Request::Files(Files::Vrrp { instance, role }), String::new()))
}

fn show(call: &Call) -> Result<Job, Failure> {
    call.words().end()?;
    Ok(Job::Ask(Request::Files(Files::Instances)))
}

fn text(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Vrrp(entries)] = replies else { return Err(Failure::unexpected()) };
    let mut table =
        Table::new(&[("instance", Align::Left), ("role", Align::Left), ("addresses", Align::Left)]);
    for entry in entries {
        let addresses =
            entry.addresses.iter().map(|address| format!("{} dev {}", address.prefix, address.dev));
        let addresses: Vec<String> = addresses.collect();
        table.row([&entry.instance, &entry.role.to_string(), &addresses.join(", ")]);
    }
    Ok(table.to_string())
}

fn json(_: &Call, replies: &[Reply]) -> Result<String, Failure> {
    let [Reply::Vrrp(entries)] = replies else { return Err(Failure::unexpected()) };
    Ok(json::document("vrrp", entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::call;
    use sockopt::reply::{VrrpAddress, VrrpEntry};

    #[test]
    fn the_word_set_may_be_left_out() {
        for line in ["dpip vrrp VI_1 master", "dpip vrrp set VI_1 master", "dpip -j vrrp VI_1 master"] {
            let call = call(line).expect("a call");
            assert_eq!(call.words, ["VI_1", "master"], "{line}");
            let Ok(Job::Change(request, _)) = set(&call) else { panic!("{line}") };
            let (instance, role) = ("VI_1".to_owned(), VrrpRole::Master);
            assert_eq!(request, Request::Files(Files::Vrrp { instance, role }));
        }
        for line in ["dpip vrrp VI_1", "dpip vrrp VI_1 stop", "dpip vrrp VI_1 master now", "dpip vrrp"] {
            assert!(call(line).and_then(|call| (call.command.parse)(&call)).is_err(), "{line}");
        }
    }

    #[test]
    fn instances_are_listed_with_their_addresses() {
        let address = |prefix: &str| VrrpAddress { prefix: prefix.parse().unwrap(), dev: "dpdk0".into() };
        let entry =
            |instance: &str, role, addresses| VrrpEntry { instance: instance.into(), role, addresses };
        let reply = Reply::Vrrp(vec![
            entry("VI_1", VrrpRole::Master, vec![address("192.0.2.1/24"), address("192.0.2.2")]),
            entry("VI_2", VrrpRole::Backup, vec![]),
        ]);
        let call = call("dpip vrrp show").expect("a call");
        let shown = text(&call, &[reply]).expect("instances");
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [
                vec!["instance", "role", "addresses"],
                vec!["VI_1", "master", "192.0.2.1/24", "dev", "dpdk0,", "192.0.2.2/32", "dev", "dpdk0"],
                vec!["VI_2", "backup"],
            ]
        );
    }
}
