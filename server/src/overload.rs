//! What keeps a flood from taking all memory, and from taking everyone's turn:
//! whoever brings it waits, and past their share is told so at once.
//!
//! | what | in all | of one | past it |
//! | --- | --- | --- | --- |
//! | requests under way | [`REQUESTS`], [`STRANGERS`] of strangers | [`OWN_REQUESTS`], [`CROWD`] an address | 503 after [`RELIEF`], 429 at once |
//! | bodies held | [`BODIES`] | [`OWN_BODIES`] | 503, 429 after [`PATIENCE`] |
//! | downloads | [`DOWNLOADS`] | [`OWN_DOWNLOADS`] | 503, 429 at once |
//! | launches worked on | [`LAUNCHES`] | [`OWN_LAUNCHES`] | waits its turn |
//!
//! *One* is a session, then the person it is of; an address, where nobody is
//! signed in. Who it is is asked before a body has its place: whoever is not
//! known sends small bodies only.
//!
//! A request is under way until its answer is sent. Where no more may be under
//! way, one that waits for its client is ended for a new one: in the network
//! that has the most, and more than the new one's.

use crate::{
    client::Client,
    connections::Connection,
    problem::Problem,
    session::{self, Known, Visitor},
    state::State,
};
use axum::{
    extract::{FromRequestParts, Request, State as Extract},
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

/// A socket is no request any more once it is open.
const REQUESTS: usize = 512;
const OWN_REQUESTS: usize = 64;
/// Requests of all who are not signed in: they leave room for those who are.
const STRANGERS: usize = 256;
/// Longest time that a request waits for a place, and how often it looks for a
/// request that can be ended for it.
const RELIEF: Duration = Duration::from_millis(900);
const LOOK: Duration = Duration::from_millis(100);
/// Answers that are read from the store while they are sent. Each keeps a few
/// MiB at most.
const DOWNLOADS: usize = 32;
const OWN_DOWNLOADS: usize = 4;
/// Many people may share an address; and one may make up many cookies.
const CROWD: usize = 256;
/// KiB. Reading a file takes some times its size.
const BODIES: u32 = 3 * LARGEST;
/// One file of the largest size, KiB.
const OWN_BODIES: u32 = LARGEST;
/// Each keeps a processor busy, then the database.
const LAUNCHES: usize = 4;
/// Fewer than all: others come in between.
const OWN_LAUNCHES: usize = 2;
/// A body of no told length counts as the largest that is taken, KiB.
const LARGEST: u32 = 33 * 1024;
/// Small bodies are not counted, KiB: so many requests are no more than
/// [`BODIES`].
const SMALL: u32 = 64;
/// A body waits so long for its place.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose share it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// Of that hash; whether there is such a session is not known yet.
    Session(String),
    Person(UserId),
    Address(IpAddr),
    /// Everyone of that address, whatever they bring.
    Crowd(IpAddr),
}

impl Whose {
    fn requests(&self) -> usize {
        if matches!(self, Self::Crowd(_)) { CROWD } else { OWN_REQUESTS }
    }
}

/// What is left, of all or of a share.
struct Places {
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    launches: Arc<Semaphore>,
    downloads: Arc<Semaphore>,
}

impl Places {
    fn new(requests: usize, bodies: u32, launches: usize, downloads: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            bodies: Arc::new(Semaphore::new(bodies as usize)),
            launches: Arc::new(Semaphore::new(launches)),
            downloads: Arc::new(Semaphore::new(downloads)),
        }
    }
}

