// SPDX-License-Identifier: Apache-2.0
//! A tree as text in normal form: one statement a line, four blanks a level. Reading it gives the same tree.

use crate::tree::{Block, Tree, Word};

/// The text of a whole tree.
pub fn tree(tree: &Tree) -> String {
    let mut text = String::new();
    for block in &tree.blocks {
        print(block, 0, &mut text);
    }
    text
}

fn print(block: &Block, level: usize, text: &mut String) {
    let indent = "    ".repeat(level);
    text.push_str(&indent);
    push_word(&block.keyword, text);
    for word in &block.args {
        text.push(' ');
        push_word(word, text);
    }
    let Some(children) = &block.children else {
        text.push('\n');
        return;
    };
    text.push_str(" {\n");
    for child in children {
        print(child, level + 1, text);
    }
    text.push_str(&indent);
    text.push_str("}\n");
}

fn push_word(word: &Word, text: &mut String) {
    if word.quoted {
        text.extend(["\"", &word.text, "\""]);
    } else {
        text.push_str(&word.text);
    }
}
