//! What admins do with failed commands of all users.

use super::Engine;
use crate::store::{self, Actor, FailedTask};
use contract::{JobId, TaskId};
use std::collections::BTreeMap;

/// What a replay of all failed items of a reason did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Items that run again.
    pub replayed: u32,
    /// Items that were to run again and don't.
    pub left: u32,
    /// Why the first of those don't.
    pub why: Option<String>,
}

impl Engine {
    /// Edits the command of a failed task.
    ///
    /// # Errors
    /// Same as [`Tasks::edit_command`](store::Tasks::edit_command).
    pub async fn edit_command(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        revision: u32,
        edited: &str,
    ) -> Result<bool, store::Error> {
        self.store.tasks.edit_command(actor, task, revision, edited).await
    }

    /// Has a failed task run again with the command that the admin has seen with `revision`.
    ///
    /// # Errors
    /// Same as [`Tasks::replay_task`](store::Tasks::replay_task).
    pub async fn replay_task(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        revision: u32,
    ) -> Result<(), store::Error> {
        let facts = self.store.tasks.replay_task(actor, task, revision).await?;
        self.publish_facts(facts.user, facts.facts);
        Ok(())
    }

    /// Returns the failed tasks of a reason, newest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn failed_tasks_of_reason(
        &self,
        reason: &str,
    ) -> Result<Vec<FailedTask>, store::Error> {
        let mut tasks = self.store.jobs.failed_tasks_of_all().await?;
        tasks.retain(|task| task.reason_id() == reason);
        Ok(tasks)
    }

    /// Has all failed tasks of a reason run again that had failed until `until`, UTC ms, job by
    /// job. A job whose state does not allow it doesn't keep others from it. Anything else, such as
    /// a store that fails, ends it; what was done by then is reported.
    ///
    /// # Errors
    /// The store failed before anything was replayed, or the actor is no admin.
    pub async fn replay_reason(
        &self,
        actor: impl Into<Actor>,
        reason: &str,
        until: i64,
    ) -> Result<ReplayReport, store::Error> {
        let actor = actor.into();
        let mut by_job: BTreeMap<JobId, Vec<TaskId>> = BTreeMap::new();
        for task in self.failed_tasks_of_reason(reason).await? {
            if task.updated_at <= until {
                by_job.entry(task.job).or_default().push(task.id);
            }
        }
        let mut report = ReplayReport::default();
        let count_of = |tasks: &[TaskId]| u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        let mut left = by_job.into_iter();
        for (job, tasks) in left.by_ref() {
            let count = count_of(&tasks);
            match self.replay_in_job(actor.clone(), job, &tasks).await {
                Ok(replayed) => {
                    report.replayed += replayed;
                    report.left += count.saturating_sub(replayed);
                }
                Err(error) => {
                    let is_of_job = matches!(error, store::Error::Conflict(_));
                    if !is_of_job && report.replayed == 0 {
                        return Err(error);
                    }
                    error.log_and_count();
                    report.left += count;
                    report.why.get_or_insert_with(|| error.public_message());
                    if !is_of_job {
                        break;
                    }
                }
            }
        }
        report.left += left.map(|(_, tasks)| count_of(&tasks)).sum::<u32>();
        Ok(report)
    }

    async fn replay_in_job(
        &self,
        actor: Actor,
        job: JobId,
        tasks: &[TaskId],
    ) -> Result<u32, store::Error> {
        let (count, facts) = self.store.tasks.replay_tasks(actor, job, tasks).await?;
        self.publish_facts(facts.user, facts.facts);
        Ok(count)
    }
}
