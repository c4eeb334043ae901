//! What a page knows, and how frames change it.

use crate::{api::Api, report::Report, stream::Since};
use contract::{
    TaskId,
    api::{Job, Task},
    fact::{Fact, FactKind},
    live::ServerFrame,
    state::JobState,
};
use std::collections::HashMap;
use uuid::Uuid;

pub struct Page {
    pub since: Since,
    pub job: Job,
    tasks: HashMap<TaskId, Task>,
    /// Facts in the order in which they were applied, since the last resync.
    pub applied: Vec<(i64, Uuid)>,
    pub welcomes: usize,
    pub resyncs: usize,
    ended: bool,
    missed: usize,
    repeated: usize,
}

impl Page {
    /// `since` was read before `job` was launched.
    pub fn new(since: Since, job: Job) -> Self {
        Self {
            since,
            job,
            tasks: HashMap::new(),
            applied: Vec::new(),
            welcomes: 0,
            resyncs: 0,
            ended: false,
            missed: 0,
            repeated: 0,
        }
    }

    /// The last fact of the job was heard.
    pub fn ended(&self) -> bool {
        self.ended
    }

    pub fn apply(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome { epoch, seq, recovered, .. } => {
                self.welcomes += 1;
                if !recovered {
                    self.resyncs += 1;
                    self.applied.clear();
                    self.since = Since { epoch: Some(epoch), seq: Some(seq) };
                }
            }
            ServerFrame::Fact(fact) => self.fact(fact),
            _ => {}
        }
    }

    fn fact(&mut self, fact: Fact) {
        let known = self.since.seq.unwrap_or_default();
        if fact.seq <= known {
            self.repeated += 1;
            return;
        }
        self.missed += usize::from(fact.seq > known + 1);
        self.since.seq = Some(fact.seq);
        if fact.job != Some(self.job.id) {
            return;
        }
        self.applied.push((fact.seq, fact.id));
        self.ended |= fact.kind == FactKind::JobFinished;
        if let Some(job) = fact.data.job {
            self.job = job;
        }
        if let Some(task) = fact.data.task {
            self.tasks.insert(task.id, task);
        }
    }

    /// The gap can't be replayed: everything is read anew.
    pub async fn refetch(&mut self, api: &Api) -> anyhow::Result<()> {
        self.job = api.job(self.job.id).await?;
        self.ended = self.job.state != JobState::Running;
        self.tasks = api.tasks(self.job.id).await?.into_iter().map(|t| (t.id, t)).collect();
        Ok(())
    }

    /// Against the store, as the API tells it.
    pub async fn compare(&self, api: &Api, report: &mut Report) -> anyhow::Result<()> {
        report.check(
            "no fact missed or repeated",
            self.missed == 0 && self.repeated == 0,
            format!("{} missed, {} repeated", self.missed, self.repeated),
        );
        // After a resync the page knows what lies before from the store.
        let first = match self.resyncs {
            0 => 0,
            _ => self.applied.first().map_or(i64::MAX, |(seq, _)| *seq),
        };
        let journal: Vec<_> = api
            .journal(self.job.id)
            .await?
            .into_iter()
            .filter(|fact| fact.seq >= first)
            .map(|fact| (fact.seq, fact.id))
            .collect();
        report.check(
            "what was applied is the journal",
            self.applied == journal,
            format!("{} facts there, {} here", journal.len(), self.applied.len()),
        );
        let tasks = api.tasks(self.job.id).await?;
        let other = tasks.iter().filter(|task| self.tasks.get(&task.id) != Some(task)).count();
        let job = api.job(self.job.id).await?;
        let detail = if self.job == job {
            format!("{} items, {other} differ", tasks.len())
        } else {
            format!("the page says {:?}, the store {job:?}", self.job)
        };
        report.check(
            "the page ends equal to the store",
            other == 0 && tasks.len() == self.tasks.len() && self.job == job,
            detail,
        );
        Ok(())
    }
}
