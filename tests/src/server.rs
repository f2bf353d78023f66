// SPDX-License-Identifier: Apache-2.0
//! A real server: nginx with a body nobody else serves, in its own namespace.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::netns::Netns;
use crate::process::Background;

/// nginx on port 80 of all addresses of a namespace; on port 8081 one that is told of clients by the PROXY protocol, and tells them in turn
/// (`/whom`).
#[derive(Debug)]
pub struct Server {
    name: String,
    dir: PathBuf,
    nginx: Option<Background>,
}

impl Server {
    /// Starts nginx with its files below `dir`. `name` is part of its body.
    ///
    /// # Errors
    /// nginx is not installed or does not start.
    pub fn start(ns: &Netns, name: &str, dir: &Path) -> Result<Self> {
        let dir = dir.join(name);
        std::fs::create_dir_all(dir.join("www"))
            .with_context(|| format!("cannot create {}", dir.display()))?;
        std::fs::write(dir.join("www/body"), Self::body_of(name))?;
        std::fs::write(dir.join("www/index.html"), format!("{name}\n"))?;
        std::fs::write(dir.join("nginx.conf"), conf(&dir))?;
        let mut server = Server { name: name.to_owned(), dir, nginx: None };
        server.restart(ns)?;
        Ok(server)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `GET /body` must return: several segments, different in every byte position from server to server.
    pub fn body(&self) -> Vec<u8> {
        Self::body_of(&self.name)
    }

    fn body_of(name: &str) -> Vec<u8> {
        let mut body = format!("{name}\n").into_bytes();
        let mut x = name.bytes().fold(0x811c_9dc5_u32, |x, b| (x ^ u32::from(b)).wrapping_mul(0x0100_0193));
        body.extend(
            std::iter::repeat_with(|| {
                x ^= x << 13;
                x ^= x >> 17;
                x ^= x << 5;
                x.to_le_bytes()[0]
            })
            .take(5000),
        );
        body
    }

    /// Serves a file as `/NAME`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish(&self, name: &str, file: &Path) -> Result<()> {
        let link = self.dir.join("www").join(name);
        std::os::unix::fs::symlink(file, &link).with_context(|| format!("cannot create {}", link.display()))
    }

    /// Source addresses of the requests it has answered with status 200. nginx writes them a moment after the answer.
    ///
    /// # Errors
    /// The access log cannot be read.
    pub fn answered(&self) -> Result<Vec<SocketAddr>> {
        let log = std::fs::read_to_string(self.dir.join("access.log"))?;
        log.lines()
            .filter_map(|line| line.strip_suffix(" 200"))
            .map(|addr| addr.parse().with_context(|| format!("an address: {addr}")))
            .collect()
    }

    /// Ends nginx at once, as a crash would: its connections are reset, its port answers with RST.
    ///
    /// # Errors
    /// nginx does not end.
    pub fn kill(&mut self) -> Result<()> {
        match self.nginx.take() {
            Some(mut nginx) => nginx.stop().map(drop),
            None => Ok(()),
        }
    }

    /// Starts nginx again.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, ns: &Netns) -> Result<()> {
        let conf = self.dir.join("nginx.conf");
        let cmd = ns.cmd("nginx").args(["-e", "stderr", "-c"]).arg(conf.display());
        let mut nginx = Background::start(&cmd, &self.dir.join("nginx.log"))?;
        nginx.wait_for("start worker process", Duration::from_secs(10))?;
        self.nginx = Some(nginx);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers of nginx outlive a killed master; a polite end takes them along.
        let _ = self.kill();
    }
}

fn conf(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off; user root; worker_processes 1; pid {dir}/nginx.pid; error_log stderr notice;
events {{ worker_connections 8192; }}
http {{
    log_format source '$source $status';
    map $remote_addr $source {{ ~: '[$remote_addr]:$remote_port'; default '$remote_addr:$remote_port'; }}
    access_log {dir}/access.log source;
    client_body_temp_path {dir}/client; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    sendfile on; keepalive_timeout 300; keepalive_requests 100000;
    server {{
        listen 0.0.0.0:80 backlog=4096;
        listen [::]:80 backlog=4096 ipv6only=on;
        root {dir}/www;
    }}
    server {{
        listen 0.0.0.0:8081 proxy_protocol;
        listen [::]:8081 proxy_protocol ipv6only=on;
        root {dir}/www;
        location = /whom {{ return 200 '$proxy_protocol_addr $proxy_protocol_port $remote_addr'; }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_differ_beyond_the_name() {
        let (one, two) = (Server::body_of("server1"), Server::body_of("server2"));
        assert_eq!((one.len(), &one[..8]), (5008, &b"server1\n"[..]));
        let same = one.iter().zip(&two).skip(8).filter(|(a, b)| a == b).count();
        assert!(same < 100, "{same} of 5000 bytes are equal by chance");
    }
}
