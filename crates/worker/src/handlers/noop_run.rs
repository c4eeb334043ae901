//! `noop.run`: does nothing, so that only the path of a task to its handler and back is
//! measured.

use crate::handler::{AttemptContext, Handler, HandlerOutcome, new_outcome};
use async_trait::async_trait;
use contract::command::NoopRun;

/// Handler of `noop.run`.
pub struct NoopRunHandler;

#[async_trait]
impl Handler<NoopRun> for NoopRunHandler {
    async fn run(&self, _: NoopRun, _: &mut AttemptContext<'_>) -> HandlerOutcome {
        let outcome = new_outcome("noop", "There was nothing to do.");
        HandlerOutcome::Succeeded { outcome, follow_ups: Vec::new() }
    }
}
