//! Admission control: keeps a flood of requests from using up all memory and
//! from starving other clients. A client waits, or is rejected beyond its share.
//!
//! | resource | in total | per client | beyond it |
//! | --- | --- | --- | --- |
//! | requests | [`MAX_REQUESTS`] | [`MAX_CLIENT_REQUESTS`] | 503 after [`ADMISSION_TIMEOUT`], 429 |
//! | anonymous requests | [`MAX_ANONYMOUS_REQUESTS`] | | 503 after [`ADMISSION_TIMEOUT`] |
//! | requests of an address | | [`MAX_ADDRESS_REQUESTS`] | 429 at once |
//! | bodies | [`MAX_BODIES_KIB`] | [`MAX_USER_BODIES_KIB`] | 503, 429 after [`BODY_TIMEOUT`] |
//! | downloads | [`MAX_DOWNLOADS`] | [`MAX_USER_DOWNLOADS`] | 503, 429 at once |
//! | launches | [`MAX_LAUNCHES`] | [`MAX_USER_LAUNCHES`] | waits for a permit |
//!
//! A *client* is a session or token until its user has been looked up, and that user
//! from then on. A request without a valid one belongs to the client of its network.
//! The user is looked up before a body is admitted, because anonymous clients can
//! send small bodies only.
//!
//! A request is in progress until its response is sent. At the limit of requests
//! a new request evicts one that waits for its client: in the network that has
//! the most requests, and more than the network of the new one.

use crate::{
    client::ClientAddress,
    connections::Connection,
    problem::Problem,
    session::{self, OptionalUser, ResolvedUser},
    state::AppState,
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::UserId;
use std::{
    collections::HashMap,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument;

/// Maximum number of requests in progress. An open WebSocket is not a request.
const MAX_REQUESTS: usize = 512;
/// Maximum number of requests in progress of one session or user.
const MAX_CLIENT_REQUESTS: usize = 64;
/// Maximum number of requests of all anonymous clients, which leaves room for
/// users who are signed in.
const MAX_ANONYMOUS_REQUESTS: usize = 256;
/// Maximum time that a request waits for a permit, and the interval at which it
/// tries to evict another request.
const ADMISSION_TIMEOUT: Duration = Duration::from_millis(900);
const EVICTION_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of responses that are read from the store while they are sent.
/// Each buffers a few MiB at most.
const MAX_DOWNLOADS: usize = 32;
const MAX_USER_DOWNLOADS: usize = 4;
/// Maximum number of requests of one address, whatever cookies its clients make
/// up. Many people may share an address.
const MAX_ADDRESS_REQUESTS: usize = 256;
/// Maximum size of all bodies in memory, in KiB. Parsing a file takes several
/// times its size.
const MAX_BODIES_KIB: u32 = 3 * MAX_BODY_KIB;
/// Maximum size of one user's bodies in memory, in KiB: one file of the maximum
/// size.
const MAX_USER_BODIES_KIB: u32 = MAX_BODY_KIB;
/// Maximum number of concurrent launches. Each occupies a processor, then the
/// database.
const MAX_LAUNCHES: usize = 4;
/// Maximum number of concurrent launches of one user; fewer than all, so that
/// others get their turn.
const MAX_USER_LAUNCHES: usize = 2;
/// Maximum size of a body that is accepted, in KiB. A body without a Content-Length
/// counts as this large.
const MAX_BODY_KIB: u32 = 33 * 1024;
/// Size up to which bodies are not counted, in KiB: [`MAX_REQUESTS`] of them are
/// smaller than [`MAX_BODIES_KIB`].
const UNCOUNTED_BODY_KIB: u32 = 64;
/// Maximum time that a body waits for its permits.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Client whose share a request counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ClientKey {
    /// Hash of a presented credential; whether its session exists is not known yet.
    Session(String),
    User(UserId),
    /// Clients of a network that are not signed in.
    Anonymous(IpAddr),
    /// All clients of a network, with or without credentials.
    Address(IpAddr),
}

impl ClientKey {
    fn max_requests(&self) -> usize {
        if matches!(self, Self::Address(_)) { MAX_ADDRESS_REQUESTS } else { MAX_CLIENT_REQUESTS }
    }
}

/// Semaphores of the total limits, or of one client's share.
struct AdmissionSemaphores {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    launches: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

impl AdmissionSemaphores {
    fn new(requests: usize, bodies: u32, launches: usize, downloads: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            bodies: Arc::new(Semaphore::new(bodies as usize)),
            launches: Arc::new(Semaphore::new(launches)),
            downloads: Arc::new(Semaphore::new(downloads)),
        }
    }
}

/// Limits on concurrent requests, bodies, downloads and launches; cheap to clone.
#[derive(Clone)]
pub struct AdmissionControl {
    global: Arc<AdmissionSemaphores>,
    anonymous_requests: Arc<Semaphore>,
    client_semaphores: Arc<Mutex<HashMap<ClientKey, Arc<AdmissionSemaphores>>>>,
    active_requests: Arc<Mutex<Vec<ActiveRequest>>>,
    /// Number of requests of each network that wait for a permit.
    waiting_by_network: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Request in progress.
struct ActiveRequest {
    network: IpAddr,
    signed_in: bool,
    /// Weak, because the connection itself holds the permit of its request.
    connection: Weak<Connection>,
}

impl Default for AdmissionControl {
    fn default() -> Self {
        Self {
            global: Arc::new(AdmissionSemaphores::new(
                MAX_REQUESTS,
                MAX_BODIES_KIB,
                MAX_LAUNCHES,
                MAX_DOWNLOADS,
            )),
            anonymous_requests: Arc::new(Semaphore::new(MAX_ANONYMOUS_REQUESTS)),
            client_semaphores: Arc::default(),
            active_requests: Arc::default(),
            waiting_by_network: Arc::default(),
        }
    }
}

/// Permits that are released on drop. The semaphores they belong to stay
/// registered for as long.
#[derive(Default)]
pub struct AdmissionPermit {
    permits: Vec<OwnedSemaphorePermit>,
    semaphores: Vec<Arc<AdmissionSemaphores>>,
    active_requests: Vec<ActiveRequestGuard>,
}

/// Returns the number of requests of each network.
fn requests_by_network(list: &[ActiveRequest]) -> HashMap<IpAddr, usize> {
    let mut counts = HashMap::new();
    for request in list {
        *counts.entry(request.network).or_default() += 1;
    }
    counts
}

/// Counts a request that waits for a permit, until it is dropped.
struct WaitingGuard {
    network: IpAddr,
    waiting_by_network: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        let mut waiting = self.waiting_by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.network);
            }
        }
    }
}

