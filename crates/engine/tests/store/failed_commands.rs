//! Edits and replays of failed commands by admins.

use crate::fixture::{StoreFixture, fact_kinds, new_upload_job, outcome};
use contract::{
    TaskId,
    api::{AuditAction, Role, WaitReason},
    command::EditError,
    fact::FactKind,
    state::{JobState, TaskState},
};
use engine::store::{
    AttemptError, Claim, Conflict, DEFAULT_OPEN_LIMITS, Error, FailureReason, JobControl,
    OpenLimits,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

impl StoreFixture {
    /// Returns a task of a new job of one upload, whose only attempt was rejected.
    async fn rejected_task(&self) -> TaskId {
        self.store.tasks.accept(new_upload_job(self.user, 1)).await.unwrap();
        self.reject_next("too_long").await
    }

    async fn reject_next(&self, code: &str) -> TaskId {
        let claimed = self.claim_next().await.unwrap();
        self.finish(&claimed, Err(AttemptError::Rejected(outcome(code)))).await;
        claimed.id
    }

    /// Has the next task wait for something that its handler has begun.
    async fn begin_next(&self) {
        let claimed = self.claim_next().await.unwrap();
        let wait = AttemptError::Wait {
            outcome: outcome("starting"),
            reason: WaitReason::Machine,
            wait: Duration::ZERO,
            checkpoint: Some(Box::new(json!({ "started": true }))),
            record_attempt: true,
        };
        self.finish(&claimed, Err(wait)).await;
    }

    /// Edits the title of a task.
    async fn edit_title(&self, task: TaskId, revision: u32, title: &str) -> Result<bool, Error> {
        let mut body = self.store.jobs.task_of_any(task).await.unwrap().body;
        body["product"]["title"] = title.into();
        self.store.tasks.edit_command(self.user, task, revision, &body.to_string()).await
    }
}

fn conflict<T: std::fmt::Debug>(result: Result<T, Error>) -> Conflict {
    match result {
        Err(Error::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

pub async fn a_failed_command_is_edited_and_runs_again(fixture: StoreFixture) {
    let store = &fixture.store;
    let task = fixture.rejected_task().await;
    assert!(fixture.edit_title(task, 0, "Short").await.unwrap());
    let entry = fixture.newest_entry().await;
    assert_eq!((entry.action, entry.subject), (AuditAction::CommandEdited, task.to_string()));
    assert_eq!(entry.before, Some(json!({ "/product/title": "Lamp" })));
    assert_eq!(entry.after, Some(json!({ "/product/title": "Short" })));
    let stored = store.jobs.task_of_any(task).await.unwrap();
    assert_eq!((stored.task.state, stored.revision), (TaskState::Rejected, 1));
    assert_eq!((&*stored.task.title, stored.attempts.len()), ("Short", 1));
    assert_eq!(stored.edited_by.as_deref(), Some("ada@example.com"));
    assert_eq!(stored.message().unwrap()["data"]["body"]["product"]["title"], "Short");
    // The owner sees it too.
    let detail = store.jobs.task(fixture.user, task).await.unwrap();
    assert_eq!(detail.edited_at, Some(store.database.now_ms()));

    let (count, facts) =
        store.tasks.replay_tasks(fixture.user, stored.task.job, &[task]).await.unwrap();
    assert_eq!((count, fact_kinds(Some(&facts))), (1, vec![FactKind::JobReopened]));
    let entry = fixture.newest_entry().await;
    assert_eq!((entry.action, entry.subject), (AuditAction::CommandReplayed, task.to_string()));
    assert_eq!(entry.after.unwrap()["items"], 1);
    let claimed = fixture.claim_next().await.unwrap();
    assert_eq!((claimed.attempt, claimed.revision), (1, 1));
    assert_eq!(claimed.body["product"]["title"], "Short");
    // A service would refuse the key of the call with the old data.
    assert_eq!(claimed.idempotency_key(), format!("{task}-1"));
    fixture.succeed(&claimed).await;
    fixture.assert_consistent().await;
}

pub async fn an_edit_is_validated_and_never_changes_the_key(fixture: StoreFixture) {
    let store = &fixture.store;
    let task = fixture.rejected_task().await;
    let stored = store.jobs.task_of_any(task).await.unwrap();
    let refused = async |change: fn(&mut Value)| {
        let mut body = stored.body.clone();
        change(&mut body);
        match store.tasks.edit_command(fixture.user, task, 0, &body.to_string()).await {
            Err(Error::Edit(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let changed_sku = refused(|body| body["product"]["sku"] = "OTHER".into()).await;
    assert!(changed_sku.starts_with("/product/sku: this says what"), "{changed_sku}");
    let changed_channel = refused(|body| body["channel"] = "corner".into()).await;
    assert!(changed_channel.starts_with("/channel: this says what"), "{changed_channel}");
    let invalid = refused(|body| body["product"]["price"] = "cheap".into()).await;
    assert!(invalid.starts_with("/product/price, line 1: the price is not a number"), "{invalid}");
    let unknown = refused(|body| body["product"]["titel"] = "x".into()).await;
    assert!(unknown.starts_with("/product/titel: product.upload has no such field"), "{unknown}");
    let syntax = store.tasks.edit_command(fixture.user, task, 0, "{").await;
    assert!(matches!(syntax, Err(Error::Edit(EditError::Syntax { .. }))), "{syntax:?}");
    assert_eq!(store.jobs.task_of_any(task).await.unwrap(), stored, "nothing was changed");
    assert!(!fixture.edit_title(task, 0, "Lamp").await.unwrap(), "the same text is no edit");
    assert_eq!(store.jobs.task_of_any(task).await.unwrap(), stored);
}

pub async fn of_two_edits_the_later_one_is_told(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::Admin).await;
    let task = fixture.rejected_task().await;
    assert!(fixture.edit_title(task, 0, "Of Ada").await.unwrap());
    let mut body = fixture.store.jobs.task_of_any(task).await.unwrap().body;
    body["product"]["title"] = "Of Bob".into();
    let late = fixture.store.tasks.edit_command(bob, task, 0, &body.to_string()).await;
    assert_eq!(conflict(late), Conflict::EditedMeanwhile { by: "ada@example.com".into() });
    let stored = fixture.store.jobs.task_of_any(task).await.unwrap();
    assert_eq!((&*stored.task.title, stored.revision), ("Of Ada", 1));
    // At the same time, one of the two is stored.
    let (text, other_text) = (body.to_string(), body.to_string().replace("Of Bob", "Of Eve"));
    let (one, other) = tokio::join!(
        fixture.store.tasks.edit_command(bob, task, 1, &text),
        fixture.other_store.tasks.edit_command(fixture.user, task, 1, &other_text),
    );
    assert_eq!(
        [&one, &other].iter().filter(|result| result.is_ok()).count(),
        1,
        "{one:?} {other:?}"
    );
}

pub async fn what_runs_again_is_neither_edited_nor_replayed(fixture: StoreFixture) {
    let store = &fixture.store;
    let task = fixture.rejected_task().await;
    let job = store.jobs.task_of_any(task).await.unwrap().task.job;
    let tasks = [task];
    let replay = || store.tasks.replay_tasks(fixture.user, job, &tasks);
    // Of two replays at the same time, one is done.
    let (one, other) =
        tokio::join!(replay(), fixture.other_store.tasks.replay_tasks(fixture.user, job, &tasks));
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    assert_eq!(conflict(if one.is_ok() { other } else { one }), Conflict::RunsAgain);
    let claimed = fixture.claim_next().await.unwrap();
    assert_eq!(conflict(replay().await), Conflict::RunsAgain);
    assert_eq!(conflict(fixture.edit_title(task, 0, "Late").await), Conflict::RunsAgain);
    fixture.succeed(&claimed).await;
    assert_eq!(conflict(replay().await), Conflict::NotFailed);
    assert_eq!(conflict(fixture.edit_title(task, 0, "Late").await), Conflict::NotFailed);
    fixture.assert_consistent().await;
}

pub async fn a_replay_runs_only_what_the_admin_has_seen(fixture: StoreFixture) {
    let task = fixture.rejected_task().await;
    assert!(fixture.edit_title(task, 0, "Short").await.unwrap());
    let replay = |revision| fixture.store.tasks.replay_task(fixture.user, task, revision);
    let edited = Conflict::EditedMeanwhile { by: "ada@example.com".into() };
    assert_eq!(conflict(replay(0).await), edited);
    let stored = fixture.store.jobs.task_of_any(task).await.unwrap();
    assert_eq!(stored.task.state, TaskState::Rejected);
    replay(1).await.unwrap();
    assert_eq!(conflict(replay(1).await), Conflict::RunsAgain);
    let unknown = fixture.store.tasks.replay_task(fixture.user, TaskId(Uuid::now_v7()), 0).await;
    assert!(matches!(unknown, Err(Error::NotFound)), "{unknown:?}");
}

pub async fn only_admins_edit_and_replay_and_the_facts_are_the_owners(fixture: StoreFixture) {
    let store = &fixture.store;
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let bobs = store.tasks.accept(new_upload_job(bob, 1)).await.unwrap().job.id;
    let task = fixture.reject_next("too_long").await;
    let body = store.jobs.task_of_any(task).await.unwrap().body;
    let text = body.to_string().replace("\"Lamp\"", "\"Short\"");
    let edited = store.tasks.edit_command(bob, task, 0, &text).await;
    assert!(matches!(edited, Err(Error::NotFound)), "{edited:?}");
    let replayed = store.tasks.replay_tasks(bob, bobs, &[task]).await;
    assert!(matches!(replayed, Err(Error::NotFound)), "{replayed:?}");
    assert_eq!(store.jobs.task_of_any(task).await.unwrap().task.state, TaskState::Rejected);

    assert!(store.tasks.edit_command(fixture.user, task, 0, &text).await.unwrap());
    let (_, facts) = store.tasks.replay_tasks(fixture.user, bobs, &[task]).await.unwrap();
    assert_eq!(facts.user, bob);

    let job = store.jobs.job(bob, bobs).await.unwrap();
    assert_eq!((job.state, job.counts.open, job.counts.rejected), (JobState::Running, 1, 0));
    let claimed = fixture.claim_next().await.unwrap();
    assert_eq!(claimed.user, bob);
    fixture.succeed(&claimed).await;
    assert_eq!(store.jobs.job(bob, bobs).await.unwrap().state, JobState::Succeeded);
}

pub async fn a_replay_respects_cancels_and_the_owners_limits(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    let limits = OpenLimits { tasks: 1, ..DEFAULT_OPEN_LIMITS };
    let store = fixture.store.clone().with_open_limits(limits);
    let bobs = store.tasks.accept(new_upload_job(bob, 1)).await.unwrap().job.id;
    let task = fixture.reject_next("too_long").await;
    store.tasks.accept(new_upload_job(bob, 1)).await.unwrap();
    let at_limit = store.tasks.replay_tasks(fixture.user, bobs, &[task]).await;
    assert_eq!(conflict(at_limit), Conflict::OwnerAtLimit);

    let two = fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap().job.id;
    let mut claimed = Vec::new();
    for task in fixture.store.jobs.tasks(fixture.user, two, None, 2).await.unwrap() {
        match fixture.store.tasks.claim(task.id, 0, "w1").await.unwrap() {
            Claim::Claimed(task) => claimed.push(*task),
            other => panic!("{other:?}"),
        }
    }
    fixture.finish(&claimed[0], Err(AttemptError::Failed(outcome("no")))).await;
    fixture.store.tasks.control_job(fixture.user, two, JobControl::Cancel).await.unwrap();
    let cancelled = fixture.store.tasks.replay_tasks(fixture.user, two, &[claimed[0].id]).await;
    assert_eq!(conflict(cancelled), Conflict::JobBeingCancelled);
}

pub async fn an_unknown_effect_is_replayed_but_not_edited(fixture: StoreFixture) {
    let task = fixture.rejected_task().await;
    fixture.execute("UPDATE tasks SET unknown_since = 1, state = 'failed'").await;
    fixture.execute("UPDATE jobs SET failed = 1, rejected = 0").await;
    assert_eq!(conflict(fixture.edit_title(task, 0, "Short").await), Conflict::EffectUnknown);
    let job = fixture.store.jobs.task_of_any(task).await.unwrap().task.job;
    fixture.store.tasks.replay_tasks(fixture.user, job, &[task]).await.unwrap();
    assert!(fixture.claim_next().await.unwrap().outcome_unknown(), "it is reconciled first");
}

pub async fn begun_work_is_replayed_but_not_edited(fixture: StoreFixture) {
    let task = fixture.rejected_task().await;
    let read = async || fixture.store.jobs.task_of_any(task).await.unwrap();
    let replay = async || {
        let (job, tasks) = (read().await.task.job, [task]);
        let replayed = fixture.store.tasks.replay_tasks(fixture.user, job, &tasks).await;
        assert_eq!(replayed.unwrap().0, 1);
    };
    assert!(!read().await.has_begun);
    replay().await;
    fixture.begin_next().await;
    fixture.reject_next("start_timeout").await;
    assert!(read().await.has_begun);
    assert_eq!(conflict(fixture.edit_title(task, 0, "Short").await), Conflict::EffectBegun);

    // A replay forgets the checkpoint, but the machine of the first attempt is still there.
    replay().await;
    fixture.reject_next("throttled").await;
    assert_eq!(conflict(fixture.edit_title(task, 0, "Short").await), Conflict::EffectBegun);

    replay().await;
    fixture.begin_next().await;
    let claimed = fixture.claim_next().await.unwrap();
    fixture.finish(&claimed, Err(AttemptError::not_done("It was not launched."))).await;
    fixture.reject_next("too_long").await;
    assert!(fixture.edit_title(task, 0, "Short").await.unwrap(), "nothing was done");
}

pub async fn failed_tasks_are_grouped_by_reason(fixture: StoreFixture) {
    let bob = fixture.add_user("bob@example.com", Role::User).await;
    fixture.store.tasks.accept(new_upload_job(fixture.user, 2)).await.unwrap();
    for code in ["too_long", "no_brand"] {
        fixture.reject_next(code).await;
    }
    fixture.store.tasks.accept(new_upload_job(bob, 1)).await.unwrap();
    fixture.clock.advance(1_000);
    let last = fixture.reject_next("too_long").await;
    let failed = fixture.store.jobs.failed_tasks_of_all().await.unwrap();
    assert_eq!((failed.len(), failed[0].id), (3, last));
    let reasons = FailureReason::group(&failed);
    let summary: Vec<_> = reasons
        .iter()
        .map(|reason| (&*reason.newest.outcome.code, reason.tasks, reason.jobs, reason.owners))
        .collect();
    assert_eq!(summary, [("too_long", 2, 2, 2), ("no_brand", 1, 1, 1)]);
    assert_eq!(reasons[0].newest.owner, "bob@example.com");
}
