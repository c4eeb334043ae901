//! Registry of the commands that a worker consumes. A new command takes a file for
//! its handler, and a line where the registry is built.

use crate::handler::{AttemptContext, Handler};
use async_trait::async_trait;
use contract::{
    api::Outcome,
    command::{Command, queue_name},
};
use engine::{
    limiter::{Limiters, UpstreamLimits},
    relay::QueueConfig,
    store::{AttemptError, Success},
};
use std::{
    collections::{BTreeMap, HashMap},
    marker::PhantomData,
    sync::Arc,
};

/// [`Handler`] without the type of its command.
#[async_trait]
pub(crate) trait ErasedHandler: Send + Sync {
    async fn run(&self, context: &mut AttemptContext<'_>) -> Result<Success, AttemptError>;
}

struct HandlerAdapter<C, H>(H, PhantomData<fn(C)>);

#[async_trait]
impl<C: Command, H: Handler<C>> ErasedHandler for HandlerAdapter<C, H> {
    async fn run(&self, context: &mut AttemptContext<'_>) -> Result<Success, AttemptError> {
        let command = serde_json::from_value(context.task.body.clone()).map_err(|error| {
            let message = format!("The command's body can't be read: {error}.");
            AttemptError::failed("unreadable_command", message)
        })?;
        let success = match context.task.only_reconcile {
            true => self.0.reconcile(command, context).await,
            false => self.0.run(command, context).await,
        }?;
        check_causes(C::KIND, H::MAY_CAUSE, &success)?;
        Ok(success)
    }
}

/// Refuses a success that causes what its handler does not declare: the catalogue, which is
/// generated, would not show it.
fn check_causes(kind: &str, may_cause: &[&str], success: &Success) -> Result<(), AttemptError> {
    let undeclared = success.follow_ups.iter().find(|task| !may_cause.contains(&task.kind));
    let Some(task) = undeclared else { return Ok(()) };
    tracing::error!(kind, cause = task.kind, "a handler causes what it does not declare");
    let message = format!(
        "It was done, but the next step was not started: {kind} does not declare that it may \
         cause {}.",
        task.kind
    );
    Err(AttemptError::NeedsReview(Outcome::new("undeclared_cause", message)))
}

/// Queue with its handler, and the upstream that limits its calls.
pub(crate) struct Registration {
    pub kind: &'static str,
    pub may_cause: &'static [&'static str],
    pub queue: QueueConfig,
    pub upstream: Option<String>,
    pub handler: Arc<dyn ErasedHandler>,
}

/// Commands that a worker consumes.
#[derive(Default)]
pub struct Registry {
    pub(crate) registrations: Vec<Registration>,
    pub(crate) upstream_limits: HashMap<String, UpstreamLimits>,
}

impl Registry {
    /// Registers the handler of `C`, whose calls share the rate limiter of `upstream`.
    /// `suffix` is that of the queue, for a command with several queues, such as a
    /// channel's id. It must be the one of [`Command::queue`], or nobody consumes what is
    /// published there.
    #[must_use]
    pub fn register<C: Command>(
        mut self,
        suffix: Option<&str>,
        upstream: &str,
        limits: UpstreamLimits,
        handler: impl Handler<C>,
    ) -> Self {
        let rate = Some(limits.rate);
        self.add_registration::<C, _>(
            suffix,
            Some(upstream.into()),
            limits.concurrency,
            rate,
            handler,
        );
        self.upstream_limits.insert(upstream.into(), limits);
        self
    }

    /// Registers an upstream that a registered handler calls too, with
    /// [`AttemptContext::acquire_rate_permit_of`].
    #[must_use]
    pub fn register_upstream(mut self, upstream: &str, limits: UpstreamLimits) -> Self {
        self.upstream_limits.insert(upstream.into(), limits);
        self
    }

    /// Registers the handler of `C`, which calls no upstream: no rate limiter applies,
    /// and each worker runs up to `concurrency` tasks at once.
    #[must_use]
    pub fn register_unlimited<C: Command>(
        mut self,
        concurrency: u16,
        handler: impl Handler<C>,
    ) -> Self {
        self.add_registration::<C, _>(None, None, concurrency, None, handler);
        self
    }

    fn add_registration<C: Command, H: Handler<C>>(
        &mut self,
        suffix: Option<&str>,
        upstream: Option<String>,
        concurrency: u16,
        rate: Option<f64>,
        handler: H,
    ) {
        self.registrations.push(Registration {
            kind: C::KIND,
            may_cause: H::MAY_CAUSE,
            queue: QueueConfig {
                name: queue_name(C::KIND, suffix, C::VERSION),
                upstream: upstream.clone(),
                concurrency,
                rate,
            },
            upstream,
            handler: Arc::new(HandlerAdapter(handler, PhantomData)),
        });
    }

    /// Adds the upstreams to the rate limiters of this process.
    pub fn register_upstreams(&self, limiters: &Limiters) {
        for (upstream, limits) in &self.upstream_limits {
            limiters.add_upstream(upstream, limits.clone());
        }
    }

    /// Returns each kind of command with the kinds of commands that it may cause.
    pub fn declared_causes(&self) -> BTreeMap<&'static str, &'static [&'static str]> {
        let declared = self.registrations.iter();
        declared.map(|registration| (registration.kind, registration.may_cause)).collect()
    }

    /// Returns the queues, for the relay and the reaper.
    pub fn queues(&self) -> Vec<QueueConfig> {
        self.registrations.iter().map(|registration| registration.queue.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::command::{AlarmCreate, Ec2Start};
    use engine::store::NewTask;

    #[test]
    fn a_success_causes_only_what_its_handler_declares() {
        let alarm = AlarmCreate { instance_id: "i-1".into(), ..AlarmCreate::default() };
        let follow_up = NewTask::new(&alarm, None, "i-1".into(), String::new(), 0).unwrap();
        let success = Success::new(Outcome::new("running", "It runs.")).with_follow_up(follow_up);
        let check = |may_cause| check_causes(Ec2Start::KIND, may_cause, &success);
        check(&["noop.run", AlarmCreate::KIND]).unwrap();
        for may_cause in [&[][..], &["noop.run"]] {
            match check(may_cause) {
                Err(AttemptError::NeedsReview(outcome)) => {
                    assert_eq!(outcome.code, "undeclared_cause");
                    assert!(outcome.message.contains("may cause alarm.create"), "{outcome:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