/// Entry in the list of requests in progress, removed on drop.
struct ActiveRequestGuard {
    connection: Weak<Connection>,
    active_requests: Arc<Mutex<Vec<ActiveRequest>>>,
}

impl Drop for ActiveRequestGuard {
    fn drop(&mut self) {
        let mut list = self.active_requests.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |request: &ActiveRequest| Weak::ptr_eq(&request.connection, &self.connection);
        if let Some(index) = list.iter().position(own) {
            list.swap_remove(index);
        }
    }
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AdmissionLimit {
    Global,
    ClientRequests,
    AddressRequests,
    UserBodies,
    UserDownloads,
}

/// Counts the rejection and returns a problem that says what to do.
fn rejection(limit: AdmissionLimit) -> Problem {
    let (limit_name, status, detail) = match limit {
        AdmissionLimit::Global => (
            "global",
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is too busy. Nothing was changed; try again soon.".into(),
        ),
        AdmissionLimit::ClientRequests => (
            "client_requests",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You have {MAX_CLIENT_REQUESTS} requests in progress and may have no more at once. Nothing \
                 was changed; try again soon."
            ),
        ),
        AdmissionLimit::AddressRequests => (
            "address",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Your address has {MAX_ADDRESS_REQUESTS} requests in progress and may have no more at once. Nothing \
                 was changed; try again soon."
            ),
        ),
        AdmissionLimit::UserBodies => (
            "user_bodies",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You are sending files already, and may send {} MiB at once. Nothing was changed; \
                 try again when they have arrived.",
                MAX_USER_BODIES_KIB / 1024
            ),
        ),
        AdmissionLimit::UserDownloads => (
            "user_downloads",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You have {MAX_USER_DOWNLOADS} downloads in progress and may have no more at once. \
                 Nothing was changed; try again when one has ended."
            ),
        ),
    };
    metrics::counter!(contract::metric::ADMISSION_REJECTIONS, "limit" => limit_name).increment(1);
    Problem::new(status, detail)
}

