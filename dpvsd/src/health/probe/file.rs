// SPDX-License-Identifier: Apache-2.0
//! FILE_CHECK: a number in a file, times a factor, is added to the weight.

/// The test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file.
    pub path: String,
    /// The factor; 0: any number but 0 is failure.
    pub weight: i64,
    /// Whether the number is subtracted.
    pub reverse: bool,
}

impl File {
    /// Reads it. A file that is not there, or without a number, has a 0.
    ///
    /// # Errors
    /// The number is one for failure.
    pub fn test(&self) -> Result<i64, String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let number: i64 = text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
        self.judge(number)
    }

    fn judge(&self, number: i64) -> Result<i64, String> {
        if self.weight == 0 {
            // With `reverse` it is 0 that fails.
            return if (number != 0) != self.reverse {
                Err(format!("{}: {number}", self.path))
            } else {
                Ok(0)
            };
        }
        let product = number.saturating_mul(self.weight).saturating_mul(if self.reverse { -1 } else { 1 });
        if product <= i64::from(i32::MIN) { Err(format!("{}: {product}", self.path)) } else { Ok(product) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_times_its_factor_is_added() {
        let judge = |number, weight, reverse| File { path: "f".into(), weight, reverse }.judge(number);
        assert_eq!(judge(3, 2, false), Ok(6));
        assert_eq!(judge(3, 2, true), Ok(-6));
        assert_eq!(judge(0, 0, false), Ok(0));
        assert_eq!(judge(5, 0, false), Err("f: 5".to_owned()));
        assert_eq!(judge(-2_147_483_648, 1, false), Err("f: -2147483648".to_owned()));
        assert_eq!(judge(-2_147_483_647, 1, false), Ok(-2_147_483_647));
    }

    #[test]
    fn a_missing_file_is_zero() {
        let file = |path: &str| File { path: path.into(), weight: 1, reverse: false };
        assert_eq!(file("/nonexistent").test(), Ok(0));
        let written = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(written.path(), " -7\n").expect("room");
        assert_eq!(file(written.path().to_str().expect("text")).test(), Ok(-7));
    }
}
