// SPDX-License-Identifier: Apache-2.0
//! Where log lines go and which: standard error, with time and level. `RUST_LOG` decides where it is set, else `log_level` of the
//! configuration, which may change at run time.

use control::boot::LogLevel;
use env_logger::Env;
use log::LevelFilter;

/// Begins to log.
pub fn start() {
    env_logger::Builder::from_env(Env::default().default_filter_or("trace")).init();
    set_level(LogLevel::default());
}

/// Lets through what is at least as severe as `level`, unless `RUST_LOG` says what to let through.
pub fn set_level(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    if std::env::var_os(env_logger::DEFAULT_FILTER_ENV).is_none() {
        log::set_max_level(level);
    }
}
