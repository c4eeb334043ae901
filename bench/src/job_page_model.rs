//! A model of a job page: what it knows, and how frames change it.

use crate::report::Report;
use contract::{
    TaskId,
    api::{Job, Task},
    fact::{Fact, FactKind},
    state::JobState,
    websocket::ServerFrame,
};
use std::collections::HashMap;
use testbed::{ApiClient, websocket::StreamPosition};
use uuid::Uuid;

pub struct JobPageModel {
    pub position: StreamPosition,
    pub job: Job,
    tasks: HashMap<TaskId, Task>,
    /// Facts in the order in which they were applied, since the last resync.
    pub applied_facts: Vec<(i64, Uuid)>,
    pub welcome_count: usize,
    pub resync_count: usize,
    finished: bool,
    missed_count: usize,
    repeated_count: usize,
}

impl JobPageModel {
    /// Returns the page of `job`; `position` was read before the launch.
    pub fn new(position: StreamPosition, job: Job) -> Self {
        Self {
            position,
            job,
            tasks: HashMap::new(),
            applied_facts: Vec::new(),
            welcome_count: 0,
            resync_count: 0,
            finished: false,
            missed_count: 0,
            repeated_count: 0,
        }
    }

    /// Returns whether the page knows that the job has finished.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    pub fn apply(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome { epoch, seq, recovered, .. } => {
                self.welcome_count += 1;
                if !recovered {
                    self.resync_count += 1;
                    self.applied_facts.clear();
                    self.position = StreamPosition { epoch: Some(epoch), seq: Some(seq) };
                }
            }
            ServerFrame::Fact(fact) => self.apply_fact(fact),
            _ => {}
        }
    }

    fn apply_fact(&mut self, fact: Fact) {
        let known = self.position.seq.unwrap_or_default();
        if fact.seq <= known {
            self.repeated_count += 1;
            return;
        }
        self.missed_count += usize::from(fact.seq > known + 1);
        self.position.seq = Some(fact.seq);
        if fact.job != Some(self.job.id) {
            return;
        }
        self.applied_facts.push((fact.seq, fact.id));
        self.finished |= fact.kind == FactKind::JobFinished;
        if let Some(job) = fact.data.job {
            self.job = job;
        }
        if let Some(task) = fact.data.task {
            self.tasks.insert(task.id, task);
        }
    }

    /// Reads the job and its tasks again, because the gap can't be replayed.
    pub async fn refetch(&mut self, api: &ApiClient) -> anyhow::Result<()> {
        self.job = api.job(self.job.id).await?;
        self.finished = self.job.state != JobState::Running;
        self.tasks = api.tasks(self.job.id).await?.into_iter().map(|t| (t.id, t)).collect();
        Ok(())
    }

    /// Compares the page with the store, as read through the API.
    pub async fn compare_with_store(
        &self,
        api: &ApiClient,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        report.add_check(
            "no fact missed or repeated",
            self.missed_count == 0 && self.repeated_count == 0,
            format!("{} missed, {} repeated", self.missed_count, self.repeated_count),
        );
        // After a resync, the page has everything earlier from the store.
        let first = match self.resync_count {
            0 => 0,
            _ => self.applied_facts.first().map_or(i64::MAX, |(seq, _)| *seq),
        };
        let journal: Vec<_> = api
            .journal(self.job.id)
            .await?
            .into_iter()
            .filter(|fact| fact.seq >= first)
            .map(|fact| (fact.seq, fact.id))
            .collect();
        report.add_check(
            "the applied facts equal the journal",
            self.applied_facts == journal,
            format!("{} facts in the journal, {} applied", journal.len(), self.applied_facts.len()),
        );
        let tasks = api.tasks(self.job.id).await?;
        let other = tasks.iter().filter(|task| self.tasks.get(&task.id) != Some(task)).count();
        let job = api.job(self.job.id).await?;
        let detail = if self.job == job {
            format!("{} items, {other} differ", tasks.len())
        } else {
            format!("the page says {:?}, the store {job:?}", self.job)
        };
        report.add_check(
            "the page ends equal to the store",
            other == 0 && tasks.len() == self.tasks.len() && self.job == job,
            detail,
        );
        Ok(())
    }
}
