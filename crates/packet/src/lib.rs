//! Header views, builders and checksums.
#![forbid(unsafe_code)]
