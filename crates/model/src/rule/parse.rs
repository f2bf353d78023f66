// SPDX-License-Identifier: Apache-2.0
//! Rules as operators write them: `proto=tcp,src-range=10.0.0.0-10.0.255.255,oif=dpdk0`.

use std::net::IpAddr;
use std::str::FromStr;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map, map_res, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

use super::{EndpointRange, MatchRule};
use crate::addr::Family;
use crate::service::Transport;

impl FromStr for MatchRule {
    type Err = String;

    /// Reads `KEY=VALUE,...`: `proto=`, `af=`, `src-range=`, `dst-range=`, `iif=`, `oif=`. Empty values say nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    fn from_str(text: &str) -> Result<MatchRule, String> {
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
            assert_eq!(
                text.parse::<MatchRule>().map(|rule| rule.to_string()).as_deref(),
                Ok(shown),
                "{text}"
            );
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
            assert!(text.parse::<MatchRule>().is_err(), "{text}");
        }
    }
}
