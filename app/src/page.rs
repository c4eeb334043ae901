//! The pages.

pub mod door;
pub mod inbox;
pub mod job;
pub mod jobs;
pub mod launch;
pub mod missing;
