// SPDX-License-Identifier: Apache-2.0
//! Shows a director at work.
fn main() {}
