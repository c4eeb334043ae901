//! Ports and adapters, and the use cases that go through them.
//!
//! | module | what |
//! | --- | --- |
//! | [`clock`] | time, injected |
//! | [`store`] | the truth: tasks, jobs, journal, people |
//! | [`broker`] | the doorbell: queues of commands, news for the hubs |
//! | [`relay`] | publishes what the task table says is due |
//! | [`reaper`] | takes back what a lost worker held |

pub mod broker;
pub mod clock;
pub mod gate;
pub mod reaper;
pub mod relay;
pub mod store;