impl AdmissionControl {
    fn client_semaphores(&self, key: ClientKey) -> Arc<AdmissionSemaphores> {
        let mut shares = self.client_semaphores.lock().unwrap_or_else(PoisonError::into_inner);
        // Bounded by the number of requests in progress.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let requests = key.max_requests();
        let new_semaphores = || {
            Arc::new(AdmissionSemaphores::new(
                requests,
                MAX_USER_BODIES_KIB,
                MAX_USER_LAUNCHES,
                MAX_USER_DOWNLOADS,
            ))
        };
        Arc::clone(shares.entry(key).or_insert_with(new_semaphores))
    }

    /// Acquires the global permits of a request into `permit`. At the limit,
    /// evicts another request that waits for its client.
    ///
    /// # Errors
    /// No permit became free within [`ADMISSION_TIMEOUT`].
    async fn admit_request(
        &self,
        network: IpAddr,
        signed_in: bool,
        connection: Option<Arc<Connection>>,
        permit: &mut AdmissionPermit,
    ) -> Result<(), AdmissionLimit> {
        let anonymous_requests = (!signed_in).then_some(&self.anonymous_requests);
        for semaphore in anonymous_requests.into_iter().chain([&self.global.requests]) {
            permit.permits.push(self.acquire_request_permit(semaphore, network, signed_in).await?);
        }
        if let Some(connection) = connection {
            let (list, connection) =
                (Arc::clone(&self.active_requests), Arc::downgrade(&connection));
            let request = ActiveRequest { network, signed_in, connection: connection.clone() };
            list.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            permit.active_requests.push(ActiveRequestGuard { connection, active_requests: list });
        }
        Ok(())
    }

    /// Waits for a permit of `semaphore` for at most [`ADMISSION_TIMEOUT`], and
    /// evicts requests of others to get one.
    async fn acquire_request_permit(
        &self,
        semaphore: &Arc<Semaphore>,
        network: IpAddr,
        signed_in: bool,
    ) -> Result<OwnedSemaphorePermit, AdmissionLimit> {
        if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = self.register_waiting(network)?;
        let mut pending_permit = pin!(Arc::clone(semaphore).acquire_owned());
        let deadline = Instant::now() + ADMISSION_TIMEOUT;
        while Instant::now() < deadline {
            self.evict_for(network, signed_in);
            if let Ok(Ok(permit)) = timeout(EVICTION_INTERVAL, pending_permit.as_mut()).await {
                return Ok(permit);
            }
        }
        Err(AdmissionLimit::Global)
    }

    /// Counts a waiting request of `network`.
    ///
    /// # Errors
    /// No network has more requests than this one including its waiting ones, so
    /// nothing could be evicted for the request, and it would only block others.
    fn register_waiting(&self, network: IpAddr) -> Result<WaitingGuard, AdmissionLimit> {
        let mut waiting = self.waiting_by_network.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = waiting.get(&network).copied().unwrap_or_default();
        let counts = requests_by_network(
            &self.active_requests.lock().unwrap_or_else(PoisonError::into_inner),
        );
        let own = counts.get(&network).copied().unwrap_or_default() + waits;
        if counts.values().all(|count| *count <= own) {
            return Err(AdmissionLimit::Global);
        }
        *waiting.entry(network).or_default() += 1;
        Ok(WaitingGuard { network, waiting_by_network: Arc::clone(&self.waiting_by_network) })
    }

