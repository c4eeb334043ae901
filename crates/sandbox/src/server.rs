//! Starting and stopping.

use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    connection::{Cut, CuttableListener},
    ledger::{Ledger, OpenError, Snapshot, Summary},
    routes::{Outside, router},
    work::Work,
    world::World,
};

/// How a sandbox is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 is a free one. Nothing here asks who calls: keep to loopback.
    pub listen: SocketAddr,
    /// A folder, or a file with an extension. What is there already is gone on with.
    pub ledger: PathBuf,
    /// Divides latencies and multiplies limits; above 0.
    pub speed: f64,
    /// Decides latencies and faults.
    pub seed: u64,
    /// Whether things go wrong now and then.
    pub faults: bool,
    /// Of every product call at speed 1, instead of each channel's own.
    pub latency: Option<Duration>,
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the sandbox's speed is {0}; it has to be a number above 0")]
    Speed(f64),
    #[error(transparent)]
    Ledger(#[from] OpenError),
    #[error("the sandbox can't listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
}

/// A running sandbox. Dropped, it ends as [`Sandbox::stop`] ends it, without waiting.
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    work: Work,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Reads the ledger, then listens.
    pub async fn start(options: Options) -> Result<Self, Error> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(Error::Speed(options.speed));
        }
        let ledger = Ledger::open(&options.ledger)?;
        let refused = |source| Error::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;

        let world = World::new(ledger, &options);
        let world = Arc::new(world);
        let work = Work::default();
        let outside = Arc::new(Outside::new(Arc::clone(&world), work.clone()));
        let service = router(outside).into_make_service_with_connect_info::<Cut>();
        let serving = axum::serve(CuttableListener(listener), service)
            .with_graceful_shutdown(work.end().clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the sandbox has stopped serving");
            }
        });
        Ok(Self { address, world, work, server })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Such as `http://127.0.0.1:4000`, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request and effect so far, those of earlier runs included.
    #[must_use]
    pub fn ledger(&self) -> Snapshot {
        self.world.ledger.snapshot()
    }

    /// The ledger's counts by service.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<&'static str, Summary> {
        self.world.ledger.summary()
    }

    /// Switches the faults; those that a SKU forces stay.
    pub fn set_faults(&self, on: bool) {
        self.world.set_faults(on);
    }

    /// Ends at once, as a kill would: calls in flight stay undone and their clients unanswered.
    pub async fn stop(mut self) {
        const GRACE: Duration = Duration::from_secs(2);
        self.work.stop().await;
        // A client that has sent half a request would be waited for.
        if tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.work.end().cancel();
        // Connections that linger hold the world, and would hold the file with it.
        self.world.ledger.close();
    }
}
