//! `noop.run`: nothing, so that what is left is the way there and back.

use crate::handler::{Answer, Call, Handler, outcome};
use async_trait::async_trait;
use contract::command::NoopRun;

pub struct Run;

#[async_trait]
impl Handler<NoopRun> for Run {
    async fn run(&self, _: NoopRun, _: &mut Call<'_>) -> Answer {
        let outcome = outcome("nothing", "Nothing was to be done.");
        Answer::Done { outcome, follow_ups: Vec::new() }
    }
}
