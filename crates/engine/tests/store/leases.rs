//! Leases that are lost repeatedly.

use crate::fixture::{StoreFixture, new_upload_job};
use contract::state::TaskState;
use engine::store::{ClaimedTask, DEFAULT_LEASE_MS, MAX_LEASE_LOSSES, RETRY_BACKOFF_MS};

async fn run_after(fixture: &StoreFixture, row: u32) -> i64 {
    fixture.query_number(&format!("SELECT run_after AS n FROM tasks WHERE row_no = {row}")).await
}

async fn claim_all(fixture: &StoreFixture) -> Vec<ClaimedTask> {
    let mut claimed = Vec::new();
    while let Some(next) = fixture.claim_next().await {
        claimed.push(next);
    }
    claimed
}

pub async fn the_first_lost_lease_retries_at_once_and_later_ones_back_off(fixture: StoreFixture) {
    const TASKS: u32 = 12;
    fixture.store.tasks.accept(new_upload_job(fixture.user, TASKS)).await.unwrap();
    for losses in 1..MAX_LEASE_LOSSES {
        assert_eq!(claim_all(&fixture).await.len(), 12, "lost {} times", losses - 1);
        fixture.clock.advance(DEFAULT_LEASE_MS);
        let now = fixture.store.database.now_ms();
        fixture.store.tasks.reap_expired_leases(false).await.unwrap();
        let mut waits = Vec::new();
        for row in 0..TASKS {
            waits.push(run_after(&fixture, row).await - now);
        }
        let longest = usize::try_from(losses - 2).map_or(0, |step| RETRY_BACKOFF_MS[step]);
        assert!(waits.iter().all(|wait| (0..=longest).contains(wait)), "{losses}: {waits:?}");
        assert!(losses == 1 || waits.iter().any(|wait| *wait > longest / 4), "{losses}: {waits:?}");
        waits.sort_unstable();
        waits.dedup();
        assert!(losses == 1 || waits.len() > 6, "they retry together: {waits:?}");
        fixture.clock.advance(longest);
    }
    fixture.assert_consistent().await;
}

pub async fn a_task_that_kills_its_process_does_not_fail_its_neighbours(fixture: StoreFixture) {
    const TASKS: u32 = 8;
    /// Row of the task that kills its process.
    const POISON: u32 = 3;
    let job = fixture.store.tasks.accept(new_upload_job(fixture.user, TASKS)).await.unwrap().job.id;
    for losses in 0..MAX_LEASE_LOSSES {
        let kills = run_after(&fixture, POISON).await.max(fixture.store.database.now_ms());
        fixture.clock.advance(kills - fixture.store.database.now_ms());
        let mut finished = Vec::new();
        for row in 0..TASKS {
            // In the first round all are due at once.
            if losses > 0 && run_after(&fixture, row).await < kills {
                finished.push(row);
            }
        }
        // Tasks that began earlier have finished; the others die with it.
        for claimed in claim_all(&fixture).await {
            if finished.contains(&claimed.row) {
                fixture.succeed(&claimed).await;
            }
        }
        fixture.store.tasks.reap_expired_leases(true).await.unwrap();
    }
    fixture.clock.advance(RETRY_BACKOFF_MS[2]);
    for claimed in claim_all(&fixture).await {
        fixture.succeed(&claimed).await;
    }
    for task in fixture.store.jobs.tasks(fixture.user, job, None, 100).await.unwrap() {
        let expected = if task.row == POISON { TaskState::Failed } else { TaskState::Succeeded };
        assert_eq!(task.state, expected, "{task:?}");
    }
    fixture.assert_consistent().await;
}
