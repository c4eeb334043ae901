//! Calls of the services, as the first two ways make them: with the service's own wait after a
//! 429, more attempts after errors, and a random share in every wait.

use crate::batch::{CHANNEL, Product};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use std::time::Duration;

/// Attempts of a request.
const MAX_ATTEMPTS: u32 = 5;
/// Wait after an error without a `Retry-After`.
const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// The services, at one URL.
#[derive(Clone, Debug)]
pub struct Services {
    client: Client,
    url: String,
    /// Interval at which a machine that starts is looked at.
    poll_interval: Duration,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer came.
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    /// The answer was an error, also in the last attempt.
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Services {
    /// Returns the services at `url`, with an interval for looking at machines.
    #[must_use]
    pub fn new(client: Client, url: String, poll_interval: Duration) -> Self {
        Self { client, url, poll_interval }
    }

    /// Creates a product.
    ///
    /// # Errors
    /// No attempt succeeded.
    pub async fn upload(&self, product: &Product) -> Result<(), CallError> {
        let url = format!("{}/channels/{CHANNEL}/products", self.url);
        self.send(|| self.client.post(&url).json(product)).await.map(drop)
    }

    /// Starts a machine, waits until it runs, and creates its alarm.
    ///
    /// # Errors
    /// No attempt of one of the calls succeeded.
    pub async fn start_machine(&self, id: &str) -> Result<(), CallError> {
        self.ec2("StartInstances", id).await?;
        while !self.ec2("DescribeInstances", id).await?.contains("<name>running</name>") {
            tokio::time::sleep(self.poll_interval).await;
        }
        let (url, name) = (format!("{}/cloudwatch", self.url), format!("status-{id}"));
        let form = [
            ("Action", "PutMetricAlarm"),
            ("Version", "2010-08-01"),
            ("AlarmName", &name),
            ("Namespace", "AWS/EC2"),
            ("MetricName", "StatusCheckFailed"),
            ("Statistic", "Maximum"),
            ("ComparisonOperator", "GreaterThanOrEqualToThreshold"),
            ("Threshold", "1"),
            ("Period", "60"),
            ("EvaluationPeriods", "2"),
            ("Dimensions.member.1.Name", "InstanceId"),
            ("Dimensions.member.1.Value", id),
        ];
        self.send(|| self.client.post(&url).form(&form)).await.map(drop)
    }

    /// Calls an action of EC2, whose requests the sandbox takes without a signature.
    async fn ec2(&self, action: &str, id: &str) -> Result<String, CallError> {
        let url = format!("{}/ec2", self.url);
        let form = [("Action", action), ("Version", "2016-11-15"), ("InstanceId.1", id)];
        Ok(self.send(|| self.client.post(&url).form(&form)).await?.text().await?)
    }

    /// Sends a request until it succeeds. Waits as long as the service says, longer each time,
    /// and up to a second more, so that requests that were refused together don't come back
    /// together.
    async fn send(&self, request: impl Fn() -> RequestBuilder) -> Result<Response, CallError> {
        let mut attempt = 1;
        loop {
            let wait = match request().send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) if attempt == MAX_ATTEMPTS || !is_worth_a_retry(answer.status()) => {
                    return Err(CallError::Status(answer.status()));
                }
                Ok(answer) => retry_after(&answer),
                Err(error) if attempt == MAX_ATTEMPTS => return Err(error.into()),
                Err(_) => DEFAULT_WAIT,
            };
            let jitter = Duration::from_secs(1).mul_f64(rand::random());
            tokio::time::sleep(wait * attempt + jitter).await;
            attempt += 1;
        }
    }
}

fn is_worth_a_retry(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn retry_after(answer: &Response) -> Duration {
    let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|it| it.to_str().ok());
    seconds.and_then(|it| it.parse().ok()).map_or(DEFAULT_WAIT, Duration::from_secs)
}
