//! The answer of a channel's service, and what it means by the rules of the channel's file.

use super::ChannelClient;
use crate::connector::{
    error_for_status, is_outcome_unknown, parse_retry_after, read_body, unreadable_response,
};
use channels::{Rule, Scope, Step, StepEffect, Then};
use contract::api::{CooldownReason, Outcome};
use engine::store::AttemptError;
use minijinja::Value;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Maximum size of a response, in bytes.
const MAX_RESPONSE_BYTES: usize = 4 << 20;
/// Length of the beginning of a response that rules can read, in bytes.
const MAX_TEXT_BYTES: usize = 1_000;
/// Maximum length of a reason that a service gives, in characters.
const MAX_REASON_CHARS: usize = 300;
/// Cooldown where a rule says none.
const DEFAULT_COOLDOWN: Duration = Duration::from_secs(5);
/// Time after which refused credentials are tried again.
const CREDENTIALS_COOLDOWN: Duration = Duration::from_secs(300);
/// Longest cooldown.
const MAX_COOLDOWN: Duration = Duration::from_secs(3600);

/// An answer that was read.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    /// `Err` if the body is no JSON.
    body: Result<Json, NoJson>,
    text: String,
    size: usize,
}

/// The body is no JSON; its media type.
#[derive(Clone, Debug)]
struct NoJson(String);

/// What an answer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The step is done.
    Done,
    /// The service has the product already.
    Found,
}

impl Answer {
    /// Reads a response, up to 4 MiB.
    ///
    /// # Errors
    /// There is more, or not all of it arrives.
    pub async fn read(service: &str, response: reqwest::Response) -> Result<Self, AttemptError> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = read_body(service, response, MAX_RESPONSE_BYTES).await?;
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or("no type");
        let body = match bytes.is_empty() {
            true => Ok(Json::Null),
            false => serde_json::from_slice(&bytes).map_err(|_| NoJson(media_type.to_owned())),
        };
        let beginning = bytes.get(..MAX_TEXT_BYTES).unwrap_or(&bytes);
        Ok(Self {
            status,
            headers,
            body,
            text: String::from_utf8_lossy(beginning).into_owned(),
            size: bytes.len(),
        })
    }

    /// Returns the size of the body, in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Makes the answer visible to expressions.
    pub fn add_to(&self, scope: &mut Scope) {
        let headers: BTreeMap<_, _> = self
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        let answer = self.body.as_ref().unwrap_or(&Json::Null);
        scope.set_response(self.status, &headers, answer, &self.text);
    }

    /// Whether the service refuses the credentials: by a rule, or else by its status.
    pub fn refuses_credentials(&self, client: &ChannelClient, step: &Step, scope: &Scope) -> bool {
        let mut scope = scope.clone();
        self.add_to(&mut scope);
        match find_rule(client, Some(step), &scope.variables()) {
            Some(rule) => rule.then == Then::Credentials,
            None => self.status == 401,
        }
    }

    /// Returns the error of an answer to a login that gives no token: whatever the status, the
    /// credentials are refused ([RFC 6749, section
    /// 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) has 400).
    pub fn login_refused(&self, client: &ChannelClient) -> AttemptError {
        credentials_refused(client, &self.reason(client), CREDENTIALS_COOLDOWN)
    }

    /// Decides by the rules of the file, and then by the status, what the answer means.
    /// Saves what a rule saves.
    ///
    /// # Errors
    /// The step is not done.
    pub fn judge(
        &self,
        client: &ChannelClient,
        step: Option<&Step>,
        scope: &mut Scope,
    ) -> Result<Verdict, AttemptError> {
        self.add_to(scope);
        let variables = scope.variables();
        match find_rule(client, step, &variables) {
            Some(rule) => self
                .apply(client, rule, scope, &variables)
                .map_err(|error| self.keep_open(step, error)),
            None => self.judge_by_status(client, step),
        }
    }

    fn judge_by_status(
        &self,
        client: &ChannelClient,
        step: Option<&Step>,
    ) -> Result<Verdict, AttemptError> {
        let name = client.name();
        match (self.status, &self.body) {
            (200..=299, Ok(_)) => Ok(Verdict::Done),
            (200..=299, Err(NoJson(media_type))) => {
                let message = format!(
                    "{name} answered with {media_type} instead of JSON: check `base_url` in its \
                     file."
                );
                Err(match step.map(|step| step.effect) {
                    None | Some(StepEffect::None) => AttemptError::retry("no_json", message),
                    Some(_) => AttemptError::retry_outcome_unknown("no_json", message),
                })
            }
            (300..=399, _) => {
                let message = format!(
                    "{name} redirects to another address ({}), which is not followed: check \
                     `base_url` in its file.",
                    self.status
                );
                Err(match step.map(|step| step.effect) {
                    None | Some(StepEffect::None) => AttemptError::failed("redirect", message),
                    // A form that was accepted may be answered so.
                    Some(_) => AttemptError::retry_outcome_unknown("redirect", message),
                })
            }
            (401 | 403, _) => {
                let reason = self.reason(client);
                Err(credentials_refused(client, &reason, CREDENTIALS_COOLDOWN))
            }
            (422, _) => {
                let message = format!("{name} rejected it: {}", self.reason(client));
                Err(AttemptError::rejected("rejected", message))
            }
            _ => Err(error_for_status(name, self.status, &self.headers, &self.reason(client))),
        }
    }

    fn apply(
        &self,
        client: &ChannelClient,
        rule: &Rule,
        scope: &mut Scope,
        variables: &Value,
    ) -> Result<Verdict, AttemptError> {
        let name = client.name();
        for (saved, expression) in &rule.save {
            match expression.evaluate(variables) {
                Ok(value) => scope.set(saved, value),
                Err(_) => return Err(unreadable_response(name)),
            }
        }
        let public = scope.public_variables(&client.channel.settings);
        let rendered = rule.reason.as_ref().and_then(|reason| reason.render(&public).ok());
        let reason = rendered.map_or_else(|| self.reason(client), |text| shorten(client, &text));
        let wait = rule.wait.as_ref().and_then(|wait| wait.evaluate(variables).ok());
        let wait = wait
            .and_then(|wait| f64::try_from(wait).ok())
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .map(|seconds| Duration::from_secs_f64(seconds.min(MAX_COOLDOWN.as_secs_f64())));
        let retry_after = || parse_retry_after(&self.headers, SystemTime::now());
        match rule.then {
            Then::Ok => Ok(Verdict::Done),
            Then::Found => Ok(Verdict::Found),
            Then::Rejected => {
                let message = format!("{name} rejected it: {reason}");
                Err(AttemptError::rejected("rejected", message))
            }
            Then::Failed => {
                Err(AttemptError::failed("refused", format!("{name} refused it: {reason}")))
            }
            Then::Retry => {
                let message = format!("{name} could not do it now: {reason}");
                Err(AttemptError::retry("retry", message))
            }
            Then::OutcomeUnknown => {
                let message = format!("{name} could not say whether it is done: {reason}");
                Err(AttemptError::retry_outcome_unknown("outcome_unknown", message))
            }
            Then::Cooldown => {
                let wait = wait.or_else(retry_after).unwrap_or(DEFAULT_COOLDOWN);
                let message = format!("{name} is busy and asked us to wait.");
                let outcome = Outcome::new("throttled", message);
                Err(AttemptError::cooldown(outcome, CooldownReason::Throttled, wait))
            }
            Then::Credentials => {
                let wait = wait.unwrap_or(CREDENTIALS_COOLDOWN);
                Err(credentials_refused(client, &reason, wait))
            }
            Then::NeedsReview => {
                Err(AttemptError::NeedsReview(Outcome::new("needs_review", reason)))
            }
        }
    }

    /// Marks the outcome of a step with an effect as unknown if the answer is a gateway's, which
    /// does not know what the service behind it did.
    fn keep_open(&self, step: Option<&Step>, error: AttemptError) -> AttemptError {
        let reads = step.is_none_or(|step| step.effect == StepEffect::None);
        match error {
            error if reads || !is_outcome_unknown(self.status) => error,
            AttemptError::Failed(outcome) | AttemptError::Rejected(outcome) => {
                AttemptError::Retry { outcome, outcome_unknown: true }
            }
            error => error.after_effect(),
        }
    }

    /// Returns what the service says about an error, in its own words.
    fn reason(&self, client: &ChannelClient) -> String {
        let text = |path: &str| {
            let value = self.body.as_ref().ok()?.pointer(path)?;
            value.as_str().filter(|text| !text.trim().is_empty())
        };
        let paths = [
            "/reason",
            "/message",
            "/error/message",
            "/errors/0/message",
            "/detail",
            "/error_description",
            "/error",
            "/errors",
            "/title",
        ];
        match paths.into_iter().find_map(text) {
            Some(text) => shorten(client, text),
            None => format!("it answered {} and gave no reason", self.status),
        }
    }
}

