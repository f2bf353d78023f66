// SPDX-License-Identifier: Apache-2.0
//! Rules that the recorded configurations leave out. Every expectation is written out by hand.

use std::fs;
use std::path::Path;

use keepalived_conf::{dump, keepalived};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The document as it is written.
fn written(report: &keepalived::Report) -> Value {
    serde_json::to_value(dump::Document(report)).expect("documents have text keys")
}

/// The document of `text`.
fn document(text: &str) -> Value {
    match keepalived::parse(text.as_bytes(), "x.conf", "lb1") {
        Ok(report) => written(&report),
        Err(fatal) => dump::fatal("lb1", &fatal),
    }
}

/// `LINE KEYWORD` of every warning, sorted.
fn warnings(text: &str) -> Vec<String> {
    listed(&document(text))
}

fn listed(document: &Value) -> Vec<String> {
    let found = document["warnings"].as_array().expect("a list of warnings");
    found.iter().map(|found| format!("{} {}", found["line"], text(&found["keyword"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// `SERVICE CODE` of every adjustment.
fn adjustments(text_: &str) -> Vec<String> {
    let document = document(text_);
    let found = document["adjustments"].as_array().expect("a list of adjustments");
    found.iter().map(|found| format!("{} {}", text(&found["service"]), text(&found["code"]))).collect()
}

/// A service with `body` before its real server, and `server` in that.
fn service(body: &str, server: &str) -> String {
    format!(
        "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{body}\n\
         real_server 10.0.0.1 80 {{\n{server}\n}}\n}}\n"
    )
}

/// The first checker of the first real server of `service("", server)`.
fn checker(server: &str) -> Value {
    document(&service("", server))["services"][0]["real_servers"][0]["checkers"][0].take()
}

const NONE: [&str; 0] = [];

#[test]
fn every_keyword_that_needs_a_value_stops_without_it() {
    for (line, keyword) in [
        ("delay_loop", "delay_loop"),
        ("sorry_server", "sorry_server"),
        ("real_server {", "real_server"),
        ("quorum_up", "quorum_up"),
        ("laddr_group_name", "laddr_group_name"),
    ] {
        let fatal = document(&service(line, ""))["fatal"].take();
        assert_eq!(fatal, json!({"line": 5, "keyword": keyword}), "{line}");
    }
    let fatal = |text: &str| document(text)["fatal"].take();
    assert_eq!(fatal("\nvirtual_server group {\n}"), json!({"line": 2, "keyword": "virtual_server"}));
    assert_eq!(fatal("virtual_server fwmark {\n}"), json!({"line": 1, "keyword": "virtual_server"}));
    assert_eq!(fatal("virtual_server_group {\n}"), json!({"line": 1, "keyword": "virtual_server_group"}));
    assert_eq!(fatal("virtual_server_group G {\nfwmark\n}"), json!({"line": 2, "keyword": "fwmark"}));
}

#[test]
fn some_keywords_without_value_only_warn() {
    assert_eq!(
        warnings(&service("virtualhost\nsnmp_name", "virtualhost")),
        ["5 virtualhost", "6 snmp_name", "8 virtualhost"]
    );
    let http = "HTTP_GET {\nhttp_protocol\nvirtualhost\nurl {\npath /\nregex\nstatus_code\n}\n}";
    assert_eq!(warnings(&service("", http)), ["8 http_protocol", "9 virtualhost", "12 regex"]);
    assert_eq!(warnings(&service("", "MISC_CHECK {\nmisc_path\nuser\n}")), ["9 user", "10 MISC_CHECK"]);
    assert_eq!(
        warnings("global_defs {\nlvs_timeouts\nlvs_sync_daemon\n}"),
        ["2 lvs_timeouts", "3 lvs_sync_daemon"]
    );
    assert_eq!(warnings("SSL {\npassword\n}\ntrack_file T {\nfile x\nweight\n}"), ["2 password", "6 weight"]);
}

#[test]
fn extra_words_are_ignored_but_for_the_exceptions() {
    assert_eq!(warnings(&service("delay_loop 6 seconds\nlvs_sched wlc rr", "weight 5 extra")), NONE);
    assert_eq!(warnings(&service("lvs_method DR fast\nsnmp_name a b", "")), ["5 lvs_method", "6 snmp_name"]);
    // A method that is not a tunnel takes the options of one.
    assert_eq!(warnings(&service("lvs_method DR nocsum", "")), NONE);
}

#[test]
fn quoted_keywords_and_several_words_of_one_line() {
    let document = document(&service("", "\"weight\" \"6\"\nvirtualhost ab\"cd ef\"gh"));
    let server = &document["services"][0]["real_servers"][0];
    assert_eq!((&server["weight"], &server["virtualhost"]), (&json!(6), &json!("ab")));
    // A brace after a statement that takes none is a stray one, and its partner closes the real server.
    let text = service("", "weight 5 TCP_CHECK {\n}");
    assert_eq!(warnings(&text), ["7 {", "10 }"]);
}

#[test]
fn a_missing_brace_names_the_word_in_its_place() {
    let text = "virtual_server 192.0.2.1 80\nprotocol TCP\nreal_server 10.0.0.1 80 {\n}\n}\n";
    assert_eq!(warnings(text), ["2 protocol"]);
    assert_eq!(document(text)["services"][0]["protocol"], "tcp");
    // An empty block takes the brace of the one around it.
    assert_eq!(warnings(&service("", "TCP_CHECK")), ["0 }", "8 }"]);
}

#[test]
fn an_unmatched_quote_costs_the_rest_of_its_line() {
    let text = service("virtualhost a \"b # c", "");
    assert_eq!(warnings(&text), ["5 virtualhost"]);
    assert_eq!(document(&text)["services"][0]["virtualhost"], "a");
}

#[test]
fn an_unknown_block_is_skipped_whole_without_looking_inside() {
    assert_eq!(warnings("foo {\nbar {\n}\nweight\n}\nvirtual_server_group G {\n192.0.2.1 80\n}"), ["1 foo"]);
    assert_eq!(warnings(&service("real server 10.0.0.1 80 {\nweight 1\n}", "")), ["5 real"]);
}

#[test]
fn an_invalid_header_skips_its_block_silently() {
    for header in ["10.0.0.1:80", "10.0.0.1 http", "10.0.0.256 80", "10.0.0.1 65536", "name 80", "1.2.3 80"] {
        let text = format!("virtual_server {header}\n{{\nnonsense\n}}\n");
        assert_eq!(warnings(&text), ["1 virtual_server"], "{header}");
    }
}

#[test]
fn a_byte_order_mark_is_stripped() {
    assert_eq!(warnings("\u{feff}virtual_server_group G {\n192.0.2.1 80\n}"), NONE);
}

#[test]
fn include_variants_stop_where_their_table_says() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("writable");
    write("a.inc", "global_defs {\nlvs_flush\n}\n");
    let outcome = |line: &str| {
        write("x.conf", &format!("\n{line}\n"));
        match keepalived::load(&dir.path().join("x.conf"), "lb1") {
            Ok(report) if report.findings.is_empty() => "silent",
            Ok(_) => "message",
            Err(fatal) => {
                assert_eq!((fatal.span.line, fatal.keyword.as_str()), (2, "include"), "{line}");
                "fatal"
            }
        }
    };
    let row = |pattern: &str| {
        let variants = ["include", "includer", "includem", "includew", "includeb", "includea"];
        variants.map(|variant| outcome(&format!("{variant} {pattern}")))
    };
    let (s, m, f) = ("silent", "message", "fatal");
    assert_eq!(row("a.inc"), [s, s, s, s, s, s]);
    assert_eq!(row("../"), [m, f, f, f, f, f]);
    assert_eq!(row("missing"), [m, m, f, f, m, f]);
    assert_eq!(row("none-*"), [s, s, s, f, s, f]);
    assert_eq!(row("nowhere/*.conf"), [m, m, f, f, m, f]);
    assert_eq!(row("{a,missing}.inc"), [m, m, m, m, f, f]);
    assert_eq!(outcome("global_defs {\ninclude_check\n}\ninclude a.inc"), s);
}

#[test]
fn include_check_counts_to_the_end_of_its_file() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("writable");
    let load = || keepalived::load(&dir.path().join("x.conf"), "lb1");
    write("x.conf", "global_defs {\ninclude_check match\n}\ninclude missing\n");
    assert_eq!(load().expect_err("a name must exist").span.line, 4);
    write("x.conf", "global_defs {\ninclude_check\ninclude_check -match\n}\ninclude missing\n");
    assert_eq!(load().expect("no name must exist").findings.len(), 1);
    write("strict.inc", "global_defs {\ninclude_check\n}\n");
    write("x.conf", "include strict.inc\ninclude missing\n");
    assert_eq!(load().expect("the file that said so has ended").findings.len(), 1);
}

#[test]
fn a_block_may_open_in_one_file_and_close_in_another() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("writable");
    write("head.inc", "virtual_server 192.0.2.1 80 {\nprotocol TCP\n$W=7\n");
    write("x.conf", "include head.inc\nreal_server 10.0.0.1 80 {\nweight $W\nwhat\n}\n}\n");
    let report = keepalived::load(&dir.path().join("x.conf"), "lb1").expect("good files");
    let document = written(&report);
    assert_eq!(document["services"][0]["real_servers"][0]["weight"], 7);
    assert_eq!(document["warnings"], json!([{"line": 4, "keyword": "what"}]));
}

#[test]
fn files_that_include_each_other_end() {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let path = dir.path().join("x.conf");
    fs::write(&path, "include x.conf\ninclude y.conf\n").expect("writable");
    fs::write(dir.path().join("y.conf"), "\ninclude x.conf\n").expect("writable");
    let report = keepalived::load(&path, "lb1").expect("bounded");
    let found: Vec<(u32, bool)> = report
        .findings
        .iter()
        .map(|found| (found.span.line, found.message.contains("includes itself")))
        .collect();
    assert_eq!(found, [(1, true), (2, true)]);
    // Every file reads the next one twice.
    for number in 0..40 {
        let line = format!("include {}.inc\n", number + 1).repeat(2);
        fs::write(dir.path().join(format!("{number}.inc")), line).expect("writable");
    }
    assert!(keepalived::load(Path::new(&dir.path().join("0.inc")), "lb1").is_ok());
}

#[test]
fn times_keep_six_decimals_and_words_without_digits_are_zero_where_it_is_allowed() {
    let timing = |line: &str| {
        let checker = checker(&format!("TCP_CHECK {{\n{line}\n}}"));
        (checker["delay_loop_us"].clone(), checker["warmup_us"].clone())
    };
    assert_eq!(timing("warmup 0.1234565"), (json!(60_000_000), json!(123_457)));
    assert_eq!(timing("warmup soon"), (json!(60_000_000), json!(0)));
    assert_eq!(timing("warmup -1"), (json!(60_000_000), json!(60_000_000)));
    assert_eq!(timing("delay_loop soon"), (json!(60_000_000), json!(60_000_000)));
    assert_eq!(timing("delay_loop .5"), (json!(500_000), json!(500_000)));
}

#[test]
fn dns_names_and_types() {
    let dns = |lines: &str| {
        let checker = checker(&format!("DNS_CHECK {{\n{lines}\n}}"));
        format!("{} {}", text(&checker["dns_type"]), text(&checker["name"]))
    };
    assert_eq!(dns("type aaaa\nname example.org."), "AAAA example.org.");
    assert_eq!(dns("name ..\nname a"), "SOA a");
    assert_eq!(warnings(&service("", "DNS_CHECK {\nname ..\nname a\nname b\n}")), ["8 name", "10 name"]);
}

#[test]
fn bfd_sessions_must_be_known_and_watched_once() {
    let bfd = |name: &str, more: &str| format!("bfd_instance {name} {{\n{more}\n}}\n");
    let check = "BFD_CHECK {\nname A\n}";
    let text = |instance: &str, server: &str| format!("{instance}{}", service("", server));
    assert_eq!(warnings(&text(&bfd("A", ""), check)), NONE);
    assert_eq!(warnings(&text(&bfd("A", "vrrp"), check)), ["11 name"]);
    assert_eq!(warnings(&text(&bfd("A", "vrrp\nchecker"), check)), NONE);
    assert_eq!(warnings(&text(&bfd("A", ""), "BFD_CHECK {\nname A\nname A\n}")), ["12 name"]);
    assert_eq!(warnings(&text(&bfd("A", ""), &format!("{check}\n{check}"))), ["14 name"]);
    assert_eq!(warnings(&text(&bfd("A", ""), "BFD_CHECK {\nname A b\n}")), ["11 name"]);
    assert_eq!(warnings(&text(&bfd("A", ""), "BFD_CHECK {\nname\n}")), ["11 name"]);
}

#[test]
fn hosts_of_an_smtp_check_are_checkers_of_their_own() {
    let hosts = "host {\nconnect_ip 10.0.0.8\nconnect_timeout 2\n}\nhost {\nconnect_port 587\n}";
    let targets = |lines: &str| -> Vec<String> {
        let config = service("", &format!("SMTP_CHECK {{\nhelo_name h\nretry 4\n{lines}\n}}"));
        let checkers = document(&config)["services"][0]["real_servers"][0]["checkers"].take();
        let describe = |checker: &Value| {
            let connect = &checker["connect"];
            let target = format!("{}:{}", text(&connect["address"]), connect["port"]);
            format!("{target} {} {} {}", connect["timeout_us"], text(&checker["helo_name"]), checker["retry"])
        };
        checkers.as_array().expect("a list").iter().map(describe).collect()
    };
    let own = ["10.0.0.8:80 2000000 h 4", "10.0.0.1:587 5000000 h 4"];
    assert_eq!(targets(hosts), own);
    let plain = "10.0.0.1:25 5000000 h 4";
    assert_eq!(targets(&format!("connect_port 25\n{hosts}")), [plain, own[0], own[1]]);
}

#[test]
fn an_invalid_target_leaves_that_of_the_real_server() {
    let check = checker("TCP_CHECK {\nconnect_ip nowhere\n}");
    assert_eq!(check["connect"]["address"], "10.0.0.1");
    let check = checker("TCP_CHECK {\nbindto 10.0.0.7\nconnect_ip ::1\n}");
    assert_eq!(
        (&check["connect"]["address"], &check["connect"]["bindto"]),
        (&json!("10.0.0.1"), &json!("10.0.0.7"))
    );
}

#[test]
fn an_sni_name_switches_sni_on() {
    let ssl = |line: &str| {
        let checker =
            checker(&format!("SSL_GET {{\n{line}\ntls_compliant\nurl {{\npath /\ntls_compliant off\n}}\n}}"));
        [&checker["enable_sni"], &checker["sni_name"], &checker["tls_compliant"]].map(Value::clone)
    };
    assert_eq!(ssl("sni_name example.org"), [json!(true), json!("example.org"), json!(true)]);
    assert_eq!(ssl("sni_name"), [json!(true), json!(null), json!(true)]);
}

#[test]
fn regular_expressions_are_one_word_with_escapes() {
    let regex = |lines: &str| {
        let check = checker(&format!("HTTP_GET {{\nurl {{\npath /\n{lines}\n}}\n}}"));
        check["urls"][0]["regex"].clone()
    };
    let read = regex("regex \"a\\\\s+ b\"\nregex_options caseless nonsense dotall\nregex_max_offset 9");
    assert_eq!(read["pattern"], "a\\s+ b");
    assert_eq!(read["options"], json!(["caseless", "dotall"]));
    assert_eq!((&read["min_offset"], &read["max_offset"]), (&json!(0), &json!(9)));
    assert_eq!(regex("regex a b"), json!(null));
}

#[test]
fn families_come_from_whatever_is_first() {
    let family = |text: &str| document(text)["services"][0]["family"].clone();
    let mark = |body: &str| format!("virtual_server fwmark 1 {{\nlvs_sched rr\n{body}\n}}");
    let four = "real_server 10.0.0.1 {\n}";
    let six = "real_server ::1 {\n}";
    assert_eq!(family(&mark(&format!("lvs_method NAT\n{six}"))), "inet6");
    assert_eq!(family(&mark(&format!("lvs_method TUN\n{six}\n{four}"))), "inet");
    assert_eq!(
        family(&mark(&format!("lvs_method TUN\nsorry_server ::2\nsorry_server_lvs_method NAT\n{four}"))),
        "inet6"
    );
    assert_eq!(
        warnings(&mark(&format!("ip_family inet6\nlvs_method NAT\n{four}\n{six}"))),
        ["6 real_server"]
    );
    assert_eq!(
        warnings(&mark(&format!("persistence_granularity 255.255.255.0\nip_family inet6\n{four}"))),
        ["4 ip_family"]
    );
}

#[test]
fn servers_of_full_nat_leave_the_family_to_the_group() {
    let text = "virtual_server_group G {\n192.0.2.1 80\n2001:db8::1 80\n}\n\
                virtual_server group G {\nprotocol TCP\nlvs_sched rr\nlb_kind FNAT\nreal_server 10.0.0.1 80 {\n}\n}";
    assert_eq!(adjustments(text), ["group:G group_family_mismatch"]);
    let text = text.replace("192.0.2.1 80\n", "");
    assert_eq!(adjustments(&text), NONE);
    assert_eq!(document(&text)["services"][0]["family"], "inet6");
}

#[test]
fn quorum_and_hysteresis_never_go_below_zero() {
    let text = service("quorum 3", "weight 0");
    assert_eq!(adjustments(&text), ["192.0.2.1:80 quorum_reduced", "192.0.2.1:80 hysteresis_reduced"]);
    let service = &document(&text)["services"][0];
    assert_eq!((&service["quorum"], &service["hysteresis"]), (&json!(0), &json!(0)));
}

#[test]
fn alerts_come_from_the_global_default() {
    let alerts = |globals: &str| {
        let document = document(&format!("{}global_defs {{\n{globals}\n}}", service("", "")));
        let service = &document["services"][0];
        (service["smtp_alert"] == true, service["real_servers"][0]["smtp_alert"] == true)
    };
    assert_eq!(alerts(""), (false, true));
    assert_eq!(alerts("smtp_alert"), (true, true));
    assert_eq!(alerts("smtp_alert\nsmtp_alert_checker off"), (false, false));
}

#[test]
fn the_synchronisation_daemon_takes_both_forms() {
    let daemon = |line: &str| {
        let document = document(&format!("global_defs {{\nlvs_sync_daemon {line}\n}}"));
        (document["globals"]["lvs_sync_daemon"].clone(), listed(&document).len())
    };
    let full = json!({"interface": "eth1", "vrrp_instance": "VI", "id": 7});
    assert_eq!(daemon("eth1 inst VI id 7 port 8848 ttl 3 maxlen 1400 group 224.0.0.81"), (full.clone(), 0));
    assert_eq!(daemon("eth1 VI 7"), (full, 1));
    assert_eq!(daemon("eth1"), (json!({"interface": "eth1", "vrrp_instance": null, "id": null}), 0));
    assert_eq!(daemon("eth1 id 256").1, 1);
    assert_eq!(daemon("eth1\nlvs_sync_daemon eth2").1, 1);
}

#[test]
fn timeouts_keep_their_good_pairs() {
    let text = "global_defs {\nlvs_timeouts tcp 5 what 3 udp 7 tcpfin 2678401\n}";
    assert_eq!(document(text)["globals"]["lvs_timeouts"], json!({"tcp": 5, "tcpfin": 0, "udp": 7}));
    assert_eq!(warnings(text), ["2 lvs_timeouts"]);
}

#[test]
fn the_first_script_stays_and_the_last_host_counts() {
    let text = service("quorum_up /a\nquorum_up /b\nvirtualhost a\nvirtualhost b", "");
    assert_eq!(warnings(&text), ["6 quorum_up", "8 virtualhost"]);
    let document = document(&text);
    let service = &document["services"][0];
    assert_eq!((&service["quorum_up"]["argv"], &service["virtualhost"]), (&json!(["/a"]), &json!("b")));
}

#[test]
fn the_sorry_server_takes_the_method_in_force_at_its_line() {
    let sorry = |body: &str| {
        let document = document(&service(body, ""));
        text(&document["services"][0]["sorry_server"]["forwarding"]).to_string()
    };
    assert_eq!(sorry("lvs_method DR\nsorry_server 10.0.0.9 80\nlvs_method NAT"), "dr");
    assert_eq!(sorry("sorry_server 10.0.0.9 80\nsorry_server_lvs_method TUN"), "tun");
}

#[test]
fn icmp_needs_no_persistence_to_be_read_and_names_come_through() {
    let text = "virtual_server_group \"192.0.2.1-80\" {\n192.0.2.1 80\n}\n\
                virtual_server group 192.0.2.1-80 {\nprotocol TCP\nlvs_sched rr\nlvs_method DR\n\
                real_server 10.0.0.1 80 {\n}\n}";
    assert_eq!(document(text)["groups"][0]["name"], "192.0.2.1-80");
    assert_eq!(adjustments(text), NONE);
}

#[test]
fn importing_twice_gives_the_same() {
    let text = service("virtualhost ${_RANDOM 1 1000000}", "");
    assert_eq!(document(&text), document(&text));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = keepalived::parse(&bytes, "x.conf", "lb1");
    }

    /// Lines of known words in any order reach far deeper than bytes do.
    #[test]
    fn no_words_make_the_reader_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..150)) {
        let text = words.join(" ").replace(" ; ", "\n");
        everything_can_be_made_of(&text)?;
    }

    /// And the normal form of what is left of a real configuration means the same.
    #[test]
    fn damaged_configurations_stay_readable(text in damaged()) {
        everything_can_be_made_of(&text)?;
    }
}

