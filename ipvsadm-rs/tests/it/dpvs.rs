// SPDX-License-Identifier: Apache-2.0
//! DPVS's own commands and listings. Expected texts are those that DPVS 1.10.2 printed.

use ipvsadm_rs::args::Style;
use model::{ConnEntry, ConnState, Transport};

use crate::table::Table;
use crate::tool::{self, Ran};

fn run(style: Style, words: &str, table: &mut Table) -> Ran {
    let argv: Vec<String> = format!("ipvsadm {words}").split_whitespace().map(str::to_owned).collect();
    tool::run(&argv, "", table, &tool::names(), style)
}

/// What a command prints in DPVS's style.
fn dpvs(words: &str, table: &mut Table) -> String {
    let ran = run(Style::Dpvs, words, table);
    assert_eq!((ran.stderr.as_str(), ran.seen.status), ("", 0), "{words}");
    ran.seen.stdout.unwrap()
}

/// Why a command is refused, and with which status.
fn refused(words: &str, table: &mut Table) -> (i32, String) {
    let ran = run(Style::Stock, words, table);
    (ran.seen.status, ran.stderr.trim_start_matches("ipvsadm: ").trim_end().to_owned())
}

fn services() -> Table {
    let mut table = Table::default();
    for line in [
        "-A -t 10.0.1.100:80 -s rr -j enable",
        "-A -u 10.0.1.100:53 -s wrr",
        "-A -u 10.0.1.100:443 -s conhash --hash-target qid --quic",
        "-A -t 10.0.1.100:82 -s conhash",
        "-A -t 10.0.1.100:87 -s wlc -p 60 -M 255.255.255.0",
        "-A -t 10.0.1.100:89 -s rr --conn-timeout 600",
        "-A -t 10.0.1.100:90 -s rr --proxy-protocol V2",
        "-A -t 10.0.1.100:91 -s rr --proxy-protocol v1-insecure",
        "-A -t 10.0.1.100:92 -s rr --expire-quiescent",
        "-A -t 10.0.1.100:93 -s rr --dest-check default",
        "-A -t 10.0.1.100:94 -s rr --dest-check 1,2,5s,5-600s",
        "-A -t 10.0.1.100:95 -s rr --dest-check 1,3s",
        "-A -u 10.0.1.100:97 -s rr -o",
        "-A --sctp-service 10.0.1.100:98 -s rr",
        "-A -t [fd00:1::100]:80 -s wrr",
        "-A -H proto=tcp,src-range=192.168.0.0-192.168.255.255,oif=dpdk0 -s rr",
        "-A -H proto=udp,src-range=172.16.0.1-172.16.0.9:1-1024,dst-range=1.1.1.1-1.1.1.9:53-54,iif=dpdk1,oif=dpdk0 -s wrr",
        "-a -t 10.0.1.100:80 -r 10.0.2.2:8080 -b",
        "-a -t 10.0.1.100:80 -r 10.0.2.5:8080 -b -x 100 -y 50",
        "-a -u 10.0.1.100:53 -r 10.0.2.3:53 -m -w 3",
        "-a -t 10.0.1.100:82 -r 10.0.2.3:82 -g -w 100",
        "-a -H proto=udp,src-range=172.16.0.1-172.16.0.9:1-1024,dst-range=1.1.1.1-1.1.1.9:53-54,iif=dpdk1,oif=dpdk0 -r 10.0.1.60:0 -w 10 -J",
        "-a -t [fd00:1::100]:80 -r [fd00:2::2]:8080 -b",
        "-a -t [fd00:1::100]:80 -r 10.0.2.2:8080 -b",
        "-P -z 10.0.2.200 -t 10.0.1.100:80 -F dpdk1",
        "-P -z 10.0.2.201 -t 10.0.1.100:80 -F dpdk1",
        "-U -t [fd00:1::100]:80 -k fd00:1::66",
        "-U -t 10.0.1.100:82 -k ipset:blk",
        "-O -t 10.0.1.100:80 -2 10.0.1.2",
    ] {
        dpvs(line, &mut table);
    }
    table
}

