// SPDX-License-Identifier: Apache-2.0
//! What `--json` prints: one object per listing, `{"version": 1, "NAME": ...}`.
//!
//! Within a version, members are added and never renamed, removed or given another meaning.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Version of the documents.
pub const VERSION: u32 = 1;

/// The document of one listing, indented, with a newline at its end. `name` says what is listed, in the plural.
///
/// # Panics
///
/// When `listing` has map keys that are no text; listings have none.
pub fn document(name: &str, listing: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(&Document { name, listing })
        .expect("listings serialise: their keys are texts");
    text.push('\n');
    text
}

struct Document<'a, T> {
    name: &'a str,
    listing: &'a T,
}

impl<T: Serialize> Serialize for Document<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("version", &VERSION)?;
        object.serialize_entry(self.name, self.listing)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_with_its_version_and_ends_with_a_newline() {
        let text = document("names", &["a"]);
        assert_eq!(text, "{\n  \"version\": 1,\n  \"names\": [\n    \"a\"\n  ]\n}\n");
    }
}
