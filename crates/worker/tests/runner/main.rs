//! The runner against the sandbox over real HTTP: what goes wrong, and what
//! the store, the attempts and the sandbox's own ledger say afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod leases;
mod messages;
mod outages;
mod queues;
mod workers;
mod world;
