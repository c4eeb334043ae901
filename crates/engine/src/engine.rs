//! The use cases: what pages and programs ask for. Each stores, tells the
//! hubs and wakes the relay.

mod failed;
mod forecast;
mod people;

pub use forecast::{Forecast, Left};

use crate::{
    broker::{Broker, News},
    feed,
    gate::Gates,
    machines::{Machines, Source},
    relay::Bell,
    store::{self, Accept, Actor, Control, NewTask, Store},
};
use bytes::Bytes;
use contract::{
    JobId, TaskId, UserId,
    api::{DryRun, Job, ResolveAs, RetryWhich},
    command::{Ec2Start, NoopRun, ProductUpload},
    fact::Fact,
    feed::BadRow,
    state::JobKind,
    text::{self, TextError},
};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, sync::Arc};

/// No-ops of one launch.
const MAX_NOOPS: u32 = 10_000;

/// A channel that products can be uploaded to.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSpec {
    pub id: String,
    pub name: String,
    /// Requests a second that it allows.
    pub rate: f64,
    /// Calls at once.
    pub concurrency: u16,
    /// Of one call, ms.
    pub latency_ms: i64,
    pub sandbox: bool,
}

/// Why a launch was not accepted; nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Unreadable(#[from] feed::Unreadable),
    /// Rows that can't be uploaded: the first 1,000 and their number.
    #[error("{total} rows can't be uploaded")]
    BadRows { bad: Vec<BadRow>, total: u64 },
    #[error("{0}")]
    Invalid(String),
    /// A text is too long, or holds a control character.
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// An upload as it comes in.
#[derive(Clone, Debug)]
pub struct Upload<'a> {
    pub actor: Actor,
    /// The file's name.
    pub file: &'a str,
    pub bytes: Bytes,
    /// Ids of channels.
    pub channels: &'a [String],
    /// Upload the good rows although there are bad ones.
    pub skip_bad: bool,
    pub idempotency_key: Option<String>,
}

/// A cheap handle to everything that a use case needs.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    broker: Arc<dyn Broker>,
    bell: Bell,
    gates: Gates,
    channels: Arc<[ChannelSpec]>,
    forecast: forecast::Last,
    machines: Machines,
}

impl Engine {
    pub fn new(
        store: Store,
        broker: Arc<dyn Broker>,
        bell: Bell,
        gates: Gates,
        channels: Vec<ChannelSpec>,
    ) -> Self {
        Self {
            store,
            broker,
            bell,
            gates,
            channels: channels.into(),
            forecast: forecast::Last::default(),
            machines: Machines::default(),
        }
    }

    /// With an account whose machines can be seen and started.
    #[must_use]
    pub fn with_machines(self, source: Arc<dyn Source>) -> Self {
        Self { machines: Machines::of(source), ..self }
    }

