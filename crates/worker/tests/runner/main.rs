//! Tests of the runner against the sandbox over real HTTP: faults, and what the store,
//! the attempts and the ledger of the sandbox record about them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cancels;
mod fake_task_queue;
mod faults;
mod leases;
mod lost_queues;
mod new_command;
mod outages;
mod pauses;
mod system;
mod unreadable_messages;
mod worker_shutdown;
