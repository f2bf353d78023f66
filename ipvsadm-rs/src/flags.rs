// SPDX-License-Identifier: Apache-2.0
//! Flags of schedulers: three bits, which some schedulers give names.

/// The bits of flags by name.
///
/// # Errors
///
/// A name that nobody knows, or that belongs to another scheduler.
pub fn bits(names: &[String], scheduler: &str) -> Result<u8, String> {
    names.iter().try_fold(0, |bits, name| Ok(bits | bit(name, scheduler)?))
}

/// The names of the bits, as `scheduler` calls them.
pub fn names(bits: u8, scheduler: &str) -> Vec<&'static str> {
    (0..GENERIC.len()).filter(|index| bits & 1 << index != 0).map(|index| name(index, scheduler)).collect()
}

fn bit(wanted: &str, scheduler: &str) -> Result<u8, String> {
    if let Some(index) = GENERIC.iter().position(|name| *name == wanted) {
        return Ok(1 << index);
    }
    let (owner, index) = OWN
        .iter()
        .find_map(|(owner, names)| Some((*owner, names.iter().position(|name| *name == wanted)?)))
        .ok_or_else(|| {
            format!(
                "scheduler flag `{wanted}` is unknown: flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback or \
                 mh-port expected"
            )
        })?;
    if owner == scheduler {
        Ok(1 << index)
    } else {
        Err(format!("scheduler flag `{wanted}` belongs to the scheduler {owner}, not {scheduler}"))
    }
}

fn name(index: usize, scheduler: &str) -> &'static str {
    let own = OWN.iter().find(|(owner, _)| *owner == scheduler).and_then(|(_, names)| names.get(index));
    own.copied().unwrap_or(GENERIC[index])
}

const GENERIC: [&str; 3] = ["flag-1", "flag-2", "flag-3"];
const OWN: [(&str, [&str; 2]); 2] = [("sh", ["sh-fallback", "sh-port"]), ("mh", ["mh-fallback", "mh-port"])];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_shown_as_their_scheduler_names_them() {
        assert_eq!(names(3, "sh"), ["sh-fallback", "sh-port"]);
        assert_eq!(names(7, "mh"), ["mh-fallback", "mh-port", "flag-3"]);
        assert_eq!(names(5, "rr"), ["flag-1", "flag-3"]);
    }

    #[test]
    fn flags_of_another_scheduler_are_refused() {
        let bits = |names: &[&str], scheduler| {
            bits(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), scheduler)
        };
        assert_eq!(bits(&["sh-port", "flag-1"], "sh"), Ok(3));
        assert_eq!(
            bits(&["sh-port"], "rr"),
            Err("scheduler flag `sh-port` belongs to the scheduler sh, not rr".to_owned())
        );
        assert!(bits(&["SH-PORT"], "sh").is_err());
        assert!(bits(&["flag-4"], "sh").is_err());
    }
}
