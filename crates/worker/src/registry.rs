//! Which commands are consumed. Adding one is a handler's file and a line
//! where the registry is made.

use crate::handler::{Answer, Call, Handler, outcome};
use async_trait::async_trait;
use contract::command::{Command, queue_name};
use engine::{
    gate::{Gates, Limits},
    relay::Queue,
};
use std::{collections::HashMap, marker::PhantomData, sync::Arc};

/// A handler whose command type is erased.
#[async_trait]
pub(crate) trait AnyHandler: Send + Sync {
    async fn run(&self, call: &mut Call<'_>) -> Answer;
}

struct Typed<C, H>(H, PhantomData<fn(C)>);

#[async_trait]
impl<C: Command, H: Handler<C>> AnyHandler for Typed<C, H> {
    async fn run(&self, call: &mut Call<'_>) -> Answer {
        match serde_json::from_value(call.task.body.clone()) {
            Ok(command) => self.0.run(command, call).await,
            Err(error) => Answer::Failed(outcome(
                "unreadable",
                format!("The command's body can't be read: {error}."),
            )),
        }
    }
}

/// One queue with its handler, and the account whose gate its calls pass.
pub(crate) struct Consumer {
    pub queue: Queue,
    pub account: Option<String>,
    pub handler: Arc<dyn AnyHandler>,
}

/// The commands that a worker consumes.
#[derive(Default)]
pub struct Registry {
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) accounts: HashMap<String, Limits>,
}

impl Registry {
    /// Consumes `C`. `part` names one of several queues (a channel);
    /// `account` is the gate that its calls pass.
    #[must_use]
    pub fn on<C: Command>(
        mut self,
        part: Option<&str>,
        account: &str,
        limits: Limits,
        handler: impl Handler<C>,
    ) -> Self {
        let rate = Some(limits.rate);
        self.add::<C>(part, Some(account.into()), limits.concurrency, rate, handler);
        self.accounts.insert(account.into(), limits);
        self
    }

    /// Consumes `C`, which calls nobody: no gate is passed, and `slots` of
    /// each worker run at once.
    #[must_use]
    pub fn on_ungated<C: Command>(mut self, slots: u16, handler: impl Handler<C>) -> Self {
        self.add::<C>(None, None, slots, None, handler);
        self
    }

    fn add<C: Command>(
        &mut self,
        part: Option<&str>,
        account: Option<String>,
        concurrency: u16,
        rate: Option<f64>,
        handler: impl Handler<C>,
    ) {
        self.consumers.push(Consumer {
            queue: Queue { name: queue_name(C::KIND, part, C::VERSION), concurrency, rate },
            account,
            handler: Arc::new(Typed(handler, PhantomData)),
        });
    }

    /// Makes the accounts known to the gates of this process.
    pub fn open(&self, gates: &Gates) {
        for (account, limits) in &self.accounts {
            gates.add(account, limits.clone());
        }
    }

    /// The queues, for the relay and the reaper.
    pub fn queues(&self) -> Vec<Queue> {
        self.consumers.iter().map(|consumer| consumer.queue.clone()).collect()
    }
}
