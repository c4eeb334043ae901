//! What a task goes through.

use crate::world::{QUEUE, World, finish, outcome, success, upload};
use contract::{
    UserId,
    api::{ResolveAs, RetryWhich},
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{Claim, Control, Ending, Error, LEASE_MS, MAX_LOST, Turns};

pub async fn a_job_runs_to_its_end(world: World) {
    let accepted = world.store.accept(upload(world.user, 2)).await.unwrap();
    assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
    let first = world.claim_next().await.unwrap();
    assert_eq!((first.attempt, first.sku.as_str()), (1, "SKU-0"));
    assert_eq!(world.succeed(&first).await, [FactKind::TaskSucceeded]);
    let second = world.claim_next().await.unwrap();
    assert_eq!(world.succeed(&second).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let job = world.store.job(world.user, accepted.job.id).await.unwrap();
    assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 2));
    let inbox = world.store.inbox(world.user, 10).await.unwrap();
    assert_eq!((inbox.unread, inbox.items[0].title.as_str()), (1, "lamps.csv is done"));
    world.check().await;
}

pub async fn one_key_is_one_job(world: World) {
    let mut launch = upload(world.user, 1);
    launch.idempotency = Some(("key".into(), "hash".into()));
    let first = world.store.accept(launch.clone()).await.unwrap();
    let again = world.store.accept(launch.clone()).await.unwrap();
    assert_eq!((first.job.id, again.facts.len()), (again.job.id, 0));
    launch.idempotency = Some(("key".into(), "another".into()));
    assert!(matches!(world.store.accept(launch).await, Err(Error::KeyReused)));
    assert_eq!(world.store.jobs(world.user, None, 10).await.unwrap().items.len(), 1);
}

pub async fn a_delivery_is_claimed_once_and_a_stale_worker_writes_nothing(world: World) {
    world.store.accept(upload(world.user, 1)).await.unwrap();
    let due = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
    let claimed = world.claim_next().await.unwrap();
    let again = world.store.claim(due[0].task, due[0].fence, "w2").await.unwrap();
    assert_eq!(again, Claim::Nothing);
    assert!(world.store.renew(claimed.task, claimed.fence).await.unwrap());

    world.clock.advance(60_001);
    assert_eq!(world.store.reap(false).await.unwrap().len(), 1);
    assert!(!world.store.renew(claimed.task, claimed.fence).await.unwrap());
    assert_eq!(world.succeed(&claimed).await, []);
    let next = world.claim_next().await.unwrap();
    assert!(next.unsure, "the lost call may have had its effect");
    assert_eq!(next.attempt, 1, "a lost lease costs no attempt");
    world.succeed(&next).await;
    world.check().await;
}

pub async fn retries_back_off_and_end_as_a_failure_that_can_be_retried(world: World) {
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    for attempt in 1..=6 {
        let claimed = world.claim_next().await.unwrap();
        assert_eq!(claimed.attempt, attempt);
        let retry = Ending::Retry { outcome: outcome("http_500"), unsure: false };
        world.finish(&claimed, retry).await;
        world.clock.advance(600_001);
    }
    assert!(world.claim_next().await.is_none());
    let failed = world.store.job(world.user, job).await.unwrap();
    assert_eq!((failed.state, failed.counts.failed), (JobState::Failed, 1));
    world.store.retry(world.user, job, &RetryWhich::default()).await.unwrap();
    let claimed = world.claim_next().await.unwrap();
    world.succeed(&claimed).await;
    let detail = world.store.task(world.user, claimed.task).await.unwrap();
    assert_eq!(detail.attempts.len(), 7);
    let nothing = world.store.retry(world.user, job, &RetryWhich::default()).await;
    assert!(matches!(nothing, Err(Error::Conflict(_))));
    world.check().await;
}

pub async fn pause_and_cancel_bite_at_once_and_tell_the_truth(world: World) {
    let job = world.store.accept(upload(world.user, 3)).await.unwrap().job.id;
    let running = world.claim_next().await.unwrap();
    let published = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
    world.store.control(world.user, job, Control::Pause).await.unwrap();
    assert!(world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks.is_empty());
    let paused = world.store.claim(published[0].task, published[0].fence, "w1").await.unwrap();
    assert_eq!(paused, Claim::Nothing);
    world.store.control(world.user, job, Control::Resume).await.unwrap();
    assert_eq!(world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks.len(), 2);

    let (cancelling, facts) = world.store.control(world.user, job, Control::Cancel).await.unwrap();
    assert_eq!(facts[0].data.count, Some(2));
    assert_eq!((cancelling.state, cancelling.counts.open), (JobState::Running, 1));
    assert_eq!(world.succeed(&running).await, [FactKind::TaskSucceeded, FactKind::JobFinished]);
    let ended = world.store.job(world.user, job).await.unwrap();
    assert_eq!(ended.state, JobState::Cancelled);
    world.check().await;
}

