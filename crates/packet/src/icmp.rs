// SPDX-License-Identifier: Apache-2.0
//! ICMP (RFC 792) and ICMPv6 (RFC 4443) messages: eight bytes of header, then the body.

/// Bytes of the header.
pub const LEN: usize = 8;
/// Offset of the checksum.
pub const CHECKSUM: usize = 2;
/// Offset of a query's identifier.
pub const ID: usize = 4;

/// A question that every host answers, or the answer: echo, timestamp, information, address mask (RFC 792, RFC 950, RFC 4443 4).
///
/// Where TCP has the client's port, a query has its identifier; where TCP has the server's, the type and code of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// It is the question, else the answer.
    pub asks: bool,
    /// Type of the question in the upper eight bits, code in the lower.
    pub what: u16,
    /// The identifier.
    pub id: u16,
}

impl Query {
    /// Reads the header of a message; `None` when it is too short or no query.
    pub fn parse(message: &[u8], six: bool) -> Option<Query> {
        let &[kind, code, _, _, high, low, ..] = message.first_chunk::<LEN>()?;
        let (asks, question) = match (six, kind) {
            (true, v6::ECHO) | (false, v4::ECHO | v4::TIMESTAMP | v4::INFORMATION | v4::ADDRESS_MASK) => {
                (true, kind)
            }
            (true, v6::ECHO_REPLY) => (false, v6::ECHO),
            (false, v4::ECHO_REPLY) => (false, v4::ECHO),
            // Each answer's type is its question's and one.
            (false, v4::TIMESTAMP_REPLY | v4::INFORMATION_REPLY | v4::ADDRESS_MASK_REPLY) => {
                (false, kind - 1)
            }
            _ => return None,
        };
        let (what, id) = (u16::from_be_bytes([question, code]), u16::from_be_bytes([high, low]));
        Some(Query { asks, what, id })
    }

    /// What stands for source and destination port. Those of an answer are those of its question, the other way round.
    pub fn ports(&self) -> (u16, u16) {
        if self.asks { (self.id, self.what) } else { (self.what, self.id) }
    }
}

/// What a question is in the other family; `None` for those that only IPv4 has.
pub fn across(what: u16) -> Option<u16> {
    let [kind, code] = what.to_be_bytes();
    match kind {
        v4::ECHO => Some(u16::from_be_bytes([v6::ECHO, code])),
        v6::ECHO => Some(u16::from_be_bytes([v4::ECHO, code])),
        _ => None,
    }
}

/// Gives an IPv4 message of nothing but zeros its checksum, all ones, which no update of another one arrives at (RFC 1624 3).
pub fn settle_zeros(message: &mut [u8]) {
    let Some(sum) = message.get(CHECKSUM..CHECKSUM + 2) else { return };
    if sum == [0, 0] && message.iter().all(|&byte| byte == 0) {
        message[CHECKSUM..CHECKSUM + 2].fill(0xff);
    }
}

/// The type of an echo request or reply in the other family, `six` being the one it is of; `None` for other types.
pub fn echo_across(kind: u8, six: bool) -> Option<u8> {
    match (six, kind) {
        (false, v4::ECHO) => Some(v6::ECHO),
        (false, v4::ECHO_REPLY) => Some(v6::ECHO_REPLY),
        (true, v6::ECHO) => Some(v4::ECHO),
        (true, v6::ECHO_REPLY) => Some(v4::ECHO_REPLY),
        _ => None,
    }
}

/// ICMP types and codes.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Unreachable code: fragmentation needed and DF set.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Unreachable code: host.
    pub const HOST_UNREACHABLE: u8 = 1;
    /// Echo request.
    pub const ECHO: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
    /// Timestamp request.
    pub const TIMESTAMP: u8 = 13;
    /// Timestamp reply.
    pub const TIMESTAMP_REPLY: u8 = 14;
    /// Information request.
    pub const INFORMATION: u8 = 15;
    /// Information reply.
    pub const INFORMATION_REPLY: u8 = 16;
    /// Address mask request.
    pub const ADDRESS_MASK: u8 = 17;
    /// Address mask reply.
    pub const ADDRESS_MASK_REPLY: u8 = 18;

    /// Source quench: obsolete (RFC 6633), but an error all the same.
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect: for the link it is heard on, never passed on.
    pub const REDIRECT: u8 = 5;

    /// Whether a type reports an error about another packet.
    pub fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}

/// ICMPv6 types and codes.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Unreachable code: administratively prohibited.
    pub const PROHIBITED: u8 = 1;
    /// Unreachable code: the address.
    pub const ADDRESS_UNREACHABLE: u8 = 3;
    /// Unreachable code: the port.
    pub const PORT_UNREACHABLE: u8 = 4;
    /// Parameter problem code: next header unknown.
    pub const UNKNOWN_NEXT_HEADER: u8 = 1;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;

    /// Whether a type reports an error about another packet.
    pub fn is_error(kind: u8) -> bool {
        kind < 128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_ports_of_its_question_the_other_way_round() {
        for (six, question, answer) in
            [(false, 8, 0), (false, 13, 14), (false, 15, 16), (false, 17, 18), (true, 128, 129)]
        {
            let read = |kind| Query::parse(&[kind, 0, 0, 0, 0x12, 0x34, 0, 1], six).expect("a query");
            assert_eq!(read(question).ports(), (0x1234, u16::from(question) << 8));
            assert_eq!(read(answer).ports(), (u16::from(question) << 8, 0x1234));
        }
    }

    #[test]
    fn errors_discovery_and_stumps_are_no_queries() {
        for kind in [3, 4, 5, 9, 10, 11, 12, 19, 128] {
            assert_eq!(Query::parse(&[kind, 0, 0, 0, 0, 1, 0, 1], false), None, "{kind}");
        }
        for kind in [1, 2, 3, 4, 8, 0, 130, 133, 134, 135, 136, 137] {
            assert_eq!(Query::parse(&[kind, 0, 0, 0, 0, 1, 0, 1], true), None, "{kind}");
        }
        assert_eq!(Query::parse(&[8, 0, 0, 0, 0, 1, 0], false), None);
    }

    #[test]
    fn only_echo_is_in_both_families() {
        assert_eq!((across(0x0800), across(0x8000)), (Some(0x8000), Some(0x0800)));
        assert_eq!(across(0x0d00), None);
    }
}
