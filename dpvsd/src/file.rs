// SPDX-License-Identifier: Apache-2.0
//! The configuration file while the daemon runs: applied at the start, compared at a reload.

use std::path::{Path, PathBuf};

use control::State;
use control::boot::{self, BootConfig, Reload};
use sockopt::{Set, Status};

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
    /// The refusal of a link, address or route, with its place.
    pub fn apply(config: &Config, controller: &mut Controller) -> Result<File, Failure> {
        let file = File { path: config.file.clone(), applied: config.boot.clone() };
        if let Some(path) = &file.path {
            let steps = config.boot.steps();
            controller.apply(&steps, Source::File(path)).map_err(|status| {
                let step = steps.get(status.step.unwrap_or(0) as usize);
                Failure::Refused(file.blame(&config.boot, step, &status))
            })?;
        }
        Ok(file)
    }

    /// Where it is, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What the file says now, if there is one.
    ///
    /// # Errors
    /// Everything that is wrong, with file and line.
    pub fn read(&self) -> Result<Option<BootConfig>, String> {
        self.path.as_deref().map(config::read).transpose().map_err(|error| error.to_string())
    }

    /// What `new` says differently.
    pub fn todo(&self, state: &State, new: &BootConfig) -> Reload {
        boot::reload(state, &self.applied, new)
    }

    /// A refusal, with the place in the file that asks for it.
    pub fn blame(&self, new: &BootConfig, step: Option<&Set>, status: &Status) -> String {
        match (step.and_then(|step| new.place(step)), &self.path) {
            (Some(place), _) => format!("{place}: {status}"),
            (None, Some(path)) => format!("{}: {status}", path.display()),
            (None, None) => status.to_string(),
        }
    }

    /// Takes note that `todo`, which `new` asked for, is done: what an operator should know.
    pub fn adopt(&mut self, new: BootConfig, todo: Reload) -> Vec<String> {
        if let Some(level) = todo.log_level {
            set_level(level);
        }
        self.applied = new;
        let later = |what: String| format!("{what} changed: that takes effect with the next start");
        todo.restart.into_iter().map(later).collect()
    }
}
