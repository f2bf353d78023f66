// SPDX-License-Identifier: Apache-2.0
//! HTTP_GET and SSL_GET: pages of the server have the status, digest and text they must have.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use keepalived_conf::keepalived::object::{HttpProtocol, Regex as Said, StatusCodes};
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::tls::Tls;
use super::{Preamble, Target};

/// Bytes of a body that a regular expression sees.
const SEARCHED: usize = 1 << 20;

/// Steps back and forth in a body before an expression is given up.
const PATIENCE: usize = 1_000_000;

/// The test.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where to.
    pub target: Target,
    /// How it is spoken.
    pub protocol: HttpProtocol,
    /// TLS before it.
    pub tls: Option<Arc<Tls>>,
    /// What comes before everything.
    pub preamble: Preamble,
    /// Asked in turn; at least one.
    pub pages: Vec<Page>,
}

/// One page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Path and query.
    pub path: String,
    /// The Host header.
    pub host: String,
    /// The server name in TLS.
    pub sni: Option<String>,
    /// Demand a clean end of TLS.
    pub clean_end: bool,
    /// Which answers are good.
    pub status: StatusCodes,
    /// MD5 of the body, in lower-case hexadecimal digits.
    pub digest: Option<String>,
    /// What the body must match.
    pub regex: Option<Arc<Expression>>,
}

/// A regular expression, compiled.
#[derive(Debug)]
pub struct Expression {
    regex: Regex,
    no_match: bool,
    min: usize,
    max: Option<usize>,
}

impl Expression {
    /// Compiles it.
    ///
    /// # Errors
    /// It is none, or has an option that has no counterpart.
    pub fn new(said: &Said) -> Result<Expression, String> {
        let mut builder = RegexBuilder::new(&said.pattern);
        builder.backtrack_limit(PATIENCE);
        for option in &said.options {
            match option.as_str() {
                "caseless" => drop(builder.case_insensitive(true)),
                "multiline" => drop(builder.multi_line(true)),
                "dotall" => drop(builder.dot_matches_new_line(true)),
                "extended" => drop(builder.ignore_whitespace(true)),
                // How it searches, not what it finds; or what it is anyway.
                "no_auto_possess" | "no_dotstar_anchor" | "no_start_optimize" | "no_auto_capture"
                | "dupnames" | "never_backslash_c" | "utf" | "ucp" => {}
                other => {
                    return Err(format!(
                        "regex option `{other}` is not there: caseless, dotall, extended and multiline are"
                    ));
                }
            }
        }
        let regex = builder.build().map_err(|error| format!("regex: {error}"))?;
        let offset = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
        let (min, max) = (offset(said.min_offset), said.max_offset.map(offset));
        Ok(Expression { regex, no_match: said.no_match, min, max })
    }

