//! Limits on the number of open connections, in total and per network.
//!
//! At a limit, a new connection evicts one that waits for its client, in the
//! network that has the most: a client that opens many idle connections shuts out
//! only itself.

use super::{Connection, ConnectionOptions};
use crate::client_address::{TrustedProxies, network_of};
use contract::metric;
use parking_lot::Mutex;
use std::{cmp::Reverse, collections::HashMap, net::IpAddr, sync::Arc};
use tokio::time::Instant;

/// Maximum number of networks that are searched for a connection to evict.
const MAX_SEARCHED_NETWORKS: usize = 8;

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    Total,
    Network,
}

/// Counts connections and chooses which one is evicted at a limit.
pub struct ConnectionLimits {
    max_connections: usize,
    max_connections_per_network: usize,
    proxies: TrustedProxies,
    open: Arc<Mutex<OpenConnections>>,
}

/// Open connections by network.
#[derive(Default)]
struct OpenConnections {
    count: usize,
    /// Id of the next connection.
    next_id: u64,
    networks: HashMap<IpAddr, NetworkConnections>,
}

#[derive(Default)]
struct NetworkConnections {
    connections: HashMap<u64, Arc<Connection>>,
    /// Whether this is a trusted proxy. Its connections belong to many clients and
    /// are never evicted.
    is_proxy: bool,
}

impl ConnectionLimits {
    /// Applies the limits of `options`; `proxies` are exempt from the network limit.
    pub fn new(options: &ConnectionOptions, proxies: TrustedProxies) -> Self {
        let ConnectionOptions { max_connections, max_connections_per_network, .. } = *options;
        Self { max_connections, max_connections_per_network, proxies, open: Arc::default() }
    }

    /// Counts a new connection from `address`. At a limit, evicts another
    /// connection that waits for its client.
    ///
    /// # Errors
    /// The limit that was reached, if no connection can be evicted.
    pub fn acquire(
        &self,
        address: IpAddr,
        connection: Arc<Connection>,
    ) -> Result<ConnectionSlot, LimitReached> {
        let is_proxy = self.proxies.contains(address);
        let max_per_network = if is_proxy { usize::MAX } else { self.max_connections_per_network };
        let network = network_of(address);
        let mut open = self.open.lock();
        let count = open.networks.get(&network).map_or(0, |own| own.connections.len());
        if count >= max_per_network && !open.evict_from(network) {
            return Err(LimitReached::Network);
        }
        if open.count >= self.max_connections && !open.evict_for(network) {
            return Err(LimitReached::Total);
        }
        let id = open.next_id;
        open.next_id += 1;
        open.count += 1;
        let own = open.networks.entry(network).or_default();
        own.is_proxy = is_proxy;
        own.connections.insert(id, connection);
        Ok(ConnectionSlot { network, id, open: Arc::clone(&self.open) })
    }

    /// Evicts up to `count` connections that wait for their clients.
    pub fn shed(&self, count: usize) {
        let mut open = self.open.lock();
        for _ in 0..count {
            let Some(largest) = open.largest_networks(0).first().copied() else { return };
            if !open.evict_from(largest) {
                return;
            }
        }
    }
}

impl OpenConnections {
    /// Returns the networks with more than `count` connections, the largest first.
    fn largest_networks(&self, count: usize) -> Vec<IpAddr> {
        let networks = self.networks.iter().filter(|(_, network)| !network.is_proxy);
        let sizes = networks.map(|(address, network)| (network.connections.len(), *address));
        let mut larger: Vec<_> = sizes.filter(|(size, _)| *size > count).collect();
        larger.sort_unstable_by_key(|(size, _)| Reverse(*size));
        larger.into_iter().take(MAX_SEARCHED_NETWORKS).map(|(_, address)| address).collect()
    }

    /// Evicts a connection in favour of a new one of `network`: in the network that
    /// has the most connections, and more than `network`; otherwise in `network`
    /// itself. Returns whether one was evicted.
    fn evict_for(&mut self, network: IpAddr) -> bool {
        let count = self.networks.get(&network).map_or(0, |own| own.connections.len());
        let larger = self.largest_networks(count);
        larger.into_iter().any(|larger| self.evict_from(larger)) || self.evict_from(network)
    }

    /// Evicts the connection of `address` that has waited longest for its client,
    /// anonymous clients first. Returns whether one was evicted.
    fn evict_from(&mut self, address: IpAddr) -> bool {
        let now = Instant::now();
        let Some(network) = self.networks.get(&address).filter(|network| !network.is_proxy) else {
            return false;
        };
        let candidates = network.connections.iter().filter_map(|(id, connection)| {
            let waited = connection.time_waiting_for_client(now)?;
            Some(((connection.is_signed_in(), Reverse(waited)), *id))
        });
        let Some((_, id)) = candidates.min() else { return false };
        if let Some(connection) = self.remove(address, id) {
            connection.end();
            metrics::counter!(metric::CONNECTIONS_EVICTED).increment(1);
        }
        true
    }

