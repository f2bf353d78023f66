// SPDX-License-Identifier: Apache-2.0
//! Tables of our own: columns as wide as their longest cell. Layouts that scripts know from older tools are not made here.

use std::fmt;

/// On which side of a column the cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with a title line. Two blanks separate columns; lines have no blanks at their end.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns.iter().map(|&(title, align)| (title.to_owned(), align)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// When it has more or fewer cells than there are columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for every column");
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let width = |text: &String| text.chars().count();
        let longest = |(column, (title, _)): (usize, &(String, Align))| {
            self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0).max(width(title))
        };
        self.columns.iter().enumerate().map(longest).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let titles: Vec<String> = self.columns.iter().map(|(title, _)| title.clone()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, &width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                match align {
                    Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table =
            Table::new(&[("name", Align::Left), ("packets", Align::Right), ("note", Align::Left)]);
        table.row(["dpdk0", "7", "up"]);
        table.row(["a-longer-name", "12345678", ""]);
        assert_eq!(
            table.to_string(),
            "name            packets  note\n\
             dpdk0                 7  up\n\
             a-longer-name  12345678\n"
        );
    }
}
