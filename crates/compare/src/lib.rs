//! The same batch, run in three ways and measured: `meanwhile compare`.
//!
//! Each way is one file, with the same outline: what the server does with a launch, what the
//! person's browser sends, and how the person learns what has become of it.
//!
//! | module | contents |
//! | --- | --- |
//! | [`synchronous`] | the request does the work |
//! | [`asynchronous`] | 202, and a task in the web process does the work |
//! | [`by_events`] | Meanwhile: 202 after the commit, and workers do the work |
//! | [`services`] | calls of the first two: upload a product, start a machine |
//! | [`batch`] | what is launched, and the items that have to come of it |
//! | [`count`] | lost items, duplicates, and requests over a limit, by the sandbox's ledger |
//! | `person` | what a person does, whatever the way |
//! | `client` | the HTTP client of people and servers |
//! | `process` | the servers, as processes that can be killed |
//! | `scenario`, `trial` | a scenario; one way in it |
//! | `timing` | the estimate of the time, and the limits of waits |
//! | [`run`] | all scenarios, and the folder around them |
//! | [`report`], [`timeline`] | progress and results in words |
//!
//! Nothing of this is part of the product: the servers of the first two ways are processes of
//! their own on loopback ports, which [`run::run`] starts and ends.
#![warn(missing_docs)]

pub mod asynchronous;
pub mod batch;
pub mod by_events;
mod client;
pub mod count;
mod person;
mod process;
pub mod report;
pub mod run;
mod scenario;
pub mod serve;
pub mod services;
pub mod synchronous;
#[cfg(test)]
mod tests;
pub mod timeline;
mod timing;
mod trial;

pub use client::BuildClientError;
pub use process::remove_settings;
pub use run::{Error, Options};
