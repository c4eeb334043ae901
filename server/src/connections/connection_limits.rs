//! Limits on the number of open connections, of all clients and of one network.
//!
//! At a limit a new connection takes the place of one that waits for its
//! client, in the network that has the most: whoever opens many connections
//! and does nothing with them shuts out nobody but themselves.

use super::{Bounds, Connection};
use crate::{client::Proxies, overload::network};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// Least number of files that are left for what is no client's connection:
/// database, broker, outside services, bundle. One eighth of all, if that is
/// more.
const OTHER_FILES: u64 = 128;
/// Largest number of connections that one process is meant to serve.
const MOST: u64 = 20_000;
/// Number of networks that are searched for a connection to end.
const SEARCHED: usize = 8;

/// Raises the number of files that this process may have open to what the
/// kernel allows it.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
}

/// Returns for how many connections this process has files.
pub fn max_connections() -> usize {
    connections_of(getrlimit(Resource::Nofile).current)
}

/// `files`: how many may be open; `None` without a limit.
fn connections_of(files: Option<u64>) -> usize {
    let files = files.unwrap_or(u64::MAX);
    let others = (files / 8).max(OTHER_FILES);
    let connections = files.saturating_sub(others).clamp(OTHER_FILES, MOST);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReached {
    All,
    Network,
}

/// Counts connections and chooses which one is ended at a limit.
pub struct ConnectionLimits {
    all: usize,
    own: usize,
    proxies: Proxies,
    open: Arc<Mutex<Open>>,
}

/// Connections that are open.
#[derive(Default)]
struct Open {
    all: usize,
    /// Number that the next connection gets.
    next: u64,
    networks: HashMap<IpAddr, Network>,
}

#[derive(Default)]
struct Network {
    connections: HashMap<u64, Arc<Connection>>,
    /// A trusted proxy's connections are those of many clients: none is ended
    /// for another's sake.
    is_proxy: bool,
}

impl ConnectionLimits {
    pub fn new(bounds: &Bounds, proxies: Proxies) -> Self {
        let Bounds { all, own, .. } = *bounds;
        Self { all, own, proxies, open: Arc::default() }
    }

    /// Counts a new connection from `address`. At a limit it ends another
    /// connection that waits for its client.
    ///
    /// # Errors
    /// The limit that was reached, where no connection can be ended for it.
    pub fn take(
        &self,
        address: IpAddr,
        connection: Arc<Connection>,
    ) -> Result<ConnectionSlot, LimitReached> {
        let is_proxy = self.proxies.trust(address);
        let own = if is_proxy { usize::MAX } else { self.own };
        let network = network(address);
        let mut open = lock(&self.open);
        let count = open.networks.get(&network).map_or(0, |own| own.connections.len());
        if count >= own && !open.end_one_of(network) {
            return Err(LimitReached::Network);
        }
        if open.all >= self.all && !open.end_one_for(network) {
            return Err(LimitReached::All);
        }
        let number = open.next;
        open.next += 1;
        open.all += 1;
        let own = open.networks.entry(network).or_default();
        own.is_proxy = is_proxy;
        own.connections.insert(number, connection);
        Ok(ConnectionSlot { network, number, open: Arc::clone(&self.open) })
    }

    /// Ends up to `count` connections that wait for their clients.
    pub fn relieve(&self, count: usize) {
        let mut open = lock(&self.open);
        for _ in 0..count {
            let Some(largest) = open.largest(0).first().copied() else { return };
            if !open.end_one_of(largest) {
                return;
            }
        }
    }
}

impl Open {
    /// Networks with more than `count` connections, the largest first.
    fn largest(&self, count: usize) -> Vec<IpAddr> {
        let networks = self.networks.iter().filter(|(_, network)| !network.is_proxy);
        let sizes = networks.map(|(address, network)| (network.connections.len(), *address));
        let mut larger: Vec<_> = sizes.filter(|(size, _)| *size > count).collect();
        larger.sort_unstable_by_key(|(size, _)| Reverse(*size));
        larger.into_iter().take(SEARCHED).map(|(_, address)| address).collect()
    }

    /// Ends a connection in favour of a new one of `network`: in the network
    /// that has the most, and more than that one.
    fn end_one_for(&mut self, network: IpAddr) -> bool {
        let count = self.networks.get(&network).map_or(0, |own| own.connections.len());
        let larger = self.largest(count);
        larger.into_iter().any(|larger| self.end_one_of(larger)) || self.end_one_of(network)
    }

    /// Ends the connection of `address` that can best be spared: of a client
    /// who is not signed in, and the one that has waited longest.
    fn end_one_of(&mut self, address: IpAddr) -> bool {
        let now = Instant::now();
        let Some(network) = self.networks.get(&address).filter(|network| !network.is_proxy) else {
            return false;
        };
        let spared = network.connections.iter().filter_map(|(number, connection)| {
            let waited = connection.waits_for_client(now)?;
            Some(((connection.is_signed_in(), Reverse(waited)), *number))
        });
        let Some((_, number)) = spared.min() else { return false };
        if let Some(connection) = self.remove(address, number) {
            connection.end();
            metrics::counter!("meanwhile_connections_displaced_total").increment(1);
        }
        true
    }

    fn remove(&mut self, address: IpAddr, number: u64) -> Option<Arc<Connection>> {
        let network = self.networks.get_mut(&address)?;
        let connection = network.connections.remove(&number)?;
        self.all -= 1;
        if network.connections.is_empty() {
            self.networks.remove(&address);
        }
        Some(connection)
    }
}

/// The count of one connection; given back when this is dropped.
pub struct ConnectionSlot {
    network: IpAddr,
    number: u64,
    open: Arc<Mutex<Open>>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        // One that was ended for another's sake is not counted any more.
        lock(&self.open).remove(self.network, self.number);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn limits(all: usize, own: usize, trusted: &[&str]) -> ConnectionLimits {
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let bounds = Bounds { all, own, ..Bounds::default() };
        ConnectionLimits::new(&bounds, Proxies::new(&trusted))
    }

    /// A connection whose request is being handled.
    fn busy() -> Arc<Connection> {
        let connection = Arc::new(Connection::default());
        connection.request_began(false);
        connection
    }

    fn idle() -> Arc<Connection> {
        Arc::new(Connection::default())
    }

    #[test]
    fn a_network_has_its_share_and_gives_it_back() {
        let limits = limits(4, 2, &[]);
        let take = |address: &str| limits.take(address.parse().unwrap(), busy());
        let first = take("192.0.2.1").ok().unwrap();
        // The same address, as a listener for both families reports it.
        let _second = take("::ffff:192.0.2.1").ok().unwrap();
        assert_eq!(take("192.0.2.1").err(), Some(LimitReached::Network));
        let _other = take("2001:db8::1").ok().unwrap();
        let _same_network = take("2001:db8::2").ok().unwrap();
        assert_eq!(take("192.0.2.9").err(), Some(LimitReached::All));
        drop(first);
        assert!(take("192.0.2.1").is_ok());
    }

    #[test]
    fn a_trusted_proxy_brings_many_and_none_is_ended() {
        let limits = limits(6, 1, &["10.0.0.0/8"]);
        let proxied = || limits.take("10.1.2.3".parse().unwrap(), idle());
        let many: Vec<_> = (0..6).map(|_| proxied().ok().unwrap()).collect();
        assert_eq!(
            limits.take("192.0.2.1".parse().unwrap(), idle()).err(),
            Some(LimitReached::All)
        );
        drop(many);
        assert_eq!(lock(&limits.open).networks.len(), 0, "no network is kept that has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_is_taken_the_largest_network_loses_what_waited_longest() {
        let limits = limits(6, 3, &[]);
        let take = |address: &str, connection: &Arc<Connection>| {
            limits.take(address.parse().unwrap(), Arc::clone(connection))
        };
        let (first, second) = ([idle(), idle(), idle()], [idle(), idle(), idle()]);
        let mut slots = Vec::new();
        // One of them is of somebody who is signed in, and has waited longest.
        first[0].set_signed_in(true);
        for (address, connections) in [("192.0.2.1", &first), ("192.0.2.2", &second)] {
            for connection in connections {
                slots.push(take(address, connection).ok().unwrap());
                tokio::time::advance(Duration::from_millis(10)).await;
            }
        }
        second.iter().for_each(|connection| connection.request_began(false));
        for n in 0..2 {
            let newcomer = idle();
            slots.push(take(&format!("198.51.100.{n}"), &newcomer).ok().unwrap());
            assert!(!newcomer.is_ended());
        }
        let ended = first.iter().chain(&second).map(|connection| connection.is_ended());
        assert_eq!(ended.collect::<Vec<_>>(), [false, true, true, false, false, false]);
        drop(slots);
        assert_eq!(lock(&limits.open).all, 0);
    }

    #[test]
    fn at_its_own_limit_a_network_replaces_its_own() {
        let limits = limits(10, 2, &[]);
        let (old, new) = (idle(), idle());
        let take = |connection: &Arc<Connection>| {
            limits.take("192.0.2.1".parse().unwrap(), Arc::clone(connection))
        };
        let _first = take(&old).ok().unwrap();
        let _busy = take(&busy()).ok().unwrap();
        let _second = take(&new).ok().unwrap();
        assert!(old.is_ended() && !new.is_ended());
    }

    #[test]
    fn some_files_are_left_for_others() {
        assert_eq!(connections_of(Some(1_024)), 896);
        assert_eq!(connections_of(Some(16_000)), 14_000);
        assert_eq!(connections_of(Some(100)), 128);
        assert_eq!(connections_of(None), 20_000);
    }
}
