// SPDX-License-Identifier: Apache-2.0
//! Entries of sets as they are written: what they mean depends on the kind of the set, and one may stand for many elements.

use std::net::{IpAddr, Ipv4Addr};

use model::ipset::{Element, Net, SetKind, SetRange, SetSpec};
use model::{Family, MacAddr, Prefix, Transport};

/// An element, and the Ethernet address it comes with.
pub(crate) type Named = (Element, Option<MacAddr>);

/// Elements one entry may stand for.
const MAX: usize = 65_536;

/// The elements that an entry of a set of that kind stands for.
///
/// # Errors
/// Why it is none.
pub(crate) fn read(spec: &SetSpec, text: &str) -> Result<Vec<Named>, String> {
    let kind = spec.kind;
    let form = kind.name().split_once(':').map_or("", |(_, form)| form);
    let mut parts = text.split(',');
    let mut found: Vec<Named> = vec![(Element::default(), None)];
    let mut addresses = 0;
    let mut ports = 0;
    for segment in form.split(',') {
        let part = match (parts.next(), segment) {
            (Some(part), _) => part,
            (None, "mac") => continue,
            (None, _) => return Err(format!("{} expected", forms(form))),
        };
        match segment {
            "ip" | "net" => {
                let nets = if segment == "ip" { hosts(part)? } else { networks(part)? };
                if nets.iter().any(|net| Family::of(net.addr) != spec.family) {
                    return Err(format!("{part} is of another family than the set"));
                }
                let second = addresses > 0;
                addresses += 1;
                found = times(found, &nets, |element, net| {
                    *(if second { &mut element.0.second } else { &mut element.0.first }) = Some(net);
                })?;
            }
            "port" => {
                let (transport, numbers) = port(part, kind)?;
                let second = ports > 0;
                ports += 1;
                if second && found.iter().any(|(element, _)| element.transport != transport) {
                    return Err("both ports are of one protocol".into());
                }
                found = times(found, &numbers, |(element, _), number| {
                    element.transport = transport;
                    *(if second { &mut element.second_port } else { &mut element.port }) = number;
                })?;
            }
            "mac" => {
                let mac: MacAddr = part.parse().map_err(|error: model::addr::AddrError| error.to_string())?;
                found.iter_mut().for_each(|(_, of)| *of = Some(mac));
            }
            _ => found.iter_mut().for_each(|(element, _)| element.iface = Some(part.to_owned())),
        }
    }
    if let Some(part) = parts.next() {
        return Err(format!("unexpected `{part}`: {} expected", forms(form)));
    }
    within(spec, &found)?;
    Ok(found)
}

/// How entries are written.
fn forms(form: &str) -> String {
    form.split(',').map(|segment| segment.to_ascii_uppercase()).collect::<Vec<_>>().join(",")
}

/// Every element once for every value.
fn times<T: Copy>(
    elements: Vec<Named>,
    values: &[T],
    set: impl Fn(&mut Named, T),
) -> Result<Vec<Named>, String> {
    if elements.len() * values.len() > MAX {
        return Err(format!("more than {MAX} elements: enter them in parts"));
    }
    let with = |element: &Named, value: T| {
        let mut element = element.clone();
        set(&mut element, value);
        element
    };
    Ok(elements.iter().flat_map(|element| values.iter().map(move |&value| with(element, value))).collect())
}

/// That a bitmap can hold them.
fn within(spec: &SetSpec, elements: &[Named]) -> Result<(), String> {
    let Some(range) = &spec.range else { return Ok(()) };
    let inside = |element: &Element| match (range, element.first) {
        (SetRange::Ports(first, last), _) => (*first..=*last).contains(&element.port),
        (range, Some(Net { addr: IpAddr::V4(addr), .. })) => {
            span(range).is_some_and(|(first, last)| (first..=last).contains(&addr.to_bits()))
        }
        _ => false,
    };
    match elements.iter().find(|(element, _)| !inside(element)) {
        None => Ok(()),
        Some((element, mac)) => {
            Err(format!("{} lies outside the range {range}", element.text(spec.kind, *mac)))
        }
    }
}

