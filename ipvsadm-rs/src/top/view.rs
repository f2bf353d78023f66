// SPDX-License-Identifier: Apache-2.0
//! What `--top` shows: pure, from answers and keys to lines of text.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use cli::units::scaled;
use model::Rates;
use sockopt::reply::ServiceEntry;

use crate::args::Style;
use crate::render::services::{forwarding, service_name};
use crate::render::{Labels, transport};
use crate::sort;

/// By what rows are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As listings are.
    #[default]
    Name,
    /// Connections.
    Conns,
    /// Packets per second, both directions.
    Packets,
    /// Bytes per second, both directions.
    Bytes,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Sorts otherwise.
    Order(Order),
    /// Shows or hides servers.
    Servers,
    /// Shows other rows: so many lines further down, or up.
    Scroll(isize),
    /// Ends.
    Quit,
}

/// The view.
#[derive(Debug, Default)]
pub struct View {
    order: Order,
    hide_servers: bool,
    offset: usize,
    services: Vec<ServiceEntry>,
    history: HashMap<String, VecDeque<u64>>,
    trouble: Option<String>,
}

struct Row {
    name: String,
    kind: String,
    active: u32,
    inactive: u32,
    rates: Rates,
}

impl View {
    /// Takes a new answer in.
    pub fn update(&mut self, mut services: Vec<ServiceEntry>) {
        sort::services(&mut services);
        for service in &mut services {
            sort::dests(&mut service.dests, Style::Stock);
        }
        self.services = services;
        self.trouble = None;
        let mut history = std::mem::take(&mut self.history);
        for row in self.services.iter().flat_map(|service| rows(service, Labels(None))) {
            let mut past = history.remove(&row.name).unwrap_or_default();
            past.push_back(row.rates.in_pps + row.rates.out_pps);
            while past.len() > PAST {
                past.pop_front();
            }
            self.history.insert(row.name, past);
        }
    }

    /// Shows what is wrong, beside what was seen last.
    pub fn trouble(&mut self, reason: String) {
        self.trouble = Some(reason);
    }

    /// Does what a key asks for. Says whether to go on.
    pub fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Order(order) => self.order = order,
            Key::Servers => self.hide_servers = !self.hide_servers,
            Key::Scroll(lines) => self.offset = self.offset.saturating_add_signed(lines),
            Key::Quit => return false,
        }
        true
    }

    /// The lines of a screen of this size.
    pub fn lines(&self, width: usize, height: usize, labels: Labels<'_>) -> Vec<String> {
        let mut lines = vec![self.head(), String::new(), TITLES.to_owned()];
        let rows = self.rows();
        let room = height.saturating_sub(lines.len() + 1);
        let offset = self.offset.min(rows.len().saturating_sub(room));
        lines.extend(rows[offset..].iter().take(room).map(|row| self.line(row, labels)));
        lines.resize(height.saturating_sub(1), String::new());
        lines.push(KEYS.to_owned());
        lines.truncate(height);
        lines.iter().map(|line| line.chars().take(width).collect()).collect()
    }

    fn head(&self) -> String {
        let servers: usize = self.services.iter().map(|service| service.dests.len()).sum();
        let order = match self.order {
            Order::Name => "name",
            Order::Conns => "connections",
            Order::Packets => "packets per second",
            Order::Bytes => "bytes per second",
        };
        match &self.trouble {
            Some(reason) => format!("{reason} (showing what was seen last)"),
            None => format!("{} services, {servers} servers, by {order}", self.services.len()),
        }
    }

    /// Services in the order wanted, each with its servers in that order.
    fn rows(&self) -> Vec<(usize, Option<usize>)> {
        let mut services: Vec<usize> = (0..self.services.len()).collect();
        services.sort_by_key(|&at| Reverse(self.weight(at, None)));
        let mut rows = Vec::new();
        for at in services {
            rows.push((at, None));
            if !self.hide_servers {
                let mut dests: Vec<usize> = (0..self.services[at].dests.len()).collect();
                dests.sort_by_key(|&dest| Reverse(self.weight(at, Some(dest))));
                rows.extend(dests.into_iter().map(|dest| (at, Some(dest))));
            }
        }
        rows
    }

    fn weight(&self, service: usize, dest: Option<usize>) -> u64 {
        let row = row(&self.services[service], dest, Labels(None));
        match self.order {
            Order::Name => 0,
            Order::Conns => u64::from(row.active) + u64::from(row.inactive),
            Order::Packets => row.rates.in_pps + row.rates.out_pps,
            Order::Bytes => row.rates.in_bps + row.rates.out_bps,
        }
    }

    fn line(&self, &(service, dest): &(usize, Option<usize>), labels: Labels<'_>) -> String {
        let key = row(&self.services[service], dest, Labels(None)).name;
        let Row { name, kind, active, inactive, rates } = row(&self.services[service], dest, labels);
        let name: String = name.split('|').next_back().unwrap_or_default().chars().take(36).collect();
        let graph = self.history.get(&key).map(graph).unwrap_or_default();
        format!(
            "{name:<36} {kind:<8} {active:>7} {inactive:>7} {:>7} {:>9} {:>9} {:>10} {:>10}  {graph}",
            scaled(rates.cps),
            scaled(rates.in_pps),
            scaled(rates.out_pps),
            scaled(rates.in_bps),
            scaled(rates.out_bps),
        )
    }
}

fn rows(service: &ServiceEntry, labels: Labels<'_>) -> Vec<Row> {
    let dests = (0..service.dests.len()).map(Some);
    [None].into_iter().chain(dests).map(|dest| row(service, dest, labels)).collect()
}

