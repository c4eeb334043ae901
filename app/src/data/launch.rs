//! What the pages that launch read: the upload panel, machines, jobs.

#[cfg(feature = "ssr")]
use super::server::{self, Asker};
use super::{
    Since,
    ask::{Ask, Question},
};
use crate::fragment::Fragment;
use contract::api::{Channel, Estimate, Instance, Job, Task};
#[cfg(feature = "ssr")]
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// A channel to tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub channel: Channel,
    /// Of one call, ms.
    pub latency_ms: i64,
    pub ticked: bool,
}

/// What the server understood of a file, before anything is launched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Understood {
    /// How much, and all of it as a page shows it.
    Read(Counts, Fragment),
    /// It can't be read at all, and why.
    Refused(String),
}

/// What a button has to know of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Data rows of the file.
    pub rows: u64,
    pub products: u64,
    /// Rows that can't be uploaded.
    pub bad_total: u64,
}

/// A file that was sent to be looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    pub name: String,
    pub understood: Understood,
    /// The form carries the file along; a larger one has to be chosen again.
    pub kept: bool,
}

/// What the upload panel starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// A new idempotency key for the next launch.
    pub key: String,
    pub choices: Vec<Choice>,
    pub sent: Option<Sent>,
    /// What went wrong with the form before.
    pub problem: Option<String>,
    /// UTC ms.
    pub now: i64,
}

impl Panel {
    /// How long `products` take on the channels whose ids `ticked` has.
    pub fn estimate(&self, products: u64, ticked: &[String]) -> Option<Estimate> {
        let chosen = self.choices.iter().filter(|choice| ticked.contains(&choice.channel.id));
        let channels = chosen.map(|choice| (&choice.channel, choice.latency_ms));
        Estimate::of(channels, products, self.now)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchPage {
    pub since: Since,
    pub panel: Panel,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    pub since: Since,
    pub jobs: Vec<Job>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobsPage {
    pub since: Since,
    pub jobs: Vec<Job>,
    pub next: Option<String>,
}

/// A machine, and the user's last start of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub instance: Instance,
    pub start: Option<Task>,
    pub alarm: Option<Task>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinesPage {
    pub since: Since,
    /// A new idempotency key for the next start.
    pub key: String,
    /// Or why they can't be told.
    pub machines: Result<Vec<Machine>, String>,
}

/// What a form that was sent leaves to the page that answers it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug)]
pub struct Answered {
    pub key: String,
    /// Ids of channels.
    pub ticked: Vec<String>,
    pub sent: Option<Sent>,
    /// Of the file that was sent, where it is kept: in hexadecimal.
    pub content: String,
    pub problem: Option<String>,
}

/// What the form carries along, in hexadecimal. It is no part of [`Sent`]: the
/// form has it already when the browser takes the page over, which knows of
/// none.
pub fn carried() -> String {
    #[cfg(feature = "ssr")]
    if let Some(answered) = use_context::<Answered>() {
        return answered.content;
    }
    String::new()
}

/// Products of the sample that anybody can upload.
pub const SAMPLE: u64 = 150;

/// Jobs beside those that run.
#[cfg(feature = "ssr")]
const LATEST: u32 = 10;
/// Jobs that run, and jobs of a page.
#[cfg(feature = "ssr")]
const MANY: u32 = 50;
/// Jobs whose machines are told of beside them.
#[cfg(feature = "ssr")]
const STARTS: u32 = 5;

pub const fn ask_launch() -> Ask<LaunchPage> {
    Ask::new(Question::Launch)
}

#[cfg(feature = "ssr")]
pub(super) async fn launch(asker: Asker) -> Result<LaunchPage, ServerFnError> {
    let since = server::since(&asker).await?;
    let Asker { engine, .. } = asker;
    let answered = use_context::<Answered>();
    let ticked = answered.as_ref().map(|answered| answered.ticked.clone());
    let channels = engine.channels_now().await.map_err(server::error)?;
    let choices = channels.into_iter().map(|channel| {
        let spec = engine.channels().iter().find(|spec| spec.id == channel.id);
        Choice {
            latency_ms: spec.map_or(0, |spec| spec.latency_ms),
            ticked: ticked.as_ref().is_none_or(|ticked| ticked.contains(&channel.id)),
            channel,
        }
    });
    let (key, sent, problem) = match answered {
        Some(answered) => (answered.key, answered.sent, answered.problem),
        None => (server::key(), None, None),
    };
    let now = engine.store().now_ms();
    let panel = Panel { key, choices: choices.collect(), sent, problem, now };
    Ok(LaunchPage { since, panel })
}

/// The jobs that run now, and the latest of the others.
pub const fn ask_recent() -> Ask<Recent> {
    Ask::new(Question::Recent)
}

#[cfg(feature = "ssr")]
pub(super) async fn recent(asker: Asker) -> Result<Recent, ServerFnError> {
    let since = server::since(&asker).await?;
    let Asker { engine, who } = asker;
    let store = engine.store();
    let running = store.running_jobs(who.user, MANY).await.map_err(server::error)?;
    let mut jobs = store.jobs(who.user, None, LATEST).await.map_err(server::error)?.items;
    jobs.retain(|job| running.iter().all(|running| running.id != job.id));
    jobs.extend(running);
    jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    Ok(Recent { since, jobs })
}

/// Jobs that match, older than `before`; what can't be read filters nothing.
pub const fn ask_jobs(
    before: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    q: Option<String>,
) -> Ask<JobsPage> {
    Ask::new(Question::Jobs { before, state, kind, q })
}

#[cfg(feature = "ssr")]
pub(super) async fn jobs(
    asker: Asker,
    before: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    q: Option<String>,
) -> Result<JobsPage, ServerFnError> {
    use engine::store::JobQuery;
    let since = server::since(&asker).await?;
    let Asker { engine, who } = asker;
    let query = JobQuery {
        before: before.and_then(|id| id.parse().ok()),
        limit: MANY,
        state: state.and_then(|word| word.parse().ok()),
        kind: kind.and_then(|word| word.parse().ok()),
        words: q.filter(|words| !words.is_empty()),
    };
    let page = engine.store().find_jobs(who.user, query).await.map_err(server::error)?;
    Ok(JobsPage { since, jobs: page.items, next: page.next })
}

/// The account's machines, with what this user's last starts did to them.
pub const fn ask_machines() -> Ask<MachinesPage> {
    Ask::new(Question::Machines)
}

#[cfg(feature = "ssr")]
pub(super) async fn machines(asker: Asker) -> Result<MachinesPage, ServerFnError> {
    use contract::{
        command::{AlarmCreate, Command, Ec2Start},
        state::JobKind,
    };
    use engine::store::{JobQuery, TaskQuery};
    let since = server::since(&asker).await?;
    let Asker { engine, who } = asker;
    let key = server::key();
    let instances = match engine.machines().read().await {
        Ok(instances) => instances,
        Err(error) => return Ok(MachinesPage { since, key, machines: Err(error.to_string()) }),
    };
    let store = engine.store();
    let starts = JobQuery { limit: STARTS, kind: Some(JobKind::Ec2Starts), ..JobQuery::default() };
    let starts = store.find_jobs(who.user, starts).await.map_err(server::error)?;
    let mut tasks: Vec<Task> = Vec::new();
    // Newest first, so the first that is found about a machine is its last.
    for job in starts.items {
        let query = TaskQuery { limit: 500, ..TaskQuery::default() };
        let of_job = store.find_tasks(who.user, job.id, query).await;
        tasks.extend(of_job.map_err(server::error)?);
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
    Ok(MachinesPage { since, key, machines: Ok(machines.collect()) })
}
