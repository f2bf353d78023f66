// SPDX-License-Identifier: Apache-2.0
//! The configuration file while the daemon runs: applied at the start, compared at a reload.

use std::path::{Path, PathBuf};

use control::boot::{self, BootConfig};

use crate::config::{self, Config};
use crate::controller::{Controller, Source};
use crate::daemon::Failure;
use crate::log::set_level;

/// The file, and what it said when it was last applied.
pub struct File {
    path: Option<PathBuf>,
    applied: BootConfig,
}

impl File {
    /// Configures what the file says, all or nothing.
    ///
    /// # Errors
    /// The refusal of a link, address or route.
    pub fn apply(config: &Config, controller: &mut Controller) -> Result<File, Failure> {
        let file = File { path: config.file.clone(), applied: config.boot.clone() };
        if let Some(path) = &file.path {
            let refused = |status| Failure::File { file: path.clone(), status };
            controller.apply(&config.boot.steps(), Source::File(path)).map_err(refused)?;
        }
        Ok(file)
    }

    /// Whether there is a file.
    pub fn is_there(&self) -> bool {
        self.path.is_some()
    }

    /// Reads the file again and changes what it says differently now: what an operator should know, which the log has too.
    ///
    /// # Errors
    /// What is wrong; everything stays as it was.
    pub fn reload(&mut self, controller: &mut Controller) -> Result<Vec<String>, String> {
        let Some(path) = self.path.clone() else {
            let nothing = "nothing to reload: the daemon was started without a configuration file";
            log::warn!("{nothing}");
            return Err(nothing.to_owned());
        };
        let told = self.change(&path, controller);
        match &told {
            Ok(_) => log::info!("reloaded file={}", path.display()),
            Err(reason) => {
                reason.lines().for_each(|line| log::error!("{line}"));
                log::error!("not reloaded, everything stays as it was file={}", path.display());
            }
        }
        told
    }

    fn change(&mut self, path: &Path, controller: &mut Controller) -> Result<Vec<String>, String> {
        let new = config::read(path).map_err(|error| error.to_string())?;
        let todo = boot::reload(controller.state(), &self.applied, &new);
        controller.apply(&todo.steps, Source::File(path)).map_err(|status| status.to_string())?;
        controller.set(todo.settings);
        if let Some(level) = todo.log_level {
            set_level(level);
        }
        let later =
            todo.restart.iter().map(|what| format!("{what} changed: that takes effect with the next start"));
        let later: Vec<String> = later.collect();
        later.iter().for_each(|line| log::warn!("{line}"));
        self.applied = new;
        Ok(later)
    }
}
