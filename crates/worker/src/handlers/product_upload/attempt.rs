//! One run of the steps of a channel's file.

use crate::{
    connector::{
        channel::{Answer, ChannelClient, CurrentToken, Verdict},
        unreadable_response,
    },
    handler::AttemptContext,
};
use channels::{
    Scope, Step, StepEffect, ValueSource,
    template::{Expression, to_value},
};
use contract::{api::WaitReason, product::Product, state::Effect};
use engine::{limiter::PaceReport, store::AttemptError};
use minijinja::{Value, value::ValueKind};
use std::collections::BTreeMap;

/// Maximum number of requests of one attempt.
const MAX_REQUESTS: u32 = 300;
/// Number of requests after which an attempt that gets no permit in time counts as failed.
const MAX_FREE_REQUESTS: u32 = 10;
/// Maximum size of all answers of one attempt, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// Maximum number of items that one step is repeated for.
const MAX_ITEMS: usize = 250;

/// What a run of the steps has done.
pub enum Progress {
    /// The service said what this upload did.
    Effect(Effect),
    /// The service had the product as it is to be.
    NothingToDo,
}

/// How far the steps run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    End,
    /// The first step that would change something.
    FirstEffect,
}

/// One attempt: the variables of its upload, and what it has done so far.
pub struct UploadAttempt<'a, 'b> {
    client: &'a ChannelClient,
    pub context: &'a mut AttemptContext<'b>,
    scope: Scope,
    /// Idempotency key: the id of the task, the same for every attempt.
    key: String,
    requests: u32,
    bytes_read: usize,
    /// Number of steps without an effect that were answered.
    answered_finds: u32,
    existed_before: bool,
    /// Whether the outcome of earlier attempts is known by now: they had no effect.
    is_clarified: bool,
    changed: Option<Effect>,
    /// Whether each step that was to change something had an idempotency key.
    all_keyed: bool,
}

impl<'a, 'b> UploadAttempt<'a, 'b> {
    pub fn new(
        client: &'a ChannelClient,
        product: &Product,
        context: &'a mut AttemptContext<'b>,
    ) -> Self {
        let channel = &client.channel;
        let names = channel.saved_names.iter().map(String::as_str);
        let mut scope = Scope::new(product, &channel.settings, names);
        let key = context.task.id.to_string();
        scope.set("key", Value::from(key.as_str()));
        scope.set("outcome_unknown", Value::from(context.task.outcome_unknown()));
        scope.set("accepted_at", Value::from(accepted_at_ms(context)));
        Self {
            client,
            context,
            scope,
            key,
            requests: 0,
            bytes_read: 0,
            answered_finds: 0,
            existed_before: false,
            is_clarified: false,
            changed: None,
            all_keyed: true,
        }
    }

    /// Runs all steps.
    ///
    /// # Errors
    /// The channel has not got the product as it is to be, or may not have.
    pub async fn run(&mut self) -> Result<Progress, AttemptError> {
        self.run_to_the_end().await.map_err(|error| self.conclude(error))
    }

    async fn run_to_the_end(&mut self) -> Result<Progress, AttemptError> {
        if self.run_steps(Until::End).await? == Verdict::Found {
            // The service has it, although no find said so.
            self.scope.set("known", Value::from(true));
            if self.run_steps(Until::End).await? == Verdict::Found {
                // It may be the product of an earlier call, which no find shows yet.
                self.is_clarified = false;
                let message = format!(
                    "{} says that it has this product, and does not find it.",
                    self.client.name()
                );
                return Err(AttemptError::retry("duplicate", message));
            }
        }
        Ok(match self.changed {
            None => Progress::NothingToDo,
            // Without a key, the call of an earlier attempt may have changed it.
            Some(Effect::Unchanged) if !self.all_keyed => Progress::NothingToDo,
            Some(effect) => Progress::Effect(effect),
        })
    }

    /// Runs the steps that change nothing, up to the first one that would. Returns whether
    /// there is none; `None` if no step could find out anything.
    ///
    /// # Errors
    /// The finds give no answer.
    pub async fn find_out_whether_done(&mut self) -> Result<Option<bool>, AttemptError> {
        self.scope.set("reconciling", Value::from(true));
        let verdict = self.run_steps(Until::FirstEffect).await;
        let is_done = verdict.map_err(|error| self.conclude(error))? == Verdict::Done;
        Ok((self.answered_finds > 0).then_some(is_done))
    }

