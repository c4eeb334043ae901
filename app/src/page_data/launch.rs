//! Data of the launch page, the machines and the lists of jobs.

#[cfg(feature = "ssr")]
use super::server::{self, RequestContext};
use super::{
    PageContext,
    query::{PageQuery, TypedQuery},
};
use crate::fragment::Fragment;
use contract::api::{Channel, Estimate, Instance, Job, Task};
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Channel that can be selected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChannelChoice {
    pub channel: Channel,
    /// Latency of one call, in milliseconds.
    pub latency_ms: i64,
    pub ticked: bool,
}

/// Result of checking a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FileCheckResult {
    /// The counts, and the rendered result.
    Parsed(FileCounts, Fragment),
    /// Why the file can't be read at all.
    Rejected(String),
}

/// Counts of a file that the launch button depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    /// Number of data rows.
    pub rows: u64,
    pub products: u64,
    /// Number of rows that can't be uploaded.
    pub bad_row_count: u64,
}

/// File that was sent to be checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckedFile {
    pub name: String,
    pub result: FileCheckResult,
    /// Whether the form contains the file; a larger one has to be chosen again.
    pub is_embedded: bool,
}

/// Initial state of the upload panel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UploadPanel {
    /// A new idempotency key for the next launch.
    pub idempotency_key: String,
    pub choices: Vec<ChannelChoice>,
    pub checked_file: Option<CheckedFile>,
    /// Error of the previous form.
    pub problem: Option<String>,
    /// Time in UTC milliseconds.
    pub now_ms: i64,
}

impl UploadPanel {
    /// Estimates how long `products` take on the channels with the ids in `ticked`.
    pub fn estimate(&self, products: u64, ticked: &[String]) -> Option<Estimate> {
        let chosen = self.choices.iter().filter(|choice| ticked.contains(&choice.channel.id));
        let channels = chosen.map(|choice| (&choice.channel, choice.latency_ms));
        Estimate::for_channels(channels, products, self.now_ms)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchPage {
    pub context: PageContext,
    pub panel: UploadPanel,
}

/// Jobs, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentJobsPage {
    pub context: PageContext,
    pub jobs: Vec<Job>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    pub context: PageContext,
    pub jobs: Vec<Job>,
    pub next: Option<String>,
}

/// Machine together with the user's last start of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub instance: Instance,
    pub start: Option<Task>,
    pub alarm: Option<Task>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinesPage {
    pub context: PageContext,
    /// A new idempotency key for the next start.
    pub idempotency_key: String,
    /// The machines, or why they can't be listed.
    pub machines: Result<Vec<Machine>, String>,
}

/// State of a submitted form, for the page that responds to it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct SubmittedForm {
    pub idempotency_key: String,
    /// Ids of the selected channels.
    pub ticked: Vec<String>,
    pub checked_file: Option<CheckedFile>,
    /// Content of the file in hexadecimal, if it is embedded in the form.
    pub file_hex: String,
    pub problem: Option<String>,
}

/// Returns the content of the embedded file, in hexadecimal. It is not part of [`CheckedFile`]:
/// the form already contains it when the browser hydrates the page, so the browser gets an
/// empty string here.
pub fn embedded_file_hex() -> String {
    #[cfg(feature = "ssr")]
    if let Some(answered) = use_context::<SubmittedForm>() {
        return answered.file_hex;
    }
    String::new()
}

/// Number of products in the sample.
pub const SAMPLE_PRODUCTS: u64 = 150;

/// Maximum number of recent jobs besides the running ones.
#[cfg(feature = "ssr")]
const RECENT_JOBS_LIMIT: u32 = 10;
/// Maximum number of running jobs, and number of jobs per page.
#[cfg(feature = "ssr")]
const JOBS_PAGE_LIMIT: u32 = 50;
/// Number of start jobs whose tasks are shown with the machines.
#[cfg(feature = "ssr")]
const START_JOBS_LIMIT: u32 = 5;

pub const fn launch_query() -> TypedQuery<LaunchPage> {
    TypedQuery::new(PageQuery::Launch)
}

