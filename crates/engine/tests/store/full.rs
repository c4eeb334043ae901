//! No room for more. SQLite is told so by a limit on its pages, which ends as
//! a full disk does; what PostgreSQL does on a full disk is tried by
//! `bench faults`.

use crate::world::{QUEUE, World, finish, success, task, upload};
use engine::{
    clock::Steered,
    store::{Accept, Claim, Claimed, Error, Store, Turns},
    testing::SmallDisk,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{fs, path::Path, pin::Pin, task::Poll};

#[tokio::test]
async fn what_finds_no_room_is_refused_whole_and_goes_on_when_there_is_some() {
    let world = World::sqlite().await;
    let first = world.store.accept(upload(world.user, 2)).await.unwrap().job.id;
    let claimed = world.claim_next().await.unwrap();
    let mut large = upload(world.user, 3_000);
    large.idempotency = Some(("key".into(), "hash".into()));

    world.store.may_grow(false).await.unwrap();
    let refused = world.store.accept(large.clone()).await.unwrap_err();
    assert!(refused.is_full() && matches!(refused, Error::Database(_)), "{refused:?}");
    assert!(!refused.is_defect(), "{refused:?}");
    let jobs = world.store.jobs(world.user, None, 10).await.unwrap().items;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first]);
    world.check().await;

    world.store.may_grow(true).await.unwrap();
    world.succeed(&claimed).await;
    // Were its key known, another body would be refused.
    large.idempotency = Some(("key".into(), "another".into()));
    let accepted = world.store.accept(large).await.unwrap();
    assert_eq!((accepted.job.counts.total, accepted.facts.len()), (3_000, 1));
    world.check().await;
}

/// Answered as kept, and kept: what another process sees.
async fn stored(world: &World) -> i64 {
    world.number("SELECT count(*) AS n FROM jobs").await
}

fn launch(world: &World, key: &str, hash: &str) -> Accept {
    Accept { idempotency: Some((key.into(), hash.into())), ..upload(world.user, 2) }
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_takes_nothing_later_down_with_it() {
    let world = World::sqlite().await;
    // As SQLite does when it finds the disk full in the middle of a statement.
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON tasks \
                   BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    world.execute(trigger).await;
    for _ in 0..2 {
        world.store.accept(launch(&world, "first", "1")).await.unwrap_err();
    }
    world.execute("DROP TRIGGER full").await;
    world.store.accept(launch(&world, "second", "2")).await.unwrap();
    // Rolled back by us.
    let reused = world.store.accept(launch(&world, "second", "another")).await.unwrap_err();
    assert!(matches!(reused, Error::KeyReused), "{reused:?}");
    world.store.accept(launch(&world, "third", "3")).await.unwrap();
    assert_eq!(stored(&world).await, 2, "each that was accepted is stored");
    world.other.accept(launch(&world, "fourth", "4")).await.unwrap();
    assert_eq!(stored(&world).await, 3);
    world.check().await;
}

#[tokio::test]
async fn a_transaction_that_is_given_up_anywhere_takes_nothing_later_down_with_it() {
    let world = World::sqlite_in_memory().await;
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON tasks WHEN NEW.row_no = 1 \
                   BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    for (round, polls) in (0..60).enumerate() {
        // Every other one is given up where SQLite has ended the transaction.
        if round % 2 == 0 {
            world.execute(trigger).await;
        }
        let name = format!("given-up-{round}");
        let launched = Box::pin(world.store.accept(launch(&world, &name, "1")));
        give_up_after(polls, launched).await;
        world.execute("DROP TRIGGER IF EXISTS full").await;
        let before = stored(&world).await;
        world.store.accept(launch(&world, &format!("kept-{round}"), "1")).await.unwrap();
        let now = stored(&world).await;
        assert!(now == before + 1 || now == before + 2, "round {round}: {before}, then {now}");
        let key = format!("SELECT count(*) AS n FROM idempotency_keys WHERE name = 'kept-{round}'");
        assert_eq!(world.number(&key).await, 1, "round {round}: accepted, and not stored");
    }
    world.check().await;
}

/// Drops the future when it has been polled so often and is not ready.
async fn give_up_after<T>(polls: usize, mut future: impl Future<Output = T> + Unpin) {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        Pin::new(&mut future).poll(context).map(|_| ())
    })
    .await;
}

