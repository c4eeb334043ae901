//! Two processes on one database, at once. Who comes first is chance; what
//! holds afterwards is not.

use crate::world::{QUEUE, World, finish, launch, outcome, success, task, upload};
use contract::{
    TaskId,
    api::{ResolveAs, RetryWhich},
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{Claim, Claimed, Control, Ending, Error, MAX_OPEN, MaxOpen, Store, Turns};

/// Each race is run so often.
const ROUNDS: u32 = 8;

async fn claim(store: &Store, task: TaskId, fence: i64, worker: &str) -> Option<Claimed> {
    match store.claim(task, fence, worker).await.unwrap() {
        Claim::Claimed(claimed) => Some(*claimed),
        _ => None,
    }
}

pub async fn of_two_claims_one_wins(world: World) {
    world.store.accept(upload(world.user, ROUNDS)).await.unwrap();
    for due in world.store.due(QUEUE, ROUNDS as usize, &Turns::default()).await.unwrap().tasks {
        let (a, b) = tokio::join!(
            claim(&world.store, due.task, due.fence, "a"),
            claim(&world.other, due.task, due.fence, "b")
        );
        assert!(a.is_some() != b.is_some(), "{a:?} {b:?}");
    }
    assert_eq!(world.store.running(world.user).await.unwrap().len(), ROUNDS as usize);
}

pub async fn of_two_claims_of_one_key_one_waits(world: World) {
    for round in 0..ROUNDS {
        let key = format!("SKU-{round}");
        for _ in 0..2 {
            let twin = launch(world.user, vec![task(&key, 0)]);
            world.store.accept(twin).await.unwrap();
        }
        let due = world.store.due(QUEUE, 2, &Turns::default()).await.unwrap().tasks;
        let (a, b) = tokio::join!(
            world.store.claim(due[0].task, due[0].fence, "a"),
            world.other.claim(due[1].task, due[1].fence, "b")
        );
        let claimed = match (a.unwrap(), b.unwrap()) {
            (Claim::Claimed(claimed), Claim::Locked) | (Claim::Locked, Claim::Claimed(claimed)) => {
                claimed
            }
            other => panic!("{other:?}"),
        };
        world.succeed(&claimed).await;
        world.clock.advance(2_000);
        let second = world.claim_next().await.unwrap();
        assert_ne!(second.task, claimed.task, "the one that waited comes again");
        world.succeed(&second).await;
    }
    world.check().await;
}

pub async fn of_two_who_claim_many_each_task_is_one_s(world: World) {
    for _ in 0..ROUNDS {
        let job = world.store.accept(upload(world.user, 40)).await.unwrap().job.id;
        let due = world.store.due(QUEUE, 40, &Turns::default()).await.unwrap().tasks;
        let batch: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
        let reversed: Vec<_> = batch.iter().rev().copied().collect();
        let (a, b, marked) = tokio::join!(
            world.store.claim_all(&batch, "a"),
            world.other.claim_all(&reversed, "b"),
            world.other.mark_published(&batch, &[], None)
        );
        marked.unwrap();
        let mut claimed = Vec::new();
        for claim in a.into_iter().chain(b) {
            match claim.unwrap() {
                Claim::Claimed(task) => claimed.push(*task),
                Claim::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
        let tasks: std::collections::HashSet<_> = claimed.iter().map(|task| task.task).collect();
        assert_eq!((tasks.len(), claimed.len()), (40, 40));
        let (one, two) = claimed.split_at(20);
        let ends = |claimed: &[Claimed]| claimed.iter().map(|c| finish(c, success())).collect();
        let (a, b) = tokio::join!(world.store.finish(ends(one)), world.other.finish(ends(two)));
        assert!(a.iter().chain(&b).all(|end| matches!(end, Ok(Some(_)))));
        let job = world.store.job(world.user, job).await.unwrap();
        assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 40));
    }
    world.check().await;
}

/// Jobs of three users in each batch, in any order: what waits for whom must
/// be settled by the order of locks, not by the database's patience.
pub async fn many_workers_and_a_relay_do_not_wait_for_each_other(world: World) {
    let mut users = vec![world.user];
    for name in ["bob", "eve"] {
        users.push(world.join(name, contract::api::Role::User).await);
    }
    for round in 0..ROUNDS {
        for (n, user) in users.iter().enumerate() {
            for part in ["x", "y"] {
                let key = |row| task(&format!("{n}-{part}-{round}-{row}"), row);
                world.store.accept(launch(*user, (0..12).map(key).collect())).await.unwrap();
            }
        }
    }
    let work = async |store: &Store, name: &'static str| {
        let mut done = 0;
        loop {
            let due = store.due(QUEUE, 24, &Turns::default()).await.unwrap().tasks;
            if due.is_empty() {
                return done;
            }
            let batch: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
            let claims = store.claim_all(&batch, name).await;
            let mut ends = Vec::new();
            for claim in claims {
                if let Claim::Claimed(claimed) = claim.unwrap() {
                    ends.push(finish(&claimed, success()));
                }
            }
            ends.reverse();
            for end in store.finish(ends).await {
                done += i32::from(end.unwrap().is_some());
            }
        }
    };
    let (a, b, c, d) = tokio::join!(
        work(&world.store, "a"),
        work(&world.other, "b"),
        work(&world.store, "c"),
        work(&world.other, "d")
    );
    assert_eq!(a + b + c + d, 3 * 2 * 12 * i32::try_from(ROUNDS).unwrap());
    for user in users {
        for job in world.store.jobs(user, None, 100).await.unwrap().items {
            assert_eq!((job.state, job.counts.succeeded), (JobState::Succeeded, 12));
        }
        let facts = world.store.facts_after(user, 0, 10_000).await.unwrap();
        let head = world.store.head(user).await.unwrap();
        assert!(facts.iter().map(|fact| fact.seq).eq(1..=head));
    }
}

