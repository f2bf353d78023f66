// SPDX-License-Identifier: Apache-2.0
//! The control protocol: what tools ask of the daemon and what it answers.
#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
pub mod reply;
pub mod request;
pub mod status;

pub use client::{Client, ClientError};
pub use frame::{Frame, FrameError, FrameReader};
pub use reply::Reply;
pub use request::{Files, Get, Request, Set};
pub use status::{Code, Status};
