//! The control protocol: frames, requests and replies.
#![forbid(unsafe_code)]
