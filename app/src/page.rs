//! The pages.

pub mod account;
#[cfg(feature = "ssr")]
pub mod door;
pub mod inbox;
pub mod job;
pub mod jobs;
pub mod launch;
#[cfg(feature = "ssr")]
pub mod link;
pub mod machines;
pub mod missing;
pub mod people;
pub mod problem;
pub mod search;
#[cfg(feature = "ssr")]
pub mod trouble;
