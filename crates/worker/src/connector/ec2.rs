//! EC2 and CloudWatch as handlers call them: the client of the crate `aws`, with its errors as
//! results of attempts.

mod alarm_config;
pub mod machine_source;
pub mod machine_watcher;
mod throttle_backoff;

pub use alarm_config::AlarmConfig;

use super::{CERTIFICATE_COOLDOWN, traced};
use aws::ec2::{LaunchTemplatePage, Machine, MachineLaunch, MachinePage};
use contract::api::{CooldownReason, Outcome};
use engine::{store::AttemptError, trace::Span};
use std::{sync::Arc, time::Duration};
use throttle_backoff::ThrottleBackoff;

/// Time for which an account whose credentials are not accepted is left alone. What a person
/// does about it takes effect by itself at the next call after that.
const CREDENTIALS_COOLDOWN: Duration = Duration::from_secs(30);

/// Names of the services in spans.
const EC2: &str = "ec2";
const CLOUDWATCH: &str = "cloudwatch";

/// Client of EC2 and CloudWatch of one account in one region; cheap to clone.
#[derive(Clone)]
pub struct Ec2Client {
    client: aws::Client,
    /// AWS limits each action for itself.
    describe_throttling: Arc<ThrottleBackoff>,
    start_throttling: Arc<ThrottleBackoff>,
    stop_throttling: Arc<ThrottleBackoff>,
    launch_throttling: Arc<ThrottleBackoff>,
    cloudwatch_throttling: Arc<ThrottleBackoff>,
}

impl Ec2Client {
    /// Creates a client with its own back-off from throttling.
    pub fn new(client: aws::Client) -> Self {
        Self {
            client,
            describe_throttling: Arc::default(),
            start_throttling: Arc::default(),
            stop_throttling: Arc::default(),
            launch_throttling: Arc::default(),
            cloudwatch_throttling: Arc::default(),
        }
    }

    /// Returns the name of the account in the configuration.
    pub fn account(&self) -> &str {
        self.client.account()
    }

    /// Returns the region.
    pub fn region(&self) -> &str {
        self.client.region()
    }

    /// Returns what is wrong with the credentials of the account, in words, if a call of this
    /// process has failed because of them.
    pub fn credentials_fault(&self) -> Option<String> {
        self.client.credentials_fault().map(|error| error.to_string())
    }

    fn begin_call(&self, service: &str, action: &str) -> Call {
        let span = traced::start_call(service, action);
        Call { client: self.client.with_traceparent(span.context.to_string()), span }
    }

    /// Starts a machine; starting a running one changes nothing.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn start_instance(&self, instance_id: &str) -> Result<(), AttemptError> {
        let call = self.begin_call(EC2, "StartInstances");
        let started = call.client.start_machine(instance_id).await;
        call.end(started, &self.start_throttling)
    }

    /// Stops a machine; stopping a stopped one changes nothing.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn stop_instance(&self, instance_id: &str) -> Result<(), AttemptError> {
        let call = self.begin_call(EC2, "StopInstances");
        let stopped = call.client.stop_machine(instance_id).await;
        call.end(stopped, &self.stop_throttling)
    }

    /// Launches a machine, and returns it; the same launch has one effect.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn launch_machine(
        &self,
        launch: &MachineLaunch<'_>,
    ) -> Result<Machine, AttemptError> {
        let call = self.begin_call(EC2, "RunInstances");
        let launched = call.client.launch_machine(launch).await;
        call.end(launched, &self.launch_throttling)
    }

    /// Returns the machine that was launched with a client token.
    ///
    /// # Errors
    /// The machine can't be described.
    pub async fn find_launched_machine(
        &self,
        client_token: &str,
    ) -> Result<Option<Machine>, AttemptError> {
        let call = self.begin_call(EC2, "DescribeInstances");
        let found = call.client.find_launched_machine(client_token).await;
        call.end(found, &self.describe_throttling)
    }

    /// Describes the launch templates: one page, which begins at `next_token`.
    ///
    /// # Errors
    /// The templates can't be described.
    pub async fn describe_templates_page(
        &self,
        next_token: Option<&str>,
    ) -> Result<LaunchTemplatePage, AttemptError> {
        let call = self.begin_call(EC2, "DescribeLaunchTemplates");
        let described = call.client.describe_launch_templates(next_token).await;
        call.end(described, &self.describe_throttling)
    }

    /// Describes those of the machines `ids` that exist, or all machines if `ids` is empty: one
    /// page, which begins at `next_token`.
    ///
    /// # Errors
    /// The machines can't be described.
    pub async fn describe_page(
        &self,
        ids: &[&str],
        next_token: Option<&str>,
    ) -> Result<MachinePage, AttemptError> {
        let call = self.begin_call(EC2, "DescribeInstances");
        let described = call.client.describe_machines(ids, next_token).await;
        call.end(described, &self.describe_throttling)
    }

    /// Creates the alarm of a machine; creating it again changes nothing.
    ///
    /// # Errors
    /// CloudWatch did not create the alarm.
    pub async fn put_alarm(
        &self,
        config: &AlarmConfig,
        alarm_name: &str,
        machine_id: &str,
    ) -> Result<(), AttemptError> {
        let call = self.begin_call(CLOUDWATCH, "PutMetricAlarm");
        let created = call.client.put_machine_alarm(&config.alarm(alarm_name, machine_id)).await;
        call.end(created, &self.cloudwatch_throttling)
    }

    /// Returns whether there is an alarm with this name.
    ///
    /// # Errors
    /// The alarms can't be described.
    pub async fn has_alarm(&self, name: &str) -> Result<bool, AttemptError> {
        let call = self.begin_call(CLOUDWATCH, "DescribeAlarms");
        let found = call.client.has_alarm(name).await;
        call.end(found, &self.cloudwatch_throttling)
    }
}

