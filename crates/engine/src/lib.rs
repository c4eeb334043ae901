//! Ports and adapters, and the use cases that go through them.
//!
//! | module | what |
//! | --- | --- |
//! | [`engine`] | the use cases: launch, control, resolve |
//! | [`store`] | the truth: tasks, jobs, journal, people |
//! | [`broker`] | the doorbell: queues of commands, news for the hubs |
//! | [`gate`] | pace and calls at once of an external account |
//! | [`election`] | which process relays and reaps |
//! | [`relay`] | publishes what the task table says is due |
//! | [`reaper`] | takes back what a lost worker held |
//! | [`pruner`] | deletes what is not kept for ever |
//! | [`feed`] | reads product files |
//! | [`machines`] | the machines of an account, seen through a port |
//! | [`clock`] | time, injected |

pub mod broker;
pub mod clock;
pub mod election;
pub mod engine;
pub mod feed;
pub mod gate;
pub mod machines;
mod measure;
pub mod pruner;
pub mod reaper;
pub mod relay;
pub mod store;
/// Real servers of a test's own.
#[cfg(feature = "testing")]
pub use servers as testing;

pub use engine::Engine;