    fn judge(&self, body: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(body);
        let mut from = self.min.min(text.len());
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let found = self.regex.find_from_pos(&*text, from).map_err(|error| format!("regex: {error}"))?;
        let found = found.is_some_and(|found| self.max.is_none_or(|max| found.start() <= max));
        match (found, self.no_match) {
            (true, true) => Err("the body matches the expression that it must not match".to_owned()),
            (false, false) => Err("the body does not match the expression".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Http {
    /// Asks for a page.
    ///
    /// # Errors
    /// Why it is not what it must be.
    pub async fn test(&self, page: usize) -> Result<(), String> {
        let page = &self.pages[page.min(self.pages.len() - 1)];
        let mut stream = self.target.connect().await?;
        self.target.within("PROXY header", stream.write_all(self.preamble.bytes())).await?;
        let outcome = match &self.tls {
            None => self.exchange(page, stream).await,
            Some(tls) => {
                let hands = tls.connect(stream, self.target.addr.ip(), page.sni.as_deref(), page.clean_end);
                self.exchange(page, self.target.within("TLS", hands).await?).await
            }
        };
        outcome.map_err(|reason| format!("{}: {reason}", page.path))
    }

    async fn exchange(&self, page: &Page, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
        // Some servers that check tools talk to know names as everybody writes them only.
        let mut http = hyper::client::conn::http1::Builder::new();
        let handshake = http.title_case_headers(true).handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(|error| format!("HTTP: {error}"))?;
        let (version, close) = super::version(self.protocol);
        let mut request = Request::builder()
            .uri(&page.path)
            .version(version)
            .header("User-Agent", "KeepAliveClient")
            .header("Host", &page.host);
        if close {
            request = request.header("Connection", "close");
        }
        let request = request.body(Empty::new()).map_err(|error| format!("request: {error}"))?;
        let exchange = async {
            let answer = self.step("answer", sender.send_request(request)).await?;
            self.judge(page, answer).await
        };
        drive(exchange, connection).await
    }

    async fn judge(&self, page: &Page, answer: Response<Incoming>) -> Result<(), String> {
        let status = u32::from(answer.status().as_u16());
        if !page.status.0.iter().any(|(from, to)| (*from..=*to).contains(&status)) {
            return Err(format!("status {status}"));
        }
        let (mut digest, mut seen) = (Md5::new(), Vec::new());
        let mut body = answer.into_body();
        while let Some(frame) = self.step("body", async { body.frame().await.transpose() }).await? {
            let Some(data) = frame.data_ref() else { continue };
            digest.update(data);
            if page.regex.is_some() {
                seen.extend_from_slice(&data[..data.len().min(SEARCHED - seen.len())]);
            }
        }
        if let Some(wanted) = &page.digest {
            let got: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            if got != *wanted {
                return Err(format!("digest {got}, {wanted} expected"));
            }
        }
        page.regex.as_ref().map_or(Ok(()), |regex| regex.judge(&seen))
    }

    async fn step<T>(&self, what: &str, step: impl Future<Output = hyper::Result<T>>) -> Result<T, String> {
        let step = async { step.await.map_err(std::io::Error::other) };
        self.target.within(what, step).await
    }
}

/// Lets a connection work while there is an exchange over it. The end of one is not that of the other.
async fn drive<T>(exchange: impl Future<Output = T>, connection: impl Future) -> T {
    let (mut exchange, connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        _ = connection => {}
    }
    exchange.await
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block_on, serve, target};
    use super::*;

    fn page(regex: Option<Said>, digest: Option<&str>) -> Page {
        Page {
            path: "/a?b".into(),
            host: "www.example".into(),
            sni: None,
            clean_end: false,
            status: StatusCodes(vec![(200, 299), (404, 404)]),
            digest: digest.map(str::to_owned),
            regex: regex.map(|said| Arc::new(Expression::new(&said).expect("an expression"))),
        }
    }

    fn ask(protocol: HttpProtocol, page: Page, answer: &'static str) -> (Result<(), String>, String) {
        block_on(async move {
            let (addr, heard) = serve(Box::leak(Box::new(["", answer]))).await;
            let (target, preamble) = (target(addr), Preamble::V1);
            let http = Http { target, protocol, tls: None, preamble, pages: vec![page] };
            (http.test(0).await, heard.await.expect("the server ends"))
        })
    }

    #[test]
    fn requests_are_those_of_keepalived() {
        let answer = "HTTP/1.0 200 OK\r\n\r\n";
        let (outcome, heard) = ask(HttpProtocol::V10, page(None, None), answer);
        assert_eq!(outcome, Ok(()));
        let plain =
            "PROXY UNKNOWN\r\nGET /a?b HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: www.example\r\n\r\n";
        assert_eq!(heard, plain);
        let closing = plain.replace("example\r\n", "example\r\nConnection: close\r\n");
        assert_eq!(ask(HttpProtocol::V10Close, page(None, None), answer).1, closing);
        assert_eq!(ask(HttpProtocol::V11, page(None, None), answer).1, closing.replace("1.0", "1.1"));
    }

    #[test]
    fn status_digest_and_text_decide() {
        let outcome = |page, answer| ask(HttpProtocol::V11, page, answer).0;
        let hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(outcome(page(None, None), "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), Ok(()));
        let error = outcome(page(None, None), "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(error, Err("/a?b: status 503".to_owned()));
        assert_eq!(outcome(page(None, Some("5d41402abc4b2a76b9719d911017c592")), hello), Ok(()));
        let error = outcome(page(None, Some("00000000000000000000000000000000")), hello);
        let text = "/a?b: digest 5d41402abc4b2a76b9719d911017c592, 00000000000000000000000000000000 expected";
        assert_eq!(error, Err(text.to_owned()));
        let said = |pattern: &str, no_match| Said { pattern: pattern.into(), no_match, ..Said::default() };
        assert_eq!(outcome(page(Some(said("^he(l)\\1o$", false)), None), hello), Ok(()));
        assert_eq!(outcome(page(Some(said("l(?=o)", false)), None), hello), Ok(()));
        assert!(outcome(page(Some(said("^ello", false)), None), hello).is_err());
        assert!(outcome(page(Some(said("l", true)), None), hello).is_err());
        // Until the server closes; and a body that is cut short is no body.
        let endless = "HTTP/1.0 200 OK\r\n\r\nhello";
        assert_eq!(outcome(page(Some(said("llo$", false)), None), endless), Ok(()));
        assert!(outcome(page(None, None), "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello").is_err());
        assert!(outcome(page(None, None), "garbage\r\n\r\n").is_err());
    }

    #[test]
    fn matches_begin_within_their_offsets() {
        let judge = |min_offset, max_offset, body: &str| {
            let said = Said { pattern: "b".into(), min_offset, max_offset, ..Said::default() };
            Expression::new(&said).expect("an expression").judge(body.as_bytes()).is_ok()
        };
        assert!(judge(0, None, "aab"));
        assert!(judge(2, Some(2), "aab"));
        assert!(!judge(0, Some(1), "aab"));
        assert!(!judge(1, None, "baa"));
        assert!(!judge(9, None, "bé"));
        assert!(judge(1, None, "éb"));
    }

    #[test]
    fn options_without_a_counterpart_are_refused() {
        let new = |options: &[&str]| {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            Expression::new(&Said { pattern: "a B".into(), options, ..Said::default() })
        };
        assert_eq!(new(&["caseless", "extended"]).expect("both are there").judge(b"xAb"), Ok(()));
        let error = new(&["ungreedy"]).expect_err("there is none");
        assert!(error.starts_with("regex option `ungreedy` is not there"), "{error}");
    }
}
