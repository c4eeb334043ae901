//! A full disk. SQLite gets a limit on its pages, which fails as a full disk does;
//! `bench faults` tests PostgreSQL on a full disk.

use crate::fixture::{QUEUE, StoreFixture, finish, new_upload_job, success, task};
use engine::{
    clock::ManualClock,
    store::{Claim, ClaimedTask, Error, NewJob, RoundRobin, Store, TokenTerms},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{fs, path::Path, pin::Pin, task::Poll};
use testbed::SmallDisk;

#[tokio::test]
async fn a_job_is_refused_whole_on_a_full_disk_and_accepted_when_there_is_space() {
    let fixture = StoreFixture::sqlite().await;
    let first = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    let claimed = fixture.claim_next().await.unwrap();
    let mut large = new_upload_job(fixture.user, 3_000);
    large.idempotency = Some(("key".into(), "hash".into()));

    fixture.store.database.set_growth_allowed(false).await.unwrap();
    let refused = fixture.store.tasks.accept(large.clone()).await.unwrap_err();
    assert!(refused.is_disk_full() && matches!(refused, Error::Database(_)), "{refused:?}");
    assert!(!refused.is_defect(), "{refused:?}");
    let jobs = fixture.store.jobs.jobs(fixture.user, None, 10).await.unwrap().items;
    assert_eq!(jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first]);
    fixture.assert_consistent().await;

    fixture.store.database.set_growth_allowed(true).await.unwrap();
    fixture.succeed(&claimed).await;
    // If its key were stored, another body would be refused.
    large.idempotency = Some(("key".into(), "another".into()));
    let accepted = fixture.store.tasks.accept(large).await.unwrap();
    assert_eq!((accepted.job.counts.total, accepted.facts.len()), (3_000, 1));
    fixture.assert_consistent().await;
}

/// Returns the number of jobs that another process sees.
async fn count_stored_jobs(fixture: &StoreFixture) -> i64 {
    fixture.query_number("SELECT count(*) AS n FROM jobs").await
}

fn launch(fixture: &StoreFixture, key: &str, hash: &str) -> NewJob {
    NewJob { idempotency: Some((key.into(), hash.into())), ..new_upload_job(fixture.user, 2) }
}

#[tokio::test]
async fn a_transaction_rolled_back_by_sqlite_does_not_affect_later_ones() {
    let fixture = StoreFixture::sqlite().await;
    // SQLite does the same when it finds the disk full in the middle of a
    // statement.
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON tasks \
                   BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    fixture.execute(trigger).await;
    for _ in 0..2 {
        fixture.store.tasks.accept(launch(&fixture, "first", "1")).await.unwrap_err();
    }
    fixture.execute("DROP TRIGGER full").await;
    fixture.store.tasks.accept(launch(&fixture, "second", "2")).await.unwrap();
    // This one the store itself rolls back.
    let reused =
        fixture.store.tasks.accept(launch(&fixture, "second", "another")).await.unwrap_err();
    assert!(matches!(reused, Error::KeyReused), "{reused:?}");
    fixture.store.tasks.accept(launch(&fixture, "third", "3")).await.unwrap();
    assert_eq!(count_stored_jobs(&fixture).await, 2, "each that was accepted is stored");
    fixture.other_store.tasks.accept(launch(&fixture, "fourth", "4")).await.unwrap();
    assert_eq!(count_stored_jobs(&fixture).await, 3);
    fixture.assert_consistent().await;
}

#[tokio::test]
async fn a_transaction_dropped_at_any_point_does_not_affect_later_ones() {
    let fixture = StoreFixture::sqlite_in_memory().await;
    let trigger = "CREATE TRIGGER full BEFORE INSERT ON tasks WHEN NEW.row_no = 1 \
                   BEGIN SELECT RAISE(ROLLBACK, 'no room'); END";
    for (round, polls) in (0..60).enumerate() {
        // In every other round, SQLite has ended the transaction before it is
        // dropped.
        if round % 2 == 0 {
            fixture.execute(trigger).await;
        }
        let name = format!("dropped-{round}");
        let accepting = Box::pin(fixture.store.tasks.accept(launch(&fixture, &name, "1")));
        drop_after(polls, accepting).await;
        fixture.execute("DROP TRIGGER IF EXISTS full").await;
        let before = count_stored_jobs(&fixture).await;
        fixture
            .store
            .tasks
            .accept(launch(&fixture, &format!("accepted-{round}"), "1"))
            .await
            .unwrap();
        let now = count_stored_jobs(&fixture).await;
        assert!(now == before + 1 || now == before + 2, "round {round}: {before}, then {now}");
        let key =
            format!("SELECT count(*) AS n FROM idempotency_keys WHERE name = 'accepted-{round}'");
        assert_eq!(fixture.query_number(&key).await, 1, "round {round}: accepted, but not stored");
    }
    fixture.assert_consistent().await;
}

