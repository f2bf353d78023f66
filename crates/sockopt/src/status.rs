// SPDX-License-Identifier: Apache-2.0
//! Why the daemon refuses: a code for programs, a text for people.

use std::fmt;

use bincode::{Decode, Encode};
use serde::Serialize;

/// The kind of refusal. Tools decide by it, never by the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A value is out of range or contradicts another.
    Invalid,
    /// It is there already.
    Exists,
    /// The object the change is about is not there.
    NotFound,
    /// The service the change is about is not there.
    NoService,
    /// The scheduler or persistence engine is unknown.
    NoScheduler,
    /// The link is not there.
    NoDevice,
    /// The daemon cannot do that.
    NotSupported,
    /// A table is full.
    NoResource,
    /// In use by something else.
    Busy,
    /// The device or the system refused.
    System,
    /// The frame or message cannot be understood.
    Protocol,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, thiserror::Error)]
pub struct Status {
    /// The kind.
    pub code: Code,
    /// What was wrong, with the value, and how to put it right; lower case, no full stop.
    pub text: String,
    /// In a transaction: which step was refused, from 0.
    pub step: Option<u32>,
}

impl Status {
    /// A refusal of a single request.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Status { code, text: text.into(), step: None }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
