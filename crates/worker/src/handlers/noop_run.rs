//! `noop.run`: does nothing, so that only the path of a task to its handler and back is
//! measured.

use crate::handler::{AttemptContext, Handler};
use async_trait::async_trait;
use contract::{api::Outcome, command::NoopRun};
use engine::store::{AttemptError, Success};

/// Handler of `noop.run`.
pub struct NoopRunHandler;

#[async_trait]
impl Handler<NoopRun> for NoopRunHandler {
    async fn run(&self, _: NoopRun, _: &mut AttemptContext<'_>) -> Result<Success, AttemptError> {
        Ok(Success::new(Outcome::new("noop", "There was nothing to do.")))
    }

    async fn reconcile(
        &self,
        command: NoopRun,
        context: &mut AttemptContext<'_>,
    ) -> Result<Success, AttemptError> {
        self.run(command, context).await
    }
}