/// What is left for all; cheap to clone.
#[derive(Clone)]
pub struct Room {
    all: Arc<Places>,
    strangers: Arc<Semaphore>,
    shares: Arc<Mutex<HashMap<Whose, Arc<Places>>>>,
    under_way: Arc<Mutex<Vec<UnderWay>>>,
    /// Number of requests of each network that wait for their places.
    waiting: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A request that has its place.
struct UnderWay {
    network: IpAddr,
    signed_in: bool,
    /// The connection itself keeps the place of its request.
    connection: Weak<Connection>,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            all: Arc::new(Places::new(REQUESTS, BODIES, LAUNCHES, DOWNLOADS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            shares: Arc::default(),
            under_way: Arc::default(),
            waiting: Arc::default(),
        }
    }
}

/// Places that are held until this is dropped; the shares that they are of
/// stay known as long.
#[derive(Default)]
pub struct Held {
    permits: Vec<OwnedSemaphorePermit>,
    shares: Vec<Arc<Places>>,
    listed: Vec<Listed>,
}

/// Number of requests of each network.
fn counts(list: &[UnderWay]) -> HashMap<IpAddr, usize> {
    let mut counts = HashMap::new();
    for request in list {
        *counts.entry(request.network).or_default() += 1;
    }
    counts
}

/// A request that waits for its place; no longer counted when it is dropped.
struct Waiting {
    network: IpAddr,
    waiting: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = waiting.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.network);
            }
        }
    }
}

/// A request in the list of those that are under way; taken off when it is
/// dropped.
struct Listed {
    connection: Weak<Connection>,
    list: Arc<Mutex<Vec<UnderWay>>>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let own = |request: &UnderWay| Weak::ptr_eq(&request.connection, &self.connection);
        if let Some(index) = list.iter().position(own) {
            list.swap_remove(index);
        }
    }
}

/// Of which bound there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    All,
    Own,
    Crowd,
    /// Of one's own bodies.
    Bodies,
    /// Of one's own downloads.
    Downloads,
}

/// Counts the refusal and says what to do.
fn refuse(full: Full) -> Problem {
    let (bound, status, words) = match full {
        Full::All => (
            "all",
            StatusCode::SERVICE_UNAVAILABLE,
            "The server has as much to do as it can. Nothing was changed; try again soon.".into(),
        ),
        Full::Own => (
            "own_requests",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You have {OWN_REQUESTS} requests under way and may have no more at once. Nothing \
                 was changed; try again soon."
            ),
        ),
        Full::Crowd => (
            "address",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "Your address has {CROWD} requests under way and may have no more at once. Nothing \
                 was changed; try again soon."
            ),
        ),
        Full::Bodies => (
            "own_bodies",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You are sending files already, and may send {} MiB at once. Nothing was changed; \
                 try again when they have arrived.",
                OWN_BODIES / 1024
            ),
        ),
        Full::Downloads => (
            "own_downloads",
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "You have {OWN_DOWNLOADS} downloads under way and may have no more at once. \
                 Nothing was changed; try again when one has ended."
            ),
        ),
    };
    metrics::counter!("meanwhile_overload_refusals_total", "bound" => bound).increment(1);
    Problem::new(status, words)
}

