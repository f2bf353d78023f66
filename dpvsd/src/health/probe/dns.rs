// SPDX-License-Identifier: Apache-2.0
//! DNS_CHECK: the server answers a question without an error.

use std::str::FromStr;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use socket2::{Protocol, Type};

use super::Target;
use crate::health::random;

pub async fn test(target: &Target, kind: &str, name: &str) -> Result<(), String> {
    let question = question(kind, name, random() as u16)?;
    let server =
        target.datagrams(Type::DGRAM, Some(Protocol::UDP)).map_err(|error| format!("socket: {error}"))?;
    let bytes = question.to_vec().map_err(|error| format!("question: {error}"))?;
    target.within("question", server.send(&bytes)).await?;
    let answer = async {
        let mut buffer = [0; 4096];
        loop {
            let size = server.recv(&mut buffer).await?;
            // Answers to earlier questions may come late.
            if let Some(code) = code_of(&buffer[..size], &question) {
                return Ok(code);
            }
        }
    };
    match target.within("answer", answer).await? {
        ResponseCode::NoError => Ok(()),
        code => Err(format!("answer: {code}")),
    }
}

/// The question.
///
/// # Errors
/// The name or type is none.
pub fn question(kind: &str, name: &str, id: u16) -> Result<Message, String> {
    let name = if name.is_empty() { Ok(Name::root()) } else { Name::from_ascii(name) };
    let mut name = name.map_err(|error| format!("name: {error}"))?;
    name.set_fqdn(true);
    let kind = RecordType::from_str(kind).map_err(|error| format!("type: {error}"))?;
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    Ok(message)
}

fn code_of(bytes: &[u8], question: &Message) -> Option<ResponseCode> {
    let answer = Message::from_vec(bytes).ok()?;
    let head = &answer.metadata;
    (head.id == question.metadata.id && head.message_type == MessageType::Response)
        .then_some(head.response_code)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block_on, target};
    use tokio::net::UdpSocket;

    #[test]
    fn an_answer_without_error_to_this_question_counts() {
        let outcome = |code: u8| {
            block_on(async move {
                let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
                let addr = server.local_addr().expect("an address");
                let answer = async {
                    let mut buffer = [0; 512];
                    let (size, peer) = server.recv_from(&mut buffer).await.expect("a question");
                    // The name `www.example` and type A, class IN.
                    assert_eq!(&buffer[12..size], b"\x03www\x07example\0\0\x01\0\x01");
                    let mut other = buffer;
                    other[0] ^= 1;
                    other[2] |= 0x80;
                    server.send_to(&other[..size], peer).await.expect("it goes");
                    buffer[2] |= 0x80;
                    buffer[3] = code;
                    server.send_to(&buffer[..size], peer).await.expect("it goes");
                };
                let target = target(addr);
                tokio::join!(super::test(&target, "A", "www.example"), answer).0
            })
        };
        assert_eq!(outcome(0), Ok(()));
        assert_eq!(outcome(2), Err("answer: Server Failure".to_owned()));
    }
}
