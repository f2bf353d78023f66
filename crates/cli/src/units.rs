// SPDX-License-Identifier: Apache-2.0
//! Counters, shortened as ipvsadm prints them.

/// How counters are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digits {
    /// At most eight digits and a letter: `K`, `M`, `G` or `T`.
    #[default]
    Scaled,
    /// All digits (`-X`, `--exact`).
    Exact,
}

impl Digits {
    /// `n` in the way chosen, without padding.
    pub fn format(self, n: u64) -> String {
        match self {
            Digits::Scaled => scaled(n),
            Digits::Exact => n.to_string(),
        }
    }

    /// `n` right-aligned in a column of `width` including its gap: what is too long still keeps one blank before it.
    pub fn cell(self, n: u64, width: usize) -> String {
        let text = self.format(n);
        format!("{text:>width$}", width = width.max(text.len() + 1))
    }
}

/// `n` in thousands, millions, thousand millions or million millions once it no longer fits eight digits; the rest is cut off.
pub fn scaled(n: u64) -> String {
    match n {
        0..100_000_000 => n.to_string(),
        100_000_000..1_000_000_000 => format!("{}K", n / 1_000),
        1_000_000_000..100_000_000_000 => format!("{}M", n / 1_000_000),
        100_000_000_000..100_000_000_000_000 => format!("{}G", n / 1_000_000_000),
        _ => format!("{}T", n / 1_000_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_begin_where_ipvsadm_puts_them() {
        for (n, text) in [
            (0, "0"),
            (99_999_999, "99999999"),
            (100_000_000, "100000K"),
            (120_056_999, "120056K"),
            (999_999_999, "999999K"),
            (1_000_000_000, "1000M"),
            (99_999_999_999, "99999M"),
            (100_000_000_000, "100G"),
            (99_999_999_999_999, "99999G"),
            (100_000_000_000_000, "100T"),
            (u64::MAX, "18446744T"),
        ] {
            assert_eq!(scaled(n), text);
        }
    }

    #[test]
    fn a_cell_is_right_aligned_and_never_touches_its_neighbour() {
        assert_eq!(Digits::Scaled.cell(1, 9), "        1");
        assert_eq!(Digits::Exact.cell(12_345_678, 9), " 12345678");
        assert_eq!(Digits::Exact.cell(123_456_789_012, 9), " 123456789012");
    }
}