/// Returns the first rule that is about the answer in `variables`.
fn find_rule<'c>(
    client: &'c ChannelClient,
    step: Option<&Step>,
    variables: &Value,
) -> Option<&'c Rule> {
    let concerns = |rule: &&Rule| match (&rule.step, step) {
        (None, _) => true,
        (Some(name), Some(step)) => *name == step.name,
        (Some(_), None) => false,
    };
    // A rule about something that this answer doesn't have is not about it.
    let applies = |rule: &&Rule| rule.when.is_true(variables).unwrap_or(false);
    client.channel.rules.iter().filter(concerns).find(applies)
}

/// Returns a text of the service as people see it: short, and without secrets, which an
/// answer may repeat.
fn shorten(client: &ChannelClient, text: &str) -> String {
    let redacted = client.redact(text.trim());
    redacted.chars().take(MAX_REASON_CHARS).collect()
}

/// Returns the error for refused credentials: it fails no task, because the tasks are right.
fn credentials_refused(client: &ChannelClient, reason: &str, wait: Duration) -> AttemptError {
    let (name, id, reason) = (client.name(), &client.channel.id, reason.trim_end_matches('.'));
    let message = format!(
        "{name} refused the credentials: {reason}. An admin has to check them in {id}.toml; \
         `meanwhile channels check {id}` says whether they are right."
    );
    let outcome = Outcome::new("credentials_refused", message);
    AttemptError::cooldown(outcome, CooldownReason::CredentialsRefused, wait)
}
