// SPDX-License-Identifier: Apache-2.0
//! Files into lines of statements: comments off, conditions decided, definitions replaced, sequences and includes
//! expanded. What comes out is what keepalived's keyword handlers would see.
//!
//! Nothing is read ahead, because a definition counts from its line on. Every input ends: lines that come from
//! expansion, replacements, files and bytes read are all limited.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nom::Offset;

use super::define::{self, Context, Definitions, MAX_LINE, Replaced, Value};
use super::file::{self, File, MAX_BYTES};
use super::report::{Fatal, Finding, Severity};
use super::sequence::{self, Runs, Sequence};
use super::strict::{Strict, include_statement};
use crate::include::{self, Includes};
use crate::lex;
use crate::span::Span;

/// Lines that sequences and multi-line definitions may make. Some 10 000 services of 100 lines each.
const MAX_EXPANDED: u32 = 1 << 20;
/// Replacements of definitions in all.
const MAX_REPLACED: u64 = 1 << 23;
/// How deep sequences and multi-line definitions may stand in each other.
const MAX_NESTING: usize = 128;

/// A line of statements and braces, and where it was written: for expanded text, where the reference stands.
#[derive(Debug)]
pub struct Line {
    /// Without comment and surrounding blanks, not empty.
    pub text: String,
    /// The place of its first character.
    pub span: Span,
}

/// The lines of a configuration, one by one.
pub struct Source {
    config_id: String,
    frames: Vec<Frame>,
    definitions: Definitions,
    /// A multi-line definition that the next line continues.
    open: Option<(String, Vec<String>)>,
    /// What every `include` demands, by `include_check`.
    strict: Strict,
    includes: Includes,
    expanded: u32,
    replacements: u64,
    bytes: usize,
    /// What was found so far, by the readers of statements too.
    pub findings: Vec<Finding>,
    /// How included files were written.
    pub included_as: HashMap<Arc<str>, Arc<str>>,
}

/// Where the next line comes from; the innermost is last.
enum Frame {
    /// Files still to be read.
    Files { paths: std::vec::IntoIter<PathBuf>, from: Option<PathBuf>, span: Span, strict: Strict },
    /// A file being read.
    File(File),
    /// The stored lines of a multi-line definition.
    Lines { lines: std::vec::IntoIter<String>, span: Span },
    /// The runs of a sequence and their text.
    Runs { runs: Runs, text: String, span: Span },
}

impl Source {
    /// The lines of the file at `path`; where there is none, of the files that match it as a pattern.
    ///
    /// # Errors
    ///
    /// No such file, or a pattern that makes no sense.
    pub fn open(path: &Path, config_id: &str) -> Result<Source, Fatal> {
        let name: Arc<str> = path.to_string_lossy().into();
        let span = Span::new(&name, 0, 0);
        let fatal = |reason: String| Fatal { span: span.clone(), keyword: String::new(), reason };
        let mut source = Source::new(config_id);
        let paths = if path.exists() {
            vec![path.to_path_buf()]
        } else {
            include::expand(Path::new(""), &name).map_err(fatal)?.files
        };
        if paths.is_empty() {
            return Err(fatal("no such file".to_string()));
        }
        if paths.len() > 1 {
            let message = format!("{} files match, read one after the other", paths.len());
            source.find(Severity::Note, &span, &name, message);
        }
        source.frames.push(Frame::Files { paths: paths.into_iter(), from: None, span, strict: Strict::ALL });
        Ok(source)
    }

    /// The lines of `text`, called `name`.
    pub fn of_text(text: &[u8], name: &str, config_id: &str) -> Source {
        let mut source = Source::new(config_id);
        let directory = Path::new(name).parent().unwrap_or(Path::new("")).to_path_buf();
        source.frames.push(Frame::File(File::new(name.into(), directory, text.to_vec(), Strict::default())));
        source
    }

    fn new(config_id: &str) -> Source {
        Source {
            config_id: config_id.to_string(),
            frames: Vec::new(),
            definitions: Definitions::default(),
            open: None,
            strict: Strict::default(),
            includes: Includes::default(),
            expanded: 0,
            replacements: MAX_REPLACED,
            bytes: 0,
            findings: Vec::new(),
            included_as: HashMap::new(),
        }
    }

    /// The configuration id that conditions are compared with.
    pub fn config_id(&self) -> &str {
        &self.config_id
    }

