// SPDX-License-Identifier: Apache-2.0
//! Which files an `include` means, and the guard against files that include each other.
//!
//! A pattern is what glob(3) takes: `*`, `?`, `[..]` and, as csh has it, `{a,b}`.

use std::path::{Path, PathBuf};

/// How deep files may include each other.
pub const MAX_DEPTH: usize = 32;
/// How many files one configuration may read. Stops files that each include the next one twice.
pub const MAX_FILES: usize = 4096;
/// How many alternatives the braces of one pattern may make.
const MAX_ALTERNATIVES: usize = 1024;
/// Longest pattern in bytes: longer than any path.
const MAX_PATTERN: usize = 4096;

/// The files on the way from the first one to the one being read.
#[derive(Debug, Default)]
pub struct Includes {
    stack: Vec<PathBuf>,
    files: usize,
}

impl Includes {
    /// Notes that `path` is about to be read.
    ///
    /// # Errors
    ///
    /// The reason not to: it is being read already, or there are too many files.
    pub fn enter(&mut self, path: &Path) -> Result<(), String> {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if self.stack.contains(&path) {
            return Err(format!("{} includes itself", path.display()));
        }
        if self.stack.len() == MAX_DEPTH {
            return Err(format!("files include each other deeper than {MAX_DEPTH}"));
        }
        if self.files == MAX_FILES {
            return Err(format!("more than {MAX_FILES} files included"));
        }
        self.files += 1;
        self.stack.push(path);
        Ok(())
    }

    /// Notes that the file entered last is read to its end.
    pub fn leave(&mut self) {
        self.stack.pop();
    }
}

/// What a pattern matched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The files, sorted per alternative of the braces.
    pub files: Vec<PathBuf>,
    /// How many alternatives the braces make; 1 without braces.
    pub alternatives: usize,
    /// Alternatives without wildcards that name nothing.
    pub missing: usize,
    /// Alternatives with wildcards in a directory that does not exist.
    pub nowhere: usize,
}

/// The files that `pattern` means, seen from `directory`. A name without wildcards is a match only where it exists.
///
/// # Errors
///
/// A pattern that makes no sense, such as `[` without `]`, is too long, or has braces that make too many alternatives.
pub fn expand(directory: &Path, pattern: &str) -> Result<Found, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("pattern longer than {MAX_PATTERN} bytes"));
    }
    let alternatives = alternatives(pattern)?;
    let mut found = Found { alternatives: alternatives.len(), ..Found::default() };
    for alternative in alternatives {
        let path = directory.join(&alternative);
        let Some(wildcard) = alternative.find(['*', '?', '[']) else {
            match path.exists() {
                true => found.files.push(path),
                false => found.missing += 1,
            }
            continue;
        };
        let parent = alternative[..wildcard].rfind('/').map_or("", |slash| &alternative[..=slash]);
        found.nowhere += usize::from(!parent.is_empty() && !directory.join(parent).is_dir());
        found.files.extend(matches(directory, alternative)?);
    }
    Ok(found)
}

/// The files that match `pattern`, which has wildcards, sorted.
fn matches(directory: &Path, mut pattern: String) -> Result<impl Iterator<Item = PathBuf>, String> {
    // To glob(3) `**` is `*`; here it would walk whole trees.
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    let place = directory.to_string_lossy();
    if !place.is_empty() && !Path::new(&pattern).is_absolute() {
        // The directory is a place, not part of the pattern.
        pattern = format!("{}/{pattern}", glob::Pattern::escape(&place));
    }
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(&pattern, options).map_err(|error| format!("bad pattern: {}", error.msg))?;
    Ok(paths.filter_map(Result::ok))
}

/// The texts that the braces of `pattern` stand for, leftmost slowest. Braces without a partner are text.
fn alternatives(pattern: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_string()];
    while let Some(pattern) = waiting.pop() {
        if done.len() + waiting.len() > MAX_ALTERNATIVES {
            return Err(format!("braces make more than {MAX_ALTERNATIVES} alternatives"));
        }
        match first_braces(&pattern) {
            None => done.push(pattern),
            Some((_, choices, _)) if choices.len() > MAX_ALTERNATIVES => {
                return Err(format!("braces make more than {MAX_ALTERNATIVES} alternatives"));
            }
            Some((head, choices, tail)) => {
                waiting.extend(choices.iter().rev().map(|choice| format!("{head}{choice}{tail}")));
            }
        }
    }
    Ok(done)
}

/// The first pair of braces of `pattern`: what stands before it, its choices, what stands behind.
fn first_braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let mut depth = 0usize;
    let mut from = open + 1;
    let mut choices = Vec::new();
    for (at, byte) in pattern.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b',' if depth == 1 => {
                choices.push(&pattern[from..at]);
                from = at + 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    choices.push(&pattern[from..at]);
                    return Some((&pattern[..open], choices, &pattern[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives_leftmost_slowest() {
        assert_eq!(alternatives("a{b,c}{1,2}"), Ok(["ab1", "ab2", "ac1", "ac2"].map(String::from).into()));
        assert_eq!(alternatives("{a,{b,c}d}"), Ok(["a", "bd", "cd"].map(String::from).into()));
        assert_eq!(alternatives("a{b"), Ok(vec!["a{b".into()]));
        assert!(alternatives(&"{a,b}".repeat(40)).is_err());
    }
}
