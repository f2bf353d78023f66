// SPDX-License-Identifier: Apache-2.0
//! Recorded configurations: every file of tests/golden against what an instrumented keepalived made of it.
//!
//! Lists are ordered, but for those that are sets: warnings, adjustments, skipped, flags and options of expressions.

use std::path::{Path, PathBuf};

use keepalived_conf::{dump, keepalived};
use serde_json::Value;

#[test]
fn every_recorded_configuration_agrees() {
    let mut wrong = Vec::new();
    for (config, expected) in recordings() {
        differences("", &expected, &document(Path::new(&config), &expected), &mut |difference| {
            wrong.push(format!("{config}{difference}"));
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_normal_form_of_every_recorded_configuration_means_the_same() {
    let mut wrong = Vec::new();
    for (config, mut expected) in recordings().filter(|(_, expected)| expected.get("fatal").is_none()) {
        let id = expected["config_id"].as_str().expect("every recording has an id").to_string();
        let report = keepalived::load(Path::new(&config), &id).expect("not fatal");
        let text = keepalived::print::config(&report.config);
        let again = keepalived::parse(text.as_bytes(), "normal.conf", &id).expect("the normal form is good");
        let mut got = written(&again);
        for key in ["adjustments", "skipped", "warnings"] {
            (expected[key], got[key]) = (Value::Null, Value::Null);
        }
        differences("", &expected, &got, &mut |difference| wrong.push(format!("{config}{difference}")));
        assert_eq!(keepalived::print::config(&again.config), text, "{config}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every recorded file and its document.
fn recordings() -> impl Iterator<Item = (String, Value)> {
    let expectations: Vec<PathBuf> = std::fs::read_dir("tests/golden")
        .expect("the recorded files are beside this test")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.to_string_lossy().ends_with(".expect.json"))
        .collect();
    assert_eq!(expectations.len(), 38);
    expectations.into_iter().map(|path| {
        let text = std::fs::read_to_string(&path).expect("readable");
        let expected = serde_json::from_str(&text).expect("the recorded JSON is good");
        (path.to_string_lossy().replace(".expect.json", ".conf"), expected)
    })
}

/// The document as it is written.
fn written(report: &keepalived::Report) -> Value {
    serde_json::to_value(dump::Document(report)).expect("documents have text keys")
}

fn document(path: &Path, expected: &Value) -> Value {
    let id = expected["config_id"].as_str().expect("every recording has an id");
    match keepalived::load(path, id) {
        Ok(report) => written(&report),
        Err(fatal) => dump::fatal(id, &fatal),
    }
}

fn differences(at: &str, expected: &Value, got: &Value, say: &mut dyn FnMut(String)) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            for (key, value) in expected {
                let at = format!("{at}/{key}");
                match got.get(key) {
                    Some(found) => differences(&at, value, found, say),
                    None => say(format!("{at}: missing")),
                }
            }
            for key in got.keys().filter(|key| !expected.contains_key(*key)) {
                say(format!("{at}/{key}: not recorded"));
            }
        }
        (Value::Array(expected), Value::Array(got)) if is_set(at) => {
            let sorted = |values: &[Value]| {
                let mut texts: Vec<String> = values.iter().map(Value::to_string).collect();
                texts.sort();
                texts
            };
            let (expected, got) = (sorted(expected), sorted(got));
            for value in expected.iter().filter(|value| !got.contains(value)) {
                say(format!("{at}: missing {value}"));
            }
            for value in got.iter().filter(|value| !expected.contains(value)) {
                say(format!("{at}: not recorded {value}"));
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            if expected.len() != got.len() {
                say(format!("{at}: {} recorded, {} found", expected.len(), got.len()));
            }
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                differences(&format!("{at}/{index}"), expected, got, say);
            }
        }
        (expected, got) if expected == got => {}
        (expected, got) => say(format!("{at}: {expected} recorded, {got} found")),
    }
}

fn is_set(at: &str) -> bool {
    ["/warnings", "/adjustments", "/skipped", "/flags", "/options"].iter().any(|name| at.ends_with(name))
}