/// First and last address of a range of IPv4 addresses, if it is one.
pub(crate) fn span(range: &SetRange) -> Option<(u32, u32)> {
    match range {
        SetRange::Net(net) => match net.network().addr {
            IpAddr::V4(first) => {
                let first = first.to_bits();
                Some((first, first | u32::MAX.checked_shr(net.len.into()).unwrap_or(0)))
            }
            IpAddr::V6(_) => None,
        },
        SetRange::Addrs(IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Some((first.to_bits(), last.to_bits()))
        }
        SetRange::Addrs(..) | SetRange::Ports(..) => None,
    }
}

/// Addresses: one, all of an IPv4 network, or all of an IPv4 range.
fn hosts(text: &str) -> Result<Vec<Net>, String> {
    let range = match (text.contains('/'), text.contains('-')) {
        (false, false) => return Ok(vec![Prefix::host(address(text)?).into()]),
        (true, _) => SetRange::Net(text.parse().map_err(|error: model::addr::AddrError| error.to_string())?),
        (false, true) => addr_range(text)?,
    };
    let (first, last) =
        span(&range).ok_or_else(|| format!("{text}: neither networks nor ranges of IPv6 here"))?;
    if (last - first) as usize >= MAX {
        return Err(format!("{text} has more than {MAX} addresses"));
    }
    Ok((first..=last).map(|addr| Prefix::host(IpAddr::V4(Ipv4Addr::from_bits(addr))).into()).collect())
}

/// Networks: one, or as few as make an IPv4 range.
fn networks(text: &str) -> Result<Vec<Net>, String> {
    if !text.contains('-') {
        return match text.contains('/') {
            true => {
                let net: Prefix = text.parse().map_err(|error: model::addr::AddrError| error.to_string())?;
                Ok(vec![net.into()])
            }
            false => Ok(vec![Prefix::host(address(text)?).into()]),
        };
    }
    let (first, last) = span(&addr_range(text)?).ok_or_else(|| format!("{text}: no ranges of IPv6 here"))?;
    let (mut at, last) = (u64::from(first), u64::from(last));
    let mut nets = Vec::new();
    while at <= last {
        // As wide as the address allows, and as the end does.
        let free = at.trailing_zeros().min(32).min((last + 1 - at).ilog2());
        nets.push(Net { free: free as u8, addr: IpAddr::V4(Ipv4Addr::from_bits(at as u32)) });
        at += 1 << free;
    }
    Ok(nets)
}

fn addr_range(text: &str) -> Result<SetRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (address(first)?, address(last)?);
    if Family::of(first) == Family::of(last) && first > last {
        return Err(format!("{text} goes from high to low"));
    }
    Ok(SetRange::Addrs(first, last))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

