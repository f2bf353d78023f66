// SPDX-License-Identifier: Apache-2.0
//! Waiting for something to become true, with a limit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks every 20 ms until the answer is `Some`.
///
/// # Errors
/// `limit` has passed, or asking failed.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_back() {
        let mut asked = 0;
        let answer = until("three", Duration::from_secs(5), || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn the_limit_names_what_was_waited_for() {
        let text = until::<()>("rain", Duration::ZERO, || Ok(None)).unwrap_err().to_string();
        assert_eq!(text, "waited 0ns in vain for rain");
    }
}
