//! The pages.

pub mod account;
#[cfg(feature = "ssr")]
pub mod auth;
#[cfg(feature = "ssr")]
pub mod error_page;
pub mod inbox;
pub mod job;
pub mod jobs;
pub mod launch;
pub mod load_error;
pub mod machines;
pub mod not_found;
#[cfg(feature = "ssr")]
pub mod one_time_link;
pub mod people;
pub mod search;
