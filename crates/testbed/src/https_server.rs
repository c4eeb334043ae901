//! An HTTPS server, and connections over TLS.

use crate::{CertificateAuthority, ServerCertificate};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// A server that answers every request with 200 and `{}`, until it is dropped.
pub struct HttpsServer {
    address: SocketAddr,
    serving: AbortHandle,
}

impl HttpsServer {
    /// Starts a server with this certificate on 127.0.0.1.
    pub async fn start(certificate: &ServerCertificate) -> Self {
        tls::install_provider();
        let chain = CertificateDer::pem_slice_iter(certificate.certificate_pem.as_bytes());
        let chain = chain.collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(acceptor.clone(), connection));
            }
        });
        Self { address, serving: serving.abort_handle() }
    }

    /// Returns its URL, with the address as the host.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers one request, unless the client refuses the certificate.
async fn answer(acceptor: TlsAcceptor, connection: TcpStream) {
    let Ok(mut connection) = acceptor.accept(connection).await else { return };
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return;
        }
    }
    let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let _ = connection.write_all(response).await;
    let _ = connection.shutdown().await;
}

/// Connects to `port` over TLS as a client that trusts `authority` only, and expects the
/// certificate of `host`.
pub async fn connect_tls(
    port: u16,
    host: &str,
    authority: &CertificateAuthority,
) -> anyhow::Result<TlsStream<TcpStream>> {
    tls::install_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem.as_bytes())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = TcpStream::connect(("127.0.0.1", port)).await?;
    let host = ServerName::try_from(host.to_owned())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(host, connection).await?)
}
