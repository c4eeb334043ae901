//! The state machine, against what must always hold: random steps of people,
//! relay, workers, reaper, crashes and time on a real database, with every
//! invariant checked after every step.
//!
//! `PROPTEST_CASES=2000 cargo test -p engine --test store model` looks longer.

mod invariants;
mod machine;
mod snapshot;
mod step;

use crate::world::World;
use machine::Machine;
use proptest::test_runner::{Config, TestRunner};
use step::Step;

/// `fresh` makes a store in an empty database; `cases`, where
/// `PROPTEST_CASES` does not say.
fn holds(cases: u32, fresh: impl AsyncFn() -> World) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut config =
        Config { max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let tried = TestRunner::new(config).run(&step::case(), |steps: Vec<Step>| {
        runtime.block_on(async {
            let mut machine = Machine::new(fresh().await).await;
            for step in steps {
                machine.step(step).await;
            }
            machine.drain().await;
        });
        Ok(())
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
}

#[test]
fn holds_on_sqlite() {
    holds(60, World::sqlite_in_memory);
}

#[test]
fn holds_on_postgres() {
    let node = engine::testing::PostgresNode::start();
    holds(15, async || World::at(node.url()).await);
}
