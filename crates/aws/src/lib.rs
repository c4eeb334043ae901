//! Client of EC2 and CloudWatch.
//!
//! Credentials, region and endpoints come from where AWS's own tools take them: the
//! environment, `~/.aws/config` and the rest of [AWS's chain][chain]. Requests are signed
//! with [Signature Version 4][sigv4] and use the Query protocol, which is the only one that
//! EC2 has. This crate neither waits nor retries, except that it loads the credentials again
//! once when AWS refuses them: rate limits and retries are the caller's.
//!
//! | module | contents |
//! | --- | --- |
//! | [`account`] | an account with its credentials, and its clients by region |
//! | [`credentials`] | loads credentials, and keeps them until they are about to expire |
//! | [`ec2`] | machines: describe, start, stop, launch |
//! | [`cloudwatch`] | alarms: create, look up |
//! | [`error`] | what AWS's error codes mean for the caller |
//!
//! [chain]: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
//! [sigv4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
#![warn(missing_docs)]

pub mod account;
pub mod cloudwatch;
pub mod credentials;
pub mod ec2;
mod endpoint;
pub mod error;
mod http_client;
mod query;

pub use account::{Account, AccountOptions};
pub use error::Error;
pub use query::Client;
