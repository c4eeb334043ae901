//! Stand-ins of the outside over real HTTP: three sales channels with limits, a small EC2 with
//! CloudWatch's alarms, and the ledger of what they saw.
//!
//! | where | what |
//! | --- | --- |
//! | [`Sandbox`], [`Options`], [`Error`] | starting and stopping the whole |
//! | [`channels`], [`ChannelSpec`], [`Rate`] | what a connector's configuration is derived from |
//! | [`Snapshot`], [`Record`], [`Request`], [`Effect`], [`Summary`] | the ledger, the witness |
//!
//! # Routes
//!
//! | call | what |
//! | --- | --- |
//! | `POST /channels/{id}/products` | makes a product; `Idempotency-Key` is known by acme alone |
//! | `GET /channels/{id}/products?sku=…` | finds by SKU; counts against the limit, never faulty |
//! | `POST /ec2` | `DescribeInstances`, `StartInstances`, `StopInstances` (Query protocol) |
//! | `POST /cloudwatch` | `PutMetricAlarm`, `DescribeAlarms` (Query protocol) |
//! | `GET /ledger`, `GET /ledger/summary` | every request and effect; their counts |
//! | `GET /faults`, `POST /faults` `{"on":bool}` | the switch of the faults |
//! | `GET /healthz` | 200 |
//!
//! # Time
//!
//! The speed divides latencies and boot times and multiplies limits. A bucket is a count and does
//! not scale, and a Retry-After has whole seconds: it never says less than the wait, and where it
//! is a number never less than 1. Obeying it is always safe.
//!
//! # Faults
//!
//! A fault depends on the seed, the channel, the SKU and how many times the SKU was posted before,
//! never on the order of arrival: 1.5 % answer 500, 1 % drop the connection after the product was
//! stored, 0.3 % are a 429 out of the blue that closes the channel for its Retry-After, and 0.7 %
//! of the SKUs are rejected for good. A SKU that contains one of these gets its fault always, with
//! faults off too:
//!
//! | in the SKU | what happens |
//! | --- | --- |
//! | `-SBX-REJECT` | 422 at every request |
//! | `-SBX-500ONCE` | 500 at the first request, nothing stored |
//! | `-SBX-500ALWAYS` | 500 at every request, nothing stored |
//! | `-SBX-DROPONCE` | stored at the first request, and the connection dropped without an answer |
//! | `-SBX-429ONCE` | 429 at the first request, and the channel closed for its Retry-After |
//!
//! A request over the limit, or during a closure, is answered 429 at once and is none of those
//! that are counted here.

mod answer;
mod aws;
mod bucket;
mod channel;
mod clock;
mod cloudwatch;
mod connection;
mod door;
mod ec2;
mod faults;
mod ledger;
mod query;
mod retry_after;
mod routes;
mod server;
mod spec;
mod work;
mod world;

pub use ledger::{Effect, OpenError as LedgerError, Record, Request, Snapshot, Summary};
pub use server::{Error, Options, Sandbox};
pub use spec::{CLOUDWATCH_RATE, ChannelSpec, EC2_RATE, Rate, RetryAfter, channels};