    /// Evicts a request that waits for its client, in favour of a request from
    /// `network`. An anonymous request evicts anonymous requests only.
    fn evict_for(&self, network: IpAddr, signed_in: bool) {
        let now = Instant::now();
        let list = self.active_requests.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = requests_by_network(&list);
        let count = |network| counts.get(&network).copied().unwrap_or_default();
        let own = count(network);
        let candidates = list.iter().filter_map(|request| {
            let count = count(request.network);
            let is_evictable = count > own && (signed_in || !request.signed_in);
            let connection = request.connection.upgrade().filter(|_| is_evictable)?;
            let waited = connection.time_waiting_for_client(now)?;
            Some((!request.signed_in, count, waited, connection))
        });
        let candidate =
            candidates.max_by_key(|(anonymous, count, waited, _)| (*anonymous, *count, *waited));
        if let Some((.., connection)) = candidate {
            connection.end();
            metrics::counter!(contract::metric::CONNECTIONS_EVICTED).increment(1);
        }
    }

    /// Acquires a permit for a response that is read from the store while it is
    /// sent.
    ///
    /// # Errors
    /// 429 or 503 without waiting, if a limit is reached.
    pub fn acquire_download(&self, user: UserId) -> Result<AdmissionPermit, Problem> {
        let share = self.client_semaphores(ClientKey::User(user));
        let mut permit = AdmissionPermit::default();
        for (semaphores, limit) in
            [(&share, AdmissionLimit::UserDownloads), (&self.global, AdmissionLimit::Global)]
        {
            let acquired = Arc::clone(&semaphores.downloads).try_acquire_owned();
            permit.permits.push(acquired.map_err(|_| rejection(limit))?);
        }
        permit.semaphores.push(share);
        Ok(permit)
    }

    /// Acquires a request permit from the share of `key`.
    fn admit_client_request(
        &self,
        key: ClientKey,
        permit: &mut AdmissionPermit,
    ) -> Result<(), AdmissionLimit> {
        let limit = if matches!(key, ClientKey::Address(_)) {
            AdmissionLimit::AddressRequests
        } else {
            AdmissionLimit::ClientRequests
        };
        let share = self.client_semaphores(key);
        let acquired = Arc::clone(&share.requests).try_acquire_owned();
        permit.permits.push(acquired.map_err(|_| limit)?);
        permit.semaphores.push(share);
        Ok(())
    }

    /// Acquires permits for a body of `size` KiB, the user's own first: a user who
    /// waits for their own share must not block others.
    async fn acquire_body(
        &self,
        user: UserId,
        size: u32,
        permit: &mut AdmissionPermit,
    ) -> Result<(), AdmissionLimit> {
        let deadline = Instant::now() + BODY_TIMEOUT;
        let share = self.client_semaphores(ClientKey::User(user));
        for (semaphores, limit) in
            [(&share, AdmissionLimit::UserBodies), (&self.global, AdmissionLimit::Global)]
        {
            let pending = Arc::clone(&semaphores.bodies).acquire_many_owned(size);
            match timeout_at(deadline, pending).await {
                Ok(Ok(acquired)) => permit.permits.push(acquired),
                _ => return Err(limit),
            }
        }
        permit.semaphores.push(share);
        Ok(())
    }

    /// Waits for the permits of a launch of `user` whose file has arrived.
    pub async fn acquire_launch(&self, user: UserId) -> AdmissionPermit {
        let share = self.client_semaphores(ClientKey::User(user));
        let mut permit = AdmissionPermit::default();
        for semaphores in [&share, &self.global] {
            // The semaphores are never closed.
            permit.permits.extend(Arc::clone(&semaphores.launches).acquire_owned().await);
        }
        permit.semaphores.push(share);
        permit
    }
}

