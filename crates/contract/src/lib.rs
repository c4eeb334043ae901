//! What crosses a process or a wire: ids, states, the event catalogue, its
//! envelope, live frames and the API's types. No I/O, and safe for wasm.
//!
//! | module | what crosses |
//! | --- | --- |
//! | [`id`] | ids of jobs, tasks, users |
//! | [`state`] | states of tasks and jobs, and a job's counters |
//! | [`product`] | a product and its variants |
//! | [`command`] | commands: what is asked of a worker |
//! | [`fact`] | facts: what happened, as the journal keeps it |
//! | [`envelope`] | CloudEvents around a command or a fact |
//! | [`text`] | bounds on texts that are kept |
//! | [`live`] | frames of the WebSocket |
//! | [`api`] | what `/api/v1` and the pages read and write |
//! | [`catalogue`] | every event with its producer, consumers and effects |

pub mod api;
pub mod catalogue;
pub mod command;
pub mod envelope;
pub mod fact;
pub mod feed;
pub mod id;
pub mod live;
pub mod product;
pub mod state;
pub mod text;

pub use id::{JobId, TaskId, TokenId, UserId};