    /// What `include` demands from here to the end of the file.
    pub fn strict(&mut self) -> &mut Strict {
        &mut self.strict
    }

    /// Notes a finding.
    pub fn find(&mut self, severity: Severity, span: &Span, keyword: &str, message: impl Into<String>) {
        let keyword = keyword.to_string();
        self.findings.push(Finding { severity, span: span.clone(), keyword, message: message.into() });
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// A file that an include demands; input that expands beyond the limits.
    pub fn next_line(&mut self) -> Result<Option<Line>, Fatal> {
        while let Some(frame) = self.frames.last_mut() {
            let (raw, span) = match frame {
                Frame::Files { paths, from, span, strict } => {
                    match paths.next() {
                        None => drop(self.frames.pop()),
                        Some(path) => {
                            let (from, span, strict) = (from.clone(), span.clone(), *strict);
                            self.enter(&path, from.as_deref(), &span, strict)?;
                        }
                    }
                    continue;
                }
                Frame::File(file) => match file.next_line() {
                    None => {
                        self.strict = file.strict;
                        self.includes.leave();
                        self.frames.pop();
                        self.close_definition();
                        continue;
                    }
                    Some(Ok(line)) => line,
                    Some(Err(finding)) => {
                        self.findings.push(finding);
                        continue;
                    }
                },
                Frame::Lines { lines, span } => match lines.next() {
                    Some(line) => (line, span.clone()),
                    None => {
                        self.frames.pop();
                        continue;
                    }
                },
                Frame::Runs { runs, text, span } => match runs.next() {
                    Some(run) => {
                        for (name, value) in run {
                            self.definitions.set(&name, Value::Text(value));
                        }
                        (text.clone(), span.clone())
                    }
                    None => {
                        self.frames.pop();
                        continue;
                    }
                },
            };
            if !matches!(self.frames.last(), Some(Frame::File(_))) {
                self.count_expanded(&span)?;
            }
            if let Some(line) = self.line(&raw, span)? {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// One line through all that may be done to it; `None` when nothing is left of it.
    fn line(&mut self, raw: &str, mut span: Span) -> Result<Option<Line>, Fatal> {
        let stripped = lex::strip_comment(raw);
        if self.open.is_some() {
            self.continue_definition(stripped);
            return Ok(None);
        }
        let Some(text) = conditional(stripped, &self.config_id).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if let Some((name, value)) = define::definition(text) {
            self.define(name, value);
            return Ok(None);
        }
        if text.starts_with('~') && self.run(text, &span)? {
            return Ok(None);
        }
        span.column += u32::try_from(raw.offset(text)).unwrap_or(u32::MAX);
        let Some(text) = self.replace(text, &span) else { return Ok(None) };
        let text = lex::strip_comment(&text);
        if let Some((strict, pattern)) = include_statement(text) {
            self.include(pattern, strict, &span)?;
            return Ok(None);
        }
        Ok((!text.is_empty()).then(|| Line { text: text.to_string(), span }))
    }

    /// Puts definitions in place of references. A multi-line one adds its further lines; `None` when the line is
    /// nothing but one, so that all its lines are still to come.
    fn replace(&mut self, text: &str, span: &Span) -> Option<String> {
        let mut line = text.to_string();
        loop {
            match self.replaced(&line, span) {
                Replaced::Line(line) => return Some(line),
                Replaced::Endless => {
                    self.warn_first_word(span, &line, "a definition contains itself");
                    return Some(line);
                }
                Replaced::Lines(prefix, mut lines) => {
                    let whole = prefix.trim_matches(lex::is_blank).is_empty();
                    let first = match whole || lines.is_empty() {
                        true => String::new(),
                        false => lines.remove(0),
                    };
                    if prefix.len() + first.len() > MAX_LINE {
                        return Some(line);
                    }
                    if self.frames.len() >= MAX_NESTING {
                        self.warn_first_word(
                            span,
                            &line,
                            "definitions nested too deep, or one contains itself",
                        );
                        return Some(line);
                    }
                    self.frames.push(Frame::Lines { lines: lines.into_iter(), span: span.clone() });
                    if whole {
                        return None;
                    }
                    line = prefix + &first;
                }
            }
        }
    }

    fn replaced(&mut self, text: &str, span: &Span) -> Replaced {
        if !text.contains('$') {
            return Replaced::Line(text.to_string());
        }
        let directory = self.directory().to_string_lossy().into_owned();
        let context = Context {
            directory: if directory.is_empty() { "." } else { &directory },
            config_id: &self.config_id,
            place: (&span.file, span.line),
        };
        self.definitions.replace(text, &context, &mut self.replacements)
    }

    /// Starts the sequence that `text` begins with. False when it is none.
    fn run(&mut self, text: &str, span: &Span) -> Result<bool, Fatal> {
        let parsed = sequence::sequence(text, |inside| match self.replaced(inside, span) {
            Replaced::Line(inside) => inside,
            _ => inside.to_string(),
        });
        match parsed {
            None => return Ok(false),
            Some(Sequence::Bad(keyword, reason)) => self.find(Severity::Warning, span, keyword, reason),
            Some(Sequence::Good(..)) if self.frames.len() >= MAX_NESTING => {
                self.warn_first_word(span, text, "sequences nested too deep");
            }
            Some(Sequence::Good(runs, text)) => {
                self.frames.push(Frame::Runs { runs, text: text.to_string(), span: span.clone() });
            }
        }
        Ok(true)
    }

    fn define(&mut self, name: &str, value: &str) {
        match value.strip_suffix('\\') {
            None => self.definitions.set(name, Value::Text(value.to_string())),
            Some(first) => {
                self.open = Some((name.to_string(), Vec::new()));
                self.store(first);
            }
        }
    }

    fn continue_definition(&mut self, stripped: &str) {
        match stripped.strip_suffix('\\') {
            Some(more) => self.store(more),
            None => {
                self.store(stripped);
                self.close_definition();
            }
        }
    }

    fn store(&mut self, line: &str) {
        let line = line.trim_matches(lex::is_blank);
        if let Some((_, lines)) = &mut self.open
            && !line.is_empty()
        {
            lines.push(line.to_string());
        }
    }

    fn close_definition(&mut self) {
        if let Some((name, lines)) = self.open.take() {
            self.definitions.set(&name, Value::Lines(lines));
        }
    }

    /// Makes the files that `pattern` means the next ones to be read.
    fn include(&mut self, pattern: &str, strict: Strict, span: &Span) -> Result<(), Fatal> {
        let strict = strict.and(self.strict);
        let directory = self.directory().to_path_buf();
        let found = match include::expand(&directory, pattern) {
            Ok(found) => found,
            Err(reason) => return self.complain(strict.name, span, format!("{pattern}: {reason}")),
        };
        if found.files.is_empty() {
            let missing = found.missing + found.nowhere > 0;
            if missing || strict.wildcard {
                let stops = if missing { strict.name } else { strict.wildcard };
                self.complain(stops, span, format!("{pattern}: no such file"))?;
            }
        } else if found.missing + found.nowhere > 0 {
            self.complain(strict.brace, span, format!("{pattern}: not every alternative exists"))?;
        }
        let paths = found.files.into_iter();
        self.frames.push(Frame::Files { paths, from: Some(directory), span: span.clone(), strict });
        Ok(())
    }

    /// Begins to read the file at `path`, which a file in the directory `from` includes; the main file has none.
    fn enter(&mut self, path: &Path, from: Option<&Path>, span: &Span, strict: Strict) -> Result<(), Fatal> {
        let name: Arc<str> = path.to_string_lossy().into();
        if let Err(reason) = self.includes.enter(path) {
            return self.complain(strict.read, span, reason);
        }
        let text = match file::read(path, from.is_some()) {
            Ok(text) => text,
            Err(reason) => {
                self.includes.leave();
                return self.complain(strict.read, span, format!("cannot read {name}: {reason}"));
            }
        };
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > MAX_BYTES {
            return self.complain(true, span, format!("more than {MAX_BYTES} bytes to read"));
        }
        if let Some(from) = from {
            let written = path.strip_prefix(from).unwrap_or(path).to_string_lossy().into();
            self.included_as.insert(Arc::clone(&name), written);
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_path_buf();
        self.frames.push(Frame::File(File::new(name, directory, text, self.strict)));
        Ok(())
    }

    /// Says what is wrong with an include: the end of everything where `stops`, otherwise a warning.
    fn complain(&mut self, stops: bool, span: &Span, reason: String) -> Result<(), Fatal> {
        if stops {
            return Err(Fatal { span: span.clone(), keyword: "include".to_string(), reason });
        }
        self.find(Severity::Warning, span, "include", reason);
        Ok(())
    }

    fn count_expanded(&mut self, span: &Span) -> Result<(), Fatal> {
        self.expanded += 1;
        if self.expanded <= MAX_EXPANDED && self.replacements > 0 {
            return Ok(());
        }
        let reason = format!("definitions and sequences make more than {MAX_EXPANDED} lines");
        Err(Fatal { span: span.clone(), keyword: "~SEQ".to_string(), reason })
    }

    fn warn_first_word(&mut self, span: &Span, line: &str, message: &str) {
        let keyword = line.split(lex::is_blank).next().unwrap_or_default().to_string();
        self.find(Severity::Warning, span, &keyword, message);
    }

    /// The directory of the file being read.
    fn directory(&self) -> &Path {
        self.frames
            .iter()
            .rev()
            .find_map(|frame| match frame {
                Frame::File(file) => Some(file.directory.as_path()),
                _ => None,
            })
            .unwrap_or(Path::new(""))
    }
}

/// What is left of a line after its condition; `None` when that does not hold.
fn conditional<'a>(line: &'a str, config_id: &str) -> Option<&'a str> {
    let Some(condition) = line.strip_prefix('@') else { return Some(line) };
    let (id, rest) = condition.split_once([' ', '\t'])?;
    let holds = match id.strip_prefix('^') {
        Some(id) => id != config_id,
        None => id == config_id && !id.is_empty(),
    };
    holds.then(|| rest.trim_start_matches(lex::is_blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut source = Source::of_text(text.as_bytes(), "x.conf", "lb1");
        let mut all = Vec::new();
        while let Some(line) = source.next_line().expect("bounded input") {
            all.push(format!("{} {}", line.span.line, line.text));
        }
        all.extend(source.findings.iter().map(ToString::to_string));
        all
    }

    #[test]
    fn conditions_compare_whole_words() {
        let text = "@lb1 a\n@lb2 b\n@^lb1 c\n@^lb2 d\n@lb1\n@ e\n@LB1 f\n@lb10 g\n h @lb2";
        assert_eq!(lines(text), ["1 a", "4 d", "9 h @lb2"]);
    }

    #[test]
    fn a_multi_line_definition_expands_at_the_end_of_a_line_only() {
        let text = "$A= \\\n b \\  # c\n \\\n c\n$A\nx $A\n$A y\n$B=d \\\n\n$B";
        assert_eq!(lines(text), ["5 b", "5 c", "6 x b", "6 c", "7 $A y", "10 d"]);
    }

    #[test]
    fn sequences_vary_the_leftmost_slowest_and_run_over_definitions() {
        let text = "$L= \\\n@lb1 a${I} \\\n$N=${I}0 \\\nb${N}\n~SEQ(I,2) ~LST(J,x,y) ${I}${J}\n~SEQ(I,2) $L";
        assert_eq!(lines(text), ["5 1x", "5 1y", "5 2x", "5 2y", "6 a1", "6 b10", "6 a2", "6 b20"]);
    }

    #[test]
    fn comments_are_stripped_again_after_replacement() {
        assert_eq!(lines("a${_HASH}b\n\"a${_HASH}b\" c"), ["1 a", "2 \"a#b\" c"]);
    }

    #[test]
    fn long_lines_and_nul_bytes_cost_their_line_only() {
        let long = format!("a {}\nb\nc\0d\ne", "x".repeat(1021));
        let got = lines(&long);
        assert_eq!(got[..2], ["2 b", "4 e"]);
        assert!(got[2].starts_with("x.conf:1: warning: a: line too long: 1024 bytes"), "{}", got[2]);
        assert_eq!(got[3], "x.conf:3: warning: c: line with a NUL byte ignored");
        assert_eq!(lines(&format!("a {}\n", "x".repeat(1020))).len(), 1);
    }

    #[test]
    fn definitions_that_contain_themselves_end() {
        let got = lines("$A= \\\nx \\\n$A\n$A\ny");
        assert_eq!(got.iter().filter(|line| line.ends_with(" y")).count(), 1);
        assert!(got.last().is_some_and(|line| line.contains("nested too deep")));
    }

    #[test]
    fn gigantic_expansion_is_fatal() {
        let mut source = Source::of_text(b"\n~SEQ(I,1,4000000000) x", "x.conf", "lb1");
        let fatal = loop {
            match source.next_line() {
                Ok(line) => assert!(line.is_some(), "the sequence ended"),
                Err(fatal) => break fatal,
            }
        };
        assert_eq!((fatal.span.line, fatal.keyword.as_str()), (2, "~SEQ"));
    }
}
