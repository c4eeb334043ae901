//! The job engine: use cases, ports to the outside, and their adapters.
//!
//! | module | contents |
//! | --- | --- |
//! | [`engine`] | use cases: launch, control and resolve jobs |
//! | [`store`] | the database, the source of truth: tasks, jobs, journal, users |
//! | [`task_queue`] | port to the queues that carry commands to workers |
//! | [`event_bus`] | port to the bus that broadcasts events to the hubs of all nodes |
//! | [`rabbitmq`] | the RabbitMQ server that both can run on |
//! | [`channel`] | configuration of the sales channels |
//! | [`upstream`] | sales channels and machines as operators see them |
//! | [`limiter`] | rate limits and concurrency slots of upstreams |
//! | [`election`] | leader leases: which process relays, reaps and prunes |
//! | [`relay`] | publishes due tasks from the task table |
//! | [`reaper`] | takes back the tasks of lost workers |
//! | [`pruner`] | deletes data that is past its retention |
//! | [`feed`] | reads product files |
//! | [`machines`] | port to the machines of an EC2 account, with a cache |
//! | [`trace`] | spans of a trace, and the context of the one that runs |
//! | [`clock`] | injectable clocks |
#![warn(missing_docs)]

pub mod channel;
pub mod clock;
pub mod election;
pub mod engine;
pub mod event_bus;
pub mod feed;
pub mod limiter;
pub mod machines;
mod metrics;
pub mod pruner;
pub mod rabbitmq;
pub mod reaper;
pub mod relay;
pub mod store;
pub mod task_queue;
pub mod trace;
pub mod upstream;

pub use engine::Engine;