    /// Returns [`Verdict::Done`] if all steps have run, else [`Verdict::Found`]: the service
    /// has the product already, or the next step would change something.
    async fn run_steps(&mut self, until: Until) -> Result<Verdict, AttemptError> {
        let client = self.client;
        for step in &client.channel.steps {
            self.define_values(step)?;
            if let Some(when) = &step.when
                && !self.is_true(when)?
            {
                continue;
            }
            let items = match &step.for_each {
                None => None,
                Some(list) => Some(self.items(step, list)?),
            };
            // A step for no items has no effect.
            let changes = step.effect != StepEffect::None
                && items.as_ref().is_none_or(|items| !items.is_empty());
            if changes && until == Until::FirstEffect {
                return Ok(Verdict::Found);
            }
            if changes {
                self.prepare_effect(step)?;
            }
            let verdict = match items {
                None => self.run_step(step).await?,
                Some(items) => self.run_step_for_each(step, items).await?,
            };
            if verdict == Verdict::Found {
                return Ok(Verdict::Found);
            }
        }
        Ok(Verdict::Done)
    }

    /// Renders the documents that a step defines, which later steps use too.
    fn define_values(&mut self, step: &Step) -> Result<(), AttemptError> {
        for (name, template) in &step.define {
            let rendered = template
                .render(&self.scope.variables())
                .map_err(|error| self.client.template_error(&error))?;
            let json: serde_json::Value = serde_json::from_str(&rendered)
                .map_err(|_| self.broken(step, &format!("`{name}` is no JSON")))?;
            self.scope.set(name, to_value(&json));
        }
        Ok(())
    }

    /// Waits before something is created anew that an earlier call may still create, and
    /// remembers whether the product was there before the first change.
    fn prepare_effect(&mut self, step: &Step) -> Result<(), AttemptError> {
        if self.changed.is_none() {
            self.existed_before = self.exists()?;
        }
        let is_keyless_create = step.effect == StepEffect::Create && step.key_header.is_none();
        if is_keyless_create {
            self.context.ensure_settled(self.client.settle_time())?;
        }
        // The finds said that the product is not there, and no earlier call is on its way.
        self.is_clarified = is_keyless_create && self.answered_finds > 0 && !self.existed_before;
        Ok(())
    }

    fn record_effect(&mut self, step: &Step) -> Result<(), AttemptError> {
        if step.effect == StepEffect::None {
            return Ok(());
        }
        let said = match &step.result {
            None => None,
            Some(result) => {
                let value = result.evaluate(&self.scope.variables()).ok();
                match value.as_ref().and_then(|value| value.as_str()).map(str::parse) {
                    Some(Ok(effect)) => Some(effect),
                    _ => return Err(unreadable_response(self.client.name())),
                }
            }
        };
        let default = if self.existed_before { Effect::Updated } else { Effect::Created };
        let effect = said.unwrap_or(default);
        self.all_keyed &= step.key_header.is_some();
        // A product that was created and then left as it is was created.
        self.changed = match self.changed {
            Some(before) if strength(before) >= strength(effect) => Some(before),
            _ => Some(effect),
        };
        Ok(())
    }

