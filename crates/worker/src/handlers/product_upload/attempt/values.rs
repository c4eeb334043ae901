//! The values of an attempt: what the file computes from the product and from answers.

use super::UploadAttempt;
use channels::{
    Step, StepEffect,
    template::{Expression, to_value},
};
use engine::store::AttemptError;
use minijinja::{Value, value::ValueKind};

/// Maximum number of items that one step is repeated for.
const MAX_ITEMS: usize = 250;

impl UploadAttempt<'_, '_> {
    /// Renders the documents that a step defines, which later steps use too.
    pub(super) fn define_values(&mut self, step: &Step) -> Result<(), AttemptError> {
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

    pub(super) fn items(&self, step: &Step, list: &Expression) -> Result<Vec<Value>, AttemptError> {
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

    pub(super) fn saved_values<'s>(
        &self,
        step: &'s Step,
    ) -> Result<Vec<(&'s str, Value)>, AttemptError> {
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

    pub(super) fn broken(&self, step: &Step, why: &str) -> AttemptError {
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

    pub(super) fn is_true(&self, expression: &Expression) -> Result<bool, AttemptError> {
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
}
