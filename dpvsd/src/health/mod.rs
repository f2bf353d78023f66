// SPDX-License-Identifier: Apache-2.0
//! Looks after the real servers of a keepalived.conf.
//!
//! ```text
//!   control thread                                 health thread (tokio, one thread)
//!   Keepalived ── Book ── pools, table             a task for each checker:
//!       │   ^       Book::after, Book::take           Machine says when and what it means
//!       │   └──────────── events ──────────────────   Probe does it
//!       └──────────────── orders ─────────────────>   scripts
//! ```
//!
//! The rules are pure: [`machine`] for one checker, [`pool`] for the servers of a service, [`book`] for a whole configuration. The
//! control thread owns the book, so that reloads and outcomes of checks cannot cross.

pub mod book;
mod machine;
mod plan;
mod pool;
mod probe;
mod runner;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use keepalived_conf::keepalived::script::Script;
use tokio::sync::mpsc::UnboundedSender;

use book::{Book, Due, Event};
use plan::Plan;
use pool::CheckerId;

/// The thread that checks. It ends when this is dropped.
pub struct Health {
    orders: UnboundedSender<Order>,
    events: Receiver<Event>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the thread is told.
enum Order {
    /// These checkers and no others, by number; whether each is suspended.
    Watch(BTreeMap<CheckerId, (Arc<Plan>, bool)>),
    /// A script, what it is run for, and who runs it where it does not say so.
    Run(String, Script, Option<String>),
    /// Let the scripts that run finish, and end.
    End,
}

/// How long scripts at the end may take together.
const FAREWELL: Duration = Duration::from_secs(5);

impl Health {
    /// Starts the thread, with nothing to do.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start() -> std::io::Result<Health> {
        let (orders, mail) = tokio::sync::mpsc::unbounded_channel();
        let (tell, events) = crossbeam_channel::unbounded();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let life = move || tokio::task::LocalSet::new().block_on(&runtime, runner::run(mail, tell));
        let thread = std::thread::Builder::new().name("health".to_owned()).spawn(life)?;
        Ok(Health { orders, events, thread: Some(thread) })
    }

    /// Where outcomes arrive.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Lets these checkers run, and no others; those of suspended blocks wait.
    pub fn watch(&self, book: &Book, suspended: &BTreeSet<usize>) {
        let told = |entry: &book::Entry| (Arc::clone(&entry.plan), suspended.contains(&entry.block));
        self.order(Order::Watch(book.checkers.iter().map(|(id, entry)| (*id, told(entry))).collect()));
    }

    /// Runs scripts; those that name no user by the default one.
    pub fn run(&self, due: Due, default_user: Option<&str>) {
        for (what, script) in due {
            self.order(Order::Run(what, script, default_user.map(str::to_owned)));
        }
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            log::error!("the thread that checks servers has ended: restart the daemon");
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A number nobody can guess.
fn random() -> u64 {
    // Every hasher of the standard library begins with keys of its own.
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keepalived_conf::keepalived;
    use std::net::TcpListener;

    /// Long enough for any of it on a busy machine.
    const LONG: Duration = Duration::from_secs(20);

    fn book(before: &Book, port: u16, times: &str) -> Book {
        let text = format!(
            "virtual_server 192.0.2.1 80 {{\nprotocol TCP\nlb_kind NAT\nwarmup 0\n{times}real_server 127.77.0.1 {port} {{\n\
             TCP_CHECK {{\n}}\n}}\n}}\n"
        );
        let report = keepalived::parse(text.as_bytes(), "k", "lb").expect("good text");
        Book::after(before, report.config).expect("a book").0
    }

    #[test]
    fn checkers_find_out_and_keep_what_they_know() {
        // An address of its own: nobody else takes the port while nobody listens.
        let server = TcpListener::bind("127.77.0.1:0").expect("a socket");
        let addr = server.local_addr().expect("an address");
        let health = Health::start().expect("a thread");
        let first = book(&Book::default(), addr.port(), "delay_loop 0.1\nretry 1\ndelay_before_retry 0.1\n");
        health.watch(&first, &BTreeSet::new());
        // Well, as it counted: nothing to tell. Then it is gone, and back.
        assert_eq!(health.events().recv_timeout(Duration::from_millis(1500)).ok(), None);
        drop(server);
        assert!(matches!(health.events().recv_timeout(LONG), Ok(Event::Down(1, _))));
        // Other times: the same checker, which still knows that it is down.
        let second = book(&first, addr.port(), "delay_loop 0.2\n");
        health.watch(&second, &BTreeSet::new());
        let server = TcpListener::bind(addr).expect("the port is free");
        assert_eq!(health.events().recv_timeout(LONG), Ok(Event::Up(1)));
        // Suspended, it does not look.
        health.watch(&second, &BTreeSet::from([0]));
        std::thread::sleep(Duration::from_millis(1000));
        drop(server);
        assert_eq!(health.events().recv_timeout(Duration::from_millis(1000)).ok(), None);
        health.watch(&second, &BTreeSet::new());
        assert!(matches!(health.events().recv_timeout(LONG), Ok(Event::Down(1, _))));
        // Gone from the configuration, it has ended.
        health.watch(&Book::default(), &BTreeSet::new());
        let _server = TcpListener::bind(addr).expect("the port is free");
        assert_eq!(health.events().recv_timeout(Duration::from_millis(500)).ok(), None);
    }

    #[test]
    fn scripts_that_run_at_the_end_are_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let mark = dir.path().join("ran");
        let line = format!("sleep 0.3; echo > {}", mark.display());
        let argv = ["/bin/sh", "-c", &line].map(str::to_owned).to_vec();
        let health = Health::start().expect("a thread");
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("users").expect("a name");
        health.run(vec![("test".to_owned(), Script { argv, user: None })], Some(&me.name));
        drop(health);
        assert!(mark.exists());
    }
}