impl Room {
    fn share(&self, whose: Whose) -> Arc<Places> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // There are no more than requests under way.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let requests = whose.requests();
        let made = || Arc::new(Places::new(requests, OWN_BODIES, OWN_LAUNCHES, OWN_DOWNLOADS));
        Arc::clone(shares.entry(whose).or_insert_with(made))
    }

    /// A place among all requests, in `held`. Where there is none, another
    /// request that waits for its client is ended for it.
    async fn enter(
        &self,
        network: IpAddr,
        signed_in: bool,
        connection: Option<Arc<Connection>>,
        held: &mut Held,
    ) -> Result<(), Full> {
        let strangers = (!signed_in).then_some(&self.strangers);
        for places in strangers.into_iter().chain([&self.all.requests]) {
            held.permits.push(self.place(places, network, signed_in).await?);
        }
        if let Some(connection) = connection {
            let (list, connection) = (Arc::clone(&self.under_way), Arc::downgrade(&connection));
            let request = UnderWay { network, signed_in, connection: connection.clone() };
            list.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            held.listed.push(Listed { connection, list });
        }
        Ok(())
    }

    /// Waits for one of `places`, at most for [`RELIEF`], and ends requests of
    /// others for it.
    async fn place(
        &self,
        places: &Arc<Semaphore>,
        network: IpAddr,
        signed_in: bool,
    ) -> Result<OwnedSemaphorePermit, Full> {
        if let Ok(place) = Arc::clone(places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = self.wait(network)?;
        let mut place = pin!(Arc::clone(places).acquire_owned());
        let deadline = Instant::now() + RELIEF;
        while Instant::now() < deadline {
            self.end_one_for(network, signed_in);
            if let Ok(Ok(place)) = timeout(LOOK, place.as_mut()).await {
                return Ok(place);
            }
        }
        Err(Full::All)
    }

    /// Counts a request of `network` that waits.
    ///
    /// # Errors
    /// No network has more requests, with those that wait: nothing will be
    /// ended for this one, and it would stand in the way of others.
    fn wait(&self, network: IpAddr) -> Result<Waiting, Full> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = waiting.get(&network).copied().unwrap_or_default();
        let counts = counts(&self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        let own = counts.get(&network).copied().unwrap_or_default() + waits;
        if counts.values().all(|count| *count <= own) {
            return Err(Full::All);
        }
        *waiting.entry(network).or_default() += 1;
        Ok(Waiting { network, waiting: Arc::clone(&self.waiting) })
    }

    /// Ends a request that waits for its client, in favour of one that comes
    /// from `network`. A stranger's request ends another stranger's only.
    fn end_one_for(&self, network: IpAddr, signed_in: bool) {
        let now = Instant::now();
        let list = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts(&list);
        let count = |network| counts.get(&network).copied().unwrap_or_default();
        let own = count(network);
        let spared = list.iter().filter_map(|request| {
            let count = count(request.network);
            let may = count > own && (signed_in || !request.signed_in);
            let connection = request.connection.upgrade().filter(|_| may)?;
            let waited = connection.waits_for_client(now)?;
            Some((!request.signed_in, count, waited, connection))
        });
        let spared = spared.max_by_key(|(stranger, count, waited, _)| (*stranger, *count, *waited));
        if let Some((.., connection)) = spared {
            connection.end();
            metrics::counter!("meanwhile_connections_displaced_total").increment(1);
        }
    }

    /// A place for an answer that is read from the store while it is sent.
    ///
    /// # Errors
    /// 429 or 503 at once, where there is none.
    pub fn download(&self, person: UserId) -> Result<Held, Problem> {
        let share = self.share(Whose::Person(person));
        let mut held = Held::default();
        for (places, full) in [(&share, Full::Downloads), (&self.all, Full::All)] {
            let place = Arc::clone(&places.downloads).try_acquire_owned();
            held.permits.push(place.map_err(|_| refuse(full))?);
        }
        held.shares.push(share);
        Ok(held)
    }

    /// One of that share.
    fn enter_own(&self, whose: Whose, held: &mut Held) -> Result<(), Full> {
        let full = if matches!(whose, Whose::Crowd(_)) { Full::Crowd } else { Full::Own };
        let share = self.share(whose);
        let place = Arc::clone(&share.requests).try_acquire_owned();
        held.permits.push(place.map_err(|_| full)?);
        held.shares.push(share);
        Ok(())
    }

    /// A place for a body of `size` KiB. One's own share comes first: whoever
    /// waits for it keeps nothing from others.
    async fn hold(&self, person: UserId, size: u32, held: &mut Held) -> Result<(), Full> {
        let deadline = Instant::now() + PATIENCE;
        let share = self.share(Whose::Person(person));
        for (places, full) in [(&share, Full::Bodies), (&self.all, Full::All)] {
            let place = Arc::clone(&places.bodies).acquire_many_owned(size);
            match timeout_at(deadline, place).await {
                Ok(Ok(place)) => held.permits.push(place),
                _ => return Err(full),
            }
        }
        held.shares.push(share);
        Ok(())
    }

    /// Waits for the turn of a launch of `person`, whose file has arrived.
    pub async fn turn(&self, person: UserId) -> Held {
        let share = self.share(Whose::Person(person));
        let mut held = Held::default();
        for places in [&share, &self.all] {
            // Nothing closes them.
            held.permits.extend(Arc::clone(&places.launches).acquire_owned().await);
        }
        held.shares.push(share);
        held
    }
}

