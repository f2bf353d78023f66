// SPDX-License-Identifier: Apache-2.0
//! The neighbour table of one worker.

/// A slot of the worker's neighbour table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NeighId(pub u32);