#[test]
fn services_are_listed_with_everything_dpvs_adds() {
    let mut table = services();
    assert_eq!(
        dpvs("-Ln", &mut table),
        "IP Virtual Server version 1.10.2 (size=0)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
MATCH tcp,from=192.168.0.0-192.168.255.255:0-0,oif=dpdk0 rr
TCP  10.0.1.100:80 rr synproxy
  -> 10.0.2.2:8080                FullNat 1      0          0         
  -> 10.0.2.5:8080                FullNat 1      0          0         
TCP  10.0.1.100:82 conhash sip
  -> 10.0.2.3:82                  Route   100    0          0         
TCP  10.0.1.100:87 wlc persistent 60 mask 255.255.255.0
TCP  10.0.1.100:89 rr conn-timeout 600
TCP  10.0.1.100:90 rr ppv2
TCP  10.0.1.100:91 rr ppv1-insecure
TCP  10.0.1.100:92 rr expire-quiescent
TCP  10.0.1.100:93 rr dest-check internal:default
TCP  10.0.1.100:94 rr dest-check internal:1,2,5s,5-600s
TCP  10.0.1.100:95 rr dest-check internal:1,3s
MATCH udp,from=172.16.0.1-172.16.0.9:1-1024,to=1.1.1.1-1.1.1.9:53-54,iif=dpdk1,oif=dpdk0 wrr
  -> 10.0.1.60:0                  SNAT    10     0          0         
UDP  10.0.1.100:53 wrr
  -> 10.0.2.3:53                  Masq    3      0          0         
UDP  10.0.1.100:97 rr ops
UDP  10.0.1.100:443 conhash qid quic
SCTP  10.0.1.100:98 rr
TCP  [fd00:1::100]:80 wrr
  -> [fd00:2::2]:8080             FullNat 1      0          0         
  -> 10.0.2.2:8080                FullNat 1      0          0         
"
    );
}

#[test]
fn counters_of_long_names_move_to_the_right() {
    let mut table = services();
    let stats = dpvs("-Ln --stats", &mut table);
    let lines: Vec<&str> = stats.lines().skip(3).take(2).collect();
    assert_eq!(
        lines,
        [
            "MATCH tcp,from=192.168.0.0-192.168.255.255:0-0,oif=dpdk0        0        0        0        0        0",
            "TCP  10.0.1.100:80                       0        0        0        0        0",
        ]
    );
    assert!(
        stats.contains("SCTP  10.0.1.100:98                      0        0        0        0        0\n")
    );
}

#[test]
fn local_addresses_and_access_lists_have_their_columns() {
    let mut table = services();
    assert_eq!(
        dpvs("-G -t 10.0.1.100:80", &mut table),
        "VIP:VPORT            TOTAL    SNAT_IP              CONFLICTS  CONNS     
10.0.1.100:80        2        
                              10.0.2.200           0          0         
                              10.0.2.201           0          0         
"
    );
    assert_eq!(dpvs("-G -n", &mut table).lines().count(), 1 + 17 + 2);
    assert_eq!(
        dpvs("-B", &mut table),
        "PROTO    VIP:VPORT                      BLACKLIST                     
TCP      10.0.1.100:82                  ipset:blk                     
TCP      [fd00:1::100]:80               fd00:1::66                    
"
    );
    assert_eq!(
        dpvs("-W -t 10.0.1.100:80 -n", &mut table),
        "PROTO    VIP:VPORT                      WHITELIST                     
TCP      10.0.1.100:80                  10.0.1.2                      
"
    );
}

fn conn(transport: Transport, state: ConnState, expires: u32, ends: [&str; 4]) -> ConnEntry {
    let [client, virt, local, dest] = ends.map(|end| end.parse().unwrap());
    ConnEntry {
        lcore: 0,
        transport,
        state,
        expires,
        client,
        virt,
        local,
        dest,
        template: false,
        mark: None,
        engine: None,
    }
}

