// SPDX-License-Identifier: Apache-2.0
//! Addresses, ports, masks and match expressions as they are typed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::rule::{EndpointRange, MatchRule};
use model::{Family, Transport};
use nom::branch::alt;
use nom::bytes::complete::{is_not, tag};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map, map_res, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

use crate::names::Names;

/// An address, and a port if one was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address.
    pub addr: IpAddr,
    /// The port.
    pub port: Option<u16>,
}

/// Reads `HOST[:PORT]`, `[IPV6]:PORT` or `IPV6`. Names of ports are those of `transport`.
///
/// # Errors
///
/// What is wrong with it.
pub fn host_port(text: &str, transport: Option<Transport>, names: &Names) -> Result<HostPort, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("HOST[:PORT] or [IPV6]:PORT expected".to_owned());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (addr, port) = rest
            .split_once(']')
            .and_then(|(addr, rest)| Some((addr, rest.strip_prefix(':')?)))
            .ok_or_else(|| "after `[` an IPv6 address, `]:` and a port are expected".to_owned())?;
        let addr: Ipv6Addr = addr.parse().map_err(|_| format!("`{addr}` is not an IPv6 address"))?;
        return Ok(HostPort { addr: addr.into(), port: Some(self::port(port, transport, names)?) });
    }
    if let Ok(addr) = text.parse::<Ipv6Addr>() {
        return Ok(HostPort { addr: addr.into(), port: None });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let addr = classic_ipv4(host)
        .or_else(|| names.ipv4(host))
        .ok_or_else(|| format!("`{host}` is neither an address nor a known host"))?;
    let port = port.map(|port| self::port(port, transport, names)).transpose()?;
    Ok(HostPort { addr: addr.into(), port })
}

fn port(text: &str, transport: Option<Transport>, names: &Names) -> Result<u16, String> {
    if let Some(port) = decimal(text).and_then(|n| u16::try_from(n).ok()) {
        return Ok(port);
    }
    let known = transport.and_then(|transport| names.port_of(text, transport));
    known.ok_or_else(|| match transport {
        Some(transport) => format!("`{text}` is neither a port from 0 to 65535 nor a {transport} service"),
        None => format!("`{text}` is not a port from 0 to 65535"),
    })
}

/// A decimal number as C's `strtol` reads it: blanks before, a sign, and nothing after. Saturates far outside any range.
pub fn decimal(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -number } else { number })
}

/// An IPv4 address in any of the classic forms: one to four numbers, decimal, octal with `0` or hexadecimal with `0x`
/// before; the last fills the bytes that are left.
pub fn classic_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<u32> = text.split('.').map(classic_number).collect::<Option<_>>()?;
    let (&last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|&byte| byte > 255) {
        return None;
    }
    let left = 8 * (4 - bytes.len() as u32);
    if left < 32 && last >> left != 0 {
        return None;
    }
    let high = bytes.iter().fold(0, |addr, &byte| addr << 8 | byte);
    Some(Ipv4Addr::from_bits(high.checked_shl(left).unwrap_or(0) | last))
}

fn classic_number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| plain)
}

/// Reads `KEY=VALUE,...`: `proto=`, `af=`, `src-range=`, `dst-range=`, `iif=`, `oif=`. Empty values say nothing.
///
/// # Errors
///
/// What is wrong with it.
pub fn match_rule(text: &str) -> Result<MatchRule, String> {
    let pair = separated_pair(is_not("=,"), char('='), opt(is_not(",")));
    let parsed: IResult<&str, Vec<(&str, Option<&str>)>> =
        all_consuming(separated_list1(char(','), pair)).parse(text);
    let (_, pairs) = parsed.map_err(|_| "KEY=VALUE expected, with commas between".to_owned())?;
    let mut rule = Pieces::default();
    for (key, value) in pairs {
        let value = value.unwrap_or_default();
        match key {
            "proto" => set(&mut rule.transport, key, Some(proto(value)?))?,
            "af" => set(&mut rule.family, key, Some(family(value)?))?,
            "src-range" => set(&mut rule.src, key, range(value)?)?,
            "dst-range" => set(&mut rule.dst, key, range(value)?)?,
            "iif" => set(&mut rule.iif, key, link(value))?,
            "oif" => set(&mut rule.oif, key, link(value))?,
            _ => {
                return Err(format!(
                    "`{key}` is unknown: proto, af, src-range, dst-range, iif or oif expected"
                ));
            }
        }
    }
    rule.finish()
}