    pub fn machines(&self) -> &Machines {
        &self.machines
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    pub fn channels(&self) -> &[ChannelSpec] {
        &self.channels
    }

    /// What would be uploaded, without launching anything.
    pub async fn dry_run(
        &self,
        file: &str,
        bytes: Bytes,
        channels: &[String],
    ) -> Result<DryRun, LaunchError> {
        text::FILE_NAME.check(file)?;
        self.chosen(channels)?;
        let feed = aside(move || feed::read(&bytes)).await??;
        let products = feed.products.len();
        let estimate = self.estimate(channels, products as u64).await?;
        Ok(DryRun {
            file: file.into(),
            format: feed.format,
            delimiter: feed.delimiter,
            rows: feed.rows,
            products: products as u64,
            variants: feed.variants,
            bad: feed.bad,
            bad_total: feed.bad_total,
            notes: feed.notes,
            preview: feed.products.into_iter().take(5).collect(),
            estimate,
        })
    }

    /// Accepts a batch of product uploads; nothing outside is called.
    pub async fn upload(&self, upload: Upload<'_>) -> Result<Job, LaunchError> {
        text::FILE_NAME.check(upload.file)?;
        check_key(upload.idempotency_key.as_deref())?;
        let channels = self.chosen(upload.channels)?;
        if channels.is_empty() {
            return Err(LaunchError::Invalid("Choose at least one channel.".into()));
        }
        let ids: Vec<_> = channels.iter().map(|channel| channel.id.clone()).collect();
        let (actor, title) = (upload.actor, upload.file.to_owned());
        let (bytes, skip_bad, chosen) = (upload.bytes, upload.skip_bad, ids.clone());
        let work = move || tasks_of(&bytes, skip_bad, &chosen);
        let (tasks, hash) = aside(work).await??;
        self.accept(Accept {
            actor,
            kind: JobKind::ProductUploads,
            title,
            channels: ids,
            tasks,
            idempotency: upload.idempotency_key.map(|key| (key, hash)),
        })
        .await
    }

    /// Accepts starts of machines by their ids, each once; nothing outside is
    /// called. Names are those that were seen last: a machine that was not
    /// seen yet has none, and the account has the last word about its id.
    pub async fn start(
        &self,
        actor: impl Into<Actor>,
        ids: &[String],
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_key(idempotency_key.as_deref())?;
        let actor = actor.into();
        if ids.is_empty() {
            return Err(LaunchError::Invalid("Choose at least one machine.".into()));
        }
        let most = usize::try_from(self.store.max_open().tasks).unwrap_or(usize::MAX);
        let mut known = HashSet::new();
        let mut machines: Vec<(&str, String)> = Vec::new();
        for id in ids {
            text::MACHINE_ID.check(id)?;
            if id.is_empty() {
                return Err(LaunchError::Invalid("A machine's id is empty.".into()));
            }
            if !known.insert(id.as_str()) {
                continue;
            }
            if machines.len() == most {
                let words = format!("Choose at most {most} machines: no more items may be open.");
                return Err(LaunchError::Invalid(words));
            }
            machines.push((id, self.machines.name(id).unwrap_or_default()));
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
        self.accept(Accept {
            actor,
            kind: JobKind::Ec2Starts,
            title,
            channels: Vec::new(),
            tasks,
            idempotency: idempotency_key.map(|key| (key, hex::encode(hash.finalize()))),
        })
        .await
    }

    /// Accepts tasks that do nothing; see [`NoopRun`].
    pub async fn run_noops(
        &self,
        actor: impl Into<Actor>,
        count: u32,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_key(idempotency_key.as_deref())?;
        let actor = actor.into();
        if !(1..=MAX_NOOPS).contains(&count) {
            let words = format!("A launch has 1 to {MAX_NOOPS} no-ops.");
            return Err(LaunchError::Invalid(words));
        }
        let launch = uuid::Uuid::now_v7();
        let mut tasks = Vec::new();
        for number in 1..=count {
            let name = format!("no-op {number}");
            let task =
                NewTask::new(&NoopRun { launch, number }, None, name, String::new(), number - 1);
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
        self.accept(Accept {
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
    pub async fn control(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        control: Control,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.control(actor, job, control).await?;
        self.tell(user, facts);
        Ok(job)
    }

    /// Queues failed tasks again.
    pub async fn retry(
        &self,
        actor: impl Into<Actor>,
        job: JobId,
        which: &RetryWhich,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.retry(actor, job, which).await?;
        self.tell(user, facts);
        Ok(job)
    }

    /// A person's word about a task of which nobody can tell.
    pub async fn resolve(
        &self,
        actor: impl Into<Actor>,
        task: TaskId,
        how: ResolveAs,
    ) -> Result<Job, store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let (job, facts) = self.store.resolve(actor, task, how).await?;
        self.tell(user, facts);
        Ok(job)
    }

    /// Marks notifications as read, on every tab.
    pub async fn mark_read(&self, actor: impl Into<Actor>, up_to: i64) -> Result<(), store::Error> {
        let actor = actor.into();
        let user = actor.user;
        let facts = self.store.mark_read(actor, up_to).await?;
        self.tell(user, facts);
        Ok(())
    }

    async fn accept(&self, launch: Accept) -> Result<Job, LaunchError> {
        let user = launch.actor.user;
        let accepted = self.store.accept(launch).await?;
        self.tell(user, accepted.facts);
        Ok(accepted.job)
    }

    /// Tells the hubs and wakes the relay.
    fn tell(&self, user: UserId, facts: Vec<Fact>) {
        if !facts.is_empty() {
            self.broker.announce(News::Facts(store::News { user, facts }));
            self.bell.ring();
        }
    }

    fn chosen(&self, ids: &[String]) -> Result<Vec<&ChannelSpec>, LaunchError> {
        let mut chosen: Vec<&ChannelSpec> = Vec::with_capacity(ids.len());
        for id in ids {
            text::CHANNEL.check(id)?;
            let found = self.channels.iter().find(|channel| channel.id == *id);
            let known = || self.channels.iter().map(|c| c.id.as_str()).collect::<Vec<_>>();
            let channel = found.ok_or_else(|| {
                LaunchError::Invalid(format!(
                    "There is no channel {id:?}. Known channels: {}.",
                    known().join(", ")
                ))
            })?;
            if !chosen.contains(&channel) {
                chosen.push(channel);
            }
        }
        Ok(chosen)
    }
}

/// Checks a client's key before the work is done that it would guard.
fn check_key(key: Option<&str>) -> Result<(), TextError> {
    key.map_or(Ok(()), |key| text::IDEMPOTENCY_KEY.check(key))
}

/// Runs what keeps a processor busy without holding up those who wait for
/// something else.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LaunchError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| LaunchError::Invalid("Our own code failed at this file.".into()))
}

/// The tasks of a file, each product on each channel, and a hash of what was
/// asked.
fn tasks_of(
    bytes: &[u8],
    skip_bad: bool,
    channels: &[String],
) -> Result<(Vec<NewTask>, String), LaunchError> {
    let feed = feed::read(bytes)?;
    if feed.bad_total > 0 && !skip_bad {
        return Err(LaunchError::BadRows { bad: feed.bad, total: feed.bad_total });
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

/// A new idempotency key, for a form that has none yet.
pub fn new_key() -> String {
    uuid::Uuid::now_v7().to_string()
}
