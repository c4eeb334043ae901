//! What operators see of upstreams, and what they set for everybody.

use super::Engine;
use crate::{
    clock::whole_millis,
    store::{self, Actor, FailedAttempt, NewAuditEntry, QueueReader},
    upstream::Upstream,
};
use contract::{
    api::{
        AuditAction, PaceRequest, PauseRequest, Task, UpstreamCheck, UpstreamError, UpstreamLimit,
        UpstreamPause, UpstreamQueueEntry, UpstreamStatus, WaitReason, WaitingFor,
    },
    state::TaskState,
    text::{self, TextError},
};
use serde_json::json;
use std::time::Duration;

/// Maximum length of a pause.
const MAX_PAUSE: Duration = Duration::from_hours(30 * 24);
/// Lowest rate that can be set, in requests per second: at less, an attempt of several requests
/// would wait for its permits until its time is over, and begin again.
const MIN_RATE: f64 = 0.2;
/// Maximum time that a check takes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of jobs that are listed for an upstream.
const QUEUE_LIMIT: u32 = 8;
/// Maximum number of reasons of failed attempts that are listed for an upstream.
const ERROR_LIMIT: usize = 4;

/// Why an upstream was not changed or checked. The messages are shown to people.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such upstream.
    #[error("There is no such channel.")]
    Unknown,
    /// The request is invalid; the message says what to change.
    #[error("{0}")]
    Invalid(String),
    /// Somebody else checks the upstream.
    #[error("Somebody is checking this channel. The result will be here in a moment.")]
    CheckRuns,
    /// The note can't be stored.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The database failed or refused the change.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Engine {
    /// Returns what `reader` may see of all upstreams.
    ///
    /// # Errors
    /// The store failed.
    pub async fn upstream_statuses(
        &self,
        reader: QueueReader,
    ) -> Result<Vec<UpstreamStatus>, store::Error> {
        let mut statuses = Vec::with_capacity(self.upstreams.len());
        for upstream in &*self.upstreams {
            statuses.push(self.upstream_status(upstream, reader).await?);
        }
        Ok(statuses)
    }

    async fn upstream_status(
        &self,
        upstream: &Upstream,
        reader: QueueReader,
    ) -> Result<UpstreamStatus, store::Error> {
        let mut limits = Vec::with_capacity(upstream.limits.len());
        for limit in &upstream.limits {
            limits.extend(self.limit_status(limit).await?);
        }
        let (mut open, mut entries, mut failed) = (0, Vec::new(), Vec::new());
        for queue in &upstream.queues {
            open += self.store.jobs.count_open_in_queue(queue).await?;
            entries.extend(self.store.jobs.jobs_in_queue(queue, reader, QUEUE_LIMIT).await?);
            failed.extend(self.store.jobs.failed_attempts(queue, reader).await?);
        }
        let queue = merge_by_job(entries);
        let listed: u32 = queue.iter().map(|entry| entry.open).sum();
        // A new file may have another name.
        let channels = self.channels();
        let channel = channels.iter().find(|channel| channel.id == upstream.id);
        Ok(UpstreamStatus {
            id: upstream.id.clone(),
            name: channel.map_or_else(|| upstream.name.clone(), |channel| channel.name.clone()),
            pause: self.pause_of(upstream),
            limits,
            queue,
            other_open: open.saturating_sub(listed),
            errors: group_by_message(failed, reader),
            last_check: match reader.sees_all {
                true => self.last_check(&upstream.id).await?,
                false => None,
            },
        })
    }

    async fn limit_status(&self, limit: &str) -> Result<Option<UpstreamLimit>, store::Error> {
        let Some((configured, reduced_rate)) = self.limiters.configured_limits(limit) else {
            return Ok(None);
        };
        let state = match self.limiters.state(limit).await {
            Ok(state) => Some(state),
            Err(error) => {
                tracing::debug!(upstream = limit, ?error, "could not read a limiter's state");
                None
            }
        };
        let now = self.store.database.now_ms();
        let remaining = state.as_ref().and_then(|state| state.cooldown_remaining);
        let cooldown_until = remaining.map(|remaining| now + whole_millis(remaining));
        let cooldown_reason = match cooldown_until {
            Some(_) => self.limiters.cooldown_reason(limit).await,
            None => None,
        };
        Ok(Some(UpstreamLimit {
            id: limit.to_owned(),
            rate: configured.rate,
            reduced_rate,
            current_rate: state.as_ref().map(|state| state.current_rate),
            in_flight: state.map_or(0, |state| state.in_flight),
            cooldown_until,
            cooldown_reason,
        }))
    }

    async fn last_check(&self, upstream: &str) -> Result<Option<UpstreamCheck>, store::Error> {
        let action = AuditAction::UpstreamChecked;
        let Some(entry) = self.store.audit.last_entry(upstream, action).await? else {
            return Ok(None);
        };
        let said = entry.after.unwrap_or_default();
        Ok(Some(UpstreamCheck {
            ok: said["ok"].as_bool().unwrap_or_default(),
            says: said["says"].as_str().unwrap_or_default().to_owned(),
            at: entry.at,
        }))
    }

    fn find_upstream(&self, id: &str) -> Result<&Upstream, ControlError> {
        self.upstreams.iter().find(|upstream| upstream.id == id).ok_or(ControlError::Unknown)
    }

    fn pause_of(&self, upstream: &Upstream) -> Option<UpstreamPause> {
        upstream.limits.iter().find_map(|limit| self.limiters.pause(limit))
    }

    /// Pauses an upstream for everybody. Attempts that have sent something go on to their end;
    /// nothing else is sent until the pause ends.
    ///
    /// # Errors
    /// There is no such upstream, the end is in the past or too far away, or the store refused
    /// it; see [`ControlError`].
    pub async fn pause_upstream(
        &self,
        actor: impl Into<Actor>,
        id: &str,
        request: &PauseRequest,
    ) -> Result<(), ControlError> {
        let upstream = self.find_upstream(id)?;
        let PauseRequest { until, note } = request;
        let wait_ms = until.saturating_sub(self.store.database.now_ms());
        if wait_ms <= 0 {
            return Err(ControlError::Invalid("The pause has to end in the future.".into()));
        }
        if wait_ms > whole_millis(MAX_PAUSE) {
            let message = "A pause may last 30 days. Choose an earlier end.";
            return Err(ControlError::Invalid(message.into()));
        }
        let controls = &self.store.upstream_controls;
        controls.pause(actor, id, &upstream.limits, *until, note.trim()).await?;
        self.apply_controls().await;
        Ok(())
    }

    /// Ends the pause of an upstream. A cooldown that the service asked for stays.
    ///
    /// # Errors
    /// There is no such upstream, or the store refused it; see [`ControlError`].
    pub async fn resume_upstream(
        &self,
        actor: impl Into<Actor>,
        id: &str,
    ) -> Result<(), ControlError> {
        let upstream = self.find_upstream(id)?;
        self.store.upstream_controls.resume(actor, id, &upstream.limits).await?;
        self.apply_controls().await;
        Ok(())
    }

    /// Changes the rate of an upstream's limit, for everybody.
    ///
    /// # Errors
    /// There is no such upstream or limit, the rate is higher than the configuration allows or
    /// too low, or the store refused it; see [`ControlError`].
    pub async fn change_pace(
        &self,
        actor: impl Into<Actor>,
        id: &str,
        request: &PaceRequest,
    ) -> Result<(), ControlError> {
        let upstream = self.find_upstream(id)?;
        let limit = match (&request.limit, &*upstream.limits) {
            (Some(limit), limits) => limits.iter().find(|known| *known == limit),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let unknown_limit = || {
            let known = upstream.limits.join(", ");
            ControlError::Invalid(match &request.limit {
                Some(limit) => format!("There is no limit {limit}. Choose one of these: {known}."),
                None => format!("Say which limit: {known}."),
            })
        };
        let limit = limit.ok_or_else(unknown_limit)?;
        let (configured, _) =
            self.limiters.configured_limits(limit).ok_or(ControlError::Unknown)?;
        let max = configured.rate;
        // Below this, a configured rate can't be reduced.
        let min = MIN_RATE.min(max);
        if let Some(rate) = request.rate
            && !(min..=max).contains(&rate)
        {
            return Err(ControlError::Invalid(format!(
                "The pace has to be {min} to {max} requests per second. {max} is what the \
                 configuration allows: to raise it, change it there. To stop all calls, pause \
                 the channel."
            )));
        }
        let rate = request.rate.filter(|rate| *rate < max);
        self.store.upstream_controls.set_rate(actor, limit, rate).await?;
        self.apply_controls().await;
        Ok(())
    }

    /// Asks an upstream whether it can be used, with a request that changes nothing. It passes no
    /// rate limiter, because it has to work during a pause or a cooldown too.
    ///
    /// # Errors
    /// There is no such upstream, somebody else checks it, or the store refused it; see
    /// [`ControlError`]. A service that can't be used is no error.
    pub async fn check_upstream(
        &self,
        actor: impl Into<Actor>,
        id: &str,
    ) -> Result<UpstreamCheck, ControlError> {
        let upstream = self.find_upstream(id)?;
        let _guard = upstream.check_lock.try_lock().map_err(|_| ControlError::CheckRuns)?;
        let answer = match tokio::time::timeout(CHECK_TIMEOUT, upstream.probe.check()).await {
            Ok(answer) => answer,
            Err(_) => Err("It did not answer in time.".into()),
        };
        let ok = answer.is_ok();
        let says = answer.unwrap_or_else(|why| why);
        let check = UpstreamCheck {
            ok,
            says: text::OUTCOME_MESSAGE.clean(&says),
            at: self.store.database.now_ms(),
        };
        let entry = NewAuditEntry {
            action: AuditAction::UpstreamChecked,
            subject: id.into(),
            before: None,
            after: Some(json!({ "ok": check.ok, "says": check.says })),
            note: String::new(),
        };
        self.store.audit.record(actor, entry).await?;
        Ok(check)
    }

    /// Applies what was just stored in this process; others follow within a second.
    async fn apply_controls(&self) {
        if let Err(error) = self.limiters.load_controls().await {
            tracing::warn!(%error, "could not read what is set for upstreams");
        }
        self.forget_forecast().await;
        self.relay_waker.wake();
    }

    /// Says of queued tasks whose upstream is paused who has paused it and until when, and of
    /// others no longer that it is. The pause is in no task, so that it begins and ends at once
    /// for any number of them.
    ///
    /// # Errors
    /// The store failed.
    pub async fn explain_pauses<'t>(
        &self,
        tasks: impl Iterator<Item = &'t mut Task>,
    ) -> Result<(), store::Error> {
        let mut queued: Vec<_> = tasks.filter(|task| task.state == TaskState::Queued).collect();
        let paused: Vec<_> = self
            .upstreams
            .iter()
            .filter_map(|upstream| Some((upstream, self.pause_of(upstream)?)))
            .collect();
        // Tasks without a channel are found by their queue.
        let unplaced: Vec<_> = queued
            .iter()
            .filter(|task| task.channel.is_none() && !paused.is_empty())
            .map(|task| task.id)
            .collect();
        let queues = match unplaced.is_empty() {
            true => Default::default(),
            false => self.store.jobs.queues_of_tasks(&unplaced).await?,
        };
        for task in &mut queued {
            let pause = paused.iter().find(|(upstream, _)| match &task.channel {
                Some(channel) => *channel == upstream.id,
                None => queues.get(&task.id).is_some_and(|queue| upstream.queues.contains(queue)),
            });
            explain_pause(task, pause.map(|(_, pause)| pause));
        }
        Ok(())
    }
}

