//! The HTTP client of people and of the servers of the first two ways.

use reqwest::Client;
use std::time::Duration;

/// Reason why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum BuildClientError {
    /// The authorities that the environment names can't be used.
    #[error(transparent)]
    Roots(#[from] tls::InvalidRoots),
    /// The platform has no entropy or no sockets.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Builds a client for servers on this machine. It uses no proxy, whatever `HTTP_PROXY` says.
/// `timeout` limits one request, up to the end of its answer.
///
/// # Errors
/// The authorities can't be read, or the platform has no entropy or no sockets.
pub fn build(timeout: Option<Duration>) -> Result<Client, BuildClientError> {
    let builder = Client::builder().tls_backend_preconfigured(tls::https_config()?).no_proxy();
    let builder = match timeout {
        Some(timeout) => builder.timeout(timeout),
        None => builder,
    };
    Ok(builder.build()?)
}