#[derive(Default)]
struct Pieces {
    transport: Option<Transport>,
    family: Option<Family>,
    src: Option<EndpointRange>,
    dst: Option<EndpointRange>,
    iif: Option<String>,
    oif: Option<String>,
}

impl Pieces {
    fn finish(self) -> Result<MatchRule, String> {
        let transport = self.transport.ok_or("proto= is missing: tcp, udp, sctp, icmp or icmpv6")?;
        let of_src = self.src.map(|range| Family::of(range.first));
        let of_dst = self.dst.map(|range| Family::of(range.first));
        let family = self.family.or(of_src).or(of_dst).ok_or("af=, src-range= or dst-range= is missing")?;
        if [of_src, of_dst].into_iter().flatten().any(|of| of != family) {
            return Err("IPv4 and IPv6 are mixed".to_owned());
        }
        // An all-zero range is how `from anywhere` is written.
        let bounded = |range: &EndpointRange| !range.last.is_unspecified() || range.last_port != 0;
        let (src, dst) = (self.src.filter(bounded), self.dst.filter(bounded));
        Ok(MatchRule { transport, family, src, dst, iif: self.iif, oif: self.oif })
    }
}

fn set<T>(slot: &mut Option<T>, key: &str, value: Option<T>) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!("`{key}` is given twice"));
    }
    *slot = value;
    Ok(())
}

fn proto(text: &str) -> Result<Transport, String> {
    use Transport::{Icmp, Icmpv6, Sctp, Tcp, Udp};
    let known = [Tcp, Udp, Sctp, Icmp, Icmpv6].into_iter().find(|transport| transport.name() == text);
    known.ok_or_else(|| format!("proto `{text}` is unknown: tcp, udp, sctp, icmp or icmpv6 expected"))
}

fn family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::Inet),
        "ipv6" => Ok(Family::Inet6),
        _ => Err(format!("af `{text}` is unknown: ipv4 or ipv6 expected")),
    }
}

fn link(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn range(text: &str) -> Result<Option<EndpointRange>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed: IResult<&str, EndpointRange> = all_consuming(alt((bracketed_range, plain_range))).parse(text);
    let (_, range) = parsed.map_err(|_| {
        format!("`{text}` is no range: IP[-IP][:PORT[-PORT]] or [IPV6-IPV6]:PORT-PORT expected")
    })?;
    if range.first > range.last || range.first_port > range.last_port {
        return Err(format!("the range `{text}` ends before it begins"));
    }
    if Family::of(range.first) != Family::of(range.last) {
        return Err(format!("the range `{text}` mixes IPv4 and IPv6"));
    }
    Ok(Some(range))
}

fn bracketed_range(text: &str) -> IResult<&str, EndpointRange> {
    let addrs = delimited(char('['), one_or_two(ip), char(']'));
    map((addrs, preceded(char(':'), one_or_two(port_number))), whole).parse(text)
}

fn plain_range(text: &str) -> IResult<&str, EndpointRange> {
    let with_ports = (one_or_two(ipv4), opt(preceded(char(':'), one_or_two(port_number))));
    let v4 = map(with_ports, |(addrs, ports)| whole((addrs, ports.unwrap_or((0, 0)))));
    let v6 = map(one_or_two(ip), |addrs| whole((addrs, (0, 0))));
    alt((all_consuming(v4), v6)).parse(text)
}

fn whole(((first, last), (first_port, last_port)): ((IpAddr, IpAddr), (u16, u16))) -> EndpointRange {
    EndpointRange { first, last, first_port, last_port }
}

/// `X` or `X-Y`; a single one is both ends.
fn one_or_two<'a, T: Copy>(
    one: fn(&'a str) -> IResult<&'a str, T>,
) -> impl Parser<&'a str, Output = (T, T), Error = nom::error::Error<&'a str>> {
    map((one, opt(preceded(tag("-"), one))), |(first, last)| (first, last.unwrap_or(first)))
}

fn ip(text: &str) -> IResult<&str, IpAddr> {
    map_res(is_not("-]"), str::parse).parse(text)
}

fn ipv4(text: &str) -> IResult<&str, IpAddr> {
    map_res(is_not("-:"), |text: &str| text.parse().map(IpAddr::V4)).parse(text)
}

