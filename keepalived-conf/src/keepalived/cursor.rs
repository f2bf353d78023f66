// SPDX-License-Identifier: Apache-2.0
//! Statements and braces, one ahead; what is wrong with the braces is said here.
//!
//! A brace that is out of place costs nothing but its warning: a surplus `{` is ignored, so that its partner closes the
//! block around it; a missing `{` is taken as read; blocks still open at the end of the input keep what they got.

use std::collections::VecDeque;
use std::sync::Arc;

use super::report::{Fatal, Severity};
use super::source::Source;
use crate::lex::{self, Dialect, Kind, Token};
use crate::span::Span;

/// One statement: the words of a line, or of a part of it between braces.
#[derive(Clone, Debug)]
pub struct Statement {
    /// At least one; without quotes.
    pub words: Vec<String>,
    /// The text that the words were taken from, with quotes.
    pub raw: String,
    /// The place of the first word.
    pub span: Span,
}

impl Statement {
    /// The first word.
    pub fn keyword(&self) -> &str {
        &self.words[0]
    }

    /// The words after the first.
    pub fn args(&self) -> &[String] {
        &self.words[1..]
    }

    /// The word after the first, empty where there is none.
    pub fn value(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }
}

#[derive(Debug)]
enum Event {
    Statement(Statement),
    Open(Span),
    Close(Span),
}

/// Walks through a source.
pub struct Cursor {
    source: Source,
    ahead: VecDeque<Event>,
    closed: Span,
    /// Blocks were still open at the end.
    lost: bool,
}

impl Cursor {
    /// A cursor before the first statement.
    pub fn new(source: Source) -> Cursor {
        Cursor { source, ahead: VecDeque::new(), closed: Span::new(&"".into(), 0, 0), lost: false }
    }

    /// What is walked through.
    pub fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// Gives the source back.
    pub fn into_source(self) -> Source {
        self.source
    }

    /// Warns about `keyword` at `span`.
    pub fn warn(&mut self, span: &Span, keyword: &str, message: impl Into<String>) {
        self.source.find(Severity::Warning, span, keyword, message);
    }

    /// Where the block that was left last ended; line 0 where its `}` is missing.
    pub fn closed(&self) -> &Span {
        &self.closed
    }

    /// The next statement outside all blocks; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of [`Source::next_line`], as everywhere here.
    pub fn top_statement(&mut self) -> Result<Option<Statement>, Fatal> {
        loop {
            match self.next()? {
                Some(Event::Statement(statement)) => return Ok(Some(statement)),
                Some(Event::Open(span)) => self.warn(&span, "{", "unexpected `{` ignored"),
                Some(Event::Close(span)) => self.warn(&span, "}", "`}` without a block that it could close"),
                None => {
                    if std::mem::take(&mut self.lost) {
                        let span = Span::new(&Arc::clone(&self.closed.file), 0, 0);
                        self.warn(&span, "}", "`}` missing at the end of the file");
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Steps into the block of the statement just read.
    pub fn open(&mut self) -> Result<(), Fatal> {
        let found = match self.peek()? {
            Some(Event::Open(_)) => {
                self.ahead.pop_front();
                return Ok(());
            }
            Some(Event::Statement(found)) => Some((found.span.clone(), found.keyword().to_string())),
            Some(Event::Close(span)) => Some((span.clone(), "}".to_string())),
            None => None,
        };
        if let Some((span, keyword)) = found {
            self.warn(&span, &keyword, "`{` missing before this");
        }
        Ok(())
    }

    /// The next statement of the block; `None` once it is closed.
    pub fn statement(&mut self) -> Result<Option<Statement>, Fatal> {
        loop {
            match self.next()? {
                Some(Event::Statement(statement)) => return Ok(Some(statement)),
                Some(Event::Open(span)) => self.warn(&span, "{", "unexpected `{` ignored"),
                Some(Event::Close(span)) => {
                    self.closed = span;
                    return Ok(None);
                }
                None => {
                    self.lose();
                    return Ok(None);
                }
            }
        }
    }

    /// Leaves out the block that comes next, if one does, with everything in it.
    pub fn skip_block(&mut self) -> Result<(), Fatal> {
        if matches!(self.peek()?, Some(Event::Open(_))) {
            self.ahead.pop_front();
            self.skip_rest()?;
        }
        Ok(())
    }

    /// Leaves out the rest of the block stepped into.
    pub fn skip_rest(&mut self) -> Result<(), Fatal> {
        let mut depth = 1u64;
        while depth > 0 {
            match self.next()? {
                Some(Event::Statement(_)) => {}
                Some(Event::Open(_)) => depth += 1,
                Some(Event::Close(span)) => {
                    self.closed = span;
                    depth -= 1;
                }
                None => {
                    self.lose();
                    break;
                }
            }
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.lost = true;
        (self.closed.line, self.closed.column) = (0, 0);
    }

    fn next(&mut self) -> Result<Option<Event>, Fatal> {
        self.peek()?;
        Ok(self.ahead.pop_front())
    }

    fn peek(&mut self) -> Result<Option<&Event>, Fatal> {
        while self.ahead.is_empty() {
            let Some(line) = self.source.next_line()? else { break };
            if self.closed.file.is_empty() {
                self.closed.file = Arc::clone(&line.span.file);
            }
            self.split(&line.text, &line.span);
        }
        Ok(self.ahead.front())
    }

    /// Adds the statements and braces of one line.
    fn split(&mut self, text: &str, span: &Span) {
        let read = lex::line(text, Dialect::Keepalived);
        let place = |token: &Token<'_>| {
            let offset = u32::try_from(token.offset).unwrap_or(u32::MAX);
            Span::new(&span.file, span.line, span.column.saturating_add(offset))
        };
        let is_word = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::Quoted);
        for tokens in read.tokens.chunk_by(|a, b| is_word(a) && is_word(b)) {
            let first = &tokens[0];
            self.ahead.push_back(match first.kind {
                Kind::Open => Event::Open(place(first)),
                Kind::Close => Event::Close(place(first)),
                Kind::Word | Kind::Quoted => {
                    let last = tokens[tokens.len() - 1];
                    let quotes = if last.kind == Kind::Quoted { 2 } else { 0 };
                    Event::Statement(Statement {
                        words: tokens.iter().map(|token| token.text.to_string()).collect(),
                        raw: text[first.offset..last.offset + last.text.len() + quotes].to_string(),
                        span: place(first),
                    })
                }
            });
        }
        if read.unfinished.is_some() {
            let keyword = read.tokens.first().map_or("\"", |token| token.text);
            self.warn(
                span,
                keyword,
                "double quote without a partner on its line, the rest of the line is lost",
            );
        }
    }
}