    fn items(&self, step: &Step, list: &ValueSource) -> Result<Vec<Value>, AttemptError> {
        let value = list
            .evaluate(&self.scope.variables())
            .map_err(|error| self.broken(step, &error.message))?;
        let items = match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => value.try_iter().ok(),
            _ => None,
        };
        let Some(items) = items else { return Err(self.broken(step, "`for_each` is no list")) };
        let items: Vec<_> = items.take(MAX_ITEMS + 1).collect();
        if items.len() > MAX_ITEMS {
            return Err(self.broken(step, "`for_each` has more than 250 items"));
        }
        Ok(items)
    }

    async fn run_step(&mut self, step: &Step) -> Result<Verdict, AttemptError> {
        let verdict = self.request(step).await?;
        if verdict == Verdict::Done {
            for (name, value) in self.saved_values(step)? {
                self.scope.set(name, value);
            }
            self.record_effect(step)?;
        }
        Ok(verdict)
    }

    async fn run_step_for_each(
        &mut self,
        step: &Step,
        items: Vec<Value>,
    ) -> Result<Verdict, AttemptError> {
        let mut lists: BTreeMap<&str, Vec<Value>> =
            step.save.keys().map(|name| (name.as_str(), Vec::new())).collect();
        for (index, item) in items.into_iter().enumerate() {
            self.scope.set("item", item);
            self.scope.set("index", Value::from(index));
            if self.request(step).await? == Verdict::Found {
                return Ok(Verdict::Found);
            }
            for (name, value) in self.saved_values(step)? {
                lists.entry(name).or_default().push(value);
            }
            self.record_effect(step)?;
        }
        for (name, list) in lists {
            self.scope.set(name, Value::from(list));
        }
        Ok(Verdict::Done)
    }

    fn saved_values<'s>(&self, step: &'s Step) -> Result<Vec<(&'s str, Value)>, AttemptError> {
        let mut values = Vec::with_capacity(step.save.len());
        for (name, expression) in &step.save {
            let value = expression.evaluate(&self.scope.variables()).map_err(|error| {
                let message = format!(
                    "{}'s answer is not as its file expects it (step {}, {name}): {error}.",
                    self.client.name(),
                    step.name
                );
                match step.effect {
                    StepEffect::None => AttemptError::retry("unexpected_answer", message),
                    _ => AttemptError::retry_outcome_unknown("unexpected_answer", message),
                }
            })?;
            values.push((name.as_str(), value));
        }
        Ok(values)
    }

    async fn request(&mut self, step: &Step) -> Result<Verdict, AttemptError> {
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

    /// Adds to the error that ends the attempt what it has done before: after a change, the
    /// product may be there in part; without one, an outcome that was unknown stays so unless
    /// the finds have clarified it.
    fn conclude(&self, error: AttemptError) -> AttemptError {
        if self.changed.is_some() {
            return in_part(error);
        }
        if self.is_clarified { error } else { self.context.keep_unknown(error) }
    }

    fn broken(&self, step: &Step, why: &str) -> AttemptError {
        let message = format!(
            "The file of the channel {} can't express this product (step {}): {why}.",
            self.client.name(),
            step.name
        );
        AttemptError::failed("channel_file", message)
    }

    fn evaluate(&self, expression: &Expression) -> Result<Value, AttemptError> {
        expression
            .evaluate(&self.scope.variables())
            .map_err(|error| self.client.template_error(&error))
    }

    fn is_true(&self, expression: &Expression) -> Result<bool, AttemptError> {
        Ok(self.evaluate(expression)?.is_true())
    }

    /// Whether the service has the product, as far as the finds say.
    pub fn exists(&self) -> Result<bool, AttemptError> {
        self.is_true(&self.client.channel.product.exists)
    }

    /// Returns the service's id of the product, if it is known.
    pub fn reference(&self) -> Option<String> {
        let value = self.evaluate(&self.client.channel.product.reference).ok()?;
        match value.kind() {
            ValueKind::String | ValueKind::Number => Some(self.client.redact(&value.to_string())),
            _ => None,
        }
    }

    /// Returns the time of the last change, UTC ms, if the service tells it.
    pub fn updated_at_ms(&self) -> Option<i64> {
        self.time(self.client.channel.product.updated_at.as_ref()?)
    }

    /// Returns the time at which the product was created, UTC ms, if the service tells it.
    pub fn created_at_ms(&self) -> Option<i64> {
        self.time(self.client.channel.product.created_at.as_ref()?)
    }

    fn time(&self, expression: &Expression) -> Option<i64> {
        let value = self.evaluate(expression).ok()?;
        match value.as_str() {
            Some(text) => channels::scope::parse_time_ms(text),
            None => i64::try_from(value).ok(),
        }
    }

    /// Whether a time of the service may be one after the acceptance of the task. Many services
    /// tell whole seconds.
    pub fn is_after_acceptance(&self, at_ms: i64) -> bool {
        at_ms.saturating_add(999) >= accepted_at_ms(self.context)
    }
}

/// Returns an error of an attempt that has changed something: a person decides where no other
/// attempt will complete it.
fn in_part(error: AttemptError) -> AttemptError {
    match error {
        AttemptError::Rejected(mut outcome) | AttemptError::Failed(mut outcome) => {
            outcome.message.push_str(" Part of it was stored before.");
            AttemptError::NeedsReview(outcome)
        }
        other => other.after_effect(),
    }
}

/// Orders effects by what they say of the whole upload.
const fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Unchanged => 0,
        Effect::Updated => 1,
        Effect::Created => 2,
    }
}

/// Returns when the task was accepted, UTC ms: its id says so.
fn accepted_at_ms(context: &AttemptContext<'_>) -> i64 {
    let timestamp = context.task.id.0.get_timestamp().map(|timestamp| timestamp.to_unix());
    let ms = timestamp.map(|(seconds, nanos)| seconds * 1_000 + u64::from(nanos) / 1_000_000);
    ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0)
}