/// `[tcp:|udp:|sctp:|icmp:|icmp6:]P[-P]`.
fn port(text: &str, kind: SetKind) -> Result<(Option<Transport>, Vec<u16>), String> {
    let (transport, numbers) = match text.split_once(':') {
        None => (None, text),
        Some((word, numbers)) => {
            let transport = match word {
                "tcp" => Some(Transport::Tcp),
                "udp" => Some(Transport::Udp),
                "sctp" => Some(Transport::Sctp),
                "icmp" => Some(Transport::Icmp),
                "icmp6" => Some(Transport::Icmpv6),
                "unspec" => None,
                _ => return Err(format!("protocol `{word}`: tcp, udp, sctp, icmp or icmp6 expected")),
            };
            (transport, numbers)
        }
    };
    if kind == SetKind::BitmapPort && !matches!(transport, Some(Transport::Tcp | Transport::Udp)) {
        return Err("a protocol is missing: tcp:PORT or udp:PORT expected".into());
    }
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is not a port from 0 to 65535"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (number(first)?, number(last)?);
    match first <= last {
        true => Ok((transport, (first..=last).collect())),
        false => Err(format!("{numbers} goes from high to low")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: SetKind, family: Family, text: &str) -> Result<Vec<String>, String> {
        let spec = SetSpec {
            name: "s".into(),
            kind,
            family,
            comment: false,
            hashsize: 1024,
            maxelem: 65_535,
            range: None,
        };
        let found = read(&spec, text)?;
        Ok(found.iter().map(|(element, mac)| element.text(kind, *mac)).collect())
    }

    #[test]
    fn ranges_become_hosts_or_as_few_networks_as_they_take() {
        let hosts = texts(SetKind::HashIp, Family::Inet, "1.2.4.0/30").unwrap();
        assert_eq!(hosts, ["1.2.4.0", "1.2.4.1", "1.2.4.2", "1.2.4.3"]);
        let nets = texts(SetKind::HashNet, Family::Inet, "172.16.0.5-172.16.0.9").unwrap();
        assert_eq!(nets, ["172.16.0.5/32", "172.16.0.6/31", "172.16.0.8/31"]);
        assert_eq!(texts(SetKind::HashNet, Family::Inet, "0.0.0.0-255.255.255.255").unwrap(), ["0.0.0.0/0"]);
        let ports = texts(SetKind::HashIpPort, Family::Inet, "1.1.1.1,udp:53-55").unwrap();
        assert_eq!(ports, ["1.1.1.1,udp:53", "1.1.1.1,udp:54", "1.1.1.1,udp:55"]);
        assert_eq!(texts(SetKind::HashIpPort, Family::Inet, "1.1.1.2,80").unwrap(), ["1.1.1.2,unspec:80"]);
        let six = texts(SetKind::HashNetPortIface, Family::Inet6, "2001:beef::/64,udp:100,dpdk0").unwrap();
        assert_eq!(six, ["2001:beef::/64,udp:100,dpdk0"]);
        let four = "1.1.1.0/24,tcp:80,2.2.2.0/24,tcp:90";
        assert_eq!(texts(SetKind::HashNetPortNetPort, Family::Inet, four).unwrap(), [four]);
        let mac = "10.0.0.7,02:11:22:33:44:55";
        assert_eq!(texts(SetKind::BitmapIpMac, Family::Inet, mac).unwrap(), [mac]);
        assert_eq!(texts(SetKind::BitmapIpMac, Family::Inet, "10.0.0.8").unwrap(), ["10.0.0.8"]);
    }

    #[test]
    fn what_is_no_entry_is_refused_with_the_reason() {
        for (kind, text, why) in [
            (SetKind::HashIp, "bogus", "`bogus` is not an IP address"),
            (SetKind::HashIp, "1.2.3.4,80", "unexpected `80`: IP expected"),
            (SetKind::HashIp, "2001:db8::1", "2001:db8::1 is of another family than the set"),
            (SetKind::HashIp, "10.0.0.0/15", "10.0.0.0/15 has more than 65536 addresses"),
            (SetKind::HashIp, "10.0.0.9-10.0.0.1", "10.0.0.9-10.0.0.1 goes from high to low"),
            (SetKind::HashIpPort, "1.2.3.4", "IP,PORT expected"),
            (SetKind::HashIpPort, "1.2.3.4,http", "`http` is not a port from 0 to 65535"),
            (SetKind::HashIpPort, "10.0.0.0/24,1-1000", "more than 65536 elements: enter them in parts"),
            (SetKind::BitmapPort, "80", "a protocol is missing: tcp:PORT or udp:PORT expected"),
            (
                SetKind::HashNetPortNetPort,
                "1.1.1.0/24,tcp:80,2.2.2.0/24,udp:90",
                "both ports are of one protocol",
            ),
        ] {
            assert_eq!(texts(kind, Family::Inet, text), Err(why.to_owned()), "{text}");
        }
        assert_eq!(
            texts(SetKind::HashIp, Family::Inet6, "2001:db8::/64"),
            Err("2001:db8::/64: neither networks nor ranges of IPv6 here".into())
        );
    }
}