#[test]
fn row049_connections_have_the_row_of_their_style() {
    let mut table = Table::default();
    let v6 = ["[fd00:1::2]:44432", "[fd00:1::100]:80", "[fd00:2::200]:1026", "[fd00:2::2]:8080"];
    let udp = ["10.0.1.2:48479", "10.0.1.100:53", "10.0.2.200:1025", "10.0.2.2:5353"];
    let template = ["10.0.1.2:0", "10.0.1.100:86", "10.0.1.2:0", "10.0.2.2:0"];
    table.conns = vec![
        conn(Transport::Tcp, ConnState::Established, 90, v6),
        conn(Transport::Udp, ConnState::UdpOneWay, 60, udp),
        ConnEntry { template: true, ..conn(Transport::Tcp, ConnState::None, 50, template) },
    ];
    assert_eq!(
        dpvs("-Lnc", &mut table),
        "[1]tcp 90s    TCP_EST     [fd00:1::2]:44432  [fd00:1::100]:80   [fd00:2::200]:1026 [fd00:2::2]:8080
[1]udp 60s    UDP_ONEWAY  10.0.1.2:48479     10.0.1.100:53      10.0.2.200:1025    10.0.2.2:5353
"
    );
    assert_eq!(
        dpvs("-Lnc --persistent-conn", &mut table),
        "[1]tcp 50s    TCP_NONE    10.0.1.2:0         10.0.1.100:86      10.0.1.2:0         10.0.2.2:0\n"
    );
    assert_eq!(
        run(Style::Stock, "-Lc", &mut table).seen.stdout.unwrap(),
        "IPVS connection entries
pro expire state       source             virtual            destination
TCP 01:30  ESTABLISHED [fd00:1::2]:44432  [fd00:1::100]:http [fd00:2::2]:http-alt
UDP 01:00  UDP         10.0.1.2:48479     10.0.1.100:domain  10.0.2.2:mdns
TCP 00:50  NONE        10.0.1.2:0         10.0.1.100:86      10.0.2.2:0
"
    );
    let one = "-Lnc --sockpair udp:10.0.1.2:48479:10.0.1.100:53";
    assert_eq!(dpvs(one, &mut table).lines().count(), 1);
    let (status, reason) = refused("-Lnc --sockpair tcp:10.0.1.2:1:10.0.1.100:80", &mut table);
    assert_eq!((status, reason.as_str()), (1, "connection specified not found"));
}

#[test]
fn an_edit_in_dpvs_style_keeps_what_it_does_not_name() {
    let mut table = Table::default();
    dpvs("-A -u 10.0.0.1:53 -s rr -p 60 -M 255.255.255.0 -o", &mut table);
    dpvs("-E -u 10.0.0.1:53 -s wrr", &mut table);
    dpvs("-E -u 10.0.0.1:53 -p 90", &mut table);
    dpvs("-E -u 10.0.0.1:53 --conn-timeout 7", &mut table);
    let kept = "-A -u 10.0.0.1:53 -s wrr -p 90 -M 255.255.255.0 -o --conn-timeout 7\n";
    assert_eq!(dpvs("-Sn", &mut table), kept);
    run(Style::Stock, "-E -u 10.0.0.1:53", &mut table);
    assert_eq!(dpvs("-Sn", &mut table), "-A -u 10.0.0.1:53 -s wlc --conn-timeout 7\n");
}

