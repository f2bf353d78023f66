// SPDX-License-Identifier: Apache-2.0
//! SMTP_CHECK: the server greets and takes a HELO.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Target;

/// Longest reply that is read.
const MAX_REPLY: u64 = 16 << 10;

pub async fn test(target: &Target, helo: &str) -> Result<(), String> {
    let mut server = BufReader::new(target.connect().await?);
    expect(target, &mut server, "greeting", "220").await?;
    target.within("HELO", server.write_all(format!("HELO {helo}\r\n").as_bytes())).await?;
    expect(target, &mut server, "answer to HELO", "250").await?;
    // It has shown that it is well; whether it says goodbye does not matter.
    let _ = target.within("QUIT", server.write_all(b"QUIT\r\n")).await;
    Ok(())
}

/// Reads a reply of one line or several (RFC 5321, 4.2.1): the last has no `-` after its number.
async fn expect(
    target: &Target,
    server: &mut BufReader<TcpStream>,
    what: &str,
    code: &str,
) -> Result<(), String> {
    let read = async {
        let mut reply = server.take(MAX_REPLY);
        let mut line = String::new();
        loop {
            line.clear();
            if reply.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    };
    let line = target.within(what, read).await?;
    if line.starts_with(code) { Ok(()) } else { Err(format!("{what}: {:?}", line.trim_end())) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block_on, serve, target};

    #[test]
    fn a_greeting_and_an_answer_are_all_it_wants() {
        let outcome = |replies: &'static [&'static str]| {
            block_on(async move {
                let (addr, heard) = serve(replies).await;
                let outcome = super::test(&target(addr), "lb.example").await;
                (outcome, heard.await.expect("the server ends"))
            })
        };
        let (good, heard) = outcome(&["220-hello\r\n220 there\r\n", "250 ok\r\n", ""]);
        assert_eq!(good, Ok(()));
        assert_eq!(heard, "HELO lb.example\r\nQUIT\r\n");
        let (bad, _) = outcome(&["554 no\r\n"]);
        assert_eq!(bad, Err("greeting: \"554 no\"".to_owned()));
        let (bad, _) = outcome(&["220 hello\r\n", "500 no\r\n"]);
        assert_eq!(bad, Err("answer to HELO: \"500 no\"".to_owned()));
    }
}
