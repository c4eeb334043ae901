//! Requests in progress and waiting, by network. At the limit, a new request evicts
//! one that waits for its client.

use crate::connections::Connection;
use contract::metric;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Weak},
};
use tokio::time::Instant;

/// Requests in progress and waiting; cheap to clone.
#[derive(Clone, Default)]
pub struct ActiveRequests(Arc<Mutex<Requests>>);

#[derive(Default)]
struct Requests {
    in_progress: Vec<ActiveRequest>,
    /// Number of requests of each network that wait for a permit.
    waiting: HashMap<IpAddr, usize>,
}

/// Request in progress.
struct ActiveRequest {
    network: IpAddr,
    is_signed_in: bool,
    /// Weak, because the connection itself holds the permit of its request.
    connection: Weak<Connection>,
}

/// No network has more requests than this one including its waiting ones, so
/// nothing could be evicted for the request, and it would only block others.
pub struct NothingToEvict;

impl ActiveRequests {
    /// Adds a request on `connection` until the guard is dropped.
    pub fn add(
        &self,
        network: IpAddr,
        is_signed_in: bool,
        connection: &Arc<Connection>,
    ) -> ActiveRequestGuard {
        let connection = Arc::downgrade(connection);
        let request = ActiveRequest { network, is_signed_in, connection: connection.clone() };
        self.0.lock().in_progress.push(request);
        ActiveRequestGuard { requests: self.clone(), connection }
    }

    /// Counts a waiting request of `network` until the guard is dropped.
    ///
    /// # Errors
    /// No request could be evicted for it.
    pub fn wait(&self, network: IpAddr) -> Result<WaitingGuard, NothingToEvict> {
        let mut requests = self.0.lock();
        let waiting = requests.waiting.get(&network).copied().unwrap_or_default();
        let counts = requests.in_progress_by_network();
        let own = counts.get(&network).copied().unwrap_or_default() + waiting;
        if counts.values().all(|count| *count <= own) {
            return Err(NothingToEvict);
        }
        *requests.waiting.entry(network).or_default() += 1;
        Ok(WaitingGuard { requests: self.clone(), network })
    }

    /// Evicts a request that waits for its client, in favour of a request from
    /// `network`. An anonymous request evicts anonymous requests only.
    pub fn evict_for(&self, network: IpAddr, is_signed_in: bool) {
        let now = Instant::now();
        // Dropped after the lock is released: the last reference to a connection
        // releases its permits, which locks the list again.
        let mut candidates = Vec::new();
        {
            let requests = self.0.lock();
            let counts = requests.in_progress_by_network();
            let count = |network| counts.get(&network).copied().unwrap_or_default();
            let own = count(network);
            for request in &requests.in_progress {
                let count = count(request.network);
                let is_evictable = count > own && (is_signed_in || !request.is_signed_in);
                if is_evictable && let Some(connection) = request.connection.upgrade() {
                    candidates.push((!request.is_signed_in, count, connection));
                }
            }
        }
        let evicted = candidates
            .iter()
            .filter_map(|(is_anonymous, count, connection)| {
                let waited = connection.time_waiting_for_client(now)?;
                Some(((*is_anonymous, *count, waited), connection))
            })
            .max_by_key(|(rank, _)| *rank);
        if let Some((_, connection)) = evicted {
            connection.end();
            metrics::counter!(metric::CONNECTIONS_EVICTED).increment(1);
        }
    }
}

impl Requests {
    fn in_progress_by_network(&self) -> HashMap<IpAddr, usize> {
        let mut counts = HashMap::new();
        for request in &self.in_progress {
            *counts.entry(request.network).or_default() += 1;
        }
        counts
    }
}

/// Entry in the list of requests in progress, removed on drop.
pub struct ActiveRequestGuard {
    requests: ActiveRequests,
    connection: Weak<Connection>,
}

impl Drop for ActiveRequestGuard {
    fn drop(&mut self) {
        let mut requests = self.requests.0.lock();
        let is_own = |request: &ActiveRequest| Weak::ptr_eq(&request.connection, &self.connection);
        if let Some(index) = requests.in_progress.iter().position(is_own) {
            requests.in_progress.swap_remove(index);
        }
    }
}

/// Counts a request that waits for a permit, until it is dropped.
pub struct WaitingGuard {
    requests: ActiveRequests,
    network: IpAddr,
}

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        let mut requests = self.requests.0.lock();
        if let Some(count) = requests.waiting.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                requests.waiting.remove(&self.network);
            }
        }
    }
}
