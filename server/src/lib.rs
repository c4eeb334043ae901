//! Composition root: command line, configuration, router, sessions, REST API,
//! hub.
//!
//! | module | what |
//! | --- | --- |
//! | [`config`] | flags and variables |
//! | [`assembly`] | builds everything and runs it until a signal |
//! | [`router`] | which path leads where |
//! | [`guard`] | Origin and Host |
//! | [`headers`] | headers of every answer, content security policy |
//! | [`client`] | where a request came from, proxies aside |
//! | [`session`] | who asks |
//! | [`limiter`] | how often one may guess |
//! | [`password`], [`cookie`] | what sessions are opened by and kept in |
//! | [`token`] | programs: bearer tokens |
//! | [`trace`] | what the log says of a request |
//! | [`api`] | `/api/v1` for programs |
//! | [`form`] | the pages' plain forms |
//! | [`render`] | documents and server functions, each with a reactive owner of its own |
//! | [`page`], [`failed`] | the pages themselves, and what failed as a file |
//! | [`hub`] | `/ws`: every step to all tabs |
//! | [`assets`] | the bundle, carried in the binary |
//! | [`body`] | bodies that nobody hears to their end |
//! | [`measures`] | what an operator's Prometheus reads |
//! | [`connections`], [`overload`], [`reader_shares`] | what is let in at once |
//! | [`redact`] | secrets, kept out of all output |
//! | [`request`] | parameters and bodies, read |
//! | [`problem`] | errors as RFC 9457 |
#![recursion_limit = "512"]

pub mod api;
pub mod assembly;
pub mod assets;
pub mod body;
pub mod client;
pub mod config;
pub mod connections;
pub mod cookie;
pub mod device;
pub mod failed;
pub mod form;
pub mod guard;
pub mod headers;
pub mod hub;
pub mod limiter;
pub mod measures;
pub mod overload;
pub mod page;
pub mod password;
pub mod problem;
pub mod reader_shares;
pub mod redact;
pub mod render;
pub mod request;
pub mod router;
pub mod session;
pub mod state;
pub mod token;
pub mod trace;
