//! Web server: command line, configuration, routes, sessions, REST API, pages
//! and the WebSocket hub.
//!
//! | module | content |
//! | --- | --- |
//! | [`config`] | command-line flags and environment variables |
//! | [`runtime`] | builds everything and runs it until a signal arrives |
//! | [`router`], [`state`] | all routes and their middleware; the state they share |
//! | [`origin`] | checks of Origin and Host |
//! | [`headers`] | security headers of every response, content security policy |
//! | [`client`] | extractor of the client's address |
//! | [`session`] | extractors of the current user, sign-in, one-time links |
//! | [`sign_in_throttle`] | limits on failed sign-in attempts |
//! | [`password`], [`cookie`], [`device`] | password hashes, session cookies, known devices |
//! | [`token`] | API tokens for programs |
//! | [`trace`] | span of a request, in its trace and in the log |
//! | [`telemetry`] | export over OTLP |
//! | [`api`] | `/api/v1` for programs |
//! | [`form`] | plain HTML forms of the pages |
//! | [`render`] | documents and server functions, each with its own reactive owner |
//! | [`page`], [`failed_csv`], `audit_csv` | pages; a job's failed items and the audit log as files |
//! | [`hub`] | `/ws`: sends every change to all open tabs |
//! | [`assets`] | browser bundle, embedded in the binary |
//! | [`metrics`] | Prometheus metrics |
//! | [`admission`], [`work_limits`] | limits on requests and slow bodies; on one user's concurrent work |
//! | [`redact`] | removes secrets from all output |
//! | [`request`] | parsing of parameters and bodies |
//! | [`comparison`] | the comparison of three ways that a page starts |
//! | [`problem`] | errors as RFC 9457 problem details |
#![recursion_limit = "512"]

pub mod admission;
pub mod api;
pub mod assets;
mod audit_csv;
pub mod client;
pub mod comparison;
pub mod config;
pub mod cookie;
pub mod device;
pub mod failed_csv;
pub mod form;
pub mod headers;
pub mod hub;
pub mod metrics;
pub mod origin;
pub mod page;
pub mod password;
pub mod problem;
pub mod redact;
pub mod render;
pub mod request;
pub mod router;
pub mod runtime;
pub mod session;
pub mod sign_in_throttle;
pub mod state;
pub mod telemetry;
pub mod token;
pub mod trace;
pub mod work_limits;
