//! The way into a service: its limit, its closures, and the rows of its requests.

use std::{
    io,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    bucket::Bucket,
    clock::{Micros, micros},
    ledger::{Answered, Arrived, Kept, hold},
    retry_after::{SLACK, word},
    spec::{Rate, RetryAfter},
    world::World,
};

pub struct Door {
    service: &'static str,
    world: Arc<World>,
    limit: Mutex<Limit>,
}

struct Limit {
    bucket: Bucket,
    /// From and until when.
    closed: Range<Micros>,
}

/// A request that has been written down.
pub struct Arrival {
    /// What [`Door::answered`] and its kin take.
    pub request: usize,
    pub at: Micros,
    /// Until when it has to wait, where it was not let in.
    pub refused_until: Option<Micros>,
}

impl Door {
    /// Goes on where an earlier run, that `kept` tells of, has stopped.
    pub fn new(service: &'static str, rate: Rate, kept: &Kept, world: Arc<World>) -> Self {
        let mut bucket = Bucket::full(world.rate(rate));
        for (arrived, _) in &kept.requests {
            // Whether it was let in is known already; this only brings the bucket up to date.
            let _ = bucket.take(arrived.at_us);
        }
        let answers = kept.requests.iter().filter_map(|(_, answered)| *answered);
        let closed_until = answers.filter_map(|answered| answered.closed_until_us).max();
        let limit = Mutex::new(Limit { bucket, closed: 0..closed_until.unwrap_or(0) });
        Self { service, world, limit }
    }

    /// Counts a request and writes it down. A refused one costs no token.
    pub fn arrive(
        &self,
        action: &str,
        key: Option<&str>,
        sku: Option<&str>,
    ) -> io::Result<Arrival> {
        let mut limit = hold(&self.limit);
        let at = self.world.clock.now();
        let token = limit.bucket.take(at).err();
        let closed = limit.closed.contains(&at);
        let row = Arrived {
            at_us: at,
            action: action.into(),
            key: key.map(Into::into),
            sku: sku.map(Into::into),
            over: token.is_some(),
            closed_for_us: closed.then(|| at - limit.closed.start),
        };
        let request = self.world.ledger.arrived(self.service, row)?;
        let refused_until = token.max(closed.then_some(limit.closed.end));
        Ok(Arrival { request, at, refused_until })
    }

    pub fn answered(&self, request: usize, status: u16) -> io::Result<()> {
        self.end(Answered { request, status: Some(status), closed_until_us: None })
    }

    pub fn dropped(&self, request: usize) -> io::Result<()> {
        self.end(Answered { request, status: None, closed_until_us: None })
    }

    /// Answers 429 and lets nobody in for `pause`, a time at speed 1. Gives the Retry-After.
    pub fn close(&self, request: usize, pause: Duration, form: RetryAfter) -> io::Result<String> {
        let mut limit = hold(&self.limit);
        let now = self.world.clock.now();
        let until = now + micros(self.world.scaled(pause)).saturating_sub(SLACK);
        let (value, named) = word(form, now, until);
        let start = if limit.closed.contains(&now) { limit.closed.start } else { now };
        limit.closed = start..limit.closed.end.max(named - SLACK);
        let closed_until_us = Some(limit.closed.end);
        self.end(Answered { request, status: Some(429), closed_until_us })?;
        Ok(value)
    }

    fn end(&self, answered: Answered) -> io::Result<()> {
        self.world.ledger.answered(self.service, answered)
    }
}