fn everything_can_be_made_of(text: &str) -> Result<(), TestCaseError> {
    if let Ok(report) = keepalived::parse(text.as_bytes(), "x.conf", "lb1") {
        let _ = written(&report);
        let _ = keepalived_conf::commands::ipvsadm(&report.config);
        let steps = keepalived_conf::plan::between(&report.config, &report.config);
        prop_assert!(steps.is_err() || steps == Ok(Vec::new()));
        let printed = keepalived::print::config(&report.config);
        let again = keepalived::parse(printed.as_bytes(), "x.conf", "lb1").expect("the normal form is good");
        prop_assert_eq!(keepalived::print::config(&again.config), printed);
    }
    Ok(())
}

/// A recorded configuration with some lines lost, doubled or with another last word.
fn damaged() -> impl Strategy<Value = String> {
    let files: Vec<String> = fs::read_dir("tests/golden")
        .expect("the recorded files are beside this test")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .map(|path| fs::read_to_string(path).expect("readable"))
        .collect();
    let damage = (any::<prop::sample::Index>(), 0..3, prop::sample::select(WORDS));
    (prop::sample::select(files), prop::collection::vec(damage, 1..6)).prop_map(|(text, damages)| {
        let mut lines: Vec<String> = text.lines().map(String::from).collect();
        for (index, kind, word) in damages {
            let at = index.index(lines.len());
            match kind {
                0 => lines[at].clear(),
                1 => lines.insert(at, lines[at].clone()),
                _ => {
                    let kept = lines[at].trim_end().rsplit_once(' ').map_or("", |(kept, _)| kept);
                    lines[at] = format!("{kept} {word}");
                }
            }
        }
        lines.join("\n")
    })
}

