//! Starts and stops the sandbox.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    call_tracker::CallTracker,
    connection::{AbortableListener, ConnectionAbortHandle},
    environment::Environment,
    ledger::{Ledger, OpenError, ServiceSummary, Snapshot},
    profiles::{ChannelProfile, service_ids},
    routes::{AppState, router},
};

/// Options of a sandbox.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on; port 0 picks a free one. Nothing here authenticates: use loopback.
    pub listen: SocketAddr,
    /// Folder of the ledger, or a file with an extension. An existing ledger is continued.
    pub ledger: PathBuf,
    /// Speed: divides latencies and multiplies rates; above 0.
    pub speed: f64,
    /// Seed of latencies and faults.
    pub seed: u64,
    /// Whether random faults occur.
    pub faults: bool,
    /// Latency of every product call at speed 1, instead of each channel's own.
    pub latency: Option<Duration>,
    /// Channels to simulate. A ledger that is continued has no other ones.
    pub channels: Vec<ChannelProfile>,
}

/// Returns the URL of a channel's API at the sandbox with this base URL.
#[must_use]
pub fn channel_url(base_url: &str, id: &str) -> String {
    format!("{base_url}/channels/{id}")
}

/// Reason for which a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The speed is not a number above 0.
    #[error("the sandbox's speed is {0}; it must be a number above 0")]
    Speed(f64),
    /// The ledger can't be opened or read.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The sandbox can't listen on its address.
    #[error("the sandbox can't listen on {address}: {source}; free it or choose another one")]
    Listen {
        /// Address that was tried.
        address: SocketAddr,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// A running sandbox. Dropping it has the effect of [`Sandbox::stop`], without waiting.
pub struct Sandbox {
    address: SocketAddr,
    environment: Arc<Environment>,
    calls: CallTracker,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Reads the ledger, then listens.
    ///
    /// # Errors
    /// The speed is not above 0, the ledger can't be used, or the address can't be listened on.
    pub async fn start(options: Options) -> Result<Self, Error> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(Error::Speed(options.speed));
        }
        let ledger = Ledger::open(&options.ledger, service_ids(&options.channels))?;
        let listen_error = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;

        let environment = Environment::new(ledger, &options);
        let environment = Arc::new(environment);
        let calls = CallTracker::default();
        let state =
            Arc::new(AppState::new(Arc::clone(&environment), calls.clone(), &options.channels));
        let service = router(state).into_make_service_with_connect_info::<ConnectionAbortHandle>();
        let serving = axum::serve(AbortableListener(listener), service)
            .with_graceful_shutdown(calls.shutdown_token().clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the sandbox has stopped serving");
            }
        });
        Ok(Self { address, environment, calls, server })
    }

    /// Returns the address that the sandbox listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns a URL such as `http://127.0.0.1:4000`, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the URL of a channel's API, without a trailing slash.
    #[must_use]
    pub fn channel_url(&self, id: &str) -> String {
        channel_url(&self.base_url(), id)
    }

    /// Returns every request and effect so far, including those of earlier runs.
    #[must_use]
    pub fn ledger(&self) -> Snapshot {
        self.environment.ledger.snapshot()
    }

    /// Returns the ledger's counts by service.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<&'static str, ServiceSummary> {
        self.environment.ledger.summary()
    }

    /// Switches random faults on or off; faults that a SKU forces still occur.
    pub fn set_faults_enabled(&self, enabled: bool) {
        self.environment.set_faults_enabled(enabled);
    }

    /// Stops at once, as a kill would: calls in flight have no effect and get no response.
    pub async fn stop(mut self) {
        const GRACE: Duration = Duration::from_secs(2);
        self.calls.stop().await;
        // The graceful shutdown would wait for a client that has sent half a request.
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.calls.shutdown_token().cancel();
        // Lingering connections share the environment, and would keep the file locked.
        self.environment.ledger.close();
    }
}