#[cfg(feature = "ssr")]
pub(super) async fn launch(request: RequestContext) -> Result<LaunchPage, ServerFnError> {
    let context = server::page_context(&request).await?;
    let RequestContext { engine, .. } = request;
    let answered = use_context::<SubmittedForm>();
    let ticked = answered.as_ref().map(|answered| answered.ticked.clone());
    let channels = engine.channel_statuses().await.map_err(server::server_error)?;
    let choices = channels.into_iter().map(|channel| {
        let spec = engine.channels().iter().find(|spec| spec.id == channel.id);
        ChannelChoice {
            latency_ms: spec.map_or(0, |spec| spec.latency_ms()),
            ticked: ticked.as_ref().is_none_or(|ticked| ticked.contains(&channel.id)),
            channel,
        }
    });
    let (key, sent, problem) = match answered {
        Some(answered) => (answered.idempotency_key, answered.checked_file, answered.problem),
        None => (server::new_idempotency_key(), None, None),
    };
    let now = engine.store().now_ms();
    let panel = UploadPanel {
        idempotency_key: key,
        choices: choices.collect(),
        checked_file: sent,
        problem,
        now_ms: now,
    };
    Ok(LaunchPage { context, panel })
}

/// Query of the running jobs and the latest others.
pub const fn recent_jobs_query() -> TypedQuery<RecentJobsPage> {
    TypedQuery::new(PageQuery::RecentJobs)
}

#[cfg(feature = "ssr")]
pub(super) async fn recent_jobs(request: RequestContext) -> Result<RecentJobsPage, ServerFnError> {
    let context = server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let store = engine.store();
    let running =
        store.running_jobs(identity.user, JOBS_PAGE_LIMIT).await.map_err(server::server_error)?;
    let mut jobs = store
        .jobs(identity.user, None, RECENT_JOBS_LIMIT)
        .await
        .map_err(server::server_error)?
        .items;
    jobs.retain(|job| running.iter().all(|running| running.id != job.id));
    jobs.extend(running);
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    Ok(RecentJobsPage { context, jobs })
}

/// Query of matching jobs that are older than `before`. Values that can't be parsed are ignored.
pub const fn jobs_query(
    before: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    q: Option<String>,
) -> TypedQuery<JobsPage> {
    TypedQuery::new(PageQuery::Jobs { before, state, kind, q })
}

#[cfg(feature = "ssr")]
pub(super) async fn jobs(
    request: RequestContext,
    before: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    q: Option<String>,
) -> Result<JobsPage, ServerFnError> {
    use engine::store::JobQuery;
    let context = server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let query = JobQuery {
        before: before.and_then(|id| id.parse().ok()),
        limit: JOBS_PAGE_LIMIT,
        state: state.and_then(|word| word.parse().ok()),
        kind: kind.and_then(|word| word.parse().ok()),
        search_text: q.filter(|words| !words.is_empty()),
    };
    let page =
        engine.store().find_jobs(identity.user, query).await.map_err(server::server_error)?;
    Ok(JobsPage { context, jobs: page.items, next: page.next })
}

/// Query of the EC2 account's machines, with the results of the user's last starts.
pub const fn machines_query() -> TypedQuery<MachinesPage> {
    TypedQuery::new(PageQuery::Machines)
}

#[cfg(feature = "ssr")]
pub(super) async fn machines(request: RequestContext) -> Result<MachinesPage, ServerFnError> {
    use contract::{
        command::{AlarmCreate, Command, Ec2Start},
        state::JobKind,
    };
    use engine::store::{JobQuery, TaskQuery};
    let context = server::page_context(&request).await?;
    let RequestContext { engine, identity } = request;
    let key = server::new_idempotency_key();
    let instances = match engine.machines().list().await {
        Ok(instances) => instances,
        Err(error) => {
            return Ok(MachinesPage {
                context,
                idempotency_key: key,
                machines: Err(error.to_string()),
            });
        }
    };
    let store = engine.store();
    let starts =
        JobQuery { limit: START_JOBS_LIMIT, kind: Some(JobKind::Ec2Starts), ..JobQuery::default() };
    let starts = store.find_jobs(identity.user, starts).await.map_err(server::server_error)?;
    let mut tasks: Vec<Task> = Vec::new();
    // Newest first, so the first that is found about a machine is its last.
    for job in starts.items {
        let query = TaskQuery { limit: 500, ..TaskQuery::default() };
        let of_job = store.find_tasks(identity.user, job.id, query).await;
        tasks.extend(of_job.map_err(server::server_error)?);
    }
    let machines = instances.iter().map(|instance| {
        let about = |kind: &str| {
            tasks.iter().find(|task| task.sku == instance.id && task.kind == kind).cloned()
        };
        let start = about(Ec2Start::KIND);
        let job = start.as_ref().map(|start| start.job);
        let alarm = about(AlarmCreate::KIND).filter(|alarm| Some(alarm.job) == job);
        Machine { instance: instance.clone(), start, alarm }
    });
    Ok(MachinesPage { context, idempotency_key: key, machines: Ok(machines.collect()) })
}