#[test]
fn icmp_13_services_have_no_port_and_need_none() {
    let mut table = Table::default();
    dpvs("-A -q 10.0.1.100 -s rr", &mut table);
    dpvs("-A -1 [2001:db8::10]:0 -s rr", &mut table);
    dpvs("-a -q 10.0.1.100:0 -r 10.0.2.2 -b", &mut table);
    let stock = run(Style::Stock, "-Ln", &mut table).seen.stdout.unwrap();
    let lines: Vec<&str> = stock.lines().skip(3).collect();
    assert_eq!(
        lines,
        [
            "ICMP 10.0.1.100:0 rr",
            "  -> 10.0.2.2:0                   FullNat 1      0          0         ",
            "ICMPv6 [2001:db8::10]:0 rr",
        ]
    );
    for (words, reason) in [
        ("-A -q 10.0.1.100:8", "-q `10.0.1.100:8`: ICMP has no ports: leave it out, or write 0"),
        ("-A -q 2001:db8::1", "-q `2001:db8::1`: an address of the other family; use --icmpv6-service"),
        ("-a -q 10.0.1.100 -r 10.0.2.2:80 -b", "ICMP has no ports: leave `:80` of the server out"),
    ] {
        assert_eq!(refused(words, &mut table), (2, reason.to_owned()));
    }
}

#[test]
fn who_answers_queries_is_shown_saved_and_changed() {
    let mut table = Table::default();
    dpvs("-A -q 10.0.1.100:0 -s rr --echo alive:2", &mut table);
    dpvs("-A --icmp-service 10.0.1.101 -s rr", &mut table);
    dpvs("-A --icmpv6-service 2001:db8::10 -s rr --echo drop", &mut table);
    let saved = "-A -q 10.0.1.100:0 -s rr --echo alive:2\n\
                 -A -q 10.0.1.101:0 -s rr\n\
                 -A -1 [2001:db8::10]:0 -s rr --echo drop\n";
    assert_eq!(dpvs("-Sn", &mut table), saved);
    let mut again = Table::default();
    for line in saved.lines() {
        dpvs(line, &mut again);
    }
    assert_eq!(dpvs("-Sn", &mut again), saved);
    let shown = run(Style::Stock, "-Ln", &mut table).seen.stdout.unwrap();
    let lines: Vec<&str> = shown.lines().skip(3).collect();
    assert_eq!(
        lines,
        ["ICMP 10.0.1.100:0 rr echo alive:2", "ICMP 10.0.1.101:0 rr", "ICMPv6 [2001:db8::10]:0 rr echo drop"]
    );
    let json = run(Style::Stock, "-Ln --json", &mut table).seen.stdout.unwrap();
    let words: String = json.split_whitespace().collect();
    for policy in ["\"echo\":\"alive:2\"", "\"echo\":\"forward\"", "\"echo\":\"drop\""] {
        assert!(words.contains(policy), "{policy}: {json}");
    }
    dpvs("-E -q 10.0.1.100 -s wrr", &mut table);
    dpvs("-E -q 10.0.1.101 --echo local", &mut table);
    dpvs("-E -1 2001:db8::10 --echo forward", &mut table);
    let changed = "-A -q 10.0.1.100:0 -s wrr --echo alive:2\n-A -q 10.0.1.101:0 -s rr --echo local\n-A -1 [2001:db8::10]:0 -s rr\n";
    assert_eq!(dpvs("-Sn", &mut table), changed);
    for (words, reason) in [
        ("-A -t 10.0.0.1:80 --echo local", "--echo is for ICMP services"),
        ("-A -q 10.0.0.1 --echo alive:0", "--echo `0` servers: 1 to 65535 expected"),
        ("-A -q 10.0.0.1 --echo maybe", "--echo `maybe`: forward, local, alive[:N] or drop expected"),
    ] {
        assert_eq!(refused(words, &mut table), (2, reason.to_owned()));
    }
}

