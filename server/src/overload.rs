//! What keeps a flood from taking all memory, and from taking everyone's turn:
//! whoever brings it waits, and past their share is told so at once.
//!
//! | what | in all | of one | past it |
//! | --- | --- | --- | --- |
//! | requests under way | [`REQUESTS`] | [`OWN_REQUESTS`], [`CROWD`] an address | 503, 429 at once |
//! | bodies held | [`BODIES`] | [`OWN_BODIES`] | 503, 429 after [`PATIENCE`] |
//! | launches worked on | [`LAUNCHES`] | [`OWN_LAUNCHES`] | waits its turn |
//!
//! *One* is a session, then the person it is of; an address, where nobody is
//! signed in. Who it is is asked before a body has its place: whoever is not
//! known sends small bodies only.

use crate::{
    client::Client,
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
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};
use tracing::Instrument;

/// A socket is no request any more once it is open.
const REQUESTS: usize = 512;
const OWN_REQUESTS: usize = 64;
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
}

impl Places {
    fn new(requests: usize, bodies: u32, launches: usize) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(requests)),
            bodies: Arc::new(Semaphore::new(bodies as usize)),
            launches: Arc::new(Semaphore::new(launches)),
        }
    }
}

/// What is left for all; cheap to clone.
#[derive(Clone)]
pub struct Room {
    all: Arc<Places>,
    shares: Arc<Mutex<HashMap<Whose, Arc<Places>>>>,
}

impl Default for Room {
    fn default() -> Self {
        Self { all: Arc::new(Places::new(REQUESTS, BODIES, LAUNCHES)), shares: Arc::default() }
    }
}

/// Places that are held until this is dropped; the shares that they are of
/// stay known as long.
#[derive(Default)]
pub struct Held {
    permits: Vec<OwnedSemaphorePermit>,
    shares: Vec<Arc<Places>>,
}

/// Of which bound there is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    All,
    Own,
    Crowd,
    /// Of one's own bodies.
    Bodies,
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
        let made = || Arc::new(Places::new(requests, OWN_BODIES, OWN_LAUNCHES));
        Arc::clone(shares.entry(whose).or_insert_with(made))
    }

    /// A place among all requests, in `held`.
    fn enter(&self, held: &mut Held) -> Result<(), Full> {
        let place = Arc::clone(&self.all.requests).try_acquire_owned();
        held.permits.push(place.map_err(|_| Full::All)?);
        Ok(())
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

/// Lets a request in when there is room for it.
pub async fn bound(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&state, &mut parts).await {
        Ok(held) => {
            // Goes on when its client hangs up: what it has begun on other
            // threads would else run without its places.
            let run = async move {
                let response = next.run(Request::from_parts(parts, body)).await;
                drop(held);
                response
            };
            match tokio::spawn(run.in_current_span()).await {
                Ok(response) => response,
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

async fn admit(state: &State, parts: &mut Parts) -> Result<Held, Problem> {
    let (room, mut held) = (&state.room, Held::default());
    let Client(address) = Client::from_request_parts(parts, state).await?;
    let address = network(address);
    room.enter_own(Whose::Crowd(address), &mut held).map_err(refuse)?;
    let session = session::presented(&parts.headers);
    let whose = session.map_or(Whose::Address(address), Whose::Session);
    // The share first: past it a flood does not even touch what is for all.
    room.enter_own(whose, &mut held).map_err(refuse)?;
    room.enter(&mut held).map_err(refuse)?;
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(held);
    }
    let visitor = Visitor::from_request_parts(parts, state).await?;
    let size = size(&parts.headers);
    match &visitor.0 {
        Some(who) => {
            let person = who.identity.user;
            room.enter_own(Whose::Person(person), &mut held).map_err(refuse)?;
            if size > SMALL {
                room.hold(person, size, &mut held).await.map_err(refuse)?;
            }
        }
        // Nothing that a stranger may ask for is larger.
        None if size > SMALL => return Err(Problem::sign_in()),
        None => room.enter_own(Whose::Address(address), &mut held).map_err(refuse)?,
    }
    parts.extensions.insert(Known(visitor));
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
