//! What people do: launch, control, retry, resolve.

use super::{Machine, pick};
use crate::{
    model::snapshot::Task,
    world::{launch, task},
};
use contract::{
    JobId, TaskId, UserId,
    api::{ResolveAs, RetryWhich},
    command::Ec2Start,
    fact::FactKind,
    state::{JobKind, JobState, TaskState},
};
use engine::store::{Accept, Control, Error, NewTask};
use std::collections::HashSet;
use uuid::Uuid;

impl Machine {
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
        let launch = Accept { kind, idempotency, ..launch(user, tasks) };
        let accepted = self.world.store.accept(launch).await;
        match key.and_then(|key| self.keys.get(&(user, key))) {
            None => {
                let accepted = accepted.unwrap();
                assert_eq!(accepted.facts[0].kind, FactKind::JobAccepted);
                if let Some(key) = key {
                    self.keys.insert((user, key), (accepted.job.id, hash));
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
        let jobs: Vec<_> = self.now.jobs.keys().collect();
        pick(&jobs, job).map(|place| JobId(*jobs[place]))
    }

    pub(super) async fn control(&self, job: u8, control: Control) {
        let Some(job) = self.job(job) else { return };
        let row = &self.now.jobs[&job.0];
        let ended = row.state != JobState::Running;
        let refused = ended || (row.cancel_requested && control != Control::Cancel);
        for user in self.users {
            let done = self.world.store.control(user, job, control).await;
            if user.0 != row.user {
                assert!(matches!(done, Err(Error::NotFound)));
            } else if refused {
                assert!(matches!(done, Err(Error::Conflict(_))), "{done:?}");
            } else {
                let (job, _) = done.unwrap();
                let paused = match control {
                    Control::Pause => true,
                    Control::Resume | Control::Cancel => false,
                };
                assert_eq!(job.paused, paused);
                assert!(control != Control::Cancel || job.cancel_requested);
            }
        }
        if refused {
            self.assert_unchanged().await;
        }
    }

    pub(super) async fn retry(&self, job: u8, which: u8) {
        let Some(job) = self.job(job) else { return };
        let row = &self.now.jobs[&job.0];
        let of_job =
            |(_, task): &(&Uuid, &Task)| task.job == job.0 && task.state == TaskState::Failed;
        let failed: Vec<_> = self.now.tasks.iter().filter(of_job).collect();
        let (which, count) = match which {
            0 => (RetryWhich::default(), failed.len()),
            1 => {
                let uploads = failed.iter().filter(|(_, task)| task.kind == "product.upload");
                let which = RetryWhich { channel: Some("acme".into()), ..RetryWhich::default() };
                (which, uploads.count())
            }
            _ => {
                let first = failed.first().map(|(id, _)| TaskId(**id));
                let tasks = first.into_iter().chain(self.ended.first().map(|c| c.task));
                let tasks: HashSet<_> = tasks.collect();
                let count = failed.iter().filter(|(id, _)| tasks.contains(&TaskId(**id))).count();
                let tasks = tasks.into_iter().chain([TaskId(Uuid::nil())]).collect();
                (RetryWhich { tasks: Some(tasks), ..RetryWhich::default() }, count)
            }
        };
        let cancelling = row.cancel_requested && row.state == JobState::Running;
        let retried = self.world.store.retry(UserId(row.user), job, &which).await;
        if cancelling || count == 0 {
            assert!(matches!(retried, Err(Error::Conflict(_))), "{retried:?}");
            self.assert_unchanged().await;
        } else {
            let (job, facts) = retried.unwrap();
            assert_eq!(facts[0].data.count, u32::try_from(count).ok());
            assert_eq!((job.state, job.cancel_requested), (JobState::Running, false));
        }
    }

    pub(super) async fn resolve(&self, task: u8, done: bool) {
        let unclear = |(_, task): &(&Uuid, &Task)| task.state == TaskState::NeedsPerson;
        let mut tasks: Vec<_> = self.now.tasks.iter().filter(unclear).collect();
        if tasks.is_empty() {
            tasks = self.now.tasks.iter().collect();
        }
        let Some(place) = pick(&tasks, task) else { return };
        let (id, row) = tasks[place];
        let job = &self.now.jobs[&row.job];
        let how = if done { ResolveAs::Done } else { ResolveAs::Again };
        let cancelling = job.cancel_requested && job.state == JobState::Running;
        let refused = row.state != TaskState::NeedsPerson || (cancelling && !done);
        let resolved = self.world.store.resolve(UserId(row.user), TaskId(*id), how).await;
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
