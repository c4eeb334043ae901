//! Watches a job to its end.

use crate::{
    api_client::ApiClient,
    arguments::{ClientOptions, WatchOptions},
    error::{Completion, Error},
    event_stream::{EventStream, StreamEvent},
    output::print_json,
    progress::Progress,
    words,
};
use contract::{
    JobId,
    api::{Job, Page},
    fact::{Fact, FactKind},
    state::JobState,
    websocket::ServerFrame,
};
use serde_json::Value;
use std::time::Duration;

/// A job that is being watched.
struct Watch<'a> {
    api: &'a ApiClient,
    id: JobId,
    as_json: bool,
    progress: Progress,
    /// The job, once it was read.
    job: Option<Job>,
    /// Sequence number of the last fact of the job that was printed.
    last_printed: i64,
    /// Whether the stream continues where it was, so that the job need not be read again.
    is_current: bool,
    is_offline: bool,
}

/// Watches a job until it ends or the person presses Ctrl-C, which leaves it running. Every fact
/// of the job is seen, also those of times without a connection.
///
/// # Errors
/// The person pressed Ctrl-C; the server can't be reached for `max_offline_s`, or refuses.
pub async fn watch(
    api: &ApiClient,
    id: JobId,
    options: WatchOptions,
    client: &ClientOptions,
) -> Result<Completion, Error> {
    let mut watch = Watch {
        api,
        id,
        as_json: client.json,
        progress: Progress::new(client.json),
        job: None,
        last_printed: 0,
        is_current: false,
        is_offline: false,
    };
    let max_offline = Duration::from_secs(options.max_offline_s);
    let result = tokio::select! {
        result = watch.run(max_offline) => result,
        _ = tokio::signal::ctrl_c() => {
            Err(Error::WatchInterrupted { job: id, profile: client.profile.clone() })
        }
    };
    watch.progress.end();
    let job = result?;
    watch.progress.line(&words::job_end(&job))?;
    Ok(Completion::of(&job))
}

impl Watch<'_> {
    async fn run(&mut self, max_offline: Duration) -> Result<Job, Error> {
        let mut stream = EventStream::new(self.api.connection.clone(), None, max_offline);
        loop {
            let mut event = Some(stream.next().await?);
            while let Some(current) = event.take() {
                match self.handle(current).await {
                    Ok(Some(job)) => return Ok(job),
                    Ok(None) => {}
                    Err(error) if error.is_transient() => {
                        event = stream.disconnect(error.to_string())?;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// Takes an event, and returns the job if it has ended.
    async fn handle(&mut self, event: StreamEvent) -> Result<Option<Job>, Error> {
        match event {
            StreamEvent::Lost { reason } => {
                self.is_offline = true;
                self.progress.note(&format!(
                    "The connection to {} is lost: {reason}. The job goes on; connecting again …",
                    self.api.connection.url()
                ));
                Ok(None)
            }
            StreamEvent::Connected { recovered } => {
                self.is_current &= recovered;
                if std::mem::take(&mut self.is_offline) {
                    self.progress.note("Connected again.");
                }
                self.refresh().await
            }
            StreamEvent::Fact(frame) => {
                self.print_fact(frame.seq, &frame.json)?;
                match serde_json::from_value::<Fact>(frame.json) {
                    Ok(fact) if fact.job == Some(self.id) => self.apply(&fact),
                    _ => Ok(None),
                }
            }
            StreamEvent::Other(frame) => {
                if let ServerFrame::Progress(progress) = *frame
                    && progress.job == self.id
                    && let Some(job) = &mut self.job
                {
                    // The counters are the facts', which arrive in their order.
                    job.eta_ms = progress.status.eta_ms;
                    self.progress.update(job)?;
                }
                Ok(None)
            }
        }
    }

    /// Reads the job, and in JSON the facts that were not printed yet, unless the stream has
    /// brought everything. The stream is at a position before both, so that nothing is missed
    /// in between.
    async fn refresh(&mut self) -> Result<Option<Job>, Error> {
        if self.is_current {
            return Ok(None);
        }
        let job: Job = self.api.parse(self.api.get(&format!("/jobs/{}", self.id)).await?)?;
        if self.as_json {
            self.print_journal().await?;
        }
        if self.job.is_none() {
            self.progress.begin(&job)?;
        }
        self.is_current = true;
        self.progress.update(&job)?;
        self.job = Some(job.clone());
        Ok((job.state != JobState::Running).then_some(job))
    }

    async fn print_journal(&mut self) -> Result<(), Error> {
        loop {
            let path = format!("/jobs/{}/journal?after={}", self.id, self.last_printed);
            let page: Page<Value> = self.api.parse(self.api.get(&path).await?)?;
            for fact in &page.items {
                self.print_fact(fact["seq"].as_i64().unwrap_or_default(), fact)?;
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    fn print_fact(&mut self, seq: i64, fact: &Value) -> Result<(), Error> {
        let is_own = fact["job"].as_str().is_some_and(|job| job.parse() == Ok(self.id));
        if !self.as_json || !is_own || seq <= self.last_printed {
            return Ok(());
        }
        self.last_printed = seq;
        print_json(fact)
    }

    fn apply(&mut self, fact: &Fact) -> Result<Option<Job>, Error> {
        if let Some(task) = &fact.data.task
            && matches!(
                fact.kind,
                FactKind::TaskFailed | FactKind::TaskRejected | FactKind::TaskNeedsReview
            )
        {
            let (state, subject) = (words::task_state(task.state), words::task_subject(task));
            self.progress.line(&format!("{state}: {subject}: {}", words::task_reason(task)))?;
        }
        let Some(job) = fact.data.job.clone() else { return Ok(None) };
        let eta_ms = self.job.as_ref().and_then(|job| job.eta_ms);
        let job = Job { eta_ms, ..job };
        self.progress.update(&job)?;
        self.job = Some(job.clone());
        // The fact of the last item has the ended job too, and is followed by this one.
        Ok((fact.kind == FactKind::JobFinished).then_some(job))
    }
}
