//! A newer task that succeeds while an older one about the same thing is
//! claimed. What happens between two statements of the claim is brought about
//! by a transaction that holds a row which the claim waits for.

use crate::world::{World, launch, task};
use contract::{TaskId, state::TaskState};
use engine::store::Claim;
use sea_orm::{ConnectionTrait, TransactionTrait};

impl World {
    /// An older and a newer task about one thing.
    async fn twins(&self) -> [TaskId; 2] {
        let mut twins = Vec::new();
        for _ in 0..2 {
            let twin = launch(self.user, vec![task("SKU", 0)]);
            let job = self.store.accept(twin).await.unwrap().job.id;
            twins.push(self.store.tasks(self.user, job, None, 1).await.unwrap()[0].id);
            self.clock.advance(1);
        }
        twins.try_into().unwrap()
    }

    /// Returns when somebody waits for a row; in a file, for the whole of it.
    pub async fn until_one_waits(&self) {
        if self.store.has_one_process() {
            return tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        while self.number("SELECT COUNT(*) AS n FROM pg_locks WHERE NOT granted").await == 0 {}
    }

    async fn assert_superseded(&self, claim: &Claim, older: TaskId) {
        assert!(matches!(claim, Claim::Superseded(_)), "{claim:?}");
        let detail = self.store.task(self.user, older).await.unwrap();
        assert_eq!(detail.task.state, TaskState::Cancelled);
    }
}

fn id(task: TaskId) -> String {
    // As PostgreSQL writes it and as SQLite keeps it.
    task.0.simple().to_string()
}

fn is(world: &World, task: TaskId) -> String {
    let blob = world.store.has_one_process();
    if blob { format!("id = x'{}'", id(task)) } else { format!("id = '{}'", id(task)) }
}

pub async fn a_newer_success_that_comes_while_a_claim_waits_ends_the_older_task(world: World) {
    let [older, newer] = world.twins().await;
    let Claim::Claimed(_) = world.store.claim(newer, 0, "a").await.unwrap() else { panic!() };
    let raw = world.raw().await;
    let end = raw.begin().await.unwrap();
    let sql = format!("UPDATE tasks SET state = 'succeeded' WHERE {}", is(&world, newer));
    end.execute_unprepared(&sql).await.unwrap();
    let (claim, ()) = tokio::join!(world.other.claim(older, 0, "b"), async {
        world.until_one_waits().await;
        end.commit().await.unwrap();
    });
    world.assert_superseded(&claim.unwrap(), older).await;
}

pub async fn a_newer_success_that_comes_while_a_batch_waits_ends_the_older_task(world: World) {
    let [older, newer] = world.twins().await;
    let lone = launch(world.user, vec![task("lone", 0)]);
    let lone = world.store.accept(lone).await.unwrap().job.id;
    let lone = world.store.tasks(world.user, lone, None, 1).await.unwrap()[0].id;
    let raw = world.raw().await;
    let end = raw.begin().await.unwrap();
    for (set, task) in [("state = 'succeeded'", newer), ("updated_at = updated_at", older)] {
        let sql = format!("UPDATE tasks SET {set} WHERE {}", is(&world, task));
        end.execute_unprepared(&sql).await.unwrap();
    }
    let batch = [(older, 0), (lone, 0)];
    let (claims, ()) = tokio::join!(world.other.claim_all(&batch, "b"), async {
        world.until_one_waits().await;
        end.commit().await.unwrap();
    });
    world.assert_superseded(claims[0].as_ref().unwrap(), older).await;
    assert!(matches!(claims[1], Ok(Claim::Claimed(_))), "{:?}", claims[1]);
}
