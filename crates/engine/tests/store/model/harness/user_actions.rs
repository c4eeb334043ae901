//! Actions of users: new jobs, control, retry, resolve.

use super::{FirstRequest, Harness, pick_index, unpublish};
use crate::{
    fixture::{new_job, task},
    model::snapshot::Task,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Resolution, RetryRequest, RetryState},
    command::Ec2Start,
    fact::{Fact, FactKind},
    state::{JobKind, JobState, TaskState},
};
use engine::store::{Error, JobControl, NewJob, NewTask};
use std::collections::HashSet;
use uuid::Uuid;

/// The store's value.
pub(super) const IDEMPOTENCY_KEY_LIFETIME_MS: i64 = 24 * 3_600_000;

impl Harness {
    pub(super) async fn accept(
        &mut self,
        user: UserId,
        machines: bool,
        keys: &[u8],
        key: Option<u8>,
    ) {
        let tasks = (0..).zip(keys).map(|(row, key)| new_task(machines, *key, row)).collect();
        let kind = if machines { JobKind::Ec2Starts } else { JobKind::ProductUploads };
        let hash = format!("{machines} {keys:?}");
        let idempotency = key.map(|key| (format!("key-{key}"), hash.clone()));
        let job = NewJob { kind, idempotency, ..new_job(user, tasks) };
        let accepted = self.fixture.store.tasks.accept(job).await;
        let at = self.fixture.store.database.now_ms();
        let is_valid = |first: &&FirstRequest| first.at >= at - IDEMPOTENCY_KEY_LIFETIME_MS;
        match key.and_then(|key| self.idempotency_keys.get(&(user, key)).filter(is_valid)) {
            None => {
                let accepted = accepted.unwrap();
                assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
                if let Some(key) = key {
                    let first = FirstRequest { job: accepted.job.id, hash, at };
                    self.idempotency_keys.insert((user, key), first);
                }
            }
            Some(first) => {
                match accepted {
                    Ok(again) => {
                        assert_eq!((again.job.id, hash), (first.job, first.hash.clone()));
                        assert!(again.facts.is_empty());
                    }
                    Err(Error::KeyReused) => assert_ne!(first.hash, hash),
                    Err(error) => panic!("{error}"),
                }
                self.assert_unchanged().await;
            }
        }
    }

    fn job(&self, job: u8) -> Option<JobId> {
        let jobs: Vec<_> = self.snapshot.jobs.keys().collect();
        pick_index(&jobs, job).map(|index| JobId(*jobs[index]))
    }

    pub(super) async fn control(&self, job: u8, control: JobControl) {
        let Some(job) = self.job(job) else { return };
        let row = &self.snapshot.jobs[&job.0];
        let ended = row.state != JobState::Running;
        let refused = ended || (row.cancel_requested && control != JobControl::Cancel);
        for user in self.users {
            let result = self.fixture.store.tasks.control_job(user, job, control).await;
            if user.0 != row.user {
                assert!(matches!(result, Err(Error::NotFound)));
            } else if refused {
                assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
            } else {
                let (after, facts) = result.unwrap();
                assert_eq!(after.paused, control == JobControl::Pause);
                assert!(control != JobControl::Cancel || after.cancel_requested);
                self.assert_controlled(job, control, &facts).await;
            }
        }
        if refused {
            self.assert_unchanged().await;
        }
    }

    /// Asserts that the control has changed all tasks of the job that it concerns, and
    /// no other one, and that its facts say so.
    async fn assert_controlled(&self, job: JobId, control: JobControl, facts: &[Fact]) {
        let row = &self.snapshot.jobs[&job.0];
        let is_repeated = match control {
            JobControl::Cancel => row.cancel_requested,
            JobControl::Pause => row.paused,
            JobControl::Resume => !row.paused,
        };
        if is_repeated {
            assert!(facts.is_empty(), "{facts:?}");
            return self.assert_unchanged().await;
        }
        let now = self.fixture.store.database.now_ms();
        self.assert_tasks_changed(|_, task| {
            if task.job != job.0 || task.state != TaskState::Queued {
                return;
            }
            match control {
                JobControl::Cancel => {
                    unpublish(task);
                    match task.may_have_effect() {
                        true => task.run_after = now,
                        false => task.state = TaskState::Cancelled,
                    }
                }
                JobControl::Pause | JobControl::Resume if task.published_at.is_some() => {
                    unpublish(task);
                }
                JobControl::Pause | JobControl::Resume => {}
            }
        })
        .await;
        let count = |is_counted: fn(&Task) -> bool| {
            let tasks = self.snapshot.tasks.values();
            tasks.filter(|task| task.job == job.0 && is_counted(task)).count()
        };
        let kinds: Vec<_> = facts.iter().map(|fact| fact.kind).collect();
        match control {
            JobControl::Cancel => {
                let is_unsent =
                    |task: &Task| task.state == TaskState::Queued && !task.may_have_effect();
                let cancelled = u32::try_from(count(is_unsent)).ok();
                assert_eq!((kinds[0], facts[0].data.count), (FactKind::JobCancelling, cancelled));
                let is_left = |task: &Task| match task.state {
                    TaskState::Running => true,
                    TaskState::Queued => task.may_have_effect(),
                    _ => false,
                };
                let ends = count(is_left) == 0;
                assert_eq!(kinds[1..], [FactKind::JobFinished][..usize::from(ends)]);
            }
            JobControl::Pause => assert_eq!(kinds, [FactKind::JobPaused]),
            JobControl::Resume => assert_eq!(kinds, [FactKind::JobResumed]),
        }
    }

