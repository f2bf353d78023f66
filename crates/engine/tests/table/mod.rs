// SPDX-License-Identifier: Apache-2.0
//! The tables that say which tests show what is required, in a `README.md` beside the tests: `| number | what | tests |`.

#![allow(dead_code)] // every test binary uses a part of it

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// One row of a table.
#[derive(Debug)]
pub struct Row {
    /// The number, as it stands there.
    pub number: String,
    /// The last cell: tests in backquotes, or why there are none.
    pub text: String,
    /// The tests it names.
    pub tests: Vec<String>,
}

/// The rows of a README, every test they name looked for: in the files it lists as `` - `path` ``, or in the whole workspace where it lists
/// none.
///
/// # Panics
/// When a row says nothing, or names a test that there is none of.
pub fn read(readme: &str) -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let listed = readme.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
    let mut files: Vec<PathBuf> = listed.map(|path| root.join(path)).collect();
    if files.is_empty() {
        files = sources(&root);
    }
    let tests: HashSet<String> = files.iter().flat_map(|path| tests_in(path)).collect();
    let rows: Vec<Row> = readme.lines().filter_map(row).collect();
    for Row { number, tests: named, .. } in &rows {
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
        assert!(missing.is_empty(), "row {number} names tests that do not exist: {missing:?}");
    }
    rows
}

/// A line that is a row: neither the head of a table nor the line below it.
fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, number, what, text, _] = cells[..] else { return None };
    if number == "number" || number.starts_with('-') {
        return None;
    }
    assert!(!what.is_empty() && !text.is_empty(), "row {number} says nothing");
    let tests = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some(Row { number: number.to_owned(), text: text.to_owned(), tests })
}

/// Every source file of ours below `root`.
fn sources(root: &Path) -> Vec<PathBuf> {
    let tops = ["crates", "dpvsd", "dpip-rs", "ipvsadm-rs", "tests"];
    let mut dirs: Vec<PathBuf> = tops.iter().map(|dir| root.join(dir)).collect();
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Names of the functions in a file that are tests: nothing but attributes stands between `#[test]` and them, or the lab runs them.
fn tests_in(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut names, mut test) = (Vec::new(), false);
    for line in text.lines().map(str::trim_start) {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(name) =
            name.and_then(|rest| rest.split('(').next()).filter(|_| test || line.contains("(lab: &Lab"))
        {
            names.push(name.to_owned());
        }
        test = line.starts_with("#[test]") || test && line.starts_with("#[");
    }
    names
}