/// A call that is a span of the attempt.
struct Call {
    client: aws::Client,
    span: Span,
}

impl Call {
    /// Ends the span, and returns the result of the call as that of an attempt.
    fn end<T>(
        mut self,
        result: Result<T, aws::Error>,
        throttling: &ThrottleBackoff,
    ) -> Result<T, AttemptError> {
        if let Err(error) = &result {
            self.span.fail(|| error.code().to_owned());
        }
        self.span.end();
        result.map_err(|error| attempt_error(error, throttling))
    }
}

/// Returns the result of an attempt whose call failed. Credentials that are not accepted cost
/// no attempt: nothing is wrong with the task.
fn attempt_error(error: aws::Error, throttling: &ThrottleBackoff) -> AttemptError {
    let outcome = Outcome::new(error.code(), error.to_string());
    match error {
        aws::Error::Throttled { .. } => {
            let wait = throttling.next_wait();
            AttemptError::cooldown(outcome, CooldownReason::Throttled, wait)
        }
        aws::Error::Credentials { .. } => AttemptError::cooldown(
            outcome,
            CooldownReason::CredentialsRefused,
            CREDENTIALS_COOLDOWN,
        ),
        aws::Error::Certificate { .. } => AttemptError::cooldown(
            outcome,
            CooldownReason::CertificateRefused,
            CERTIFICATE_COOLDOWN,
        ),
        aws::Error::Temporary { outcome_unknown, .. } => {
            AttemptError::Retry { outcome, outcome_unknown }
        }
        aws::Error::NotFound { .. } => AttemptError::Retry { outcome, outcome_unknown: false },
        aws::Error::PermissionMissing { .. }
        | aws::Error::QuotaReached { .. }
        | aws::Error::Rejected { .. } => AttemptError::Failed(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> (String, String) {
        ("Code".into(), "Words.".into())
    }

    #[test]
    fn each_error_of_aws_leads_to_its_result_of_the_attempt() {
        let throttling = ThrottleBackoff::default();
        let (code, message) = words();
        let throttled = aws::Error::Throttled { code: code.clone(), message: message.clone() };
        let credentials = aws::Error::Credentials { code: code.clone(), message: message.clone() };
        let certificate = aws::Error::Certificate { code: code.clone(), message: message.clone() };
        let not_found = aws::Error::NotFound { code: code.clone(), message: message.clone() };
        let quota = aws::Error::QuotaReached { code: code.clone(), message: message.clone() };
        let temporary =
            aws::Error::Temporary { code: code.clone(), message, outcome_unknown: true };
        for (error, expected) in [
            (throttled, "throttled"),
            (credentials, "credentials"),
            (certificate, "certificate_refused"),
            (not_found, "retry"),
            (quota, "failed"),
            (temporary, "outcome unknown"),
        ] {
            let result = attempt_error(error, &throttling);
            let name = match &result {
                AttemptError::Cooldown { reason: CooldownReason::CredentialsRefused, .. } => {
                    "credentials"
                }
                AttemptError::Cooldown { reason, .. } => reason.as_str(),
                AttemptError::Retry { outcome_unknown: true, .. } => "outcome unknown",
                AttemptError::Retry { .. } => "retry",
                AttemptError::Failed(_) => "failed",
                _ => "other",
            };
            assert_eq!(name, expected, "{result:?}");
        }
    }
}
