//! A newer task succeeds while an older one of the same key is claimed. A
//! transaction locks a row that the claim waits for, so that this happens between
//! two statements of the claim.

use crate::fixture::{QUEUE, StoreFixture, new_job, task};
use contract::{TaskId, state::TaskState};
use engine::store::{AttemptError, Claim, RETRY_BACKOFF_MS, RoundRobin};
use sea_orm::{ConnectionTrait, TransactionTrait};

impl StoreFixture {
    /// Returns an older and a newer task of one key.
    async fn twins(&self) -> [TaskId; 2] {
        let mut twins = Vec::new();
        for _ in 0..2 {
            let twin = new_job(self.user, vec![task("SKU", 0)]);
            let job = self.store.tasks.accept(twin).await.unwrap().job.id;
            twins.push(self.store.jobs.tasks(self.user, job, None, 1).await.unwrap()[0].id);
            self.clock.advance(1);
        }
        twins.try_into().unwrap()
    }

    /// Returns when a transaction waits for a lock; on SQLite, which has one lock,
    /// after 100 ms.
    pub async fn wait_for_blocked_transaction(&self) {
        if self.store.database.is_single_process() {
            return tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        while self.query_number("SELECT COUNT(*) AS n FROM pg_locks WHERE NOT granted").await == 0 {
        }
    }

    async fn assert_superseded(&self, claim: &Claim, older: TaskId) {
        assert!(matches!(claim, Claim::Superseded(_)), "{claim:?}");
        let detail = self.store.jobs.task(self.user, older).await.unwrap();
        assert_eq!(detail.task.state, TaskState::Cancelled);
    }
}

fn uuid_hex(task: TaskId) -> String {
    // PostgreSQL and SQLite literals both accept this form.
    task.0.simple().to_string()
}

fn id_condition(fixture: &StoreFixture, task: TaskId) -> String {
    let blob = fixture.store.database.is_single_process();
    if blob { format!("id = x'{}'", uuid_hex(task)) } else { format!("id = '{}'", uuid_hex(task)) }
}

pub async fn a_newer_success_during_a_claim_supersedes_the_older_task(fixture: StoreFixture) {
    let [older, newer] = fixture.twins().await;
    let raw = fixture.raw_connection().await;
    let end = raw.begin().await.unwrap();
    // The second statement keeps the claim waiting after it has looked for a success.
    for (set, task) in [("state = 'succeeded'", newer), ("updated_at = updated_at", older)] {
        let sql = format!("UPDATE tasks SET {set} WHERE {}", id_condition(&fixture, task));
        end.execute_unprepared(&sql).await.unwrap();
    }
    let (claim, ()) = tokio::join!(fixture.other_store.tasks.claim(older, 0, "b"), async {
        fixture.wait_for_blocked_transaction().await;
        end.commit().await.unwrap();
    });
    fixture.assert_superseded(&claim.unwrap(), older).await;
}

pub async fn a_superseded_task_that_may_have_had_an_effect_is_reconciled(fixture: StoreFixture) {
    let [older, newer] = fixture.twins().await;
    let sent = fixture.claim_next().await.unwrap();
    assert_eq!((sent.id, sent.only_reconcile), (older, false));
    let no_answer = AttemptError::retry_outcome_unknown("timeout", "No answer in time.");
    fixture.finish(&sent, Err(no_answer)).await;
    let claimed = fixture.claim_next().await.unwrap();
    assert_eq!(claimed.id, newer);
    fixture.succeed(&claimed).await;
    fixture.clock.advance(RETRY_BACKOFF_MS[0]);
    let again = fixture.claim_next().await.unwrap();
    assert_eq!((again.id, again.only_reconcile), (older, true));
    // It was not sent, so nothing is lost by cancelling it.
    fixture.finish(&again, Err(AttemptError::not_done("It is not there."))).await;
    let due = fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks;
    let claim = fixture.store.tasks.claim(due[0].task, due[0].fence, "w1").await.unwrap();
    fixture.assert_superseded(&claim, older).await;
    fixture.assert_consistent().await;
}

pub async fn a_newer_success_during_a_batch_claim_supersedes_the_older_task(fixture: StoreFixture) {
    let [older, newer] = fixture.twins().await;
    let lone = new_job(fixture.user, vec![task("lone", 0)]);
    let lone = fixture.store.tasks.accept(lone).await.unwrap().job.id;
    let lone = fixture.store.jobs.tasks(fixture.user, lone, None, 1).await.unwrap()[0].id;
    let raw = fixture.raw_connection().await;
    let end = raw.begin().await.unwrap();
    for (set, task) in [("state = 'succeeded'", newer), ("updated_at = updated_at", older)] {
        let sql = format!("UPDATE tasks SET {set} WHERE {}", id_condition(&fixture, task));
        end.execute_unprepared(&sql).await.unwrap();
    }
    let batch = [(older, 0), (lone, 0)];
    let (claims, ()) = tokio::join!(fixture.other_store.tasks.claim_batch(&batch, "b"), async {
        fixture.wait_for_blocked_transaction().await;
        end.commit().await.unwrap();
    });
    fixture.assert_superseded(claims[0].as_ref().unwrap(), older).await;
    assert!(matches!(claims[1], Ok(Claim::Claimed(_))), "{:?}", claims[1]);
}
