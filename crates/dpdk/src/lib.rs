//! Safe, owning types over dpdk-sys.
