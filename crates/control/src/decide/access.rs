// SPDX-License-Identifier: Apache-2.0
//! Access lists of services: `ipvsadm -U -V -O -Y`.

use model::ipset::SetKind;
use model::options::{AccessList, AccessSubject};
use model::{Family, ServiceKey};
use sockopt::{Code, Status};

use super::{Decision, find_set, refuse, service, unicast};
use crate::rows::Service;
use crate::state::State;

pub(super) fn add(
    state: &State,
    key: &ServiceKey,
    list: AccessList,
    subject: &AccessSubject,
) -> Result<Decision, Status> {
    let (id, old) = state.service(key)?;
    let mut service = old.clone();
    if entries(&mut service, list).contains(subject) {
        return refuse(Code::Exists, format!("{subject} is in the {} list of {key} already", word(list)));
    }
    let family = match subject {
        AccessSubject::Addr(addr) => {
            unicast(*addr, "client")?;
            Some(Family::of(*addr))
        }
        AccessSubject::Set(name) => {
            let spec = &find_set(state, name)?.spec;
            // Ports are of no family.
            (spec.kind != SetKind::BitmapPort).then_some(spec.family)
        }
    };
    if family.is_some_and(|family| family != key.family()) {
        return refuse(
            Code::Invalid,
            format!("{subject} is of another family than {key}: it would never match"),
        );
    }
    entries(&mut service, list).push(subject.clone());
    Ok(Decision::new(vec![service::replaced(state, id, service)], Vec::new()))
}

pub(super) fn delete(
    state: &State,
    key: &ServiceKey,
    list: AccessList,
    subject: &AccessSubject,
) -> Result<Decision, Status> {
    let (id, old) = state.service(key)?;
    let mut service = old.clone();
    if !entries(&mut service, list).contains(subject) {
        return refuse(Code::NotFound, format!("{subject} is not in the {} list of {key}", word(list)));
    }
    entries(&mut service, list).retain(|entry| entry != subject);
    Ok(Decision::new(vec![service::replaced(state, id, service)], Vec::new()))
}

fn entries(service: &mut Service, list: AccessList) -> &mut Vec<AccessSubject> {
    match list {
        AccessList::Block => &mut service.block,
        AccessList::Allow => &mut service.allow,
    }
}

fn word(list: AccessList) -> &'static str {
    match list {
        AccessList::Block => "block",
        AccessList::Allow => "allow",
    }
}
