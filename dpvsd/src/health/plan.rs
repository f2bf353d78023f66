// SPDX-License-Identifier: Apache-2.0
//! The checkers of a configuration: what each tests, resolved to the last default, and when. Pure but for users and key files.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keepalived_conf::Error;
use keepalived_conf::keepalived::Config;
use keepalived_conf::keepalived::object::{
    Check, Checker, Connect, HttpCheck, Protocol, ProxyProtocol, RealServer, Service, Timing, UdpCheck,
};

use super::machine::Rules;
use super::probe::http::{Expression, Page};
use super::probe::tls::{self, Tls};
use super::probe::{File, Http, Misc, Preamble, Probe, Target, Udp};
use super::script::Command;

/// A checker.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it tests.
    pub probe: Probe,
    /// When.
    pub rules: Rules,
    /// It counts as failed before its first success.
    pub alpha: bool,
    /// For logs: `TCP_CHECK 10.0.0.1:80 of 192.0.2.1:80`.
    pub label: String,
    /// Every failure is logged, not only the one that counts.
    pub wordy: bool,
    /// Checkers with the same one are the same in two configurations: what is tested, without times.
    pub identity: String,
}

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Makes the checkers of one configuration.
pub struct Planner<'a> {
    config: &'a Config,
    tls: Option<Arc<Tls>>,
}

