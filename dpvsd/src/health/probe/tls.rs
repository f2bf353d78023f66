// SPDX-License-Identifier: Apache-2.0
//! TLS of SSL_GET. Certificates of servers are not verified: a check asks whether the server is well, and keepalived never did.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use keepalived_conf::keepalived::object::Ssl;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// The client side of TLS, with a server name in it or without.
#[derive(Clone, Debug)]
pub struct Tls {
    named: Arc<ClientConfig>,
    nameless: Arc<ClientConfig>,
}

impl Tls {
    /// As the configuration says.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(ssl: Option<&Ssl>) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Anybody(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let files = ssl.map(|ssl| (ssl.certificate.as_deref(), ssl.key.as_deref(), ssl.password.is_some()));
        let named = match files {
            None | Some((None, None, _)) => config.with_no_client_auth(),
            Some((_, _, true)) => {
                return Err("SSL: a key with a password cannot be used: store it without".to_owned());
            }
            Some((Some(certificate), key, false)) => {
                let (chain, key) = (chain(certificate)?, key_of(key.unwrap_or(certificate))?);
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| format!("SSL: {certificate}: {error}"))?
            }
            Some((None, Some(key), false)) => return Err(format!("SSL: key {key} without a certificate")),
        };
        let mut nameless = named.clone();
        nameless.enable_sni = false;
        Ok(Tls { named: Arc::new(named), nameless: Arc::new(nameless) })
    }

    /// Shakes hands over a connection to `addr`.
    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        addr: IpAddr,
        name: Option<&str>,
        clean_end: bool,
    ) -> io::Result<Stream> {
        let (config, server) = match name {
            Some(name) => (&self.named, server_name(name).map_err(io::Error::other)?),
            None => (&self.nameless, ServerName::IpAddress(addr.into())),
        };
        let tls = TlsConnector::from(Arc::clone(config)).connect(server, stream).await?;
        Ok(Stream { tls, clean_end })
    }
}

/// A name that can be sent.
///
/// # Errors
/// It cannot.
pub fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` cannot be sent as a server name"))
}

fn chain(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| format!("SSL: certificate {path}: {error}"))?;
    if chain.is_empty() { Err(format!("SSL: {path} holds no certificate")) } else { Ok(chain) }
}

fn key_of(path: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| format!("SSL: key {path}: {error}"))
}

/// A TLS stream that may end without saying so.
pub(super) struct Stream {
    tls: TlsStream<TcpStream>,
    clean_end: bool,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let lenient = !self.clean_end;
        match Pin::new(&mut self.tls).poll_read(cx, buf) {
            Poll::Ready(Err(error)) if lenient && error.kind() == ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;

    use super::super::tests::{block_on, target};
    use super::super::{Http, Preamble};
    use super::*;
    use crate::health::probe::http::Page;
    use keepalived_conf::keepalived::object::{HttpProtocol, StatusCodes};

    /// Made for these tests by openssl(1); nobody vouches for it.
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUX3jhZhYeGcFsSBcUchj7zVpGZdkwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLd3d3LmV4YW1wbGUwIBcNMjYxMTI2MTg1OTIzWhgPMjEyNjEx
MDIxODU5MjNaMBYxFDASBgNVBAMMC3d3dy5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEWRONzzcYqDfIJ6yf2BqVs672fGWOJvv9B2dmDF5PZXO6W2YA
L/+KaVfRyigQUDAQm0HL/G5x/QKBWuhBFp1SKaNrMGkwHQYDVR0OBBYEFMAgsRs0
96d7pqj3u4B3A/rrKKDIMB8GA1UdIwQYMBaAFMAgsRs096d7pqj3u4B3A/rrKKDI
MA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILd3d3LmV4YW1wbGUwCgYIKoZI
zj0EAwIDSQAwRgIhAPAMnvhDo6Oflain1L6NK8NEvuRhbN5TU3lyy0eBhG7SAiEA
qJb3uDy/CLtBfDyN11XZpuw3vTlM7AzTQ4/1sUZGqqk=
-----END CERTIFICATE-----";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpJ18qL1i6ADx1kgd
ZPsLEPF0HQ3Qw1k/gKgX936xRmyhRANCAARZE43PNxioN8gnrJ/YGpWzrvZ8ZY4m
+/0HZ2YMXk9lc7pbZgAv/4ppV9HKKBBQMBCbQcv8bnH9AoFa6EEWnVIp
-----END PRIVATE KEY-----";

    /// Asks a server that answers in clear text over TLS and then cuts the line, without saying that it ends. The outcome, and the
    /// name that was asked for.
    fn ask(sni: Option<&str>, clean_end: bool) -> (Result<(), String>, Option<String>) {
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key"),
            )
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let page = Page {
            path: "/".into(),
            host: "www.example".into(),
            sni: sni.map(str::to_owned),
            clean_end,
            status: StatusCodes::default(),
            digest: None,
            regex: None,
        };
        block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let target = target(listener.local_addr().expect("an address"));
            let tls = Some(Arc::new(Tls::new(None).expect("no files")));
            let http = Http {
                target,
                protocol: HttpProtocol::V10,
                tls,
                preamble: Preamble::None,
                pages: vec![page],
            };
            let serve = async {
                let (client, _) = listener.accept().await.expect("a client");
                let mut tls = acceptor.accept(client).await.expect("a handshake");
                let name = tls.get_ref().1.server_name().map(str::to_owned);
                let mut request = [0; 1024];
                let size = tls.read(&mut request).await.expect("a request");
                assert!(request[..size].starts_with(b"GET / HTTP/1.0\r\n"));
                tls.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").await.expect("room");
                tls.flush().await.expect("room");
                name
            };
            tokio::join!(http.test(0), serve)
        })
    }

    #[test]
    fn servers_are_asked_by_name_where_one_is_given_and_believed() {
        assert_eq!(ask(Some("www.example"), false), (Ok(()), Some("www.example".to_owned())));
        assert_eq!(ask(None, false), (Ok(()), None));
    }

    #[test]
    fn a_line_that_is_cut_is_an_end_only_where_that_is_tolerated() {
        let (outcome, _) = ask(None, true);
        assert!(outcome.is_err_and(|reason| reason.starts_with("/: body: ")));
    }

    #[test]
    fn certificates_of_the_configuration_are_read() {
        let file = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(text.as_bytes()).expect("room");
            file
        };
        let (certificate, key) = (file(CERTIFICATE), file(KEY));
        let path = |file: &tempfile::NamedTempFile| file.path().to_str().map(str::to_owned);
        let ssl = Ssl { certificate: path(&certificate), key: path(&key), ..Ssl::default() };
        assert!(Tls::new(Some(&ssl)).is_ok());
        assert!(Tls::new(Some(&Ssl { certificate: path(&key), ..ssl })).is_err());
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        assert!(Tls::new(None).is_ok());
        let ssl = |certificate: Option<&str>, key: Option<&str>, password: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let (password, certificate, key) = (text(password), text(certificate), text(key));
            Tls::new(Some(&Ssl { password, ca: None, certificate, key })).map(drop)
        };
        assert_eq!(ssl(None, Some("k"), None), Err("SSL: key k without a certificate".to_owned()));
        let error = ssl(Some("/nonexistent"), None, None).expect_err("it is not there");
        assert!(error.starts_with("SSL: certificate /nonexistent: "), "{error}");
        assert!(ssl(Some("c"), Some("k"), Some("p")).is_err());
        let error = server_name("a b").map(drop);
        assert_eq!(error, Err("`a b` cannot be sent as a server name".to_owned()));
        assert!(server_name("www.example").is_ok());
    }
}
