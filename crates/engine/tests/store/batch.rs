//! One commit for the ends of many claims.

use crate::world::{QUEUE, World, finish, kinds, launch, outcome, success, task, upload};
use contract::{
    api::Role,
    envelope::Dispatch,
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{Claim, Claimed, Control, Ending, LEASE_MS, Turns};

async fn claim(world: &World, count: usize) -> Vec<Claimed> {
    let mut claimed = Vec::with_capacity(count);
    while claimed.len() < count {
        claimed.push(world.claim_next().await.unwrap());
    }
    claimed
}

fn retry() -> Ending {
    Ending::Retry { outcome: outcome("http_500"), unsure: false }
}

pub async fn many_ends_are_one_commit_and_each_tells_its_own(world: World) {
    let bob = world.join("bob@example.com", Role::User).await;
    world.store.accept(upload(world.user, 3)).await.unwrap();
    let mut bobs = upload(bob, 2);
    for task in &mut bobs.tasks {
        task.key.push_str("-bob");
    }
    let bobs = world.store.accept(bobs).await.unwrap().job.id;
    let claimed = claim(&world, 5).await;
    let stale = world.store.finish(vec![finish(&claimed[2], success())]).await;
    assert_eq!(kinds(stale[0].as_ref().unwrap().as_ref()), [FactKind::TaskSucceeded]);

    let ends = claimed.iter().map(|claimed| finish(claimed, success())).collect();
    let ended = world.store.finish(ends).await;
    let ended: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
    assert_eq!(ended[2], None, "a stale end among others is discarded");
    let mut seen = [(world.user, 2), (bob, 1)];
    for (claimed, news) in claimed.iter().zip(&ended) {
        let Some(news) = news else { continue };
        assert_eq!((news.user, news.facts[0].task), (claimed.user, Some(claimed.task)));
        for fact in &news.facts {
            let (_, seq) = seen.iter_mut().find(|(user, _)| *user == news.user).unwrap();
            *seq += 1;
            assert_eq!(fact.seq, *seq);
        }
    }
    assert_eq!(kinds(ended[4].as_ref()).last(), Some(&FactKind::JobFinished));
    let job = world.store.job(bob, bobs).await.unwrap();
    assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 2));
    world.check().await;
}

pub async fn a_bad_end_takes_no_other_down(world: World) {
    let job = world.store.accept(upload(world.user, 4)).await.unwrap().job.id;
    let claimed = claim(&world, 3).await;
    // The attempt is there already: the end of row 1 can't be kept.
    world
        .execute(
            "INSERT INTO attempts (task_id, fence, number, started_at, ended_at, worker, outcome) \
             SELECT id, fence, 1, 0, 0, 'x', '{}' FROM tasks WHERE row_no = 1",
        )
        .await;
    let ends = claimed.iter().map(|claimed| finish(claimed, success())).collect();
    let ended = world.store.finish(ends).await;
    let kept: Vec<_> = ended.iter().map(Result::is_ok).collect();
    assert_eq!(kept, [true, false, true]);
    let counts = world.store.job(world.user, job).await.unwrap().counts;
    assert_eq!((counts.open, counts.succeeded), (2, 2));

    // Nor does it keep the reaper from what another lost worker held.
    let neighbour = world.claim_next().await.unwrap();
    world.clock.advance(LEASE_MS);
    let news = world.store.reap(false).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].facts[0].task, Some(neighbour.task));
    world.check().await;
}