/// Admits a request within the limits. It holds its permits until its response
/// is sent or its connection has ended.
pub async fn admission_middleware(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&state, &mut parts).await {
        Ok(permit) => {
            let connection = parts.extensions.get::<Arc<Connection>>().cloned();
            // Spawned, so that it continues when its client disconnects: work that
            // it started on other threads would otherwise run without permits.
            let run = async move { (next.run(Request::from_parts(parts, body)).await, permit) };
            match tokio::spawn(run.in_current_span()).await {
                Ok((mut response, permit)) => {
                    match connection {
                        Some(connection) => connection.hold_until_sent(permit),
                        None => _ = response.extensions_mut().insert(Arc::new(permit)),
                    }
                    response
                }
                Err(error) => match error.try_into_panic() {
                    // The outer layer logs and answers all panics.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                },
            }
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether the response is the same for everyone, so that the user is not looked
/// up.
fn is_asset(path: &str) -> bool {
    path.starts_with("/pkg/") || path == "/sw.js"
}

async fn admit(state: &AppState, parts: &mut Parts) -> Result<AdmissionPermit, Problem> {
    let (admission, mut permit) = (&state.admission, AdmissionPermit::default());
    let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
    let network = network_of(address);
    admission.admit_client_request(ClientKey::Address(network), &mut permit).map_err(rejection)?;
    let session = session::presented_credential_hash(&parts.headers);
    let presented = session.is_some();
    let key = session.map_or(ClientKey::Anonymous(network), ClientKey::Session);
    // The client's share comes first, so that a flood does not touch the global
    // limits.
    admission.admit_client_request(key, &mut permit).map_err(rejection)?;
    let is_read = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let visitor = if is_read && is_asset(parts.uri.path()) {
        None
    } else {
        match OptionalUser::from_request_parts(parts, state).await {
            Ok(visitor) => Some(visitor),
            // A handler that needs the user of a read answers this error itself.
            Err(_) if is_read => None,
            Err(problem) => return Err(problem),
        }
    };
    let user = visitor.as_ref().and_then(|visitor| visitor.0.as_ref());
    match user {
        Some(user) => {
            let user_key = ClientKey::User(user.identity.user);
            admission.admit_client_request(user_key, &mut permit).map_err(rejection)?;
        }
        // An invalid session does not earn a share of its own.
        None if presented && visitor.is_some() => {
            admission
                .admit_client_request(ClientKey::Anonymous(network), &mut permit)
                .map_err(rejection)?;
        }
        None => {}
    }
    let connection = parts.extensions.get::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        connection.set_signed_in(user.is_some());
    }
    admission
        .admit_request(network, user.is_some(), connection, &mut permit)
        .await
        .map_err(rejection)?;
    let size = if is_read { 0 } else { body_size_kib(&parts.headers) };
    if size > UNCOUNTED_BODY_KIB {
        // Anonymous clients have no use for larger bodies.
        let user = user.ok_or_else(Problem::sign_in_required)?;
        admission.acquire_body(user.identity.user, size, &mut permit).await.map_err(rejection)?;
    }
    if let Some(visitor) = visitor {
        parts.extensions.insert(ResolvedUser(visitor));
    }
    Ok(permit)
}

/// Returns the network that counts as one client: the /64 of an IPv6 address,
/// which is one household's, or an IPv4 address itself.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// Returns the size of the body in KiB, at most [`MAX_BODY_KIB`]: a larger
/// body is never held in memory as a whole.
fn body_size_kib(headers: &HeaderMap) -> u32 {
    let content_length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let content_length = content_length.and_then(|length| length.parse::<u64>().ok());
    match content_length {
        Some(bytes) => {
            u32::try_from(bytes.div_ceil(1024)).unwrap_or(MAX_BODY_KIB).min(MAX_BODY_KIB)
        }
        None if headers.contains_key(header::TRANSFER_ENCODING) => MAX_BODY_KIB,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_counts_as_its_content_length_or_the_maximum() {
        let of = |name, value: &str| {
            body_size_kib(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
        };
        assert_eq!(body_size_kib(&HeaderMap::new()), 0);
        assert_eq!(of(header::CONTENT_LENGTH, "1"), 1);
        assert_eq!(of(header::CONTENT_LENGTH, "1048576"), 1024);
        assert_eq!(of(header::CONTENT_LENGTH, "99999999999999"), MAX_BODY_KIB);
        assert_eq!(of(header::TRANSFER_ENCODING, "chunked"), MAX_BODY_KIB);
    }

    #[test]
    fn made_up_cookies_do_not_bypass_the_address_limit() {
        let admission = AdmissionControl::default();
        let mut permit = AdmissionPermit::default();
        let address_key =
            |n| ClientKey::Address(network_of(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])));
        for n in 0..MAX_ADDRESS_REQUESTS {
            assert_eq!(
                admission.admit_client_request(address_key(u16::try_from(n).unwrap()), &mut permit),
                Ok(())
            );
        }
        assert_eq!(
            admission.admit_client_request(address_key(0), &mut permit),
            Err(AdmissionLimit::AddressRequests)
        );
        let other = network_of(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]));
        assert_eq!(admission.admit_client_request(ClientKey::Address(other), &mut permit), Ok(()));
    }

    fn user(n: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_user_do_not_block_others() {
        let admission = AdmissionControl::default();
        let (mut first, mut second, mut third) =
            (AdmissionPermit::default(), AdmissionPermit::default(), AdmissionPermit::default());
        assert_eq!(admission.acquire_body(user(1), MAX_BODY_KIB, &mut first).await, Ok(()));
        assert_eq!(
            admission.acquire_body(user(1), 1, &mut second).await,
            Err(AdmissionLimit::UserBodies)
        );
        assert_eq!(admission.acquire_body(user(2), MAX_BODY_KIB, &mut third).await, Ok(()));
        let waits = tokio::spawn({
            let admission = admission.clone();
            async move {
                admission.acquire_body(user(1), MAX_BODY_KIB, &mut AdmissionPermit::default()).await
            }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waits.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn global_body_limit_is_reported_as_global() {
        let admission = AdmissionControl::default();
        let mut permits = Vec::new();
        for n in 0..3 {
            let mut permit = AdmissionPermit::default();
            assert_eq!(admission.acquire_body(user(n), MAX_BODY_KIB, &mut permit).await, Ok(()));
            permits.push(permit);
        }
        assert_eq!(
            admission.acquire_body(user(9), MAX_BODY_KIB, &mut AdmissionPermit::default()).await,
            Err(AdmissionLimit::Global)
        );
    }

    /// Admits a request of `address` whose response is not read, and which ends
    /// with its connection.
    async fn unread(
        admission: &AdmissionControl,
        address: IpAddr,
    ) -> Result<Arc<Connection>, AdmissionLimit> {
        let (connection, mut permit) =
            (Arc::new(Connection::default()), AdmissionPermit::default());
        admission.admit_request(address, false, Some(Arc::clone(&connection)), &mut permit).await?;
        connection.request_started(false);
        connection.response_started();
        connection.set_blocked(true);
        let ended = Arc::clone(&connection);
        tokio::spawn(async move {
            ended.ended().await;
            drop(permit);
        });
        Ok(connection)
    }

    #[tokio::test(start_paused = true)]
    async fn anonymous_stalled_requests_are_evicted_for_other_networks_only() {
        let admission = AdmissionControl::default();
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut connections = Vec::new();
        for n in 0..MAX_ANONYMOUS_REQUESTS {
            let network = address(u8::try_from(n % 2).unwrap());
            connections.push(unread(&admission, network).await.unwrap());
        }
        let start = Instant::now();
        // Further requests of the same networks don't even wait.
        for n in 0..100 {
            let more = unread(&admission, address(n % 2)).await;
            assert_eq!(more.map(|_| ()), Err(AdmissionLimit::Global));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        // A client of another network is admitted as soon as requests have stalled.
        let other = unread(&admission, address(9)).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(!other.is_ended());
        assert_eq!(connections.iter().filter(|connection| connection.is_ended()).count(), 1);
        // A signed-in user is admitted all the time.
        let mut permit = AdmissionPermit::default();
        assert_eq!(admission.admit_request(address(0), true, None, &mut permit).await, Ok(()));
    }

    #[tokio::test]
    async fn launches_of_one_user_do_not_block_others() {
        let admission = AdmissionControl::default();
        let first = admission.acquire_launch(user(1)).await;
        let _second = admission.acquire_launch(user(1)).await;
        let mut third = Box::pin(admission.acquire_launch(user(1)));
        assert!(futures_util::poll!(&mut third).is_pending());
        let _other = admission.acquire_launch(user(2)).await;
        drop(first);
        drop(third.await);
    }

    #[test]
    fn client_semaphores_are_removed_with_the_last_request() {
        let admission = AdmissionControl::default();
        for n in 0..1000 {
            let mut permit = AdmissionPermit::default();
            let address = IpAddr::from([10, 0, u8::try_from(n / 250).unwrap(), 1]);
            assert_eq!(
                admission.admit_client_request(ClientKey::Anonymous(address), &mut permit),
                Ok(())
            );
            assert!(admission.client_semaphores.lock().unwrap().len() <= 2);
        }
    }
}
