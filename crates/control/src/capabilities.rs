// SPDX-License-Identifier: Apache-2.0
//! What the engine can do, in one place: everything else is refused here, with the reason. A new ability is a line less.

use engine::sched::Scheduler;
use engine::snapshot::Forwarding;
use model::{DestSpec, Scheduling};
use sockopt::{Code, Status};

/// The scheduler of that name.
///
/// # Errors
/// `NoScheduler`, with the names there are.
pub fn scheduler(name: &str) -> Result<Scheduler, Status> {
    Scheduler::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = Scheduler::ALL.iter().map(|scheduler| scheduler.name()).collect();
        Status::new(Code::NoScheduler, format!("no scheduler `{name}`: there are {}", known.join(", ")))
    })
}

/// Whether workers can do everything else a service asks of its scheduling.
///
/// # Errors
/// `NotSupported`; `NoScheduler` for a persistence engine.
pub fn scheduling(scheduling: &Scheduling) -> Result<(), Status> {
    match &scheduling.pe {
        Some(pe) if pe != "sip" => {
            Err(Status::new(Code::NoScheduler, format!("no persistence engine `{pe}`: there is sip")))
        }
        _ => Ok(()),
    }
}

/// How workers reach a server.
///
/// # Errors
/// `NotSupported`.
pub fn forwarding(spec: &DestSpec) -> Result<Forwarding, Status> {
    match spec.forwarding {
        model::Forwarding::FullNat => Ok(Forwarding::FullNat),
        model::Forwarding::Nat => Ok(Forwarding::Nat),
        model::Forwarding::DirectRouting => Ok(Forwarding::DirectRouting),
        model::Forwarding::Tunnel(kind) => Ok(Forwarding::Tunnel(kind)),
        model::Forwarding::Snat => Ok(Forwarding::Snat),
        model::Forwarding::Local => Err(lacking_mode("local delivery")),
    }
}

fn lacking(text: impl Into<String>) -> Status {
    Status::new(Code::NotSupported, text)
}

fn lacking_mode(mode: &str) -> Status {
    lacking(format!(
        "forwarding by {mode} is not there yet: fullnat (-b), masquerading (-m), direct routing (-g), tunnelling (-i) and snat (-J) are"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheduler_is_answered_with_those_there_are() {
        let status = scheduler("fair").expect_err("there is none");
        assert_eq!(status.code, Code::NoScheduler);
        assert!(status.text.starts_with("no scheduler `fair`: there are rr, wrr, lc, wlc, sed, nq, dh, sh, mh, conhash, fo, ovf, lblc, lblcr, twos, none"), "{}", status.text);
        assert_eq!(scheduler("RR").map_err(|s| s.code), Err(Code::NoScheduler), "names have lower case");
        assert_eq!(scheduler("wrr"), Ok(Scheduler::Wrr));
    }
}