/// Polls the future `polls` times, and drops it if it is not ready.
async fn drop_after<T>(polls: usize, mut future: impl Future<Output = T> + Unpin) {
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

/// Claims due tasks, as far as the disk allows.
async fn claim(fixture: &StoreFixture) -> Vec<ClaimedTask> {
    let mut claimed = Vec::new();
    for due in fixture.store.tasks.due_tasks(QUEUE, 4, &RoundRobin::default()).await.unwrap().tasks
    {
        if let Ok(Claim::Claimed(task)) = fixture.store.tasks.claim(due.task, due.fence, "w1").await
        {
            claimed.push(*task);
        }
    }
    claimed
}

/// Finishes the running tasks; those that could not be saved remain.
async fn end(fixture: &StoreFixture, running: &mut Vec<ClaimedTask>) {
    let finishes = running.iter().map(|claimed| finish(claimed, success())).collect();
    let mut ended = fixture.store.tasks.finish(finishes).await.into_iter();
    running.retain(|_| ended.next().is_some_and(|ended| ended.is_err()));
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing_that_was_accepted() {
    let Some(disk) = SmallDisk::mount_with_size(64) else {
        eprintln!("skipped: only root can mount a disk to fill");
        return;
    };
    let url = format!("sqlite://{}", disk.path().join("meanwhile.sqlite").display());
    let mut fixture = StoreFixture::at(url.clone()).await;
    let mut dice = StdRng::seed_from_u64(7);
    let (mut accepted, mut refused, mut running) = (0, 0, Vec::new());
    for round in 0..40 {
        // The free space is enough for none to a few commits, so that new jobs,
        // claims and finishes each meet the full disk at different points.
        disk.fill_except(dice.random_range(0..40) * 4096);
        for n in 0..6 {
            let name = format!("{round}-{n}");
            let count = [1, 1, 10, 100][dice.random_range(0..4)];
            let tasks = (0..count).map(|row| task(&format!("{name}-{row}"), row)).collect();
            let launch = NewJob { tasks, ..launch(&fixture, &name, "1") };
            match fixture.store.tasks.accept(launch).await {
                Ok(_) => accepted += 1,
                Err(error) => refused += usize::from(error.cannot_write()),
            }
            running.extend(claim(&fixture).await);
            end(&fixture, &mut running).await;
        }
        disk.remove_filler();
        // With free space, everything works at once and without help.
        fixture.store.tasks.accept(launch(&fixture, &format!("{round}-room"), "1")).await.unwrap();
        accepted += 1;
        running.extend(claim(&fixture).await);
        end(&fixture, &mut running).await;
        assert!(running.is_empty(), "round {round}: a finish is not saved although there is space");
        // Another writer does not have to wait.
        fixture
            .other_store
            .accounts
            .add_token(fixture.user, "any", &format!("{round}"), TokenTerms::default())
            .await
            .unwrap();
        if round % 8 == 7 {
            // The next process knows only what is on the disk.
            let clock = fixture.clock.clone();
            fixture.store = Store::open(&url, clock.clone(), 1.0).await.unwrap();
            fixture.other_store = Store::open(&url, clock, 1.0).await.unwrap();
        }
        assert_eq!(
            count_stored_jobs(&fixture).await,
            accepted,
            "round {round}: accepted, but not stored"
        );
    }
    fixture.assert_consistent().await;
    assert!(refused > 40, "the disk was full only {refused} times");
}

#[tokio::test]
async fn nothing_is_accepted_when_the_database_files_are_missing() {
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
        let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
        let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
        let token =
            store.accounts.add_token(user, "program", "hash", TokenTerms::default()).await.unwrap();
        store.database.ping().await.unwrap();
        happens(&file);
        let assert_files_missing =
            |error: Error| assert!(matches!(error, Error::FilesMissing), "{what}: {error:?}");
        assert_files_missing(store.database.ping().await.unwrap_err());
        assert_files_missing(store.tasks.accept(new_upload_job(user, 1)).await.unwrap_err());
        // Statements that commit by themselves fail too, however often they are
        // repeated.
        for _ in 0..3 {
            let assert_unreachable =
                |error: Error| assert!(error.is_unreachable(), "{what}: {error:?}");
            assert_unreachable(store.accounts.revoke_token(user, token.id).await.unwrap_err());
            assert_unreachable(
                store
                    .accounts
                    .add_token(user, "another", "another", TokenTerms::default())
                    .await
                    .unwrap_err(),
            );
            assert_unreachable(store.tasks.accept(new_upload_job(user, 1)).await.unwrap_err());
        }
        // A program gets this error, and not that its token is invalid.
        assert!(!matches!(store.accounts.authenticate_token("hash").await, Ok(None)), "{what}");
    }
}
