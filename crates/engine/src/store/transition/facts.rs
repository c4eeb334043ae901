//! The facts that report a transition.

use crate::store::journal::{self, FactDraft};
use contract::{
    api::{Job, Task},
    fact::{FactData, FactKind},
    state::TaskState,
};

/// Returns the fact of a transition, those of its follow-ups and, where it finished
/// the job, the fact of that. `traceparent` is the trace of what caused them.
pub(super) fn transition_facts(
    task: Task,
    created: Vec<Task>,
    job: &Job,
    is_finished: bool,
    traceparent: Option<&str>,
) -> Vec<FactDraft> {
    let kind = match task.state {
        // The start of a task doesn't come here: it writes no fact.
        TaskState::Queued | TaskState::Running => FactKind::TaskRequeued,
        TaskState::Succeeded => FactKind::TaskSucceeded,
        TaskState::Failed => FactKind::TaskFailed,
        TaskState::Rejected => FactKind::TaskRejected,
        TaskState::Cancelled => FactKind::TaskCancelled,
        TaskState::NeedsReview => FactKind::TaskNeedsReview,
    };
    let mut drafts = vec![task_draft(kind, task, job)];
    drafts.extend(created.into_iter().map(|task| task_draft(FactKind::TaskCreated, task, job)));
    drafts.extend(is_finished.then(|| job_finished_draft(job)));
    for draft in &mut drafts {
        draft.traceparent = traceparent.map(str::to_owned);
    }
    drafts
}

/// Returns the fact that a job has finished.
pub(super) fn job_finished_draft(job: &Job) -> FactDraft {
    let mut draft = FactDraft::for_job(FactKind::JobFinished, job.clone());
    draft.data.notification = Some(journal::job_finished_notification(job));
    draft
}

fn task_draft(kind: FactKind, task: Task, job: &Job) -> FactDraft {
    FactDraft {
        kind,
        job: Some(job.id),
        task: Some(task.id),
        traceparent: None,
        data: FactData { job: Some(job.clone()), task: Some(task), ..FactData::default() },
    }
}
