// SPDX-License-Identifier: Apache-2.0
//! Test: the manual page says what the tables say.

use crate::args::{OPTIONS, synopses};
use crate::object::OBJECTS;

/// The page with all white space made equal: long synopses are broken there.
fn page() -> String {
    let page = include_str!("../../man/dpip.8");
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_form_of_every_command_is_in_the_manual() {
    let page = page();
    for object in OBJECTS {
        for synopsis in object.commands.iter().flat_map(|command| synopses(object, command)) {
            assert!(page.contains(&synopsis), "{synopsis}");
        }
    }
}

#[test]
fn every_option_is_in_the_manual() {
    let page = page();
    let heads: Vec<&str> = page.split(".It ").map(|item| item.split('.').next().unwrap_or("")).collect();
    for option in &OPTIONS {
        let short = option.short.map(|letter| format!("Fl {letter} "));
        let long = option.long.iter().map(|name| format!("Fl -{name} "));
        for flag in short.into_iter().chain(long) {
            let described = heads.iter().any(|head| format!("{head} ").contains(&flag));
            assert!(described, "{flag}");
        }
    }
}

#[test]
fn every_drop_reason_is_in_the_manual() {
    let page = page();
    for reason in engine::verdict::DropReason::ALL {
        assert!(
            page.contains(&format!(".It Li {} ", reason.name())),
            "to be explained in man/dpip.8: {}",
            reason.name()
        );
    }
}
