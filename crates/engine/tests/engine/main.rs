//! Tests of the limiters, the broker and queries, on real servers where there are any.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod grid;
mod limiters;
mod rabbit;
mod redis;
mod start;
mod tls;
mod upgrade;