pub async fn a_finish_and_a_cancel_leave_one_truth(world: World) {
    for _ in 0..ROUNDS {
        let job = world.store.accept(upload(world.user, 3)).await.unwrap().job.id;
        let retried = world.claim_next().await.unwrap();
        let done = world.claim_next().await.unwrap();
        let retry = Ending::Retry { outcome: outcome("http_500"), unsure: false };
        let ends = vec![finish(&retried, retry), finish(&done, success())];
        let (ended, cancelled) = tokio::join!(
            world.store.finish(ends),
            world.other.control(world.user, job, Control::Cancel)
        );
        assert!(ended.iter().all(Result::is_ok), "{ended:?}");
        cancelled.unwrap();
        let job = world.store.job(world.user, job).await.unwrap();
        assert_eq!((job.state, job.counts.cancelled), (JobState::Cancelled, 2));
        assert_eq!(job.counts.succeeded, 1);
        world.check().await;
    }
}

pub async fn a_retry_and_a_cancel_leave_one_truth(world: World) {
    for _ in 0..ROUNDS {
        let job = world.store.accept(upload(world.user, 3)).await.unwrap().job.id;
        let failed = world.claim_next().await.unwrap();
        world.finish(&failed, Ending::Failed { outcome: outcome("rejected") }).await;
        let all = RetryWhich::default();
        let (retried, cancelled) = tokio::join!(
            world.store.retry(world.user, job, &all),
            world.other.control(world.user, job, Control::Cancel)
        );
        // After the cancel the job has ended, and its failure can be retried.
        retried.unwrap();
        cancelled.unwrap();
        world.check().await;
        let tasks = world.store.tasks(world.user, job, None, 10).await.unwrap();
        let failed = tasks.iter().find(|task| task.id == failed.task).unwrap();
        assert!(matches!(failed.state, TaskState::Queued | TaskState::Cancelled));
        if let Some(claimed) = world.claim_next().await {
            world.succeed(&claimed).await;
        }
    }
}

pub async fn one_key_sent_twice_at_once_is_one_job(world: World) {
    for round in 0..ROUNDS {
        let mut launch = upload(world.user, 30);
        launch.idempotency = Some((format!("key-{round}"), "hash".into()));
        let (a, b) = tokio::join!(world.store.accept(launch.clone()), world.other.accept(launch));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.job.id, b.job.id);
        assert_eq!(a.facts.len() + b.facts.len(), 1, "one of them was told as new");
    }
    let jobs = world.store.jobs(world.user, None, 100).await.unwrap().items;
    assert_eq!(jobs.len(), ROUNDS as usize);
}

pub async fn two_launches_at_once_do_not_pass_a_limit_together(world: World) {
    for jobs in 1..=i64::from(ROUNDS) {
        let (max, bound) = match jobs % 2 {
            0 => (MaxOpen { jobs, ..MAX_OPEN }, "jobs"),
            _ => (MaxOpen { tasks: jobs * 30, ..MAX_OPEN }, "items"),
        };
        let store = |store: &Store| store.clone().with_max_open(max);
        let (store, other) = (store(&world.store), store(&world.other));
        let launch = || upload(world.user, 30);
        let (first, second) = tokio::join!(store.accept(launch()), other.accept(launch()));
        let refused = if first.is_ok() { second } else { first };
        let refused = refused.err();
        assert!(
            matches!(&refused, Some(Error::TooManyOpen { what, .. }) if *what == bound),
            "{refused:?}"
        );
        let jobs = usize::try_from(jobs).unwrap();
        assert_eq!(world.store.jobs(world.user, None, 100).await.unwrap().items.len(), jobs);
    }
}

pub async fn two_people_who_decide_at_once_are_one_decision(world: World) {
    for _ in 0..ROUNDS {
        world.store.accept(upload(world.user, 1)).await.unwrap();
        let claimed = world.claim_next().await.unwrap();
        world.finish(&claimed, Ending::NeedsPerson { outcome: outcome("unsure") }).await;
        let (a, b) = tokio::join!(
            world.store.resolve(world.user, claimed.task, ResolveAs::Done),
            world.other.resolve(world.user, claimed.task, ResolveAs::Again)
        );
        let late = if a.is_ok() { b } else { a };
        assert!(matches!(late, Err(Error::Conflict(_))), "{late:?}");
        if let Some(again) = world.claim_next().await {
            world.succeed(&again).await;
        }
        world.check().await;
    }
}