    pub(super) async fn retry(&self, job: u8, which: u8) {
        let Some(job) = self.job(job) else { return };
        let row = &self.snapshot.jobs[&job.0];
        let unsuccessful = [TaskState::Failed, TaskState::Rejected, TaskState::Cancelled];
        let is_unsuccessful =
            |(_, task): &(&Uuid, &Task)| task.job == job.0 && unsuccessful.contains(&task.state);
        let unsuccessful: Vec<_> = self.snapshot.tasks.iter().filter(is_unsuccessful).collect();
        let all = RetryRequest::default();
        let which = match which {
            0 => all,
            1 => RetryRequest { channel: Some("acme".into()), ..all },
            2 => RetryRequest { state: Some(RetryState::Cancelled), ..all },
            _ => {
                let first = unsuccessful.first().map(|(id, _)| TaskId(**id));
                let tasks: HashSet<_> =
                    first.into_iter().chain(self.ended_claims.first().map(|c| c.id)).collect();
                let tasks = tasks.into_iter().chain([TaskId(Uuid::nil())]).collect();
                RetryRequest { tasks: Some(tasks), ..all }
            }
        };
        let is_selected = |id: Uuid, task: &Task| {
            let is_named = which.tasks.as_ref().is_none_or(|tasks| tasks.contains(&TaskId(id)));
            let is_in_state = match which.state {
                _ if which.tasks.is_some() => true,
                Some(RetryState::Cancelled) => task.state == TaskState::Cancelled,
                Some(RetryState::Failed) | None => task.state == TaskState::Failed,
            };
            // Only uploads have a channel.
            is_named && is_in_state && (which.channel.is_none() || task.kind == "product.upload")
        };
        let selected = unsuccessful.iter().filter(|(id, task)| is_selected(**id, task));
        let selected: HashSet<_> = selected.map(|(id, _)| **id).collect();
        let cancelling = row.cancel_requested && row.state == JobState::Running;
        let retried = self.fixture.store.tasks.retry_tasks(UserId(row.user), job, &which).await;
        if cancelling || selected.is_empty() {
            assert!(matches!(retried, Err(Error::Conflict(_))), "{retried:?}");
            return self.assert_unchanged().await;
        }
        let (job, facts) = retried.unwrap();
        assert_eq!(facts[0].data.count, u32::try_from(selected.len()).ok());
        assert_eq!((job.state, job.cancel_requested), (JobState::Running, false));
        let now = self.fixture.store.database.now_ms();
        self.assert_tasks_changed(|id, task| {
            if selected.contains(&id) {
                unpublish(task);
                task.state = TaskState::Queued;
                (task.attempt, task.lease_losses) = (0, 0);
                (task.run_after, task.outcome, task.has_checkpoint) = (now, None, false);
            }
        })
        .await;
    }

    pub(super) async fn resolve(&self, task: u8, succeeded: bool) {
        let needs_review = |(_, task): &(&Uuid, &Task)| task.state == TaskState::NeedsReview;
        let mut tasks: Vec<_> = self.snapshot.tasks.iter().filter(needs_review).collect();
        if tasks.is_empty() {
            tasks = self.snapshot.tasks.iter().collect();
        }
        let Some(index) = pick_index(&tasks, task) else { return };
        let (id, row) = tasks[index];
        let job = &self.snapshot.jobs[&row.job];
        let resolution = if succeeded { Resolution::Succeeded } else { Resolution::Retry };
        let cancelling = job.cancel_requested && job.state == JobState::Running;
        let refused = row.state != TaskState::NeedsReview || (cancelling && !succeeded);
        let resolved =
            self.fixture.store.tasks.resolve_task(UserId(row.user), TaskId(*id), resolution).await;
        if refused {
            assert!(matches!(resolved, Err(Error::Conflict(_))), "{resolved:?}");
            self.assert_unchanged().await;
        } else {
            resolved.unwrap();
        }
    }
}

fn new_task(machine: bool, key: u8, row: u32) -> NewTask {
    if !machine {
        return task(&format!("SKU-{key}"), row);
    }
    let command = Ec2Start { instance_id: format!("i-{key}"), ..Ec2Start::default() };
    NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
}
