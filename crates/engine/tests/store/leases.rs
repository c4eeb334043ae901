//! Leases that are lost again and again.

use crate::world::{World, upload};
use contract::state::TaskState;
use engine::store::{BACK_OFF_MS, Claimed, LEASE_MS, MAX_LOST};

async fn run_after(world: &World, row: u32) -> i64 {
    world.number(&format!("SELECT run_after AS n FROM tasks WHERE row_no = {row}")).await
}

async fn claim_all(world: &World) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    while let Some(next) = world.claim_next().await {
        claimed.push(next);
    }
    claimed
}

pub async fn the_first_loss_is_made_good_at_once_and_each_other_waits_longer(world: World) {
    const TASKS: u32 = 12;
    world.store.accept(upload(world.user, TASKS)).await.unwrap();
    for lost in 1..MAX_LOST {
        assert_eq!(claim_all(&world).await.len(), 12, "lost {} times", lost - 1);
        world.clock.advance(LEASE_MS);
        let now = world.store.now_ms();
        world.store.reap(false).await.unwrap();
        let mut waits = Vec::new();
        for row in 0..TASKS {
            waits.push(run_after(&world, row).await - now);
        }
        let longest = usize::try_from(lost - 2).map_or(0, |step| BACK_OFF_MS[step]);
        assert!(waits.iter().all(|wait| (0..=longest).contains(wait)), "{lost}: {waits:?}");
        assert!(lost == 1 || waits.iter().any(|wait| *wait > longest / 4), "{lost}: {waits:?}");
        waits.sort_unstable();
        waits.dedup();
        assert!(lost == 1 || waits.len() > 6, "they come again together: {waits:?}");
        world.clock.advance(longest);
    }
    world.check().await;
}

pub async fn what_kills_its_process_does_not_take_its_neighbours_with_it(world: World) {
    const TASKS: u32 = 8;
    /// The row of the one that kills.
    const POISON: u32 = 3;
    let job = world.store.accept(upload(world.user, TASKS)).await.unwrap().job.id;
    for lost in 0..MAX_LOST {
        let kills = run_after(&world, POISON).await.max(world.store.now_ms());
        world.clock.advance(kills - world.store.now_ms());
        let mut over = Vec::new();
        for row in 0..TASKS {
            // At first nobody has a time of its own: all run at once.
            if lost > 0 && run_after(&world, row).await < kills {
                over.push(row);
            }
        }
        // What began before it is over by now; the others die with it.
        for claimed in claim_all(&world).await {
            if over.contains(&claimed.row) {
                world.succeed(&claimed).await;
            }
        }
        world.store.reap(true).await.unwrap();
    }
    world.clock.advance(BACK_OFF_MS[2]);
    for claimed in claim_all(&world).await {
        world.succeed(&claimed).await;
    }
    for task in world.store.tasks(world.user, job, None, 100).await.unwrap() {
        let expected = if task.row == POISON { TaskState::Failed } else { TaskState::Succeeded };
        assert_eq!(task.state, expected, "{task:?}");
    }
    world.check().await;
}