fn port_number(text: &str) -> IResult<&str, u16> {
    map_res(is_not("-"), str::parse).parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let names = Names::from_texts("10.0.0.1 vip\n::1 six\n", "http 80/tcp\n");
        let HostPort { addr, port } = host_port(text, Some(Transport::Tcp), &names)?;
        Ok(match port {
            Some(port) => format!("{addr} {port}"),
            None => addr.to_string(),
        })
    }

    #[test]
    fn addresses_have_the_forms_that_scripts_use() {
        for (text, seen) in [
            ("10.0.0.1:80", "10.0.0.1 80"),
            ("10.0.0.1", "10.0.0.1"),
            ("vip:http", "10.0.0.1 80"),
            ("[2001:db8::1]:443", "2001:db8::1 443"),
            ("2001:db8::1", "2001:db8::1"),
            ("[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1 80"),
            ("10:80", "0.0.0.10 80"),
            ("10.0.0:80", "10.0.0.0 80"),
            ("0xa000003:80", "10.0.0.3 80"),
            ("010.0.0.2:080", "8.0.0.2 80"),
            ("10.0.0.1:+80", "10.0.0.1 80"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(seen), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "10",
            "167772161",
            ":80",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "10.0.0.1:-1",
            "10.0.0.256:80",
            "10.0.0.:80",
            ".10.0.0:80",
            "10.0.0.1.1:80",
            "[2001:db8::1]",
            "[::1:80",
            "[::1]80",
            "::1:80x",
            "[10.0.0.1]:80",
            "[::1%lo]:80",
            "10.0.0.1/24",
            "nosuchhost:80",
            "vip:nosuch",
            "10.0.0.1:0x50",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number) in
            [("5", 5), ("+5", 5), (" 5", 5), ("-1", -1), ("007", 7), ("99999999999999999999", i64::MAX)]
        {
            assert_eq!(decimal(text), Some(number), "{text}");
        }
        for text in ["", "-", "1x", "1.5", "5 ", "0x5", "--1"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_match_is_read_and_written_back() {
        for (text, shown) in [
            (
                "proto=tcp,src-range=192.168.0.0-192.168.255.255,oif=dpdk0",
                "tcp,from=192.168.0.0-192.168.255.255:0-0,oif=dpdk0",
            ),
            (
                "proto=udp,src-range=172.16.0.1:1-1024,dst-range=1.1.1.1-1.1.1.9:53,iif=a,oif=b",
                "udp,from=172.16.0.1-172.16.0.1:1-1024,to=1.1.1.1-1.1.1.9:53-53,iif=a,oif=b",
            ),
            ("af=ipv6,proto=udp,oif=dpdk0", "udp,oif=dpdk0"),
            ("proto=tcp,src-range=[fd00::1-fd00::9]:80-90", "tcp,from=[fd00::1-fd00::9]:80-90"),
            ("proto=tcp,src-range=fd00::1-fd00::9,iif=", "tcp,from=[fd00::1-fd00::9]:0-0"),
            ("proto=tcp,src-range=10.0.0.1,dst-range=0.0.0.0-0.0.0.0:0-0", "tcp,from=10.0.0.1-10.0.0.1:0-0"),
        ] {
            assert_eq!(match_rule(text).map(|rule| rule.to_string()).as_deref(), Ok(shown), "{text}");
        }
    }

    #[test]
    fn a_match_that_says_too_little_or_nonsense_is_refused() {
        for text in [
            "",
            "proto=tcp",
            "proto=tcp,oif=dpdk0",
            "src-range=10.0.0.1",
            "tcp,from=10.0.0.1",
            "proto=tcp,src-range=10.0.0",
            "proto=tcp,src-range=10.0.0.9-10.0.0.1",
            "proto=tcp,src-range=10.0.0.1:9-1",
            "proto=tcp,src-range=10.0.0.1-fd00::1",
            "proto=tcp,src-range=10.0.0.1,dst-range=fd00::1",
            "proto=tcp,af=ipv6,src-range=10.0.0.1",
            "proto=tcp,src-range=[fd00::1]",
            "proto=tcp,proto=udp,af=ipv4",
            "proto=quic,af=ipv4",
            "proto=tcp,af=ipv5",
        ] {
            assert!(match_rule(text).is_err(), "{text}");
        }
    }
}
