//! Consumers: one file a command, chains, connectors to the outside.
//!
//! | module | what |
//! | --- | --- |
//! | [`handler`] | the port of a command's handler, and what it may answer |
//! | [`registry`] | which commands are consumed, with what limits |
//! | [`runner`] | takes deliveries, passes the gate, claims, calls, finishes |
//! | [`handlers`] | one file a command |
//! | [`connector`] | the outside, over HTTP |

pub mod connector;
pub mod handler;
pub mod handlers;
mod measure;
pub mod registry;
pub mod runner;
mod together;

pub use registry::Registry;
pub use runner::{Options, call_limit, run};
