// SPDX-License-Identifier: Apache-2.0
//! The tool as a whole, against a table in memory.

mod complete;
mod dpvs;
mod import;
mod random;
mod replay;
mod restore;
mod socket;
mod table;
mod tool;