pub async fn one_claim_ends_once(world: World) {
    world.store.accept(upload(world.user, 2)).await.unwrap();
    let lost = world.claim_next().await.unwrap();
    world.clock.advance(LEASE_MS);
    world.store.reap(false).await.unwrap();
    let claimed = loop {
        let claimed = world.claim_next().await.unwrap();
        if claimed.task == lost.task {
            break claimed;
        }
    };
    // The stale end of the same task comes first and is in nobody's way.
    let ended = world.store.finish(vec![finish(&lost, success()), finish(&claimed, retry())]).await;
    assert!(matches!(&ended[..], [Ok(None), Ok(Some(_))]), "{ended:?}");
    world.clock.advance(2_000);
    let claimed = world.claim_next().await.unwrap();
    let failed = Ending::Failed { outcome: outcome("rejected") };
    let twice = vec![finish(&claimed, success()), finish(&claimed, failed)];
    let ended = world.store.finish(twice).await;
    assert_eq!(kinds(ended[0].as_ref().unwrap().as_ref()), [FactKind::TaskSucceeded]);
    assert!(matches!(ended[1], Ok(None)));
    assert!(world.store.finish(Vec::new()).await.is_empty());
    world.check().await;
}

/// What became of a claim, in a word.
fn word(claim: &Claim) -> &'static str {
    match claim {
        Claim::Claimed(_) => "claimed",
        Claim::Locked => "locked",
        Claim::Superseded(_) => "superseded",
        Claim::Nothing => "nothing",
    }
}

pub async fn of_many_claims_each_is_told_its_own(world: World) {
    let store = &world.store;
    // An older task about SKU-0 waits until a newer one has succeeded; then
    // SKU-1 twice.
    let older = store.accept(launch(world.user, vec![task("SKU-0", 9)])).await.unwrap().job.id;
    let old = store.tasks(world.user, older, None, 1).await.unwrap()[0].id;
    store.control(world.user, older, Control::Pause).await.unwrap();
    world.clock.advance(1);
    store.accept(launch(world.user, vec![task("SKU-0", 0)])).await.unwrap();
    let newer = world.claim_next().await.unwrap();
    world.succeed(&newer).await;
    store.control(world.user, older, Control::Resume).await.unwrap();
    store.accept(launch(world.user, vec![task("SKU-1", 0), task("SKU-2", 1)])).await.unwrap();
    store.accept(launch(world.user, vec![task("SKU-1", 0)])).await.unwrap();
    store.accept(launch(world.user, vec![task("SKU-4", 0)])).await.unwrap();
    let held = store.accept(launch(world.user, vec![task("SKU-3", 0)])).await.unwrap().job.id;
    let due = store.due(QUEUE, 10, &Turns::default()).await.unwrap().tasks;
    assert_eq!(due.len(), 6);
    store.control(world.user, held, Control::Pause).await.unwrap();

    // Of SKU-4 there is only a delivery from before.
    let stale = |due: &Dispatch| if sku(&due.body) == "SKU-4" { 77 } else { due.fence };
    let mut batch: Vec<_> = due.iter().map(|due| (due.task, stale(due))).collect();
    batch.push(batch[0]);
    batch.push((batch[1].0, 77));
    let claims = store.claim_all(&batch, "w1").await;
    let claims: Vec<_> = claims.into_iter().map(Result::unwrap).collect();
    let said = |n: usize| (sku(&due[n].body), word(&claims[n]));
    let mut told: Vec<_> = (0..6).map(said).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("SKU-0", "superseded"),
            ("SKU-1", "claimed"),
            ("SKU-1", "locked"),
            ("SKU-2", "claimed"),
            ("SKU-3", "nothing"),
            ("SKU-4", "nothing"),
        ]
    );
    assert_eq!([word(&claims[6]), word(&claims[7])], ["nothing"; 2], "a duplicate, a stale one");
    let running = store.running(world.user).await.unwrap().len();
    assert_eq!(running, 2, "nothing is claimed that nobody is told of");
    let cancelled = store.task(world.user, old).await.unwrap().task;
    assert_eq!(cancelled.state, TaskState::Cancelled);
    assert!(store.claim_all(&[], "w1").await.is_empty());
    for claim in claims {
        let Claim::Claimed(claimed) = claim else { continue };
        assert_eq!(world.succeed(&claimed).await[0], FactKind::TaskSucceeded);
    }
    world.check().await;
}

fn sku(body: &serde_json::Value) -> &str {
    body["product"]["sku"].as_str().unwrap()
}