    fn remove(&mut self, address: IpAddr, id: u64) -> Option<Arc<Connection>> {
        let network = self.networks.get_mut(&address)?;
        let connection = network.connections.remove(&id)?;
        self.count -= 1;
        if network.connections.is_empty() {
            self.networks.remove(&address);
        }
        Some(connection)
    }
}

/// Counts one open connection until it is dropped.
pub struct ConnectionSlot {
    network: IpAddr,
    id: u64,
    open: Arc<Mutex<OpenConnections>>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        // An evicted connection was already removed, which makes this a no-op.
        self.open.lock().remove(self.network, self.id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn limits(total: usize, per_network: usize, trusted: &[&str]) -> ConnectionLimits {
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let options = ConnectionOptions {
            max_connections: total,
            max_connections_per_network: per_network,
            ..ConnectionOptions::default()
        };
        ConnectionLimits::new(&options, TrustedProxies::new(&trusted))
    }

    /// A connection whose request is being handled.
    fn busy() -> Arc<Connection> {
        let connection = Arc::new(Connection::default());
        connection.request_started(false);
        connection
    }

    fn idle() -> Arc<Connection> {
        Arc::new(Connection::default())
    }

    #[test]
    fn network_limit_is_released_with_the_slot() {
        let limits = limits(4, 2, &[]);
        let acquire = |address: &str| limits.acquire(address.parse().unwrap(), busy());
        let first = acquire("192.0.2.1").ok().unwrap();
        // The same address, as a dual-stack listener reports it.
        let _second = acquire("::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(acquire("192.0.2.1").err(), Some(LimitReached::Network));
        let _other = acquire("2001:db8::1").ok().unwrap();
        let _same_network = acquire("2001:db8::2").ok().unwrap();
        assert_eq!(acquire("192.0.2.9").err(), Some(LimitReached::Total));
        drop(first);
        assert!(acquire("192.0.2.1").is_ok());
    }

    #[test]
    fn trusted_proxy_is_exempt_from_the_network_limit() {
        let limits = limits(6, 1, &["10.0.0.0/8"]);
        let proxied = || limits.acquire("10.1.2.3".parse().unwrap(), idle());
        let many: Vec<_> = (0..6).map(|_| proxied().ok().unwrap()).collect();
        assert_eq!(
            limits.acquire("192.0.2.1".parse().unwrap(), idle()).err(),
            Some(LimitReached::Total)
        );
        drop(many);
        assert_eq!(limits.open.lock().networks.len(), 0, "networks without connections remain");
    }

    #[tokio::test(start_paused = true)]
    async fn total_limit_evicts_the_longest_idle_of_the_largest_network() {
        let limits = limits(6, 3, &[]);
        let acquire = |address: &str, connection: &Arc<Connection>| {
            limits.acquire(address.parse().unwrap(), Arc::clone(connection))
        };
        let (first, second) = ([idle(), idle(), idle()], [idle(), idle(), idle()]);
        let mut slots = Vec::new();
        // The one that has waited longest belongs to a signed-in user.
        first[0].set_signed_in(true);
        for (address, connections) in [("192.0.2.1", &first), ("192.0.2.2", &second)] {
            for connection in connections {
                slots.push(acquire(address, connection).ok().unwrap());
                tokio::time::advance(Duration::from_millis(10)).await;
            }
        }
        second.iter().for_each(|connection| connection.request_started(false));
        for n in 0..2 {
            let newcomer = idle();
            slots.push(acquire(&format!("198.51.100.{n}"), &newcomer).ok().unwrap());
            assert!(!newcomer.is_ended());
        }
        let ended = first.iter().chain(&second).map(|connection| connection.is_ended());
        assert_eq!(ended.collect::<Vec<_>>(), [false, true, true, false, false, false]);
        drop(slots);
        assert_eq!(limits.open.lock().count, 0);
    }

    #[test]
    fn network_limit_evicts_within_the_network() {
        let limits = limits(10, 2, &[]);
        let (old, new) = (idle(), idle());
        let acquire = |connection: &Arc<Connection>| {
            limits.acquire("192.0.2.1".parse().unwrap(), Arc::clone(connection))
        };
        let _first = acquire(&old).ok().unwrap();
        let _busy = acquire(&busy()).ok().unwrap();
        let _second = acquire(&new).ok().unwrap();
        assert!(old.is_ended() && !new.is_ended());
    }
}
