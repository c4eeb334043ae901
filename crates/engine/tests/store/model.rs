//! Model test of the state machine: random steps of users, relay, workers, reaper,
//! pruner, crashes and time on a real database, with every invariant checked after
//! every step. Some jobs are large, so that what changes many tasks at once takes
//! several statements; after such a step all tasks are compared with the model's.
//!
//! `PROPTEST_CASES=2000 cargo test -p engine --test store model` runs more cases.

mod harness;
mod invariants;
mod snapshot;
mod step;

use crate::fixture::StoreFixture;
use harness::Harness;
use proptest::test_runner::{Config, TestRunner};
use step::Step;

/// Runs `cases` cases, or `PROPTEST_CASES` where it is set; `fresh` opens a store
/// in an empty database.
fn check_model(cases: u32, fresh: impl AsyncFn() -> StoreFixture) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut config =
        Config { max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let result = TestRunner::new(config).run(&step::step_sequence(), |steps: Vec<Step>| {
        runtime.block_on(async {
            let mut harness = Harness::new(fresh().await).await;
            for step in steps {
                harness.step(step).await;
            }
            harness.run_to_completion().await;
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn invariants_hold_on_sqlite() {
    check_model(60, StoreFixture::sqlite_in_memory);
}

#[test]
fn invariants_hold_on_postgres() {
    let node = testbed::PostgresNode::start();
    check_model(15, async || StoreFixture::at(node.create_database()).await);
}
