//! Overload protection of an HTTP server that no client can exhaust: limits on
//! connections, on slow clients, and on the requests that are in progress.
//!
//! | module | content |
//! | --- | --- |
//! | [`connections`] | HTTP/1 server that limits its connections and times out slow clients |
//! | [`request_body`] | bodies that stall, and bodies that their handler does not read |
//! | [`admission`] | limits on requests in progress and on bodies in memory |
//! | [`keyed_semaphore`] | semaphore that gives each user a share |
//! | [`client_address`] | address of the client behind trusted proxies |
//!
//! The crate knows no routes, sessions or users: the server tells it who sent a
//! request, and turns a [`Rejection`](admission::Rejection) into a response. The
//! README has the defaults, their reasons, and when not to use the crate.
#![warn(missing_docs)]

pub mod admission;
pub mod client_address;
pub mod connections;
pub mod keyed_semaphore;
pub mod request_body;
mod transfer_timeout;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
