//! Registry of the commands that a worker consumes. A new command takes a file for
//! its handler, and a line where the registry is built.

use crate::handler::{AttemptContext, Handler};
use async_trait::async_trait;
use contract::command::{Command, queue_name};
use engine::{
    limiter::{Limiters, UpstreamLimits},
    relay::QueueConfig,
    store::{AttemptError, Success},
};
use std::{collections::HashMap, marker::PhantomData, sync::Arc};

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
        match context.task.only_reconcile {
            true => self.0.reconcile(command, context).await,
            false => self.0.run(command, context).await,
        }
    }
}

/// Queue with its handler, and the upstream that limits its calls.
pub(crate) struct Registration {
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
        self.add_registration::<C>(
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
        self.add_registration::<C>(None, None, concurrency, None, handler);
        self
    }

    fn add_registration<C: Command>(
        &mut self,
        suffix: Option<&str>,
        upstream: Option<String>,
        concurrency: u16,
        rate: Option<f64>,
        handler: impl Handler<C>,
    ) {
        self.registrations.push(Registration {
            queue: QueueConfig { name: queue_name(C::KIND, suffix, C::VERSION), concurrency, rate },
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

    /// Returns the queues, for the relay and the reaper.
    pub fn queues(&self) -> Vec<QueueConfig> {
        self.registrations.iter().map(|registration| registration.queue.clone()).collect()
    }
}
