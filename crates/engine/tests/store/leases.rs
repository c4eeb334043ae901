//! Leases that are lost repeatedly.

use crate::world::{World, new_upload_job};
use contract::state::TaskState;
use engine::store::{BACK_OFF_MS, ClaimedTask, DEFAULT_LEASE_MS, MAX_LEASE_LOSSES};

async fn run_after(world: &World, row: u32) -> i64 {
    world.query_number(&format!("SELECT run_after AS n FROM tasks WHERE row_no = {row}")).await
}

async fn claim_all(world: &World) -> Vec<ClaimedTask> {
    let mut claimed = Vec::new();
    while let Some(next) = world.claim_next().await {
        claimed.push(next);
    }
    claimed
}

pub async fn the_first_lost_lease_retries_at_once_and_later_ones_back_off(world: World) {
    const TASKS: u32 = 12;
    world.store.tasks.accept(new_upload_job(world.user, TASKS)).await.unwrap();
    for losses in 1..MAX_LEASE_LOSSES {
        assert_eq!(claim_all(&world).await.len(), 12, "lost {} times", losses - 1);
        world.clock.advance(DEFAULT_LEASE_MS);
        let now = world.store.database.now_ms();
        world.store.tasks.reap_expired_leases(false).await.unwrap();
        let mut waits = Vec::new();
        for row in 0..TASKS {
            waits.push(run_after(&world, row).await - now);
        }
        let longest = usize::try_from(losses - 2).map_or(0, |step| BACK_OFF_MS[step]);
        assert!(waits.iter().all(|wait| (0..=longest).contains(wait)), "{losses}: {waits:?}");
        assert!(losses == 1 || waits.iter().any(|wait| *wait > longest / 4), "{losses}: {waits:?}");
        waits.sort_unstable();
        waits.dedup();
        assert!(losses == 1 || waits.len() > 6, "they retry together: {waits:?}");
        world.clock.advance(longest);
    }
    world.assert_consistent().await;
}

pub async fn a_task_that_kills_its_process_does_not_fail_its_neighbours(world: World) {
    const TASKS: u32 = 8;
    /// Row of the task that kills its process.
    const POISON: u32 = 3;
    let job = world.store.tasks.accept(new_upload_job(world.user, TASKS)).await.unwrap().job.id;
    for losses in 0..MAX_LEASE_LOSSES {
        let kills = run_after(&world, POISON).await.max(world.store.database.now_ms());
        world.clock.advance(kills - world.store.database.now_ms());
        let mut finished = Vec::new();
        for row in 0..TASKS {
            // In the first round all are due at once.
            if losses > 0 && run_after(&world, row).await < kills {
                finished.push(row);
            }
        }
        // Tasks that began earlier have finished; the others die with it.
        for claimed in claim_all(&world).await {
            if finished.contains(&claimed.row) {
                world.succeed(&claimed).await;
            }
        }
        world.store.tasks.reap_expired_leases(true).await.unwrap();
    }
    world.clock.advance(BACK_OFF_MS[2]);
    for claimed in claim_all(&world).await {
        world.succeed(&claimed).await;
    }
    for task in world.store.jobs.tasks(world.user, job, None, 100).await.unwrap() {
        let expected = if task.row == POISON { TaskState::Failed } else { TaskState::Succeeded };
        assert_eq!(task.state, expected, "{task:?}");
    }
    world.assert_consistent().await;
}
