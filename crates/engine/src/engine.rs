//! Use cases of pages and API clients. Each one stores the change, broadcasts its
//! facts to the hubs and wakes the relay.

mod column_choices;
mod failed_commands;
mod failed_csv;
mod forecast;
mod left_out_csv;
mod machine_launches;
mod parts;
mod uploads;
mod upstreams;
mod users;

pub use column_choices::{RememberedColumns, columns_by_position};
pub use failed_commands::ReplayReport;
pub use forecast::{Forecast, JobForecast};
pub use machine_launches::{MachineLaunchRequest, TemplateVersion};
pub use parts::{PartStatus, Parts};
pub use uploads::Upload;
pub use upstreams::ControlError;

use crate::{
    channel::ChannelConfig,
    event_bus::{self, EventBus},
    feed,
    limiter::Limiters,
    machines::{MachineCache, MachineSource},
    relay::RelayWaker,
    store::{self, Actor, JobControl, NewJob, NewTask, Store},
    upstream::Upstream,
};
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Resolution, RetryRequest},
    command::NoopRun,
    fact::Fact,
    feed::{BadRow, LeftOut, Question},
    instance_id::InstanceIdError,
    state::JobKind,
    text::{self, TextError},
};
use parking_lot::RwLock;
use std::sync::Arc;

/// Maximum number of no-ops in one launch.
const MAX_NOOPS: u32 = 10_000;

