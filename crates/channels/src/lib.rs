//! Sales channels as data. A channel is one TOML file; [`Channel::load`] parses and checks
//! it, and what it returns renders requests and interprets answers. This crate does no
//! network I/O: `worker` sends the requests.
//!
//! | module | content |
//! | --- | --- |
//! | [`file`] | the keys of a file, as TOML |
//! | [`settings`] | the values of `[settings]`, from the file, the environment or other files |
//! | [`template`] | templates and expressions |
//! | [`compile`] | checks of a whole file |
//! | [`channel`] | a checked channel: steps, rules, authentication and pace |
//! | [`scope`] | the variables of one upload |
//! | [`error`] | mistakes in a file, with their position |
#![warn(missing_docs)]

pub mod channel;
mod compile;
pub mod error;
mod file;
mod position;
pub mod scope;
pub mod settings;
pub mod template;

pub use channel::{
    Auth, Body, Channel, Pace, ProductState, Request, Rule, Step, StepEffect, Then, TokenAuth,
};
pub use error::{Mistake, Mistakes};
pub use scope::Scope;