pub async fn many_workers_lose_no_count_and_no_fact(world: World) {
    let job = world.store.accept(upload(world.user, 40)).await.unwrap().job.id;
    let work = async |store: &Store| {
        let mut finished = 0;
        loop {
            let due = store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks;
            let Some(first) = due.first() else { return finished };
            let Some(claimed) = claim(store, first.task, first.fence, "w").await else { continue };
            let ending = match claimed.row % 3 {
                0 => Ending::Failed { outcome: outcome("rejected") },
                1 => Ending::NeedsPerson { outcome: outcome("unsure") },
                _ => success(),
            };
            let news = store.finish(vec![finish(&claimed, ending)]).await.remove(0).unwrap();
            let kinds = crate::world::kinds(news.as_ref());
            finished += u32::from(kinds.contains(&FactKind::JobFinished));
        }
    };
    let (a, b, c, d) = tokio::join!(
        work(&world.store),
        work(&world.other),
        work(&world.store),
        work(&world.other)
    );
    assert_eq!(a + b + c + d, 1, "the job finished once");
    let job = world.store.job(world.user, job).await.unwrap();
    let c = job.counts;
    assert_eq!((c.failed, c.needs_person, c.succeeded, c.open), (14, 13, 13, 0));
    assert_eq!(job.state, JobState::PartlyFailed);
    world.check().await;
}

pub async fn a_deadlock_turns_nobody_away(world: World) {
    let job = world.store.accept(upload(world.user, 60)).await.unwrap().job.id;
    for _ in 0..ROUNDS {
        let due = world.store.due(QUEUE, 60, &Turns::default()).await.unwrap().tasks;
        let mut published: Vec<_> = due.iter().map(|due| (due.task, due.fence)).collect();
        world.store.mark_published(&published, &[], None).await.unwrap();
        // A pause goes through the tasks one way, these marks the other.
        published.reverse();
        let (marked, marked_too, paused) = tokio::join!(
            world.store.mark_published(&published, &[], None),
            world.other.mark_published(&published, &[], None),
            world.other.control(world.user, job, Control::Pause)
        );
        marked.unwrap();
        marked_too.unwrap();
        paused.unwrap();
        world.store.control(world.user, job, Control::Resume).await.unwrap();
    }
    world.check().await;
}

pub async fn of_two_candidates_one_has_the_seat(world: World) {
    assert!(world.store.take_seat("relay", "a", 1_000).await.unwrap());
    assert!(!world.other.take_seat("relay", "b", 1_000).await.unwrap());
    world.store.leave_seat("relay", "a").await.unwrap();
    assert!(world.other.take_seat("relay", "b", 1_000).await.unwrap());
    world.clock.advance(1_001);
    let (a, b) = tokio::join!(
        world.store.take_seat("relay", "a", 1_000),
        world.other.take_seat("relay", "c", 1_000)
    );
    assert!(a.unwrap() != b.unwrap());
}

/// A relay finds that a job has nothing due while another process makes a task
/// of it due: the relay finds that task in its next round.
pub async fn a_task_that_comes_due_while_a_relay_looks_is_not_hidden(world: World) {
    let job = world.store.accept(upload(world.user, 1)).await.unwrap().job;
    for _ in 0..ROUNDS * 4 {
        let due = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap();
        assert_eq!((due.tasks.len(), due.exhausted.len()), (1, 1), "{:?}", due.exhausted);
        let (task, fence) = (due.tasks[0].task, due.tasks[0].fence);
        world.store.mark_published(&[(task, fence)], &[], None).await.unwrap();
        let (marked, unpublished) = tokio::join!(
            world.store.mark_published(&[], &due.exhausted, None),
            world.other.unpublish(QUEUE, i64::MAX)
        );
        marked.unwrap();
        assert_eq!(unpublished.unwrap(), 1);
    }
    assert_eq!(world.store.job(world.user, job.id).await.unwrap().counts.open, 1);
}

/// A queue is deleted between a relay's publishing and its mark: the message is
/// gone, and nobody waits for it.
pub async fn what_is_marked_after_its_queue_was_lost_is_published_again(world: World) {
    world.store.add_queues(&[QUEUE.into()]).await.unwrap();
    world.store.accept(upload(world.user, 1)).await.unwrap();
    let due = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap();
    let batch = [(due.tasks[0].task, due.tasks[0].fence)];
    assert_eq!(world.other.queue_lost(QUEUE).await.unwrap(), 0, "nothing is marked yet");
    let mark = world.store.mark_published(&batch, &due.exhausted, due.generation.as_ref());
    mark.await.unwrap();
    let again = world.store.due(QUEUE, 4, &Turns::default()).await.unwrap();
    assert_eq!(again.tasks.len(), 1);
    let mark = world.store.mark_published(&batch, &again.exhausted, again.generation.as_ref());
    mark.await.unwrap();
    assert!(world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks.is_empty());
}
