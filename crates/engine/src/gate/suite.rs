//! What every gate keeps; each adapter's tests call [`run`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use super::{AHEAD, Gate, Limits, Reserved, Slot};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Slots 51.5 ms apart.
const LIMITS: Limits = Limits { rate: 20.0, concurrency: 3 };
/// What a step over a network may take, and a rounding.
const STEP: Duration = Duration::from_millis(15);

struct Asked<'a> {
    gate: &'a dyn Gate,
    account: String,
    start: Instant,
}

impl<'a> Asked<'a> {
    /// An account that the gate knows from now on.
    async fn new(gate: &'a dyn Gate, name: &str) -> Self {
        let account = format!("{name}-{}", Uuid::now_v7().simple());
        let first = gate.reserve(&account, &LIMITS, Uuid::now_v7()).await.unwrap();
        assert_eq!(first, Reserved::Anew, "a gate that knows nothing begins anew");
        Self { gate, account, start: Instant::now() }
    }

    async fn reserve(&self, place: Uuid) -> Reserved {
        self.gate.reserve(&self.account, &LIMITS, place).await.unwrap()
    }

    /// The slot, and when it begins by the time since the start.
    async fn slot(&self, place: Uuid) -> (Slot, Duration) {
        match self.reserve(place).await {
            Reserved::Slot(slot) => {
                let begins = self.start.elapsed() + slot.wait;
                (slot, begins)
            }
            other => panic!("no slot: {other:?}"),
        }
    }

    async fn intervals(&self, count: usize) -> Vec<Duration> {
        let place = Uuid::now_v7();
        let mut times = Vec::new();
        for _ in 0..=count {
            times.push(self.slot(place).await.1);
        }
        self.gate.release(&self.account, place).await.unwrap();
        times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }
}

fn assert_near(times: &[Duration], expected: Duration) {
    let total: Duration = times.iter().sum();
    let exact = expected * u32::try_from(times.len()).unwrap();
    assert!(total + STEP >= exact && total <= exact + STEP, "{times:?}, not {expected:?} each");
}

/// Runs the whole suite.
pub async fn run(gate: &dyn Gate) {
    pace(gate).await;
    places(gate).await;
    closings(gate).await;
    storms(gate).await;
}

async fn pace(gate: &dyn Gate) {
    let asked = Asked::new(gate, "pace").await;
    // No credit from before: a full interval first.
    let (_, first) = asked.slot(Uuid::now_v7()).await;
    assert!(first + STEP >= LIMITS.interval(), "{first:?}");
    assert_near(&asked.intervals(20).await, LIMITS.interval());
    // More than 10 s ahead nobody reserves.
    let place = Uuid::now_v7();
    let later = loop {
        match asked.reserve(place).await {
            Reserved::Slot(slot) => assert!(slot.wait <= AHEAD),
            other => break other,
        }
    };
    let beyond = |wait| wait > AHEAD && wait < AHEAD + LIMITS.interval() * 2;
    assert!(matches!(later, Reserved::Later { wait, closed: false } if beyond(wait)), "{later:?}");
}

async fn places(gate: &dyn Gate) {
    let asked = Asked::new(gate, "places").await;
    let held: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
    for &place in &held {
        asked.slot(place).await;
    }
    let condition = gate.condition(&asked.account, &LIMITS).await.unwrap();
    assert_eq!(condition.in_flight, 3);
    assert_eq!(asked.reserve(Uuid::now_v7()).await, Reserved::Full);
    // Whoever has a place gets further slots for it.
    asked.slot(held[0]).await;
    gate.keep(&asked.account, &held).await.unwrap();
    gate.release(&asked.account, held[1]).await.unwrap();
    asked.slot(Uuid::now_v7()).await;
    assert_eq!(asked.reserve(Uuid::now_v7()).await, Reserved::Full);
    // A call whose place was lost goes on: it counts, though all are taken, and
    // nobody new enters before there is room for all of them.
    gate.keep(&asked.account, &held[1..2]).await.unwrap();
    assert_eq!(gate.condition(&asked.account, &LIMITS).await.unwrap().in_flight, 4);
    asked.slot(held[1]).await;
    gate.release(&asked.account, held[0]).await.unwrap();
    assert_eq!(asked.reserve(Uuid::now_v7()).await, Reserved::Full);
    gate.release(&asked.account, held[2]).await.unwrap();
    asked.slot(Uuid::now_v7()).await;
}

async fn closings(gate: &dyn Gate) {
    let asked = Asked::new(gate, "closings").await;
    let place = Uuid::now_v7();
    let (slot, _) = asked.slot(place).await;
    assert!(gate.confirm(&asked.account, &slot.generation).await.unwrap());
    let wait = Duration::from_secs(3);
    gate.close(&asked.account, wait, false).await.unwrap();
    assert!(!gate.confirm(&asked.account, &slot.generation).await.unwrap(), "it is closed");
    let closed = gate.condition(&asked.account, &LIMITS).await.unwrap().closed_for.unwrap();
    assert!(closed <= wait && closed + STEP >= wait, "{closed:?}");
    // A shorter word does not open it.
    gate.close(&asked.account, Duration::from_secs(1), false).await.unwrap();
    let (next, _) = asked.slot(place).await;
    assert!(next.wait + STEP >= wait, "{next:?}");
    gate.close(&asked.account, AHEAD * 2, false).await.unwrap();
    let later = asked.reserve(place).await;
    let long = |wait| wait > AHEAD && wait <= AHEAD * 2;
    assert!(matches!(later, Reserved::Later { wait, closed: true } if long(wait)), "{later:?}");
}

async fn storms(gate: &dyn Gate) {
    let asked = Asked::new(gate, "storms").await;
    let none = Duration::ZERO;
    // What is known from before is no refusal, and one refusal no storm.
    gate.close(&asked.account, none, false).await.unwrap();
    gate.close(&asked.account, none, true).await.unwrap();
    assert_near(&asked.intervals(5).await, LIMITS.interval());
    gate.close(&asked.account, none, true).await.unwrap();
    let pace = gate.condition(&asked.account, &LIMITS).await.unwrap().pace;
    let half = LIMITS.rate * super::SHARE / 2.0;
    assert!(pace >= half && pace < half * 1.05, "{pace}");
    assert_near(&asked.intervals(5).await, LIMITS.interval() * 2);
}
