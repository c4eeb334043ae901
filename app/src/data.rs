//! What pages read. Identity comes first in every one; mutations are plain
//! forms of the server's.

pub mod launch;
pub mod people;

use contract::{
    api::{Inbox, Job, Task, TaskDetail},
    fact::Fact,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// Where the stream goes on behind what a page shows. Read before the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    pub epoch: String,
    pub seq: i64,
    pub unread: u32,
    pub email: String,
    /// Whether they may manage people.
    pub admin: bool,
    /// The outside is a stand-in.
    pub sandbox: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobPage {
    pub since: Since,
    pub job: Job,
    /// The first tasks, in the order of the grid.
    pub tasks: Vec<Task>,
}

/// What happened to a job, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    pub seq: i64,
    pub facts: Vec<Fact>,
    /// Behind which `seq` it goes on; `None` where this is all so far.
    pub next: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboxPage {
    pub since: Since,
    pub inbox: Inbox,
}

/// Tasks that a job's page shows.
pub const SHOWN: u32 = 600;

/// Facts of one page of a timeline.
#[cfg(feature = "ssr")]
const FACTS: usize = 200;

/// `None`: there is no such job, or it belongs to someone else.
#[server]
pub async fn read_job(id: String) -> Result<Option<JobPage>, ServerFnError> {
    let (engine, who) = server::viewer()?;
    let since = server::since(&engine, &who).await?;
    let Ok(id) = id.parse() else { return Ok(None) };
    let store = engine.store();
    let job = match store.job(who.user, id).await {
        Ok(job) => job,
        Err(engine::store::Error::NotFound) => return Ok(None),
        Err(error) => return Err(server::error(error)),
    };
    let tasks = store.tasks(who.user, id, None, SHOWN).await.map_err(server::error)?;
    Ok(Some(JobPage { since, job, tasks }))
}

/// The journal of a job behind `after`; empty where there is no such job.
#[server]
pub async fn read_timeline(id: String, after: i64) -> Result<Timeline, ServerFnError> {
    let (engine, who) = server::viewer()?;
    let seq = engine.store().head(who.user).await.map_err(server::error)?;
    let Ok(id) = id.parse() else { return Ok(Timeline { seq, facts: Vec::new(), next: None }) };
    let one_more = i64::try_from(FACTS).unwrap_or(i64::MAX - 1) + 1;
    let journal = engine.store().job_journal(who.user, id, after, one_more).await;
    let mut facts = journal.map_err(server::error)?;
    let more = facts.len() > FACTS;
    facts.truncate(FACTS);
    let next = facts.last().filter(|_| more).map(|fact| fact.seq);
    Ok(Timeline { seq, facts, next })
}

#[server]
pub async fn read_task(id: String) -> Result<Option<TaskDetail>, ServerFnError> {
    let (engine, who) = server::viewer()?;
    let Ok(id) = id.parse() else { return Ok(None) };
    match engine.store().task(who.user, id).await {
        Ok(detail) => Ok(Some(detail)),
        Err(engine::store::Error::NotFound) => Ok(None),
        Err(error) => Err(server::error(error)),
    }
}

#[server]
pub async fn read_inbox() -> Result<InboxPage, ServerFnError> {
    let (engine, who) = server::viewer()?;
    let since = server::since(&engine, &who).await?;
    let inbox = engine.store().inbox(who.user, 100).await.map_err(server::error)?;
    Ok(InboxPage { since, inbox })
}

#[cfg(feature = "ssr")]
mod server {
    use super::Since;
    use crate::Viewer;
    use engine::{Engine, store::Identity};
    use leptos::prelude::*;

    pub fn viewer() -> Result<(Engine, Identity), ServerFnError> {
        let who = use_context::<Viewer>().and_then(|viewer| viewer.0);
        match (use_context::<Engine>(), who) {
            (Some(engine), Some(who)) => Ok((engine, who)),
            _ => Err(ServerFnError::ServerError("Sign in first.".into())),
        }
    }

    pub async fn since(engine: &Engine, who: &Identity) -> Result<Since, ServerFnError> {
        let store = engine.store();
        let seq = store.head(who.user).await.map_err(error)?;
        let unread = store.inbox(who.user, 100).await.map_err(error)?.unread;
        Ok(Since {
            epoch: store.epoch().into(),
            seq,
            unread,
            email: who.email.clone(),
            admin: who.role == contract::api::Role::Admin,
            sandbox: engine.channels().iter().any(|channel| channel.sandbox),
        })
    }

    #[allow(clippy::needless_pass_by_value)]
    pub fn error(error: engine::store::Error) -> ServerFnError {
        leptos::logging::error!("the store failed: {error}");
        ServerFnError::ServerError("The database did not answer. Try again soon.".into())
    }

    pub fn key() -> String {
        engine::engine::new_key()
    }
}
