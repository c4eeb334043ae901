//! The job engine: use cases, ports to the outside, and their adapters.
//!
//! | module | contents |
//! | --- | --- |
//! | [`engine`] | use cases: launch, control and resolve jobs |
//! | [`store`] | the database, the source of truth: tasks, jobs, journal, users |
//! | [`broker`] | command queues for workers, and events for hubs |
//! | [`channel`] | configuration of the sales channels |
//! | [`limiter`] | rate limits and concurrency slots of upstreams |
//! | [`election`] | leader leases: which process relays, reaps and prunes |
//! | [`relay`] | publishes due tasks from the task table |
//! | [`reaper`] | takes back the tasks of lost workers |
//! | [`pruner`] | deletes data that is past its retention |
//! | [`feed`] | reads product files |
//! | [`machines`] | port to the machines of an EC2 account, with a cache |
//! | [`clock`] | injectable clocks |
#![warn(missing_docs)]

pub mod broker;
pub mod channel;
pub mod clock;
pub mod election;
pub mod engine;
pub mod feed;
pub mod limiter;
pub mod machines;
mod metrics;
pub mod pruner;
pub mod reaper;
pub mod relay;
pub mod store;
/// Starts real PostgreSQL, RabbitMQ and Redis servers for one test.
#[cfg(feature = "testing")]
pub use testbed as testing;

pub use engine::Engine;
