// SPDX-License-Identifier: Apache-2.0
//! Include statements, and what each variant of them demands.

use crate::lex;

/// Which shortcomings of an include stop everything; the others are warnings, or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strict {
    /// A file that cannot be read.
    pub read: bool,
    /// A name that does not exist.
    pub name: bool,
    /// A wildcard that matches nothing.
    pub wildcard: bool,
    /// An alternative in braces that does not exist.
    pub brace: bool,
}

impl Strict {
    /// Every shortcoming.
    pub const ALL: Strict = Strict { read: true, name: true, wildcard: true, brace: true };

    /// What either of them stops for.
    pub fn and(self, other: Strict) -> Strict {
        Strict {
            read: self.read || other.read,
            name: self.name || other.name,
            wildcard: self.wildcard || other.wildcard,
            brace: self.brace || other.brace,
        }
    }
}

/// What an include statement demands, and its pattern.
pub(super) fn include_statement(line: &str) -> Option<(Strict, &str)> {
    let (keyword, pattern) = line.split_once(lex::is_blank)?;
    let none = Strict::default();
    let strict = match keyword {
        "include" => none,
        "includer" => Strict { read: true, ..none },
        "includem" => Strict { read: true, name: true, ..none },
        "includew" => Strict { read: true, name: true, wildcard: true, ..none },
        "includeb" => Strict { read: true, brace: true, ..none },
        "includea" => Strict::ALL,
        _ => return None,
    };
    Some((strict, pattern.trim_matches(lex::is_blank)))
}
