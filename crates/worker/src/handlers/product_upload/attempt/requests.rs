//! The requests of an attempt: permits, tokens, and bounds on their work.

use super::UploadAttempt;
use crate::connector::channel::{Answer, CurrentToken, Verdict};
use channels::{Step, StepEffect, template::Expression};
use contract::api::WaitReason;
use engine::{limiter::PaceReport, store::AttemptError};

/// Maximum number of requests of one attempt.
const MAX_REQUESTS: u32 = 300;
/// Number of requests after which an attempt that gets no permit in time counts as failed.
const MAX_FREE_REQUESTS: u32 = 10;
/// Maximum size of all answers of one attempt, in bytes.
const MAX_BYTES: usize = 32 << 20;

impl UploadAttempt<'_, '_> {
    pub(super) async fn request(&mut self, step: &Step) -> Result<Verdict, AttemptError> {
        let sent = self.send_with_token(step).await;
        let judged = match sent {
            Ok(answer) => {
                let judged = answer.judge(self.client, Some(step), &mut self.scope);
                if let Some(report) = self.pace_report() {
                    self.context.report_pace(report).await;
                }
                judged
            }
            Err(error) => Err(error),
        };
        match judged {
            Ok(verdict) => {
                if step.effect == StepEffect::None {
                    self.answered_finds += 1;
                }
                Ok(verdict)
            }
            // A find has changed nothing, whatever became of it.
            Err(AttemptError::Retry { outcome, .. }) if step.effect == StepEffect::None => {
                Err(AttemptError::Retry { outcome, outcome_unknown: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the request of a step. A token that has been refused is fetched again, once:
    /// it may have been revoked, and the refused request has changed nothing.
    async fn send_with_token(&mut self, step: &Step) -> Result<Answer, AttemptError> {
        let mut was_repeated = false;
        loop {
            let token = match self.client.current_token() {
                CurrentToken::NotNeeded => None,
                CurrentToken::Available(token) => Some(token),
                CurrentToken::Missing => {
                    self.acquire().await?;
                    self.client.fetch_token().await?;
                    continue;
                }
            };
            self.acquire().await?;
            let token = token.as_deref();
            let answer = self.client.send(step, &self.scope, &self.key, token).await?;
            self.bytes_read += answer.size();
            if self.bytes_read > MAX_BYTES {
                return Err(self.broken(step, "the answers have more than 32 MiB"));
            }
            let is_refused = answer.refuses_credentials(self.client, step, &self.scope);
            match token {
                Some(token) if is_refused && !was_repeated => self.client.forget_token(token),
                _ => return Ok(answer),
            }
            was_repeated = true;
        }
    }

    /// Returns what the last answer says about the service's limit, where the file reads it
    /// and the answer has it.
    fn pace_report(&self) -> Option<PaceReport> {
        let pace = &self.client.channel.pace;
        let variables = self.scope.variables();
        let number = |expression: &Expression| {
            let value = expression.evaluate(&variables).ok()?;
            match value.as_str() {
                Some(text) => text.trim().parse().ok(),
                None => f64::try_from(value).ok(),
            }
        };
        Some(PaceReport {
            left: number(pace.left.as_ref()?)?,
            refill: number(pace.refill.as_ref()?)?,
            cost: pace.cost.as_ref().map_or(Some(1.0), number)?,
        })
    }

    async fn acquire(&mut self) -> Result<(), AttemptError> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            let message = format!(
                "It takes more than {MAX_REQUESTS} requests at {}. Split the product.",
                self.client.name()
            );
            return Err(AttemptError::failed("too_many_requests", message));
        }
        match self.context.acquire_rate_permit().await {
            // It would begin again for ever, at no cost.
            Err(AttemptError::NoRatePermit { reason: WaitReason::RateLimit, .. })
                if self.requests > MAX_FREE_REQUESTS =>
            {
                let message = format!(
                    "It takes more requests at {} than fit into one attempt: {} were not enough. \
                     Raise the channel's rate or MEANWHILE_LEASE_S.",
                    self.client.name(),
                    self.requests - 1
                );
                Err(AttemptError::retry("too_slow", message))
            }
            acquired => acquired,
        }
    }
}
