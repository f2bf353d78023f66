// SPDX-License-Identifier: Apache-2.0
//! Tells the service manager how far we are (sd_notify(3)) and that we live (sd_watchdog_enabled(3)): a datagram to the socket it
//! names in the environment.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Who wants to know, if anybody.
pub struct Notifier(Option<SocketAddr>);

impl Notifier {
    /// From `NOTIFY_SOCKET`: a path, or a name in the abstract namespace after an `@`.
    pub fn from_env() -> Notifier {
        let address = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let parsed = address.map(|name| parse(&name)).transpose().unwrap_or_else(|error| {
            log::warn!("NOTIFY_SOCKET cannot be used: {error}");
            None
        });
        Notifier(parsed)
    }

    /// The control loop goes round.
    pub fn alive(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// Start-up is complete.
    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    fn send(&self, text: &str) {
        let Some(address) = &self.0 else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(text.as_bytes(), address)
        });
        if let Err(error) = sent {
            log::warn!("the service manager does not listen: {error}");
        }
    }
}

/// How often to say that we live: twice in the time after which the service manager takes us for stuck. `WATCHDOG_USEC` has that in
/// microseconds, `WATCHDOG_PID`, where set, whom it watches.
pub fn watchdog() -> Option<Duration> {
    let var = |name| std::env::var(name).ok();
    interval(var("WATCHDOG_USEC").as_deref(), var("WATCHDOG_PID").as_deref(), std::process::id())
}

fn interval(usec: Option<&str>, watched: Option<&str>, own: u32) -> Option<Duration> {
    if watched.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    usec?.parse().ok().filter(|usec| *usec > 1).map(|usec: u64| Duration::from_micros(usec / 2))
}

fn parse(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(name: &str, address: &SocketAddr) -> String {
        let manager = UnixDatagram::bind_addr(address).expect("the name is free");
        let notifier = Notifier(Some(parse(OsStr::new(name)).expect("a valid name")));
        notifier.ready();
        notifier.alive();
        notifier.stopping();
        let mut text = String::new();
        for _ in 0..3 {
            let mut buffer = [0; 64];
            let n = manager.recv(&mut buffer).expect("a datagram");
            text.push_str(std::str::from_utf8(&buffer[..n]).expect("text"));
        }
        text
    }

    #[test]
    fn the_manager_hears_of_start_and_stop_by_path() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let address = SocketAddr::from_pathname(&path).expect("short enough");
        assert_eq!(received(path.to_str().expect("text"), &address), "READY=1\nWATCHDOG=1\nSTOPPING=1\n");
    }

    #[test]
    fn the_manager_hears_of_start_and_stop_in_the_abstract_namespace() {
        let name = format!("dpvsd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("short enough");
        assert_eq!(received(&format!("@{name}"), &address), "READY=1\nWATCHDOG=1\nSTOPPING=1\n");
    }

    #[test]
    fn the_watchdog_hears_twice_in_its_time_from_the_process_it_watches() {
        let half = Some(Duration::from_secs(15));
        assert_eq!(interval(Some("30000000"), None, 7), half);
        assert_eq!(interval(Some("30000000"), Some("7"), 7), half);
        assert_eq!(interval(Some("30000000"), Some("8"), 7), None, "it watches another process");
        assert_eq!(interval(Some("0"), None, 7), None);
        assert_eq!(interval(Some("soon"), None, 7), None);
        assert_eq!(interval(None, Some("7"), 7), None, "nobody watches");
    }
}
