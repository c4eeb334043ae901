//! Use cases of pages and API clients. Each one stores the change, broadcasts its
//! facts to the hubs and wakes the relay.

mod failed_csv;
mod forecast;
mod users;

pub use forecast::{Forecast, JobForecast};

use crate::{
    channel::ChannelConfig,
    event_bus::{self, EventBus},
    feed,
    limiter::Limiters,
    machines::{MachineCache, MachineSource},
    relay::RelayWaker,
    store::{self, Actor, JobControl, NewJob, NewTask, Store},
};
use bytes::Bytes;
use contract::{
    JobId, TaskId, UserId,
    api::{DryRun, Job, Resolution, RetryRequest},
    command::{Ec2Start, NoopRun, ProductUpload},
    fact::Fact,
    feed::BadRow,
    state::JobKind,
    text::{self, TextError},
};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, sync::Arc};

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
    /// The launch itself is invalid; the message says what to change.
    #[error("{0}")]
    Invalid(String),
    /// A text is too long or has a control character.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The database failed or refused the launch.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A request to upload the products of a file.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    /// Who uploads.
    pub actor: Actor,
    /// Name of the file, which becomes the title of the job.
    pub file_name: &'a str,
    /// Content of the file.
    pub bytes: Bytes,
    /// Ids of the channels to upload to.
    pub channels: &'a [String],
    /// Whether to upload the good rows although there are bad ones.
    pub skip_bad: bool,
    /// Key that makes a repeated request return the job of the first one.
    pub idempotency_key: Option<String>,
}