#[test]
fn values_that_make_no_sense_are_refused_with_what_would() {
    let mut table = Table::default();
    for words in [
        "-A -t 10.0.0.1:80 -s rr --hash-target sip",
        "-A -t 10.0.0.1:80 -s conhash --hash-target qid",
        "-A -u 10.0.0.1:80 -s conhash --hash-target quid",
        "-A -t 10.0.0.1:80 -j maybe",
        "-A -u 10.0.0.1:80 -j enable",
        "-A -t 10.0.0.1:80 --quic",
        "-A -t 10.0.0.1:80 --proxy-protocol v3",
        "-A -t 10.0.0.1:80 --dest-check tcp,ping",
        "-A -t 10.0.0.1:80 --dest-check 0,1,3s,5-60s",
        "-A -t 10.0.0.1:80 --dest-check 1,1,3s,60-5s",
        "-A -t 10.0.0.1:80 --conn-timeout x",
        "-A -H proto=tcp",
        "-P -t 10.0.0.1:80 -z 10.0.0.9",
        "-P -t 10.0.0.1:80 -F dpdk0",
        "-P -t 10.0.0.1:80 -z ten -F dpdk0",
        "-U -t 10.0.0.1:80",
        "-U -t 10.0.0.1:80 -k bogus",
        "-U -t 10.0.0.1:80 -k ipset:",
        "-L -n --sockpair tcp:1.1.1.1:1:2.2.2.2:2",
        "-Lnc --sockpair bogus",
        "-Lnc --sockpair tcp:1.1.1.1:1:[::1]:2",
        "-a -t 10.0.0.1:80 -r 10.0.0.2:80 -b -m",
        "-C --conn-timeout 5",
    ] {
        let (status, reason) = refused(words, &mut table);
        assert_eq!(status, 2, "{words}");
        assert!(!reason.is_empty() && !reason.contains('\n'), "{words}: {reason}");
    }
    assert!(table.asked.is_empty(), "nothing reaches the daemon");
}

#[test]
fn json_has_the_same_data_under_stable_names() {
    let mut table = Table::default();
    dpvs("-A -t 10.0.0.1:80 -s sh -b sh-port -p 60", &mut table);
    dpvs("-a -t 10.0.0.1:80 -r 10.0.0.2 -i --tun-type gue --tun-port 6080", &mut table);
    dpvs("-A -f 4294967295", &mut table);
    let text = run(Style::Stock, "-L --json", &mut table).seen.stdout.unwrap();
    for line in [
        "{\n  \"version\": 1,\n  \"services\": [",
        "\"protocol\": \"tcp\",\n      \"family\": \"inet\",\n      \"address\": \"10.0.0.1\",\n      \"port\": 80,",
        "\"scheduler_flags\": [\n        \"sh-port\"\n      ],",
        "\"persistent\": {\n        \"timeout\": 60,\n        \"netmask\": \"255.255.255.255\"\n      },",
        "\"tunnel\": {\n            \"kind\": \"gue\",\n            \"port\": 6080,\n            \"checksum\": \"none\"\n          },",
        "\"fwmark\": 4294967295,",
    ] {
        assert!(text.contains(line), "{line}\nin\n{text}");
    }
}

#[test]
fn every_member_of_the_json_documents_is_in_the_manual() {
    let page = include_str!("../../../man/ipvsadm.8");
    let words: Vec<&str> = page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let mut table = services();
    dpvs("-a -u 10.0.1.100:443 -r 10.0.2.9 -i --tun-type gue --tun-port 6080", &mut table);
    let ends = ["10.0.1.2:1", "10.0.1.100:80", "10.0.2.200:2", "10.0.2.2:8080"];
    table.conns = vec![conn(Transport::Tcp, ConnState::Established, 90, ends)];
    for listing in ["-L --json", "-Lc --json", "-L --timeout --json", "-L --daemon --json"] {
        let text = run(Style::Stock, listing, &mut table).seen.stdout.unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut keys = Vec::new();
        collect(&document, &mut keys);
        for key in keys {
            assert!(words.contains(&key.as_str()), "`{key}` of {listing} is not in man/ipvsadm.8");
        }
    }
}

fn collect(value: &serde_json::Value, keys: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                keys.push(key.clone());
                collect(value, keys);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, keys)),
        _ => {}
    }
}
