// SPDX-License-Identifier: Apache-2.0
//! Lines into a tree of blocks, strictly: the first thing wrong is an error that names its place.
//!
//! This is how dpvs.conf is read. A statement is a keyword and its arguments on one line; a `{` on the same or a later
//! line opens its block. Several statements may share a line only where a brace separates them. What the keywords mean
//! is for others to say; no keyword but `include`, in [`load`], is known here.

use std::path::Path;
use std::sync::Arc;

use crate::include::Includes;
use crate::lex::{self, Dialect, Kind, Unfinished};
use crate::span::{Error, Span};

/// How deep blocks may nest. Real files need six.
pub const MAX_DEPTH: usize = 64;

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The statements at the top, in file order.
    pub blocks: Vec<Block>,
}

/// A statement: a keyword, its arguments and what stands between its braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first word.
    pub keyword: Word,
    /// The other words of its line.
    pub args: Vec<Word>,
    /// The statements between its braces, in order; `None` without braces.
    pub children: Option<Vec<Block>>,
    /// The place of the keyword.
    pub span: Span,
}

/// A word, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text between the blanks or quotes.
    pub text: String,
    /// Whether it stood in double quotes.
    pub quoted: bool,
    /// The place of its first character.
    pub span: Span,
}

impl Block {
    /// The keyword's text.
    pub fn name(&self) -> &str {
        &self.keyword.text
    }

    /// The statements between its braces; none without braces.
    pub fn children(&self) -> &[Block] {
        self.children.as_deref().unwrap_or_default()
    }

