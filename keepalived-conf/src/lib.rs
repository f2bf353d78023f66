//! The block language of keepalived.conf and dpvs.conf.
#![forbid(unsafe_code)]
