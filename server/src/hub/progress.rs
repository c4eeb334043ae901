//! What moves between facts: time left, calls under way, how channels stand.
//! Conflated: the latest figures, once a second, and only what changed.

use super::{Hub, Live, encode};
use contract::{
    JobId,
    api::{Channel, Job},
    live::{Progress, ServerFrame},
};
use engine::engine::Left;
use std::{collections::HashMap, time::Duration};

/// Well under the ten a second of one job that the protocol allows.
pub const EVERY: Duration = Duration::from_secs(1);
/// Jobs of one user whose figures are told.
const JOBS: u32 = 50;

/// What was told last.
#[derive(Default)]
pub struct Told {
    jobs: HashMap<JobId, Left>,
    channels: Vec<Channel>,
}

impl Told {
    /// Tells everyone who has a page open what has changed.
    pub async fn tell(&mut self, hub: &Hub) {
        let users = hub.users();
        if users.is_empty() {
            self.jobs.clear();
            return;
        }
        if let Err(error) = self.tell_all(hub, users).await {
            tracing::debug!(%error, "no figures this time");
        }
    }

    async fn tell_all(
        &mut self,
        hub: &Hub,
        users: Vec<contract::UserId>,
    ) -> Result<(), engine::store::Error> {
        let forecast = hub.engine.forecast().await?;
        for channel in &forecast.channels {
            if !self.channels.contains(channel)
                && let Some(text) = encode(&ServerFrame::Channel(channel.clone()))
            {
                hub.to_all(&Live::Other(text));
            }
        }
        self.channels.clone_from(&forecast.channels);
        let mut told = HashMap::new();
        for user in users {
            let jobs = hub.store.running_jobs(user, JOBS).await?;
            let left = hub.engine.time_left(&jobs, user).await?;
            for job in jobs {
                let Some(left) = left.get(&job.id) else { continue };
                if self.jobs.get(&job.id) != Some(left) {
                    hub.to_user(user, &ServerFrame::Progress(progress(job.clone(), left)));
                }
                told.insert(job.id, left.clone());
            }
        }
        self.jobs = told;
        Ok(())
    }
}

fn progress(job: Job, left: &Left) -> Progress {
    Progress {
        job: job.id,
        status: Job { eta_ms: left.eta_ms, ..job },
        running: left.running,
        limited_by: left.limited_by.clone(),
    }
}
