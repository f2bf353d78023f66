// SPDX-License-Identifier: Apache-2.0
//! An option that EAL does not know is named in the error.

use dpdk::{Eal, EalConfig};

#[test]
fn an_unknown_option_is_named() {
    let config = EalConfig::default().with_args(["--no-such-option"]);
    let error = Eal::init(config).expect_err("EAL does not know it").to_string();
    assert!(error.starts_with("DPDK did not start with '--lcores="), "{error}");
    assert!(error.contains(" --no-such-option': Invalid argument"), "{error}");
}
