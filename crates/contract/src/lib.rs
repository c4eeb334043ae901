//! Types that cross a process boundary or the network: ids, states, the event
//! catalogue, its envelope, WebSocket frames and the API's types. No I/O, and safe for wasm.
//!
//! | module | contents |
//! | --- | --- |
//! | [`id`] | ids of jobs, tasks, users and tokens |
//! | [`state`] | states of tasks and jobs, and a job's counters |
//! | [`product`] | a product and its variants |
//! | [`feed`] | results of reading a product feed |
//! | [`command`] | commands: the work that a task gives to a worker |
//! | [`fact`] | facts: what happened, as entries of a user's journal |
//! | [`signal`] | signals: what nodes tell each other without a journal entry |
//! | [`envelope`] | CloudEvents around a command or a fact |
//! | [`trace_context`] | the context of a trace: `traceparent` |
//! | [`instance_id`] | lists of EC2's ids |
//! | [`timestamp`] | times as texts in JSON |
//! | [`text`] | length limits and allowed characters of stored texts |
//! | [`websocket`] | frames of the WebSocket |
//! | [`api`] | types that `/api/v1` and the pages read and write |
//! | [`comparison`] | results of the comparison of three ways to run a batch |
//! | `operation` | the operations of `/api/v1`, with the feature `schema` |
//! | [`catalogue`] | every event with its producer, its consumers and the events that it may cause |
//! | [`metric`] | names and help texts of all metrics |
#![warn(missing_docs)]

pub mod api;
pub mod catalogue;
pub mod command;
pub mod comparison;
pub mod envelope;
pub mod fact;
pub mod feed;
pub mod id;
pub mod instance_id;
pub mod metric;
#[cfg(feature = "schema")]
pub mod operation;
pub mod product;
pub mod signal;
pub mod state;
pub mod text;
pub mod timestamp;
pub mod trace_context;
pub mod websocket;

pub use id::{JobId, TaskId, TokenId, UserId};
