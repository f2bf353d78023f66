// SPDX-License-Identifier: Apache-2.0
//! What schedulers look up, kept from one snapshot to the next: with many servers it takes longer to make than everything else.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use engine::ids::ServiceId;
use engine::sched::Table;

/// Tables by service. One is made when it is first asked for after its service's servers, weights or scheduler changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables(HashMap<ServiceId, OnceLock<Option<Arc<Table>>>>);

impl Tables {
    /// Servers, weights or scheduler of a service changed, or it is new.
    pub(crate) fn renew(&mut self, id: ServiceId) {
        self.0.insert(id, OnceLock::new());
    }

    /// A service went.
    pub(crate) fn forget(&mut self, id: ServiceId) {
        self.0.remove(&id);
    }

    /// The table of a service; `make` makes it if there is none of its present revision.
    pub(crate) fn get(&self, id: ServiceId, make: impl FnOnce() -> Option<Table>) -> Option<Arc<Table>> {
        self.0.get(&id)?.get_or_init(|| make().map(Arc::new)).clone()
    }
}
