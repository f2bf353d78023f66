//! End-to-end tests: network namespaces, golden transcripts, scenarios.
#![forbid(unsafe_code)]