/// The use cases, with everything that they need; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    event_bus: Arc<dyn EventBus>,
    relay_waker: RelayWaker,
    limiters: Limiters,
    channels: Arc<[ChannelConfig]>,
    forecast_cache: forecast::ForecastCache,
    machines: MachineCache,
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
            channels: channels.into(),
            forecast_cache: forecast::ForecastCache::default(),
            machines: MachineCache::default(),
        }
    }

    /// Sets the source of the machines, so that they can be listed and started.
    #[must_use]
    pub fn with_machines(self, source: Arc<dyn MachineSource>) -> Self {
        Self { machines: MachineCache::with_source(source), ..self }
    }

    /// Returns the cached machines of the EC2 account.
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
    pub fn channels(&self) -> &[ChannelConfig] {
        &self.channels
    }

    /// Returns what an upload of the file would do, without launching anything.
    ///
    /// # Errors
    /// The file can't be read, or its name or a channel is invalid. Bad rows are part
    /// of the result instead.
    pub async fn dry_run(
        &self,
        file_name: &str,
        bytes: Bytes,
        channels: &[String],
    ) -> Result<DryRun, LaunchError> {
        text::FILE_NAME.check(file_name)?;
        self.find_channels(channels)?;
        let feed = run_blocking(move || feed::read(&bytes)).await??;
        let products = feed.products.len();
        let estimate = self.estimate(channels, products as u64).await?;
        Ok(DryRun {
            file: file_name.into(),
            format: feed.format,
            delimiter: feed.delimiter,
            rows: feed.row_count,
            products: products as u64,
            variants: feed.variant_count,
            bad_rows: feed.bad_rows,
            bad_row_count: feed.bad_rows_total,
            notes: feed.notes,
            preview: feed.products.into_iter().take(5).collect(),
            estimate,
        })
    }

    /// Accepts a job of product uploads. No upstream is called yet.
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn upload_products(&self, upload: Upload<'_>) -> Result<Job, LaunchError> {
        text::FILE_NAME.check(upload.file_name)?;
        check_idempotency_key(upload.idempotency_key.as_deref())?;
        let channels = self.find_channels(upload.channels)?;
        if channels.is_empty() {
            return Err(LaunchError::Invalid("Choose at least one channel.".into()));
        }
        let ids: Vec<_> = channels.iter().map(|channel| channel.id.clone()).collect();
        let (actor, title) = (upload.actor, upload.file_name.to_owned());
        let (bytes, skip_bad, chosen) = (upload.bytes, upload.skip_bad, ids.clone());
        let work = move || build_upload_tasks(&bytes, skip_bad, &chosen);
        let (tasks, hash) = run_blocking(work).await??;
        self.accept_job(NewJob {
            actor,
            kind: JobKind::ProductUploads,
            title,
            channels: ids,
            tasks,
            idempotency: upload.idempotency_key.map(|key| (key, hash)),
        })
        .await
    }

    /// Accepts a job that starts machines by their ids, each once. No upstream is
    /// called yet: names are the last known ones, and empty for a machine that was
    /// never listed, whose id EC2 checks later.
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn start_machines(
        &self,
        actor: impl Into<Actor>,
        ids: &[String],
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_idempotency_key(idempotency_key.as_deref())?;
        let actor = actor.into();
        if ids.is_empty() {
            return Err(LaunchError::Invalid("Choose at least one machine.".into()));
        }
        let max_machines =
            usize::try_from(self.store.database.open_limits().tasks).unwrap_or(usize::MAX);
        let mut seen_ids = HashSet::new();
        let mut machines: Vec<(&str, String)> = Vec::new();
        for id in ids {
            text::MACHINE_ID.check(id)?;
            if id.is_empty() {
                return Err(LaunchError::Invalid("A machine's id is empty.".into()));
            }
            if !seen_ids.insert(id.as_str()) {
                continue;
            }
            if machines.len() == max_machines {
                let message =
                    format!("Choose at most {max_machines} machines: no more items may be open.");
                return Err(LaunchError::Invalid(message));
            }
            machines.push((id, self.machines.last_known_name(id).unwrap_or_default()));
        }
        let mut tasks = Vec::with_capacity(machines.len());
        let mut hash = Sha256::new();
        for (row, (id, name)) in (0..).zip(&machines) {
            hash.update(id);
            hash.update(",");
            let command = Ec2Start { instance_id: (*id).into(), name: name.clone() };
            let task = NewTask::new(&command, None, (*id).into(), name.clone(), row);
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
        let title = match machines.as_slice() {
            [(id, name)] if name.is_empty() => format!("Start {id}"),
            [(_, name)] => format!("Start {name}"),
            _ => format!("Start {} machines", machines.len()),
        };
        self.accept_job(NewJob {
            actor,
            kind: JobKind::Ec2Starts,
            title,
            channels: Vec::new(),
            tasks,
            idempotency: idempotency_key.map(|key| (key, hex::encode(hash.finalize()))),
        })
        .await
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
            idempotency: idempotency_key.map(|key| (key, count.to_string())),
        })
        .await
    }

    /// Cancels, pauses or resumes a job.
    ///
    /// # Errors
    /// Same as [`Store::control_job`].
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

    /// Queues failed tasks of a job again.
    ///
    /// # Errors
    /// Same as [`Store::retry_failed_tasks`].
    pub async fn retry_tasks(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryRequest,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.tasks.retry_failed_tasks(actor, job, which).await?;
        self.publish_facts(user, facts);
        Ok(job)
    }

    /// Resolves a task that needs review as the user decides.
    ///
    /// # Errors
    /// Same as [`Store::resolve_task`].
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
    /// Same as [`Store::mark_notifications_read`].
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

    fn find_channels(&self, ids: &[String]) -> Result<Vec<&ChannelConfig>, LaunchError> {
        let mut chosen: Vec<&ChannelConfig> = Vec::with_capacity(ids.len());
        for id in ids {
            text::CHANNEL.check(id)?;
            let found = self.channels.iter().find(|channel| channel.id == *id);
            let known_ids = || self.channels.iter().map(|c| c.id.as_str()).collect::<Vec<_>>();
            let channel = found.ok_or_else(|| {
                LaunchError::Invalid(format!(
                    "There is no channel {id:?}. Known channels: {}.",
                    known_ids().join(", ")
                ))
            })?;
            if !chosen.contains(&channel) {
                chosen.push(channel);
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

/// Returns the tasks of a file, one per product and channel, and a hash of the
/// request.
fn build_upload_tasks(
    bytes: &[u8],
    skip_bad: bool,
    channels: &[String],
) -> Result<(Vec<NewTask>, String), LaunchError> {
    let feed = feed::read(bytes)?;
    if feed.bad_rows_total > 0 && !skip_bad {
        return Err(LaunchError::BadRows { rows: feed.bad_rows, total: feed.bad_rows_total });
    }
    if feed.products.is_empty() {
        return Err(LaunchError::Invalid("The file holds no product to upload.".into()));
    }
    let mut tasks = Vec::with_capacity(feed.products.len() * channels.len());
    for (row, product) in (0..).zip(&feed.products) {
        for channel in channels {
            let command = ProductUpload { channel: channel.clone(), product: product.clone() };
            let task = NewTask::new(
                &command,
                Some(channel.clone()),
                product.sku.clone(),
                product.title.clone(),
                row,
            );
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
    }
    let mut hash = Sha256::new_with_prefix(bytes);
    hash.update(channels.join(","));
    hash.update([u8::from(skip_bad)]);
    Ok((tasks, hex::encode(hash.finalize())))
}

/// Returns a new idempotency key, for a form that has none yet.
pub fn new_idempotency_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
