//! Simulated external services over real HTTP: sales channels with rate limits, a small EC2
//! with CloudWatch's alarms, and a ledger of their requests and effects.
//!
//! | item | purpose |
//! | --- | --- |
//! | [`Sandbox`], [`Options`], [`Error`] | starts and stops the sandbox |
//! | [`channel_url`] | where a channel is found |
//! | [`ChannelProfile`], [`ChannelApi`], [`RateLimit`], [`SAMPLE_CHANNELS`] | behaviour of the channels |
//! | [`Snapshot`], [`ServiceRecord`], [`Request`], [`Effect`] | the ledger |
//! | [`ServiceSummary`] | counts of the ledger |
//!
//! # Routes
//!
//! | route | effect |
//! | --- | --- |
//! | `POST /channels/{id}/products` | creates a product; only acme supports `Idempotency-Key` |
//! | `PUT /channels/{id}/products/{product}` | changes a product |
//! | `GET /channels/{id}/products?sku=…` | finds by SKU; counts against the limit, has no faults |
//! | `POST /channels/{id}/graphql.json` | depot's only route: `query Find`, `mutation Set`, `query Check` |
//! | `POST /ec2` | `DescribeInstances`, `StartInstances`, `StopInstances` (Query protocol) |
//! | `POST /cloudwatch` | `PutMetricAlarm`, `DescribeAlarms` (Query protocol) |
//! | `GET /ledger`, `GET /ledger/summary` | every request and effect; their counts |
//! | `GET /faults`, `POST /faults` `{"enabled":bool}` | shows or switches the faults |
//! | `GET /healthz` | 200 |
//!
//! # Time
//!
//! The speed divides latencies and boot times, and multiplies rates. A burst is a count and does
//! not scale. A Retry-After has whole seconds: it never names less than the wait, and as a number
//! never less than 1. Obeying it is always safe.
//!
//! # Faults
//!
//! A fault depends on the seed, the channel, the SKU and the number of earlier posts of the SKU,
//! never on the order of arrival. 1.5 % of the requests get a 500, 1 % lose their connection after
//! the product was stored, 0.3 % get an unprovoked 429 that starts a cooldown of its Retry-After,
//! and 0.7 % of the SKUs are rejected permanently. A SKU that contains one of these marks always
//! gets its fault, even with faults off:
//!
//! | mark in the SKU | fault |
//! | --- | --- |
//! | `-SBX-REJECT` | 422 at every request |
//! | `-SBX-SHORTTITLE` | 422 if the title has more than 80 characters |
//! | `-SBX-500ONCE` | 500 at the first request, nothing stored |
//! | `-SBX-500ALWAYS` | 500 at every request, nothing stored |
//! | `-SBX-DROPONCE` | stored at the first request, and the connection dropped without a response |
//! | `-SBX-429ONCE` | 429 at the first request, and a cooldown of its Retry-After |
//!
//! A request over the limit, or during a cooldown, gets a 429 at once and does not count as one of
//! the posts above.
//!
//! Depot answers as Shopify's GraphQL API: instead of the 422 with `userErrors`, instead of the
//! 500 with the error `INTERNAL_SERVER_ERROR`, and over the limit with the error `THROTTLED`, all
//! with the status 200. Its limit counts points, and every answer says how many are left.
#![warn(missing_docs)]

mod aws;
mod call_tracker;
mod channel;
mod clock;
mod cloudwatch;
mod connection;
mod ec2;
mod environment;
mod faults;
mod graphql_channel;
mod ledger;
mod limiter;
mod profiles;
mod query_protocol;
mod response;
mod retry_after;
mod routes;
mod server;
mod token_bucket;
mod traceparent;

/// The sample channels as files for Meanwhile, by name, in the order in which people see
/// them. The runtime replaces the setting `url`.
pub const CHANNEL_FILES: &[(&str, &str)] = &[
    ("acme.toml", include_str!("../channels/acme.toml")),
    ("bazaar.toml", include_str!("../channels/bazaar.toml")),
    ("corner.toml", include_str!("../channels/corner.toml")),
    ("depot.toml", include_str!("../channels/depot.toml")),
];

pub use ledger::{
    AnswerError, Effect, OpenError as LedgerError, Request, ServiceRecord, ServiceSummary, Snapshot,
};
pub use profiles::{
    CLOUDWATCH_RATE, ChannelApi, ChannelProfile, EC2_RATE, RateLimit, RetryAfterFormat,
    SAMPLE_CHANNELS,
};
pub use server::{Error, Options, Sandbox, channel_url};