/// The row of a service or of one of its servers. The name of a server begins with its service, to tell apart servers
/// of several services.
fn row(service: &ServiceEntry, dest: Option<usize>, labels: Labels<'_>) -> Row {
    let name = service_name(&service.key, labels, Style::Stock);
    match dest.map(|at| &service.dests[at]) {
        None => Row {
            name,
            kind: service.spec.scheduling.scheduler.clone(),
            active: service.dests.iter().map(|dest| dest.active).sum(),
            inactive: service.dests.iter().map(|dest| dest.inactive).sum(),
            rates: service.rates,
        },
        Some(dest) => Row {
            name: format!("{name}|  -> {}", labels.end(dest.addr, transport(&service.key))),
            kind: format!("{} {}", forwarding(dest.spec.forwarding), dest.spec.weight),
            active: dest.active,
            inactive: dest.inactive,
            rates: dest.rates,
        },
    }
}

/// A bar for each look, as high as its share of the highest.
fn graph(past: &VecDeque<u64>) -> String {
    let highest = past.iter().copied().max().unwrap_or(0).max(1);
    let bar = |&n: &u64| match n {
        0 => ' ',
        n => BARS[((n.saturating_mul(BARS.len() as u64) - 1) / highest).min(BARS.len() as u64 - 1) as usize],
    };
    past.iter().map(bar).collect()
}

const PAST: usize = 30;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const TITLES: &str = "SERVICE, SERVER                      KIND      ACTIVE   INACT     CPS    IN-PPS   OUT-PPS     IN-BPS    OUT-BPS  PACKETS/S";
const KEYS: &str =
    "q quit  n name  c connections  p packets  b bytes  s servers  arrows, page up and down scroll";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use model::{Counters, DestSpec, ServiceKey, ServiceSpec, Transport};
    use sockopt::reply::DestEntry;

    use super::*;

    fn service(vip: &str, in_pps: u64, dests: &[(&str, u32)]) -> ServiceEntry {
        let vip: SocketAddr = vip.parse().unwrap();
        let dest = |&(addr, active): &(&str, u32)| DestEntry {
            addr: addr.parse().unwrap(),
            spec: DestSpec::default(),
            counters: Counters::default(),
            rates: Rates::default(),
            active,
            inactive: 0,
            persistent: 0,
            inhibited: false,
            overloaded: false,
        };
        ServiceEntry {
            key: ServiceKey::endpoint(Transport::Tcp, vip.ip(), vip.port()),
            spec: ServiceSpec::default(),
            counters: Counters::default(),
            rates: Rates { in_pps, ..Rates::default() },
            dests: dests.iter().map(dest).collect(),
            laddrs: Vec::new(),
            block: Vec::new(),
            allow: Vec::new(),
            syn_proxy: None,
        }
    }

    fn names(view: &View) -> Vec<String> {
        let lines = view.lines(200, 20, Labels(None));
        let rows = lines[3..19].iter().take_while(|line| !line.is_empty());
        rows.map(|line| line.chars().take(36).collect::<String>().trim_end().to_owned()).collect()
    }

    #[test]
    fn rows_are_sorted_as_asked_and_servers_stay_with_their_service() {
        let mut view = View::default();
        view.update(vec![
            service("10.0.0.1:80", 5, &[("10.0.1.1:80", 1), ("10.0.1.2:80", 7)]),
            service("10.0.0.2:80", 9, &[("10.0.1.1:80", 0)]),
        ]);
        let (a, b) = ("TCP  10.0.0.1:80", "TCP  10.0.0.2:80");
        let (one, two) = ("  -> 10.0.1.1:80", "  -> 10.0.1.2:80");
        assert_eq!(names(&view), [a, one, two, b, one]);
        assert!(view.key(Key::Order(Order::Packets)));
        assert_eq!(names(&view), [b, one, a, one, two]);
        view.key(Key::Order(Order::Conns));
        assert_eq!(names(&view), [a, two, one, b, one]);
        view.key(Key::Servers);
        assert_eq!(names(&view), [a, b]);
        assert!(!view.key(Key::Quit));
    }

    #[test]
    fn each_row_has_its_own_history() {
        let mut view = View::default();
        for pps in [0, 1, 4, 8] {
            view.update(vec![service("10.0.0.1:80", pps, &[])]);
        }
        assert!(
            view.lines(200, 6, Labels(None))[3].ends_with("   ▁▄█"),
            "{:?}",
            view.lines(200, 6, Labels(None))
        );
    }

    #[test]
    fn a_screen_is_never_larger_than_the_terminal() {
        let mut view = View::default();
        view.update((1..100).map(|n| service(&format!("10.0.0.{n}:80"), 0, &[])).collect());
        for (width, height) in [(0, 0), (1, 1), (20, 3), (80, 24)] {
            let lines = view.lines(width, height, Labels(None));
            assert_eq!(lines.len(), height);
            assert!(lines.iter().all(|line| line.chars().count() <= width));
        }
        view.key(Key::Scroll(1000));
        assert!(view.lines(80, 24, Labels(None))[22].starts_with("TCP  10.0.0.99:80"));
    }

    #[test]
    fn trouble_is_shown_until_the_daemon_answers_again() {
        let mut view = View::default();
        view.update(vec![service("10.0.0.1:80", 0, &[])]);
        view.trouble("gone".to_owned());
        assert!(view.lines(80, 10, Labels(None))[0].starts_with("gone"));
        assert_eq!(names(&view), ["TCP  10.0.0.1:80"]);
        view.update(Vec::new());
        assert!(view.lines(80, 10, Labels(None))[0].starts_with("0 services"));
    }
}