pub async fn a_person_decides_what_nobody_can_tell(world: World) {
    let job = world.store.accept(upload(world.user, 2)).await.unwrap().job.id;
    for how in [ResolveAs::Done, ResolveAs::Again] {
        let claimed = world.claim_next().await.unwrap();
        world.finish(&claimed, Ending::NeedsPerson { outcome: outcome("unsure") }).await;
        world.store.resolve(world.user, claimed.task, how).await.unwrap();
    }
    let again = world.claim_next().await.unwrap();
    world.succeed(&again).await;
    let ended = world.store.job(world.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.succeeded), (JobState::Succeeded, 2));
    world.check().await;
}

pub async fn what_belongs_to_others_is_not_found(world: World) {
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    let stranger = UserId(uuid::Uuid::now_v7());
    assert!(matches!(world.store.job(stranger, job).await, Err(Error::NotFound)));
    let cancel = world.store.control(stranger, job, Control::Cancel).await;
    assert!(matches!(cancel, Err(Error::NotFound)));
    assert!(world.store.tasks(stranger, job, None, 10).await.unwrap().is_empty());
}

pub async fn a_delivery_that_a_pause_refused_comes_again(world: World) {
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job.id;
    // The relay has sent it and not marked it yet when the pause comes.
    let sent = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
    let claim = (sent[0].task, sent[0].fence);
    world.store.control(world.user, job, Control::Pause).await.unwrap();
    world.store.mark_published(&[claim], &[], None).await.unwrap();
    assert_eq!(world.store.claim(claim.0, claim.1, "w1").await.unwrap(), Claim::Nothing);

    world.store.control(world.user, job, Control::Resume).await.unwrap();
    let again = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
    assert_eq!(again.len(), 1, "its only message was refused: it is published anew");
}

pub async fn a_person_does_not_undo_a_cancel(world: World) {
    let job = world.store.accept(upload(world.user, 3)).await.unwrap().job.id;
    let unclear = world.claim_next().await.unwrap();
    let running = world.claim_next().await.unwrap();
    world.finish(&unclear, Ending::NeedsPerson { outcome: outcome("unsure") }).await;
    world.store.control(world.user, job, Control::Cancel).await.unwrap();
    let again = world.store.resolve(world.user, unclear.task, ResolveAs::Again).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    world.store.resolve(world.user, unclear.task, ResolveAs::Done).await.unwrap();
    world.succeed(&running).await;
    let ended = world.store.job(world.user, job).await.unwrap();
    assert_eq!((ended.state, ended.counts.cancelled), (JobState::Cancelled, 1));
    world.check().await;
}

pub async fn five_lost_leases_in_a_row_are_poison(world: World) {
    world.store.accept(upload(world.user, 2)).await.unwrap();
    let mut poison = None;
    for lost in 1..=MAX_LOST {
        let claimed = world.claim_next().await.unwrap();
        assert_eq!((claimed.attempt, claimed.sku.as_str()), (1, "SKU-0"), "lost {lost} times");
        assert_eq!(claimed.unsure, lost > 1);
        poison = Some(claimed.task);
        world.clock.advance(LEASE_MS);
        let news = world.store.reap(false).await.unwrap();
        let expected = if lost < MAX_LOST { FactKind::TaskRequeued } else { FactKind::TaskFailed };
        assert_eq!(news[0].facts[0].kind, expected);
        world.clock.advance(30_000);
        // A queued neighbour is older now; the poison is put before it.
        world.execute("UPDATE tasks SET run_after = run_after + 1000000 WHERE row_no = 1").await;
    }
    world.execute("UPDATE tasks SET run_after = 0 WHERE row_no = 1").await;
    let neighbour = world.claim_next().await.unwrap();
    assert_eq!(neighbour.sku, "SKU-1");
    world.succeed(&neighbour).await;
    let detail = world.store.task(world.user, poison.unwrap()).await.unwrap();
    assert_eq!(detail.attempts.len(), 5);
    let outcome = detail.task.outcome.unwrap();
    assert_eq!((detail.task.state, outcome.code.as_str()), (TaskState::Failed, "poison"));
    world.check().await;
}

pub async fn a_renewed_lease_is_not_taken_back(world: World) {
    world.store.accept(upload(world.user, 1)).await.unwrap();
    let claimed = world.claim_next().await.unwrap();
    for _ in 0..4 {
        world.clock.advance(LEASE_MS - 1);
        assert!(world.store.renew(claimed.task, claimed.fence).await.unwrap());
        assert!(world.store.reap(false).await.unwrap().is_empty());
    }
    assert_eq!(world.store.finish(vec![finish(&claimed, success())]).await.len(), 1);
    world.check().await;
}

pub async fn a_closing_is_kept_with_its_cause_and_not_shortened(world: World) {
    assert_eq!(world.store.closing("acme").await.unwrap(), None);
    for (until, by) in [(2_000, "http_429"), (3_000, "http_503")] {
        world.store.close_account("acme", until, by).await.unwrap();
        world.store.close_account("acme", until - 1, "http_418").await.unwrap();
        let closing = world.other.closing("acme").await.unwrap().unwrap();
        assert_eq!((closing.until, closing.by.as_deref()), (until, Some(by)));
    }
}