/// Lets a request in when there is room for it. It keeps its place until its
/// answer is sent, or its connection is gone.
pub async fn bound(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&state, &mut parts).await {
        Ok(held) => {
            let connection = parts.extensions.get::<Arc<Connection>>().cloned();
            // Goes on when its client hangs up: what it has begun on other
            // threads would else run without its places.
            let run = async move { (next.run(Request::from_parts(parts, body)).await, held) };
            match tokio::spawn(run.in_current_span()).await {
                Ok((mut response, held)) => {
                    match connection {
                        Some(connection) => connection.hold(held),
                        None => _ = response.extensions_mut().insert(Arc::new(held)),
                    }
                    response
                }
                Err(error) => match error.try_into_panic() {
                    // It is told and answered where all of them are.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
                },
            }
        }
        Err(problem) => problem.into_response(),
    }
}

/// Whether a path leads to what is the same for everyone: who asks for it is
/// not looked up.
fn is_asset(path: &str) -> bool {
    path.starts_with("/pkg/") || path == "/sw.js"
}

async fn admit(state: &State, parts: &mut Parts) -> Result<Held, Problem> {
    let (room, mut held) = (&state.room, Held::default());
    let Client(address) = Client::from_request_parts(parts, state).await?;
    let network = network(address);
    room.enter_own(Whose::Crowd(network), &mut held).map_err(refuse)?;
    let session = session::presented(&parts.headers);
    let presented = session.is_some();
    let whose = session.map_or(Whose::Address(network), Whose::Session);
    // The share first: past it a flood does not even touch what is for all.
    room.enter_own(whose, &mut held).map_err(refuse)?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let visitor = if reads && is_asset(parts.uri.path()) {
        None
    } else {
        match Visitor::from_request_parts(parts, state).await {
            Ok(visitor) => Some(visitor),
            // What is read answers this itself, if it asks who reads it.
            Err(_) if reads => None,
            Err(problem) => return Err(problem),
        }
    };
    let who = visitor.as_ref().and_then(|visitor| visitor.0.as_ref());
    match who {
        Some(who) => {
            let person = Whose::Person(who.identity.user);
            room.enter_own(person, &mut held).map_err(refuse)?;
        }
        // A session that is none gets nobody a share of their own.
        None if presented && visitor.is_some() => {
            room.enter_own(Whose::Address(network), &mut held).map_err(refuse)?;
        }
        None => {}
    }
    let connection = parts.extensions.get::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        connection.set_signed_in(who.is_some());
    }
    room.enter(network, who.is_some(), connection, &mut held).await.map_err(refuse)?;
    let size = if reads { 0 } else { size(&parts.headers) };
    if size > SMALL {
        // Nothing that a stranger may ask for is larger.
        let who = who.ok_or_else(Problem::sign_in)?;
        room.hold(who.identity.user, size, &mut held).await.map_err(refuse)?;
    }
    if let Some(visitor) = visitor {
        parts.extensions.insert(Known(visitor));
    }
    Ok(held)
}

