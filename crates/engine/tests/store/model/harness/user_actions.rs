//! Actions of users: new jobs, control, retry, resolve.

use super::{Harness, pick_index};
use crate::{
    model::snapshot::Task,
    world::{new_job, task},
};
use contract::{
    JobId, TaskId, UserId,
    api::{Resolution, RetryRequest},
    command::Ec2Start,
    fact::FactKind,
    state::{JobKind, JobState, TaskState},
};
use engine::store::{Error, JobControl, NewJob, NewTask};
use std::collections::HashSet;
use uuid::Uuid;

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
        let accepted = self.world.store.accept(job).await;
        match key.and_then(|key| self.idempotency_keys.get(&(user, key))) {
            None => {
                let accepted = accepted.unwrap();
                assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
                if let Some(key) = key {
                    self.idempotency_keys.insert((user, key), (accepted.job.id, hash));
                }
            }
            Some((job, first)) => {
                match accepted {
                    Ok(again) => {
                        assert_eq!((again.job.id, first), (*job, &hash));
                        assert!(again.facts.is_empty());
                    }
                    Err(Error::KeyReused) => assert_ne!(*first, hash),
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
            let result = self.world.store.control_job(user, job, control).await;
            if user.0 != row.user {
                assert!(matches!(result, Err(Error::NotFound)));
            } else if refused {
                assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
            } else {
                let (job, _) = result.unwrap();
                let paused = match control {
                    JobControl::Pause => true,
                    JobControl::Resume | JobControl::Cancel => false,
                };
                assert_eq!(job.paused, paused);
                assert!(control != JobControl::Cancel || job.cancel_requested);
            }
        }
        if refused {
            self.assert_unchanged().await;
        }
    }

    pub(super) async fn retry(&self, job: u8, which: u8) {
        let Some(job) = self.job(job) else { return };
        let row = &self.snapshot.jobs[&job.0];
        let failed_of_job =
            |(_, task): &(&Uuid, &Task)| task.job == job.0 && task.state == TaskState::Failed;
        let failed: Vec<_> = self.snapshot.tasks.iter().filter(failed_of_job).collect();
        let (which, count) = match which {
            0 => (RetryRequest::default(), failed.len()),
            1 => {
                let uploads = failed.iter().filter(|(_, task)| task.kind == "product.upload");
                let which =
                    RetryRequest { channel: Some("acme".into()), ..RetryRequest::default() };
                (which, uploads.count())
            }
            _ => {
                let first = failed.first().map(|(id, _)| TaskId(**id));
                let tasks = first.into_iter().chain(self.ended_claims.first().map(|c| c.task));
                let tasks: HashSet<_> = tasks.collect();
                let count = failed.iter().filter(|(id, _)| tasks.contains(&TaskId(**id))).count();
                let tasks = tasks.into_iter().chain([TaskId(Uuid::nil())]).collect();
                (RetryRequest { tasks: Some(tasks), ..RetryRequest::default() }, count)
            }
        };
        let cancelling = row.cancel_requested && row.state == JobState::Running;
        let retried = self.world.store.retry_failed_tasks(UserId(row.user), job, &which).await;
        if cancelling || count == 0 {
            assert!(matches!(retried, Err(Error::Conflict(_))), "{retried:?}");
            self.assert_unchanged().await;
        } else {
            let (job, facts) = retried.unwrap();
            assert_eq!(facts[0].data.count, u32::try_from(count).ok());
            assert_eq!((job.state, job.cancel_requested), (JobState::Running, false));
        }
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
            self.world.store.resolve_task(UserId(row.user), TaskId(*id), resolution).await;
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
    let command = Ec2Start { instance_id: format!("i-{key}"), name: String::new() };
    NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
}
