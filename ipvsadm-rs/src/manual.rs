// SPDX-License-Identifier: Apache-2.0
//! The parts of `man/ipvsadm.8` that follow from the table, in mdoc; and the test that they are there.
//!
//! `UPDATE_MAN=1 cargo test -p ipvsadm manual` writes them anew.

use std::fmt::Write as _;

use crate::describe::heading;
use crate::options::{COMMANDS, Command, OPTIONS, OptDef, RULES, Rule, SERVICE, Value};

/// The list of commands.
fn commands() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for def in COMMANDS {
        item(&mut text, def.short, def.long, def.value, def.help);
    }
    text + ".El\n"
}

/// The lists of options, under their headings.
fn options() -> String {
    let mut text = String::new();
    let mut last = "";
    for def in OPTIONS {
        let title = heading(def.opt);
        if title != last {
            let end = if last.is_empty() { "" } else { ".El\n" };
            let _ = write!(text, "{end}.Ss {title}\n.Bl -tag -width Ds\n");
            last = title;
        }
        item(&mut text, def.short.as_slice(), def.long, def.value, def.help);
    }
    text + ".El\n"
}

fn item(text: &mut String, short: &[char], long: &str, value: Value, help: &str) {
    let short = short.iter().map(|letter| format!("Fl {letter} , "));
    let value = match value {
        Value::None => String::new(),
        Value::Required(name) => format!(" Ar {}", name.to_lowercase()),
        Value::Optional(name) => format!(" Op Ar {}", name.to_lowercase()),
    };
    let mut help = help.to_owned();
    if let Some(first) = help.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let _ = write!(text, ".It {}Fl -{long}{value}\n{help}.\n", short.collect::<String>());
}

/// What each command needs and may have.
fn legal() -> String {
    let mut text = String::from(".Bl -tag -width Ds\n");
    for def in COMMANDS {
        let with = |wanted: fn(&Rule) -> &[Command]| {
            let names = RULES.iter().filter(|rule| wanted(rule).contains(&def.command)).map(|rule| rule.name);
            names.flat_map(spellings).collect::<Vec<_>>()
        };
        let needs = with(|rule| rule.needs);
        let may = [with(|rule| rule.may), with(|rule| rule.alone)].concat();
        if needs.is_empty() && may.is_empty() {
            continue;
        }
        let _ = writeln!(text, ".It Fl -{}", def.long);
        for (word, names) in [("Needs", needs), ("May have", may)] {
            if !names.is_empty() {
                let _ = writeln!(text, "{word}\n{} .", names.join(" ,\n"));
            }
        }
    }
    text + ".El\n"
}

/// The options of a name, each on a line of its own.
fn spellings(name: &'static str) -> Vec<String> {
    if name == SERVICE {
        return vec![".Ar service".to_owned()];
    }
    let of = |def: &&OptDef| def.name == name;
    OPTIONS.iter().filter(of).map(|def| format!(".Fl -{}", def.long)).collect()
}

/// The page with the parts that follow from the table made anew.
fn renewed(page: &str) -> String {
    [("commands", commands()), ("options", options()), ("legal", legal())].iter().fold(
        page.to_owned(),
        |page, (name, part)| {
            let (begin, end) = (format!(".\\\" begin {name}\n"), format!(".\\\" end {name}\n"));
            let (before, rest) = page.split_once(&begin).expect("the page marks where the part begins");
            let (_, after) = rest.split_once(&end).expect("the page marks where the part ends");
            format!("{before}{begin}{part}{end}{after}")
        },
    )
}

#[test]
fn the_manual_says_what_the_table_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../man/ipvsadm.8");
    let page = std::fs::read_to_string(&path).unwrap();
    let wanted = renewed(&page);
    if std::env::var_os("UPDATE_MAN").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(page == wanted, "run UPDATE_MAN=1 cargo test -p ipvsadm manual");
}
