// SPDX-License-Identifier: Apache-2.0
//! The lab: a director between a client and real servers, each in its own network namespace, joined by veth pairs.
//!
//! The director is the real `dpvsd`; everybody else is somebody else's program on the kernel's own network stack. Nothing here
//! touches an interface of the machine. A lab is gone when its value is dropped, also after a panic; what a killed process left
//! is swept by the next lab. Only one lab runs at a time on a machine (see `README.md`).
#![forbid(unsafe_code)]

pub mod capture;
pub mod client;
pub mod command;
pub mod connections;
pub mod delay;
pub mod director;
pub mod echo;
pub mod lab;
pub mod loss;
pub mod net;
pub mod netns;
pub mod path;
pub mod process;
pub mod pty;
pub mod scapy;
pub mod server;
pub mod sweep;
pub mod tagger;
pub mod traffic;
pub mod transcript;
pub mod upload;
pub mod wait;

pub use anyhow::{Context, Error, Result, bail, ensure};
pub use director::Director;
pub use lab::{Lab, scenario};
pub use net::{Arms, Driver, Family, Plan};
pub use netns::Netns;
