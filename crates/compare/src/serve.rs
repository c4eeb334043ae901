//! Runs the server of one of the first two ways, in a process of its own.

use crate::{asynchronous, client, services::Services, synchronous};
use axum::Router;
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::TcpListener;

/// Way whose server is not Meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedWay {
    /// The request does the work.
    Synchronous,
    /// A task in the web process does the work.
    Asynchronous,
}

/// Returns the routes of the server of a way.
pub fn router(way: ServedWay, services: Services) -> Router {
    match way {
        ServedWay::Synchronous => synchronous::router(services),
        ServedWay::Asynchronous => asynchronous::router(services),
    }
}

/// Serves until the process is killed. `sandbox_url` is that of the services.
///
/// # Errors
/// No HTTP client can be made, or the address can't be listened on.
pub async fn serve(
    way: ServedWay,
    listen: SocketAddr,
    sandbox_url: &str,
    poll_interval: Duration,
) -> io::Result<()> {
    let client = client::build(None).map_err(io::Error::other)?;
    let router = router(way, Services::new(client, sandbox_url.to_owned(), poll_interval));
    let listener = TcpListener::bind(listen).await?;
    tracing::info!("the server is ready: http://{}", listener.local_addr()?);
    axum::serve(listener, router).await
}
