//! Upstreams as operators see them: what they are called, which rate limiters and queues they
//! have, and how they are checked.

use async_trait::async_trait;
use std::sync::Arc;

/// Asks an upstream whether it can be used.
#[async_trait]
pub trait UpstreamProbe: Send + Sync {
    /// Sends a request that changes nothing, and returns what the service says.
    ///
    /// # Errors
    /// Why the service can't be used, in words for people.
    async fn check(&self) -> Result<String, String>;
}

/// A sales channel, or the machines of an account and region.
#[derive(Clone)]
pub struct Upstream {
    /// Id of the upstream, such as `acme` or `aws.ops.eu-central-1`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Names of its rate limiters; a sales channel has one, its id.
    pub limits: Vec<String>,
    /// Names of the queues whose tasks call it.
    pub queues: Vec<String>,
    /// How it is checked.
    pub probe: Arc<dyn UpstreamProbe>,
    /// Held while it is checked.
    pub check_lock: Arc<tokio::sync::Mutex<()>>,
}
