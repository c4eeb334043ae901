//! Tests of the sandbox over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod aws;
mod client;
mod graphql;
mod idempotency;
mod limits;
mod products;
mod repeatability;
mod restart;
