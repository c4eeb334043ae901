//! Admission control: keeps a flood of requests from using up all memory and
//! from starving other clients. A client waits, or is rejected beyond its share.
//!
//! | resource | in total | per client | beyond it |
//! | --- | --- | --- | --- |
//! | requests | [`requests`] | [`requests_per_client`] | 503 after [`request_timeout`], 429 |
//! | anonymous requests | [`anonymous_requests`] | | 503 after [`request_timeout`] |
//! | requests of a network | | [`requests_per_network`] | 429 at once |
//! | bodies | [`bodies_kib`] | [`user_bodies_kib`] | 503, 429 after [`body_timeout`] |
//!
//! A *client* is a credential until its user has been looked up, and that user from
//! then on. A request without a valid one belongs to the client of its network.
//! The user is looked up before a body is admitted, because anonymous clients can
//! send small bodies only. [`AdmissionControl::admit_client`] is the step before the
//! lookup, and [`AdmittedClient::admit_request`] the one after it.
//!
//! A request is in progress until its response is sent. At the limit of requests
//! a new request evicts one that waits for its client: in the network that has
//! the most requests, and more than the network of the new one.
//!
//! [`requests`]: AdmissionLimits::requests
//! [`requests_per_client`]: AdmissionLimits::requests_per_client
//! [`requests_per_network`]: AdmissionLimits::requests_per_network
//! [`anonymous_requests`]: AdmissionLimits::anonymous_requests
//! [`request_timeout`]: AdmissionLimits::request_timeout
//! [`bodies_kib`]: AdmissionLimits::bodies_kib
//! [`user_bodies_kib`]: AdmissionLimits::user_bodies_kib
//! [`body_timeout`]: AdmissionLimits::body_timeout

mod active_requests;
mod limits;
mod permit;
mod rejection;

pub use limits::AdmissionLimits;
pub use permit::AdmissionPermit;
pub use rejection::Rejection;

use crate::{
    client_address::network_of,
    connections::Connection,
    keyed_semaphore::{KeyedSemaphore, PermitDenied},
    request_body::content_length,
};
use active_requests::{ActiveRequests, NothingToEvict};
use axum::http::{Method, header, request::Parts};
use std::{hash::Hash, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Interval at which a waiting request tries to evict another one.
const EVICTION_INTERVAL: Duration = Duration::from_millis(100);

/// Limits on concurrent requests and bodies of users, who are told apart by `U`;
/// cheap to clone.
pub struct AdmissionControl<U> {
    state: Arc<AdmissionState<U>>,
}

struct AdmissionState<U> {
    limits: AdmissionLimits,
    requests: Arc<Semaphore>,
    anonymous_requests: Arc<Semaphore>,
    requests_by_client: KeyedSemaphore<ClientKey<U>>,
    requests_by_network: KeyedSemaphore<IpAddr>,
    /// In KiB.
    bodies_by_user: KeyedSemaphore<U>,
    active_requests: ActiveRequests,
}

/// Client whose share a request counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ClientKey<U> {
    /// A presented credential; whether it is valid is not known yet.
    Credential(String),
    User(U),
    /// Clients of a network that are not signed in.
    Anonymous(IpAddr),
}

/// Result of looking up the user of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIdentity<U> {
    /// The user was not looked up, or could not be. The request counts as anonymous
    /// in the total, but keeps the share of its credential.
    Unknown,
    /// Nobody is signed in. A request with an invalid credential counts against the
    /// share of its network, too.
    Anonymous,
    /// The credential is that of this user.
    User(U),
}

/// Client whose request fits into its share, before its user is looked up.
#[must_use = "the permit of its share is released on drop"]
pub struct AdmittedClient<U> {
    state: Arc<AdmissionState<U>>,
    network: IpAddr,
    has_credential: bool,
    permit: AdmissionPermit,
}

impl<U> Clone for AdmissionControl<U> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<U: Clone + Eq + Hash> Default for AdmissionControl<U> {
    fn default() -> Self {
        Self::new(AdmissionLimits::default())
    }
}

impl<U: Clone + Eq + Hash> AdmissionControl<U> {
    /// Applies `limits`.
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            state: Arc::new(AdmissionState {
                requests: Arc::new(Semaphore::new(limits.requests)),
                anonymous_requests: Arc::new(Semaphore::new(limits.anonymous_requests)),
                requests_by_client: KeyedSemaphore::without_total(limits.requests_per_client),
                requests_by_network: KeyedSemaphore::without_total(limits.requests_per_network),
                bodies_by_user: KeyedSemaphore::new(
                    limits.bodies_kib as usize,
                    limits.user_bodies_kib as usize,
                ),
                active_requests: ActiveRequests::default(),
                limits,
            }),
        }
    }

    /// Admits a request from `address` into the shares of its network and of its
    /// client. `credential` identifies the credential that the request presents, and
    /// has not been verified; it should be a hash.
    ///
    /// # Errors
    /// The share that is used up.
    pub fn admit_client(
        &self,
        address: IpAddr,
        credential: Option<String>,
    ) -> Result<AdmittedClient<U>, Rejection> {
        let network = network_of(address);
        let state = Arc::clone(&self.state);
        let requests = state
            .requests_by_network
            .try_acquire(network)
            .map_err(|_| Rejection::NetworkRequests(state.limits.requests_per_network).counted())?;
        let permit = AdmissionPermit { shares: vec![requests], ..AdmissionPermit::default() };
        let has_credential = credential.is_some();
        let mut client = AdmittedClient { state, network, has_credential, permit };
        // The client's share comes first, so that a flood does not touch the totals.
        let key = credential.map_or(ClientKey::Anonymous(network), ClientKey::Credential);
        client.acquire_share(key).map_err(Rejection::counted)?;
        Ok(client)
    }
}

