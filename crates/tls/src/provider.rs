//! rustls on ring.

use crate::{InvalidRoots, load_roots};
use rustls::{ClientConfig, crypto::CryptoProvider};

/// Makes ring the provider of this process, unless there is one. Called where a client is
/// built whose library takes the provider of the process: without one, reqwest panics.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // Fails if another thread was faster, which has installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Returns the configuration of a client of HTTPS servers that trusts the authorities of
/// [`load_roots`]. It offers HTTP/1.1 only.
///
/// reqwest's own configuration would refuse to start on a machine without authorities, even
/// for plain HTTP.
///
/// # Errors
/// The errors of [`load_roots`].
pub fn https_config() -> Result<ClientConfig, InvalidRoots> {
    install_provider();
    let config = ClientConfig::builder().with_root_certificates(load_roots()?);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