impl<'a> Planner<'a> {
    /// For the checkers of `config`.
    pub fn new(config: &'a Config) -> Planner<'a> {
        Planner { config, tls: None }
    }

    /// A checker. `port` is where the server is reached.
    ///
    /// # Errors
    /// The place and the reason of what cannot be done.
    pub fn plan(
        &mut self,
        service: &Service,
        server: &RealServer,
        checker: &Checker,
        port: u16,
    ) -> Result<Plan, Error> {
        let probe = self.probe(service, server, checker, port);
        let wrong =
            |reason: String| Error::new(&checker.span, format!("{}: {reason}", checker.check.keyword()));
        let probe = probe.map_err(wrong)?;
        let wordy = checker.timing.is_some_and(|timing| timing.log_all_failures);
        let at = SocketAddr::new(server.addr, port);
        Ok(Plan {
            identity: identity(checker, &probe),
            rules: rules(checker),
            probe,
            alpha: checker.alpha,
            label: format!("{} {at} of {}", checker.check.keyword(), service.target),
            wordy: wordy || self.config.globals.checker_log_all_failures,
        })
    }

    fn probe(
        &mut self,
        service: &Service,
        server: &RealServer,
        checker: &Checker,
        port: u16,
    ) -> Result<Probe, String> {
        let to = || target(checker.connect.as_ref(), port);
        Ok(match &checker.check {
            Check::Tcp => Probe::Tcp(to()?),
            Check::Ping => Probe::Ping(to()?),
            Check::Http(check) => Probe::Http(Box::new(http(service, server, check, to()?, None)?)),
            Check::Ssl(check) => {
                let tls = Some(self.tls()?);
                Probe::Http(Box::new(http(service, server, check, to()?, tls)?))
            }
            Check::Smtp { helo_name } => Probe::Smtp(to()?, helo_name.clone()),
            Check::Dns { kind, name } => Probe::Dns(to()?, kind.clone(), name.clone()),
            Check::Udp(check) => Probe::Udp(Box::new(udp(service, check, to()?))),
            Check::Misc { script, timeout_us, dynamic } => {
                // The service's own, whatever real server and checker say.
                let delay = service.delay_loop_us;
                Probe::Misc(Box::new(Misc {
                    command: Command::new(script, self.config.globals.script_user.as_deref())?,
                    timeout: Duration::from_micros(if *timeout_us == 0 { delay } else { *timeout_us }),
                    dynamic: *dynamic,
                    weight: server.weight,
                }))
            }
            Check::File { track_file, weight, reverse } => {
                let file = self.config.track_files.iter().find(|file| file.name == *track_file);
                let file = file.ok_or_else(|| format!("no track_file {track_file}"))?;
                Probe::File(File { path: file.file.clone(), weight: *weight, reverse: *reverse })
            }
            Check::Bfd { name } => {
                return Err(format!(
                    "there is no BFD here to watch `{name}`: take another check, such as PING_CHECK"
                ));
            }
        })
    }

    fn tls(&mut self) -> Result<Arc<Tls>, String> {
        if let Some(tls) = &self.tls {
            return Ok(Arc::clone(tls));
        }
        let tls = Arc::new(Tls::new(self.config.ssl.as_ref())?);
        self.tls = Some(Arc::clone(&tls));
        Ok(tls)
    }
}

fn http(
    service: &Service,
    server: &RealServer,
    check: &HttpCheck,
    target: Target,
    tls: Option<Arc<Tls>>,
) -> Result<Http, String> {
    let pages = check.urls.iter().map(|url| {
        let host = [&url.virtualhost, &check.virtualhost, &server.virtualhost, &service.virtualhost];
        let host = host.into_iter().find_map(Clone::clone).unwrap_or_else(|| target.addr.to_string());
        // The real server's own name is not used here.
        let sni = [&check.sni_name, &url.virtualhost, &check.virtualhost, &service.virtualhost];
        let sni = sni.into_iter().find_map(Clone::clone).filter(|_| check.enable_sni && tls.is_some());
        if let Some(name) = &sni {
            tls::server_name(name)?;
        }
        let regex = url.regex.as_ref().map(Expression::new).transpose()?;
        Ok(Page {
            path: url.path.clone(),
            host,
            sni,
            clean_end: url.tls_compliant || check.tls_compliant,
            status: url.status_codes.clone(),
            digest: url.digest.clone(),
            regex: regex.map(Arc::new),
        })
    });
    let pages = pages.collect::<Result<Vec<_>, String>>()?;
    if pages.is_empty() {
        return Err("there is no url to ask for".to_owned());
    }
    let preamble = match service.dpvs.proxy_protocol {
        None => Preamble::None,
        Some(ProxyProtocol::V1 | ProxyProtocol::V1Insecure) => Preamble::V1,
        Some(ProxyProtocol::V2 | ProxyProtocol::V2Insecure) => Preamble::V2,
    };
    Ok(Http { target, protocol: check.protocol, tls, preamble, pages })
}

fn udp(service: &Service, check: &UdpCheck, target: Target) -> Udp {
    let binary = matches!(service.dpvs.proxy_protocol, Some(ProxyProtocol::V2 | ProxyProtocol::V2Insecure));
    let udp = service.protocol == Some(Protocol::Udp);
    Udp { target, check: check.clone(), preamble: if binary && udp { Preamble::V2 } else { Preamble::None } }
}

fn target(connect: Option<&Connect>, port: u16) -> Result<Target, String> {
    let connect = connect.ok_or("nothing says where to connect to")?;
    let any = |addr: IpAddr| match addr {
        IpAddr::V4(_) => IpAddr::from([0; 4]),
        IpAddr::V6(_) => IpAddr::from([0; 16]),
    };
    let bound = connect.bindto.is_some() || connect.bind_port != 0;
    Ok(Target {
        addr: SocketAddr::new(connect.addr, if connect.port != 0 { connect.port } else { port }),
        timeout: Duration::from_micros(connect.timeout_us),
        bind: bound.then(|| SocketAddr::new(connect.bindto.unwrap_or(any(connect.addr)), connect.bind_port)),
        device: connect.bind_if.clone(),
        mark: connect.fwmark,
    })
}

fn rules(checker: &Checker) -> Rules {
    let (pages, verifies, fast_recovery) = match &checker.check {
        Check::Http(http) | Check::Ssl(http) => (http.urls.len(), true, http.fast_recovery),
        _ => (1, false, false),
    };
    let micros = Duration::from_micros;
    let (delay_loop, warmup, retry, delay_before_retry) = match checker.timing {
        Some(Timing { delay_loop_us, warmup_us, retry, delay_before_retry_us, .. }) => {
            (micros(delay_loop_us), micros(warmup_us), retry, micros(delay_before_retry_us))
        }
        None => (LOOK, Duration::ZERO, 0, LOOK),
    };
    Rules { delay_loop, warmup, retry, delay_before_retry, pages, verifies, fast_recovery }
}

/// What is tested, without how long it may take.
fn identity(checker: &Checker, probe: &Probe) -> String {
    let connect = checker.connect.as_ref().map(|connect| Connect { timeout_us: 0, ..connect.clone() });
    let hosts: Vec<&str> = match probe {
        Probe::Http(http) => http.pages.iter().map(|page| page.host.as_str()).collect(),
        _ => Vec::new(),
    };
    match &checker.check {
        Check::Misc { script, dynamic, .. } => format!("MISC_CHECK {script:?} {dynamic}"),
        check => format!("{} {check:?} {connect:?} {hosts:?}", check.keyword()),
    }
}