/// Claims what is due, as far as the disk lets it.
async fn claim(world: &World) -> Vec<Claimed> {
    let mut claimed = Vec::new();
    for due in world.store.due(QUEUE, 4, &Turns::default()).await.unwrap().tasks {
        if let Ok(Claim::Claimed(task)) = world.store.claim(due.task, due.fence, "w1").await {
            claimed.push(*task);
        }
    }
    claimed
}

/// Ends what runs; what could not be kept stays.
async fn end(world: &World, running: &mut Vec<Claimed>) {
    let ends = running.iter().map(|claimed| finish(claimed, success())).collect();
    let mut ended = world.store.finish(ends).await.into_iter();
    running.retain(|_| ended.next().is_some_and(|ended| ended.is_err()));
}

#[tokio::test]
async fn a_real_disk_that_fills_and_empties_takes_nothing_that_was_accepted() {
    let Some(disk) = SmallDisk::mount_of(64) else {
        eprintln!("skipped: only root can mount a disk to fill");
        return;
    };
    let url = format!("sqlite://{}", disk.path().join("meanwhile.sqlite").display());
    let mut world = World::at(url.clone()).await;
    let mut dice = StdRng::seed_from_u64(7);
    let (mut accepted, mut refused, mut running) = (0, 0, Vec::new());
    for round in 0..40 {
        // From nothing to some commits, so that launches, claims and ends each
        // meet the end of the disk in different places.
        disk.fill_but(dice.random_range(0..40) * 4096);
        for n in 0..6 {
            let name = format!("{round}-{n}");
            let count = [1, 1, 10, 100][dice.random_range(0..4)];
            let tasks = (0..count).map(|row| task(&format!("{name}-{row}"), row)).collect();
            let launch = Accept { tasks, ..launch(&world, &name, "1") };
            match world.store.accept(launch).await {
                Ok(_) => accepted += 1,
                Err(error) => refused += usize::from(error.cannot_write()),
            }
            running.extend(claim(&world).await);
            end(&world, &mut running).await;
        }
        disk.free();
        // At once, without anybody's help.
        world.store.accept(launch(&world, &format!("{round}-room"), "1")).await.unwrap();
        accepted += 1;
        running.extend(claim(&world).await);
        end(&world, &mut running).await;
        assert!(running.is_empty(), "round {round}: an end is not kept where there is room");
        // Whoever writes beside it waits for nobody.
        world.other.add_token(world.user, "any", &format!("{round}")).await.unwrap();
        if round % 8 == 7 {
            // The next process knows what is on the disk, and nothing else.
            let clock = world.clock.clone();
            world.store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
            world.other = Store::open(&url, clock, 1.0).await.unwrap();
        }
        assert_eq!(stored(&world).await, accepted, "round {round}: accepted, and not stored");
    }
    world.check().await;
    assert!(refused > 40, "the disk was full {refused} times only");
}

#[tokio::test]
async fn nothing_is_accepted_into_files_that_are_gone() {
    type Break = fn(&Path);
    let ways: [(&str, Break); 3] = [
        ("the folder is deleted", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap()),
        ("the log is deleted", |file| fs::remove_file(file.with_extension("sqlite-wal")).unwrap()),
        ("another file takes its place", |file| {
            let copy = file.with_extension("copy");
            fs::copy(file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        }),
    ];
    for (what, happens) in ways {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("meanwhile.sqlite");
        let url = format!("sqlite://{}", file.display());
        let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
        let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
        let token = store.add_token(user, "program", "hash").await.unwrap();
        store.ping().await.unwrap();
        happens(&file);
        let gone =
            |error: Error| assert!(matches!(error, Error::FilesMissing), "{what}: {error:?}");
        gone(store.ping().await.unwrap_err());
        gone(store.accept(upload(user, 1)).await.unwrap_err());
        // By statements that commit by themselves, and however often it is tried.
        for _ in 0..3 {
            let away = |error: Error| assert!(error.is_unreachable(), "{what}: {error:?}");
            away(store.revoke_token(user, token.id).await.unwrap_err());
            away(store.add_token(user, "another", "another").await.unwrap_err());
            away(store.accept(upload(user, 1)).await.unwrap_err());
        }
        // A program is told so, and not that its token is no good.
        assert!(!matches!(store.token("hash").await, Ok(None)), "{what}");
    }
}