const WORDS: &[&str] = &[
    ";",
    ";",
    ";",
    ";",
    ";",
    "{",
    "{",
    "}",
    "}",
    "virtual_server",
    "192.0.2.1",
    "80",
    "group",
    "G",
    "fwmark",
    "match",
    "virtual_server_group",
    "192.0.2.1-9",
    "::/1",
    "real_server",
    "10.0.0.1",
    "weight",
    "0",
    "-1",
    "4294967296",
    "lvs_method",
    "TUN",
    "type",
    "gue",
    "port",
    "FNAT",
    "protocol",
    "TCP",
    "ICMP",
    "lvs_sched",
    "sh",
    "TCP_CHECK",
    "HTTP_GET",
    "url",
    "path",
    "/",
    "regex",
    "\"a\\x4\"",
    "'",
    "\"",
    "MISC_CHECK",
    "misc_path",
    "$A=",
    "$A",
    "${A}",
    "\\",
    "~SEQ(A,1,3)",
    "~LST({A,B},{1,2})",
    "@lb1",
    "@^lb1",
    "persistence_timeout",
    "persistence_granularity",
    "255.255",
    "quorum",
    "hysteresis",
    "sorry_server",
    "connect_ip",
    "fe80::1",
    "UDP_CHECK",
    "payload",
    "xX",
    "require_reply",
    "FILE_CHECK",
    "track_file",
    "T",
    "file",
    "include",
    "global_defs",
    "lvs_sync_daemon",
    "lvs_timeouts",
    "tcp",
    "virtual_ipaddress",
    "vrrp_instance",
    "local_address_group",
    "dpdk0",
    "laddr_group_name",
    "deny_address_group",
    "ipset:",
    "tunnel_group",
    "tunnel_entry",
    "status_code",
    "100-599",
    "SMTP_CHECK",
    "host",
];
