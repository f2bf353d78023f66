// SPDX-License-Identifier: Apache-2.0
//! Lines of commands from a file, a pipe or a terminal.

use std::io::{self, BufRead, BufReader, Read};

/// Where lines come from.
pub struct Input(BufReader<Box<dyn Read>>);

impl Input {
    /// Lines of `reader`.
    pub fn new(reader: impl Read + 'static) -> Self {
        Input(BufReader::with_capacity(CAPACITY, Box::new(reader)))
    }

    /// The next line without its newline, or `None` at the end. What is no UTF-8 is replaced: it is in no command.
    ///
    /// # Errors
    ///
    /// Those of the reader.
    pub fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        if self.0.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        Ok(Some(line.into_owned()))
    }

    /// Whether the next line is here already, so that asking for it does not wait for whoever writes it.
    pub fn has_line(&self) -> bool {
        self.0.buffer().contains(&b'\n')
    }
}

const CAPACITY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_needs_no_newline() {
        let mut input = Input::new(&b"a\n\nb"[..]);
        assert!(!input.has_line(), "nothing was read yet");
        assert_eq!(input.line().unwrap().as_deref(), Some("a"));
        assert!(input.has_line());
        assert_eq!(input.line().unwrap().as_deref(), Some(""));
        assert!(!input.has_line());
        assert_eq!(input.line().unwrap().as_deref(), Some("b"));
        assert_eq!(input.line().unwrap(), None);
    }
}