/// A whole network of IPv6 is one household's.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (u128::MAX << 64)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// Of the body, KiB. What is larger than is taken is never held whole.
fn size(headers: &HeaderMap) -> u32 {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let told = told.and_then(|length| length.parse::<u64>().ok());
    match told {
        Some(bytes) => u32::try_from(bytes.div_ceil(1024)).unwrap_or(LARGEST).min(LARGEST),
        None if headers.contains_key(header::TRANSFER_ENCODING) => LARGEST,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_counts_as_what_it_says_or_as_the_largest() {
        let of = |name, value: &str| size(&HeaderMap::from_iter([(name, value.parse().unwrap())]));
        assert_eq!(size(&HeaderMap::new()), 0);
        assert_eq!(of(header::CONTENT_LENGTH, "1"), 1);
        assert_eq!(of(header::CONTENT_LENGTH, "1048576"), 1024);
        assert_eq!(of(header::CONTENT_LENGTH, "99999999999999"), LARGEST);
        assert_eq!(of(header::TRANSFER_ENCODING, "chunked"), LARGEST);
    }

    #[test]
    fn made_up_cookies_take_no_more_than_an_address_may() {
        let room = Room::default();
        let mut held = Held::default();
        let crowd = |n| Whose::Crowd(network(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])));
        for n in 0..CROWD {
            assert_eq!(room.enter_own(crowd(u16::try_from(n).unwrap()), &mut held), Ok(()));
        }
        assert_eq!(room.enter_own(crowd(0), &mut held), Err(Full::Crowd));
        let other = network(IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]));
        assert_eq!(room.enter_own(Whose::Crowd(other), &mut held), Ok(()));
    }

    fn person(n: u128) -> UserId {
        UserId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_person_leave_room_for_others_and_wait_for_their_own() {
        let room = Room::default();
        let (mut first, mut second, mut third) =
            (Held::default(), Held::default(), Held::default());
        assert_eq!(room.hold(person(1), LARGEST, &mut first).await, Ok(()));
        assert_eq!(room.hold(person(1), 1, &mut second).await, Err(Full::Bodies));
        assert_eq!(room.hold(person(2), LARGEST, &mut third).await, Ok(()));
        let waits = tokio::spawn({
            let room = room.clone();
            async move { room.hold(person(1), LARGEST, &mut Held::default()).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waits.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_places_are_taken_nobody_is_blamed() {
        let room = Room::default();
        let mut held = Vec::new();
        for n in 0..3 {
            let mut of_one = Held::default();
            assert_eq!(room.hold(person(n), LARGEST, &mut of_one).await, Ok(()));
            held.push(of_one);
        }
        assert_eq!(room.hold(person(9), LARGEST, &mut Held::default()).await, Err(Full::All));
    }

    /// A request of `address` whose answer is not taken, and which goes when its
    /// connection is ended.
    async fn unread(room: &Room, address: IpAddr) -> Result<Arc<Connection>, Full> {
        let (connection, mut held) = (Arc::new(Connection::default()), Held::default());
        room.enter(address, false, Some(Arc::clone(&connection)), &mut held).await?;
        connection.request_began(false);
        connection.answer_began();
        connection.set_blocked(true);
        let ended = Arc::clone(&connection);
        tokio::spawn(async move {
            ended.ended().await;
            drop(held);
        });
        Ok(connection)
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_who_take_no_answers_give_way_to_others_and_not_to_their_own() {
        let room = Room::default();
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut connections = Vec::new();
        for n in 0..STRANGERS {
            let network = address(u8::try_from(n % 2).unwrap());
            connections.push(unread(&room, network).await.unwrap());
        }
        let start = Instant::now();
        // More of their own don't even wait.
        for n in 0..100 {
            let more = unread(&room, address(n % 2)).await;
            assert_eq!(more.map(|_| ()), Err(Full::All));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        // Somebody elsewhere is let in as soon as it is known who has stalled.
        let other = unread(&room, address(9)).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        assert!(!other.is_ended());
        assert_eq!(connections.iter().filter(|connection| connection.is_ended()).count(), 1);
        // And somebody who is signed in has room all the time.
        let mut held = Held::default();
        assert_eq!(room.enter(address(0), true, None, &mut held).await, Ok(()));
    }

    #[tokio::test]
    async fn launches_of_one_person_let_anothers_pass() {
        let room = Room::default();
        let first = room.turn(person(1)).await;
        let _second = room.turn(person(1)).await;
        let mut third = Box::pin(room.turn(person(1)));
        assert!(futures_util::poll!(&mut third).is_pending());
        let _other = room.turn(person(2)).await;
        drop(first);
        drop(third.await);
    }

    #[test]
    fn a_share_is_forgotten_with_its_last_request() {
        let room = Room::default();
        for n in 0..1000 {
            let mut held = Held::default();
            let address = IpAddr::from([10, 0, u8::try_from(n / 250).unwrap(), 1]);
            assert_eq!(room.enter_own(Whose::Address(address), &mut held), Ok(()));
            assert!(room.shares.lock().unwrap().len() <= 2);
        }
    }
}