    /// The arguments' texts joined by one blank each: what a value of several words means.
    pub fn value(&self) -> String {
        self.args.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Word {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Reads `text` as dpvs.conf. `file` is what errors call it. Does no I/O: `include` stays a statement like any other.
///
/// # Errors
///
/// A brace or quote without a partner, a `{` without a statement before it, nesting beyond [`MAX_DEPTH`].
pub fn parse(text: &str, file: &str) -> Result<Tree, Error> {
    let file: Arc<str> = file.into();
    let mut builder = Builder::default();
    for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        builder.line(line, &file, number)?;
    }
    builder.finish()
}

/// Reads the file at `path`, and in place of every `include PATTERN` the files that match it, in sorted order.
/// A relative pattern is relative to the file that holds it. Every file must balance its own braces.
///
/// # Errors
///
/// Those of [`parse`]; a file that cannot be read or is not UTF-8, a pattern without wildcards that matches no file,
/// a file that includes itself over any number of steps.
pub fn load(path: &Path) -> Result<Tree, Error> {
    let mut includes = Includes::default();
    let top = Span::new(&path.to_string_lossy().into(), 0, 0);
    load_file(path, &top, &mut includes)
}

fn load_file(path: &Path, from: &Span, includes: &mut Includes) -> Result<Tree, Error> {
    includes.enter(path).map_err(|reason| Error::new(from, reason))?;
    let name = path.to_string_lossy();
    // A device or a pipe may never end.
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(Error::new(from, format!("cannot read {name}: not a regular file")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(from, format!("cannot read {name}: {error}")))?;
    let mut tree = parse(&text, &name)?;
    splice(&mut tree.blocks, path.parent().unwrap_or(Path::new("")), includes)?;
    includes.leave();
    Ok(tree)
}

/// Puts the statements of included files in place of the `include` statements among `blocks`, at any depth.
fn splice(blocks: &mut Vec<Block>, directory: &Path, includes: &mut Includes) -> Result<(), Error> {
    let mut spliced = Vec::with_capacity(blocks.len());
    for mut block in blocks.drain(..) {
        if block.name() != "include" {
            if let Some(children) = &mut block.children {
                splice(children, directory, includes)?;
            }
            spliced.push(block);
            continue;
        }
        let pattern = block.value();
        let found = crate::include::expand(directory, &pattern)
            .map_err(|reason| Error::new(&block.span, format!("include {pattern}: {reason}")))?;
        if pattern.is_empty() || found.missing + found.nowhere > 0 {
            return Err(Error::new(&block.span, format!("include {pattern}: no such file")));
        }
        for path in found.files {
            spliced.append(&mut load_file(&path, &block.span, includes)?.blocks);
        }
    }
    *blocks = spliced;
    Ok(())
}

/// The blocks that are open, innermost last, over the statements at the top.
#[derive(Default)]
struct Builder {
    top: Vec<Block>,
    open: Vec<Block>,
    /// Whether the last statement may still get a block: nothing but blank lines came after it.
    ready: bool,
}

impl Builder {
    fn line(&mut self, text: &str, file: &Arc<str>, number: u32) -> Result<(), Error> {
        let place = |offset: usize| Span::new(file, number, u32::try_from(offset + 1).unwrap_or(u32::MAX));
        let read = lex::line(text, Dialect::Dpvs);
        let mut words = Vec::new();
        for token in read.tokens {
            let span = place(token.offset);
            match token.kind {
                Kind::Word | Kind::Quoted => {
                    words.push(Word { text: token.text.into(), quoted: token.kind == Kind::Quoted, span });
                }
                Kind::Open => {
                    self.statement(&mut words);
                    self.enter(&span)?;
                }
                Kind::Close => {
                    self.statement(&mut words);
                    self.leave(&span)?;
                }
            }
        }
        self.statement(&mut words);
        match read.unfinished {
            None => Ok(()),
            Some(Unfinished::Quote(offset)) => {
                Err(Error::new(&place(offset), "double quote without a partner on its line"))
            }
            Some(Unfinished::Annotation(offset)) => {
                Err(Error::new(&place(offset), "annotation `<` without its `>` on its line"))
            }
        }
    }

    /// Adds the statement that `words` make, and empties them.
    fn statement(&mut self, words: &mut Vec<Word>) {
        let mut words = std::mem::take(words).into_iter();
        if let Some(keyword) = words.next() {
            let span = keyword.span.clone();
            self.siblings().push(Block { keyword, args: words.collect(), children: None, span });
            self.ready = true;
        }
    }

    fn enter(&mut self, span: &Span) -> Result<(), Error> {
        if !std::mem::take(&mut self.ready) {
            return Err(Error::new(span, "`{` without a keyword before it"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Error::new(span, format!("blocks nested deeper than {MAX_DEPTH}")));
        }
        let mut block = self.siblings().pop().expect("a statement was just added");
        block.children = Some(Vec::new());
        self.open.push(block);
        Ok(())
    }

    fn leave(&mut self, span: &Span) -> Result<(), Error> {
        self.ready = false;
        let block =
            self.open.pop().ok_or_else(|| Error::new(span, "`}` without a block that it could close"))?;
        self.siblings().push(block);
        Ok(())
    }

    fn siblings(&mut self) -> &mut Vec<Block> {
        match self.open.last_mut() {
            Some(block) => block.children.get_or_insert_default(),
            None => &mut self.top,
        }
    }

    fn finish(mut self) -> Result<Tree, Error> {
        match self.open.pop() {
            None => Ok(Tree { blocks: self.top }),
            Some(block) => {
                Err(Error::new(&block.span, format!("block {} is never closed: `}}` missing", block.name())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> String {
        crate::print::tree(&parse(text, "x.conf").expect("the test's text is good"))
    }

    fn error(text: &str) -> String {
        parse(text, "x.conf").expect_err("the test's text is bad").to_string()
    }

    #[test]
    fn a_brace_opens_a_block_on_its_line_or_later() {
        let expected = "a 1 {\n    b 2\n    c {\n    }\n}\n";
        assert_eq!(shape("a 1 {\n b 2\n c {\n }\n}\n"), expected);
        assert_eq!(shape("a 1\n\n# x\n{ b 2\n c { } }"), expected);
        assert_eq!(shape("a 1{b 2\r\nc{}}\r\n"), expected);
    }

    #[test]
    fn words_know_their_place() {
        let tree = parse("\n  a \"b c\" {\n    d e\n}", "x.conf").expect("good");
        let child = &tree.blocks[0].children()[0];
        assert_eq!((tree.blocks[0].span.line, tree.blocks[0].span.column), (2, 3));
        assert_eq!((tree.blocks[0].args[0].text.as_str(), tree.blocks[0].args[0].span.column), ("b c", 5));
        assert_eq!((child.name(), child.args[0].span.line, child.args[0].span.column), ("d", 3, 7));
    }

    #[test]
    fn annotations_are_decoration() {
        assert_eq!(
            shape("! c\n<init> device dpdk0 {\n mtu 1500 <1500, 0-9000>\n}"),
            "device dpdk0 {\n    mtu 1500\n}\n"
        );
    }

    #[test]
    fn what_is_unbalanced_is_named_with_its_line() {
        assert_eq!(error("a {\n b {\n }\n"), "x.conf:1: block a is never closed: `}` missing");
        assert_eq!(error("a {\n}\n}"), "x.conf:3: `}` without a block that it could close");
        assert_eq!(error("\n{\n}"), "x.conf:2: `{` without a keyword before it");
        assert_eq!(error("a { }\n{ }"), "x.conf:2: `{` without a keyword before it");
        assert_eq!(error("a \"b\nc"), "x.conf:1: double quote without a partner on its line");
        assert_eq!(error("a <b"), "x.conf:1: annotation `<` without its `>` on its line");
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(parse(&"a {\n".repeat(64), "x").is_err_and(|e| e.reason.contains("never closed")));
        assert_eq!(error(&"a {\n".repeat(65)), "x.conf:65: blocks nested deeper than 64");
    }
}