fn explain_pause(task: &mut Task, pause: Option<&UpstreamPause>) {
    let waiting = task.waiting_for.as_ref();
    match pause {
        // What was sent without an answer matters more.
        Some(_) if waiting.is_some_and(|waiting| waiting.reason == WaitReason::Checking) => {}
        Some(pause) => {
            task.waiting_for = Some(WaitingFor {
                reason: WaitReason::Paused,
                until: Some(pause.until),
                detail: Some(pause.sentence()),
            });
        }
        None if waiting.is_some_and(|waiting| waiting.reason == WaitReason::Paused) => {
            task.waiting_for = None;
        }
        None => {}
    }
}

/// Adds up the entries of a job, which may have tasks in several queues, and returns the first
/// ones.
fn merge_by_job(entries: Vec<UpstreamQueueEntry>) -> Vec<UpstreamQueueEntry> {
    let mut merged: Vec<UpstreamQueueEntry> = Vec::new();
    for entry in entries {
        match merged.iter_mut().find(|known| known.job == entry.job) {
            Some(known) => known.open += entry.open,
            None => merged.push(entry),
        }
    }
    merged.sort_by_key(|entry| entry.job);
    merged.truncate(QUEUE_LIMIT as usize);
    merged
}

/// Returns the last reasons of failed attempts, each once.
fn group_by_message(mut failed: Vec<FailedAttempt>, reader: QueueReader) -> Vec<UpstreamError> {
    failed.sort_by_key(|attempt| std::cmp::Reverse(attempt.ended_at));
    let mut errors: Vec<UpstreamError> = Vec::new();
    for attempt in failed {
        let known = errors.iter().position(|known| known.message == attempt.outcome.message);
        match known {
            Some(known) => errors[known].count += 1,
            None if errors.len() == ERROR_LIMIT => {}
            None => errors.push(UpstreamError {
                last_item: (attempt.user == reader.user).then_some((attempt.job, attempt.task)),
                message: attempt.outcome.message,
                count: 1,
                last_at: attempt.ended_at,
            }),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{JobId, TaskId, UserId, api::Outcome};
    use uuid::Uuid;

    const ADA: UserId = UserId(Uuid::from_u128(1));
    const BOB: UserId = UserId(Uuid::from_u128(2));

    fn failed(user: UserId, task: u128, message: &str, ended_at: i64) -> FailedAttempt {
        FailedAttempt {
            user,
            job: JobId(Uuid::from_u128(9)),
            task: TaskId(Uuid::from_u128(task)),
            outcome: Outcome::new("http_500", message),
            ended_at,
        }
    }

    #[test]
    fn errors_are_grouped_and_link_to_own_items_only() {
        let attempts = vec![
            failed(ADA, 1, "No answer in time.", 10),
            failed(BOB, 2, "It answered 500.", 30),
            failed(BOB, 3, "No answer in time.", 5),
        ];
        let reader = QueueReader { user: ADA, sees_all: true };
        let errors = group_by_message(attempts, reader);
        let own = (JobId(Uuid::from_u128(9)), TaskId(Uuid::from_u128(1)));
        let error = |message: &str, count, last_at, last_item| UpstreamError {
            message: message.into(),
            count,
            last_at,
            last_item,
        };
        let expected =
            [error("It answered 500.", 1, 30, None), error("No answer in time.", 2, 10, Some(own))];
        assert_eq!(errors, expected);
        let many = (0..9).map(|n| failed(ADA, n, &format!("error {n}"), 0)).collect();
        assert_eq!(group_by_message(many, reader).len(), ERROR_LIMIT);
    }
}