/// Why a launch was rejected. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The file can't be read at all.
    #[error(transparent)]
    UnreadableFile(#[from] feed::ReadError),
    /// Some rows can't be uploaded.
    #[error("{total} rows can't be uploaded")]
    BadRows {
        /// The first 1,000 bad rows.
        rows: Vec<BadRow>,
        /// Number of all bad rows.
        total: u64,
    },
    /// The file leaves questions open, which only a person can answer.
    #[error("{}", describe_questions(questions))]
    OpenQuestions {
        /// The questions, each with the parameter that answers it.
        questions: Vec<Question>,
        /// The first 1,000 bad rows.
        bad_rows: Vec<BadRow>,
        /// Number of all bad rows.
        bad_row_count: u64,
    },
    /// All rows are bad or left out by rule.
    #[error("{}", describe_nothing_left(*bad_row_count, left_out))]
    NothingToUpload {
        /// The first 1,000 bad rows.
        bad_rows: Vec<BadRow>,
        /// Number of all bad rows.
        bad_row_count: u64,
        /// Rows that are left out by rule.
        left_out: Box<LeftOut>,
    },
    /// The launch itself is invalid; the message says what to change.
    #[error("{0}")]
    Invalid(String),
    /// The list of machines is empty, or has entries that are no ids.
    #[error(transparent)]
    InstanceIds(#[from] InstanceIdError),
    /// A text is too long or has a control character.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The database failed or refused the launch.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Returns the questions, each with the parameter that answers it.
fn describe_questions(questions: &[Question]) -> String {
    let sentences = questions.iter().map(|question| {
        let Question { text, parameter, answers, .. } = question;
        let values: Vec<_> =
            answers.iter().map(|answer| format!("{parameter}={}", answer.value)).collect();
        match values.is_empty() {
            true => text.clone(),
            false => format!("{text} Send {}.", values.join(" or ")),
        }
    });
    sentences.collect::<Vec<_>>().join(" ")
}

/// Says why no row of a file is uploaded.
fn describe_nothing_left(bad_row_count: u64, left_out: &LeftOut) -> String {
    let bad = match bad_row_count {
        0 => None,
        1 => Some("1 bad row".to_owned()),
        count => Some(format!("{count} bad rows")),
    };
    let by_rule =
        left_out.by_kind.iter().map(|of| format!("{} {}", of.count, of.kind.noun(of.count)));
    let reasons: Vec<_> = bad.into_iter().chain(by_rule).collect();
    format!("The file has nothing to upload: all rows are left out ({}).", reasons.join(", "))
}

/// The use cases, with everything that they need; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    event_bus: Arc<dyn EventBus>,
    relay_waker: RelayWaker,
    limiters: Limiters,
    channels: Arc<RwLock<Arc<[ChannelConfig]>>>,
    forecast_cache: forecast::ForecastCache,
    machines: MachineCache,
    upstreams: Arc<[Upstream]>,
    parts: Option<Parts>,
}

impl Engine {
    /// Creates the use cases without an EC2 account.
    pub fn new(
        store: Store,
        event_bus: Arc<dyn EventBus>,
        relay_waker: RelayWaker,
        limiters: Limiters,
        channels: Vec<ChannelConfig>,
    ) -> Self {
        Self {
            store,
            event_bus,
            relay_waker,
            limiters,
            channels: Arc::new(RwLock::new(channels.into())),
            forecast_cache: forecast::ForecastCache::default(),
            machines: MachineCache::default(),
            upstreams: Arc::default(),
            parts: None,
        }
    }

    /// Sets the upstreams that operators see and control.
    #[must_use]
    pub fn with_upstreams(self, upstreams: Vec<Upstream>) -> Self {
        Self { upstreams: upstreams.into(), ..self }
    }

    /// Sets the sources of the machines, so that they can be listed and started.
    #[must_use]
    pub fn with_machines(self, sources: Vec<Arc<dyn MachineSource>>) -> Self {
        Self { machines: MachineCache::with_sources(sources), ..self }
    }

    /// Returns the cached machines of the configured accounts.
    pub fn machines(&self) -> &MachineCache {
        &self.machines
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the event bus.
    pub fn event_bus(&self) -> &Arc<dyn EventBus> {
        &self.event_bus
    }

    /// Returns the configured channels.
    pub fn channels(&self) -> Arc<[ChannelConfig]> {
        Arc::clone(&self.channels.read())
    }

    /// Replaces the configured channels, for all clones of the engine.
    pub fn replace_channels(&self, channels: Vec<ChannelConfig>) {
        *self.channels.write() = channels.into();
    }

    /// Accepts a job of `count` tasks that do nothing; see [`NoopRun`].
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn run_noops(
        &self,
        actor: impl Into<Actor>,
        count: u32,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_idempotency_key(idempotency_key.as_deref())?;
        let actor = actor.into();
        if !(1..=MAX_NOOPS).contains(&count) {
            let message = format!("A launch has 1 to {MAX_NOOPS} no-ops.");
            return Err(LaunchError::Invalid(message));
        }
        let launch = uuid::Uuid::now_v7();
        let mut tasks = Vec::new();
        for number in 1..=count {
            let name = format!("no-op {number}");
            let task =
                NewTask::new(&NoopRun { launch, number }, None, name, String::new(), number - 1);
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
        self.accept_job(NewJob {
            actor,
            kind: JobKind::Noops,
            title: format!("{count} no-ops"),
            channels: Vec::new(),
            tasks,
            file: None,
            idempotency: idempotency_key.map(|key| (key, count.to_string())),
        })
        .await
    }

    /// Cancels, pauses or resumes a job.
    ///
    /// # Errors
    /// Same as [`Tasks::control_job`](store::Tasks::control_job).
    pub async fn control_job(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        control: JobControl,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.tasks.control_job(actor, job, control).await?;
        self.publish_facts(user, facts);
        Ok(job)
    }

    /// Queues failed or cancelled tasks of a job again, or those that `which` names.
    ///
    /// # Errors
    /// Same as [`Tasks::retry_tasks`](store::Tasks::retry_tasks).
    pub async fn retry_tasks(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.tasks.retry_tasks(actor, job, which).await?;
        self.publish_facts(user, facts);
        Ok(job)
    }

    /// Resolves a task that needs review as the user decides.
    ///
    /// # Errors
    /// Same as [`Tasks::resolve_task`](store::Tasks::resolve_task).
    pub async fn resolve_task(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        how: Resolution,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.tasks.resolve_task(actor, task, how).await?;
        self.publish_facts(user, facts);
        Ok(job)
    }

    /// Marks the user's notifications up to the fact `up_to` as read, in every tab.
    ///
    /// # Errors
    /// Same as [`Journal::mark_notifications_read`](store::Journal::mark_notifications_read).
    pub async fn mark_notifications_read(
        &self,
        actor: impl Into<Actor>,
        up_to: i64,
    ) -> Result<(), store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let facts = self.store.journal.mark_notifications_read(actor, up_to).await?;
        self.publish_facts(user, facts);
        Ok(())
    }

    async fn accept_job(&self, launch: NewJob) -> Result<Job, LaunchError> {
        let user = launch.actor.user;
        let accepted = self.store.tasks.accept(launch).await?;
        self.publish_facts(user, accepted.facts);
        Ok(accepted.job)
    }

    /// Broadcasts facts to the hubs and wakes the relay.
    fn publish_facts(&self, user: UserId, facts: Vec<Fact>) {
        if !facts.is_empty() {
            event_bus::publish_facts(self.event_bus.as_ref(), store::UserFacts { user, facts });
            self.relay_waker.wake();
        }
    }

    fn find_channels(&self, ids: &[String]) -> Result<Vec<ChannelConfig>, LaunchError> {
        let channels = self.channels();
        let mut chosen: Vec<ChannelConfig> = Vec::with_capacity(ids.len());
        for id in ids {
            text::CHANNEL.check(id)?;
            let found = channels.iter().find(|channel| channel.id == *id);
            let known_ids = || channels.iter().map(|c| c.id.as_str()).collect::<Vec<_>>();
            let channel = found.ok_or_else(|| {
                LaunchError::Invalid(format!(
                    "There is no channel {id:?}. Known channels: {}.",
                    known_ids().join(", ")
                ))
            })?;
            if !chosen.contains(channel) {
                chosen.push(channel.clone());
            }
        }
        Ok(chosen)
    }
}

/// Checks a client's idempotency key before any other work is done.
fn check_idempotency_key(key: Option<&str>) -> Result<(), TextError> {
    key.map_or(Ok(()), |key| text::IDEMPOTENCY_KEY.check(key))
}

/// Runs CPU-bound work on a thread where it doesn't block other requests.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LaunchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| LaunchError::Invalid("Our own code failed at this file.".into()))
}

/// Returns a new idempotency key, for a form that has none yet.
pub fn new_idempotency_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
