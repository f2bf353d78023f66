// SPDX-License-Identifier: Apache-2.0
//! Lines of any words: never a panic, and whatever is saved is restored.

use ipvsadm_rs::args::{self, Style};
use ipvsadm_rs::names::Names;
use ipvsadm_rs::request;
use proptest::prelude::*;

use crate::table::Table;
use crate::tool;

/// Words that look like commands, options and values, and some that do not.
fn word() -> impl Strategy<Value = String> {
    let known: Vec<&str> = "-A -E -D -a -e -d -L -Z -S -C -P -U --set -t -u --sctp-service -q -1 -f -6 -H -s -b -p -M --pe -o -j \
        --hash-target --conn-timeout --proxy-protocol --dest-check --quic -r -g -i -m -b -J -w -x -y --tun-type --tun-port \
        --tun-csum -z -F -k -2 -c -n --json --sockpair --cpu -- - 10.0.0.1:80 [::1]:80 ::1 0x7f.1:http 7 rr sh conhash \
        sh-port 255.255.255.0 64 v2 1,2,3s,4-5s tcp gue enable ipset:x dpdk0 tcp:1.1.1.1:1:2.2.2.2:2 \
        proto=tcp,src-range=10.0.0.1-10.0.0.9:1-2,oif=x proto=udp,af=ipv6"
        .split_whitespace()
        .collect();
    prop_oneof![8 => proptest::sample::select(known).prop_map(str::to_owned), 1 => "\\PC{0,12}", 1 => "-{1,2}\\PC{0,6}"]
}

fn service() -> impl Strategy<Value = String> {
    let service = prop_oneof![
        "-t 10\\.0\\.0\\.[1-9]:[1-9][0-9]{0,3}",
        "-u 10\\.0\\.0\\.[1-9]:[1-9][0-9]{0,3}",
        "--sctp-service \\[2001:db8::[1-9]\\]:[1-9][0-9]",
        "-f [1-9][0-9]{0,4}( -6)?",
        "-q 10\\.0\\.0\\.[1-9]",
    ];
    let options = "( -p [1-9][0-9]{0,4})?( --conn-timeout [0-9]{1,5})?( --proxy-protocol v[12](-insecure)?)?( --expire-quiescent)?( --dest-check (default|tcp|1,2s))?";
    (service, "(rr|wrr|sh -b sh-port|mh -b mh-port,flag-3)", options)
        .prop_map(|(service, scheduler, options)| format!("{service} -s {scheduler}{options}"))
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(words in proptest::collection::vec(word(), 0..9)) {
        let names = Names::from_texts("10.0.0.1 vip", "http 80/tcp");
        match args::read(&words, &names).and_then(|line| request::action(&line)) {
            Ok(_) => {}
            Err(misuse) => {
                prop_assert!([2, 255].contains(&misuse.status));
                prop_assert!(!misuse.text.is_empty());
            }
        }
    }

    #[test]
    fn what_is_saved_makes_the_same_table(
        services in proptest::collection::vec((service(), "-[gmib] -w [0-9]{1,5}( -x 9 -y [0-9])?"), 1..12),
    ) {
        let names = tool::names();
        let run = |words: &str, stdin: &str, table: &mut Table| {
            let argv: Vec<String> = format!("ipvsadm {words}").split(' ').map(str::to_owned).collect();
            tool::run(&argv, stdin, table, &names, Style::Dpvs)
        };
        let mut table = Table::default();
        for (service, server) in &services {
            run(&format!("-A {service}"), "", &mut table);
            let key = service.split(" -s ").next().unwrap_or_default();
            let ip = if key.contains("-6") || key.contains("db8") { "2001:db8::99" } else { "10.0.9.9" };
            run(&format!("-a {key} -r {ip} {server}"), "", &mut table);
        }
        let saved = run("-Sn", "", &mut table).seen.stdout.unwrap();
        let mut restored = Table::default();
        let ran = run("-R --atomic", &saved, &mut restored);
        prop_assert_eq!(ran.stderr, "");
        prop_assert_eq!(run("-Sn", "", &mut restored).seen.stdout.unwrap(), saved);
        table.services.sort_by(|a, b| a.key.cmp(&b.key));
        restored.services.sort_by(|a, b| a.key.cmp(&b.key));
        prop_assert_eq!(table.services, restored.services);
    }
}
