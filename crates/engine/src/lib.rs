//! The director itself: bytes, time and a snapshot in; packets, verdicts and events out.
#![forbid(unsafe_code)]
