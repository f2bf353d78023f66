// SPDX-License-Identifier: Apache-2.0
//! `real_server`.

use super::Reader;
use super::draft::{RealServerDraft, ServiceDraft, TimingDraft};
use super::service::{MAX_WEIGHT, endpoint, fits};
use crate::keepalived::cursor::Statement;
use crate::keepalived::keyword::{Block, Takes};
use crate::keepalived::object::Check;
use crate::keepalived::report::Fatal;

impl Reader {
    pub(super) fn real_server(
        &mut self,
        header: &Statement,
        service: &mut ServiceDraft,
    ) -> Result<(), Fatal> {
        let Some((addr, port)) = self.accept(header, endpoint(header.args())) else {
            return self.cursor.skip_block();
        };
        let mut server = RealServerDraft {
            addr,
            port,
            weight: None,
            method: service.method,
            inhibit_on_failure: None,
            uthreshold: 0,
            lthreshold: 0,
            alpha: None,
            smtp_alert: None,
            virtualhost: None,
            snmp_name: None,
            notify_up: None,
            notify_down: None,
            timing: TimingDraft::default(),
            checkers: Vec::new(),
            span: header.span.clone(),
        };
        self.cursor.open()?;
        while let Some(statement) = self.cursor.statement()? {
            let Some(keyword) = self.known(Block::RealServer, &statement)? else { continue };
            if keyword.takes == Takes::Block {
                self.checker(&statement, &mut server)?;
            } else {
                self.server_keyword(keyword.name, &statement, &mut server);
            }
        }
        // keepalived has files apart from the other checkers, and lists them last.
        server.checkers.sort_by_key(|checker| matches!(checker.check, Check::File { .. }));
        if fits(&mut service.family, server.addr, server.method) {
            service.real_servers.push(server);
        } else {
            self.warn_at_end(
                header.keyword(),
                format!("{addr} has another address family than the service, ignored"),
            );
        }
        Ok(())
    }

    fn server_keyword(&mut self, keyword: &str, statement: &Statement, server: &mut RealServerDraft) {
        if self.timing(statement, &mut server.timing, 1) {
            return;
        }
        match keyword {
            "weight" => super::replace(&mut server.weight, self.number(statement, 0, MAX_WEIGHT)),
            "lvs_method" => self.method(statement, &mut server.method),
            "uthreshold" => {
                server.uthreshold = self.number(statement, 0, u32::MAX).unwrap_or(server.uthreshold)
            }
            "lthreshold" => {
                server.lthreshold = self.number(statement, 0, u32::MAX).unwrap_or(server.lthreshold)
            }
            "inhibit_on_failure" => super::replace(&mut server.inhibit_on_failure, self.boolean(statement)),
            "alpha" => super::replace(&mut server.alpha, self.boolean(statement)),
            "smtp_alert" => super::replace(&mut server.smtp_alert, self.boolean(statement)),
            "notify_up" => self.script(statement, &mut server.notify_up),
            "notify_down" => self.script(statement, &mut server.notify_down),
            "virtualhost" => self.text(statement, &mut server.virtualhost),
            "snmp_name" => self.snmp_name(statement, &mut server.snmp_name),
            _ => unreachable!("every honoured keyword is listed here"),
        }
    }
}