impl<U: Clone + Eq + Hash> AdmittedClient<U> {
    /// Admits the request with the head `parts`, after its user was looked up. At the
    /// limit of requests, evicts another request that waits for its client.
    ///
    /// # Errors
    /// The limit that was reached.
    pub async fn admit_request(
        self,
        identity: ClientIdentity<U>,
        parts: &Parts,
    ) -> Result<AdmissionPermit, Rejection> {
        self.try_admit_request(identity, parts).await.map_err(Rejection::counted)
    }

    async fn try_admit_request(
        mut self,
        identity: ClientIdentity<U>,
        parts: &Parts,
    ) -> Result<AdmissionPermit, Rejection> {
        let user = match identity {
            ClientIdentity::User(user) => {
                self.acquire_share(ClientKey::User(user.clone()))?;
                Some(user)
            }
            // An invalid credential does not earn a share of its own.
            ClientIdentity::Anonymous if self.has_credential => {
                self.acquire_share(ClientKey::Anonymous(self.network))?;
                None
            }
            ClientIdentity::Anonymous | ClientIdentity::Unknown => None,
        };
        let connection = parts.extensions.get::<Arc<Connection>>();
        if let Some(connection) = connection {
            connection.set_signed_in(user.is_some());
        }
        self.acquire_request(user.is_some(), connection).await?;
        let size = body_size_kib(parts, self.state.limits.body_kib);
        if size > self.state.limits.uncounted_body_kib {
            // Anonymous clients have no use for larger bodies.
            self.acquire_body(user.ok_or(Rejection::AnonymousBody)?, size).await?;
        }
        Ok(self.permit)
    }

    /// Acquires a permit from the share of `key`.
    fn acquire_share(&mut self, key: ClientKey<U>) -> Result<(), Rejection> {
        let permit = self.state.requests_by_client.try_acquire(key);
        let max = self.state.limits.requests_per_client;
        self.permit.shares.push(permit.map_err(|_| Rejection::ClientRequests(max))?);
        Ok(())
    }

    /// Acquires permits of the totals.
    async fn acquire_request(
        &mut self,
        is_signed_in: bool,
        connection: Option<&Arc<Connection>>,
    ) -> Result<(), Rejection> {
        if !is_signed_in {
            let permit = self.acquire_total(&self.state.anonymous_requests, is_signed_in).await?;
            self.permit.totals.push(permit);
        }
        let permit = self.acquire_total(&self.state.requests, is_signed_in).await?;
        self.permit.totals.push(permit);
        self.permit.active_request = connection.map(|connection| {
            self.state.active_requests.add(self.network, is_signed_in, connection)
        });
        Ok(())
    }

    /// Waits for a permit of `total` until the timeout, and evicts requests of others
    /// to get one.
    async fn acquire_total(
        &self,
        total: &Arc<Semaphore>,
        is_signed_in: bool,
    ) -> Result<OwnedSemaphorePermit, Rejection> {
        if let Ok(permit) = Arc::clone(total).try_acquire_owned() {
            return Ok(permit);
        }
        let active_requests = &self.state.active_requests;
        let _waiting =
            active_requests.wait(self.network).map_err(|NothingToEvict| Rejection::Global)?;
        let mut pending_permit = pin!(Arc::clone(total).acquire_owned());
        let deadline = Instant::now() + self.state.limits.request_timeout;
        while Instant::now() < deadline {
            active_requests.evict_for(self.network, is_signed_in);
            if let Ok(Ok(permit)) = timeout(EVICTION_INTERVAL, pending_permit.as_mut()).await {
                return Ok(permit);
            }
        }
        Err(Rejection::Global)
    }

    /// Waits for the permits of a body of `size` KiB.
    async fn acquire_body(&mut self, user: U, size: u32) -> Result<(), Rejection> {
        let deadline = Instant::now() + self.state.limits.body_timeout;
        let permit = self.state.bodies_by_user.acquire_many_until(user, size, deadline).await;
        self.permit.shares.push(permit.map_err(|limit| match limit {
            PermitDenied::Share => Rejection::UserBodies(self.state.limits.user_bodies_kib),
            PermitDenied::Total => Rejection::Global,
        })?);
        Ok(())
    }
}

/// Returns the size of the body in KiB, at most `max`: a larger body is never held
/// in memory as a whole. Requests that only read have no body to speak of.
fn body_size_kib(parts: &Parts, max: u32) -> u32 {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return 0;
    }
    match content_length(&parts.headers) {
        Some(bytes) => u32::try_from(bytes.div_ceil(1024)).unwrap_or(max).min(max),
        None if parts.headers.contains_key(header::TRANSFER_ENCODING) => max,
        None => 0,
    }
}

#[cfg(test)]
mod tests;
