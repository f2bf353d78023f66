// SPDX-License-Identifier: Apache-2.0
//! UDP_CHECK: the server does not refuse a datagram, or answers it as it must.

use keepalived_conf::keepalived::object::UdpCheck;
use keepalived_conf::keepalived::value::Pattern;
use socket2::{Protocol, Type};

use super::{Preamble, Target};

/// The test.
#[derive(Clone, Debug)]
pub struct Udp {
    /// Where to.
    pub target: Target,
    /// What is sent and expected.
    pub check: UdpCheck,
    /// What comes before the payload.
    pub preamble: Preamble,
}

/// What is sent where nothing is said.
const PAYLOAD: &[u8] = b"health check of the director....";

impl Udp {
    /// Tests once.
    ///
    /// # Errors
    /// Why the server is not well.
    pub async fn test(&self) -> Result<(), String> {
        let Udp { target, check, preamble } = self;
        let server =
            target.datagrams(Type::DGRAM, Some(Protocol::UDP)).map_err(|error| format!("socket: {error}"))?;
        let payload = check.payload.as_deref().unwrap_or(PAYLOAD);
        target.within("send", server.send(&[preamble.bytes(), payload].concat())).await?;
        let mut buffer = vec![0; 65536];
        match tokio::time::timeout(target.timeout, server.recv(&mut buffer)).await {
            // Nobody is there: an ICMP error came.
            Ok(Err(error)) => Err(format!("answer: {error}")),
            Err(_) if check.reply.is_none() => Ok(()),
            Err(_) => Err(format!("answer: nothing within {:?}", target.timeout)),
            Ok(Ok(size)) => judge(check, &buffer[..size]),
        }
    }
}

fn judge(check: &UdpCheck, reply: &[u8]) -> Result<(), String> {
    let Some(wanted) = &check.reply else { return Ok(()) };
    let Some(pattern) = &wanted.pattern else { return Ok(()) };
    let (min, max) = (check.min_reply_length as usize, check.max_reply_length as usize);
    if !(min..=max).contains(&reply.len()) {
        return Err(format!("answer: {} bytes, {min} to {max} expected", reply.len()));
    }
    if matches(pattern, reply) { Ok(()) } else { Err("answer: not what it must be".to_owned()) }
}

/// Whether both agree as far as both go.
fn matches(pattern: &Pattern, reply: &[u8]) -> bool {
    pattern.bytes.iter().zip(reply).enumerate().all(|(at, (wanted, got))| {
        let free = pattern.mask.as_ref().and_then(|mask| mask.get(at)).copied().unwrap_or(0);
        wanted & !free == got & !free
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block_on, target};
    use super::*;
    use keepalived_conf::keepalived::object::Reply;
    use std::time::Duration;
    use tokio::net::UdpSocket;

    fn check(reply: Option<Reply>) -> UdpCheck {
        UdpCheck { payload: Some(b"ask".to_vec()), reply, min_reply_length: 2, max_reply_length: 4 }
    }

    fn must(bytes: &[u8], mask: Option<&[u8]>) -> UdpCheck {
        let pattern = Pattern { bytes: bytes.to_vec(), mask: mask.map(<[u8]>::to_vec) };
        check(Some(Reply { pattern: Some(pattern) }))
    }

    #[test]
    fn replies_agree_over_the_shorter_of_both_outside_wildcards() {
        assert_eq!(judge(&must(b"abc", None), b"ab"), Ok(()));
        assert_eq!(judge(&must(b"ab", None), b"abcd"), Ok(()));
        assert!(judge(&must(b"ab", None), b"ax").is_err());
        assert_eq!(judge(&must(b"a\0", Some(b"\0\xff")), b"ax"), Ok(()));
        assert_eq!(judge(&must(b"ab", None), b"abcde"), Err("answer: 5 bytes, 2 to 4 expected".to_owned()));
        assert_eq!(judge(&check(Some(Reply::default())), b""), Ok(()));
    }

    #[test]
    fn silence_is_good_unless_a_reply_is_required_and_refusal_never() {
        let outcome = |bound: bool, check: UdpCheck| {
            block_on(async move {
                let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                let addr = server.local_addr().expect("an address");
                let _server = bound.then_some(server);
                let target = Target { timeout: Duration::from_millis(100), ..target(addr) };
                Udp { target, check, preamble: Preamble::None }.test().await
            })
        };
        assert_eq!(outcome(true, check(None)), Ok(()));
        assert_eq!(
            outcome(true, check(Some(Reply::default()))),
            Err("answer: nothing within 100ms".to_owned())
        );
        assert!(outcome(false, check(None)).is_err());
    }
}
