// SPDX-License-Identifier: Apache-2.0
//! Which options may stand together: the legality matrix applied to a line.

use crate::options::{CHECKS, Command, FORWARDING, Opt, RULES, Rule, SERVICE};

/// Options of one line, in the order in which they stand.
#[derive(Clone, Debug, Default)]
pub struct Given(Vec<Opt>);

impl Given {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// When one of the same name is there.
    pub fn add(&mut self, opt: Opt) -> Result<(), String> {
        let name = opt.def().name;
        let before = self.0.iter().copied().find(|before| before.def().name == name);
        match before {
            Some(before) if name != CHECKS && once(opt) => Err(if before == opt {
                format!("{} is given twice", shown(opt))
            } else {
                format!("{} and {} exclude each other", shown(before), shown(opt))
            }),
            _ => {
                self.0.push(opt);
                Ok(())
            }
        }
    }

    /// Whether `opt` is given.
    pub fn has(&self, opt: Opt) -> bool {
        self.0.contains(&opt)
    }

    /// Whether an option of this name is given.
    pub fn named(&self, name: &str) -> bool {
        self.of(name).is_some()
    }

    fn of(&self, name: &str) -> Option<Opt> {
        self.0.iter().copied().find(|opt| opt.def().name == name)
    }
}

/// `-6` and `--sort` may be repeated, as they always could.
fn once(opt: Opt) -> bool {
    !matches!(opt, Opt::Ipv6 | Opt::Sort)
}

/// Checks that `command` has what it needs and nothing that it may not have.
///
/// # Errors
///
/// The first violation, in the order of the matrix.
pub fn check(command: Command, given: &Given) -> Result<(), String> {
    let word = command.def().long;
    let mut alone: Option<Opt> = None;
    for rule in RULES {
        match given.of(rule.name) {
            None if rule.needs.contains(&command) => {
                return Err(format!("--{word} needs {}", wanted(rule)));
            }
            None => {}
            Some(opt) if rule.alone.contains(&command) => match alone {
                Some(other) => {
                    return Err(format!(
                        "{} and {} exclude each other with --{word}",
                        shown(other),
                        shown(opt)
                    ));
                }
                None => alone = Some(opt),
            },
            Some(opt) if !rule.needs.contains(&command) && !rule.may.contains(&command) => {
                return Err(format!("{} makes no sense with --{word}{}", shown(opt), homes(rule)));
            }
            Some(_) => {}
        }
    }
    match command {
        Command::List => check_list(given),
        Command::Restore => check_restore(given),
        _ => Ok(()),
    }
}

/// Counters and limits are columns of services only.
fn check_list(given: &Given) -> Result<(), String> {
    let of_services = [Opt::Stats, Opt::Rate, Opt::Thresholds].into_iter().find(|&opt| given.has(opt));
    let other = [Opt::Connection, Opt::Timeout, Opt::Daemon].into_iter().find(|&opt| given.has(opt));
    if let (Some(other), Some(column)) = (other, of_services) {
        return Err(format!("{} lists no {} of services", shown(other), shown(column)));
    }
    let persistent = given.has(Opt::PersistentConn);
    if let (Some(other @ (Opt::Timeout | Opt::Daemon)), true) = (other, persistent) {
        return Err(format!("{} lists no --persistent-conn", shown(other)));
    }
    if given.has(Opt::Sockpair) && !given.has(Opt::Connection) {
        return Err("--sockpair asks for one connection: it needs --connection".to_owned());
    }
    Ok(())
}

fn check_restore(given: &Given) -> Result<(), String> {
    match (given.has(Opt::Atomic), given.has(Opt::Replace), given.has(Opt::DryRun)) {
        (true, true, _) => Err("--replace is atomic by itself: leave --atomic out".to_owned()),
        (false, false, true) => Err("--dry-run needs --atomic or --replace".to_owned()),
        _ => Ok(()),
    }
}

fn shown(opt: Opt) -> String {
    format!("--{}", opt.def().long)
}

fn wanted(rule: &Rule) -> String {
    match rule.name {
        SERVICE => {
            "a service: --tcp-service, --udp-service, --sctp-service, --icmp-service, --icmpv6-service, \
                    --fwmark-service or --match"
                .to_owned()
        }
        name => {
            let long = crate::options::OPTIONS.iter().find(|def| def.name == name).map(|def| def.long);
            format!("--{}", long.unwrap_or(name))
        }
    }
}

/// Where the option would be at home, if that is not too much to say.
fn homes(rule: &Rule) -> String {
    let homes: Vec<String> = rule
        .needs
        .iter()
        .chain(rule.may)
        .chain(rule.alone)
        .map(|command| format!("--{}", command.def().long))
        .collect();
    match (rule.name, homes.as_slice()) {
        (FORWARDING | SERVICE, _) => String::new(),
        (_, [one]) => format!(": it belongs to {one}"),
        (_, [one, two]) => format!(": it belongs to {one} and {two}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(command: Command, opts: &[Opt]) -> Result<(), String> {
        let mut given = Given::default();
        opts.iter().try_for_each(|&opt| given.add(opt))?;
        check(command, &given)
    }

    #[test]
    fn what_is_missing_or_out_of_place_is_named() {
        for (command, opts, error) in [
            (Command::AddServer, &[Opt::Tcp][..], "--add-server needs --real-server"),
            (Command::AddLaddr, &[Opt::Tcp, Opt::Laddr], "--add-laddr needs --ifname"),
            (Command::AddBlock, &[Opt::Tcp], "--add-blklst needs --blklst"),
            (Command::Clear, &[Opt::Numeric], "--numeric makes no sense with --clear"),
            (
                Command::AddService,
                &[Opt::Tcp, Opt::Weight],
                "--weight makes no sense with --add-service: it belongs to --add-server and --edit-server",
            ),
            (
                Command::List,
                &[Opt::Connection, Opt::Tcp],
                "--connection and --tcp-service exclude each other with --list",
            ),
            (Command::List, &[Opt::Connection, Opt::Stats], "--connection lists no --stats of services"),
            (
                Command::AddService,
                &[Opt::Tcp, Opt::Udp],
                "--tcp-service and --udp-service exclude each other",
            ),
            (Command::AddService, &[Opt::Tcp, Opt::Tcp], "--tcp-service is given twice"),
            (Command::Restore, &[Opt::DryRun], "--dry-run needs --atomic or --replace"),
        ] {
            assert_eq!(checked(command, opts).unwrap_err(), error);
        }
    }

    #[test]
    fn what_belongs_together_passes() {
        let good: &[(Command, &[Opt])] = &[
            (Command::List, &[Opt::Numeric, Opt::Stats, Opt::Rate, Opt::Tcp]),
            (Command::List, &[Opt::Connection, Opt::PersistentConn, Opt::Sockpair]),
            (Command::GetLaddr, &[Opt::Numeric, Opt::Cpu]),
            (Command::AddService, &[Opt::Tcp, Opt::DestCheck, Opt::DestCheck]),
            (Command::Zero, &[Opt::Sort]),
            (Command::Restore, &[Opt::Replace, Opt::DryRun]),
        ];
        for (command, opts) in good {
            assert_eq!(checked(*command, opts), Ok(()), "{command:?} {opts:?}");
        }
    }
}
