//! One run of the steps of a channel's file.

mod requests;
mod values;

use crate::{
    connector::{
        channel::{ChannelClient, Verdict},
        unreadable_response,
    },
    handler::AttemptContext,
};
use channels::{Scope, Step, StepEffect};
use contract::{product::Product, state::Effect};
use engine::store::AttemptError;
use minijinja::Value;
use std::collections::BTreeMap;

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
    /// Idempotency key, the same for every attempt.
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
        let key = context.task.idempotency_key();
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
        let mut verdict = Verdict::Done;
        for (index, item) in items.into_iter().enumerate() {
            self.scope.set("item", item);
            self.scope.set("index", Value::from(index));
            verdict = self.request(step).await?;
            if verdict == Verdict::Found {
                break;
            }
            for (name, value) in self.saved_values(step)? {
                lists.entry(name).or_default().push(value);
            }
            self.record_effect(step)?;
        }
        for name in ["item", "index"] {
            self.scope.set(name, Value::from(()));
        }
        if verdict == Verdict::Done {
            for (name, list) in lists {
                self.scope.set(name, Value::from(list));
            }
        }
        Ok(verdict)
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
