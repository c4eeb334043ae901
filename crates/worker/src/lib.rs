//! Task queue consumers, command handlers and clients of external services.
//!
//! | module | contents |
//! | --- | --- |
//! | [`handler`] | port to the handler of a command, and the context of an attempt |
//! | [`registry`] | commands that are consumed, with the limits of their upstreams |
//! | [`runner`] | receives deliveries, acquires permits, claims, runs handlers, saves outcomes |
//! | [`handlers`] | handlers, one file per command |
//! | [`connector`] | HTTP clients of external services |
#![warn(missing_docs)]

mod batcher;
pub mod connector;
pub mod handler;
pub mod handlers;
mod metrics;
pub mod registry;
pub mod runner;

pub use registry::Registry;
pub use runner::{Options, request_timeout, run};
