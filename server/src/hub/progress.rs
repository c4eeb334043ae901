//! Values that change between facts: remaining time, calls in flight, state of the
//! channels. They are conflated: once a second, only the latest values that have
//! changed are sent.

use super::{Hub, SocketMessage, encode};
use contract::{
    JobId,
    api::{Channel, Job},
    websocket::{JobProgress, ServerFrame},
};
use engine::engine::JobForecast;
use std::{collections::HashMap, time::Duration};

/// Interval between two updates. The protocol allows ten per second for a job.
pub const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of jobs of one user whose progress is sent.
const MAX_JOBS_PER_USER: u32 = 50;

/// Publishes progress, and remembers the values that it sent last.
#[derive(Default)]
pub struct ProgressPublisher {
    last_jobs: HashMap<JobId, JobForecast>,
    last_channels: Vec<Channel>,
}

impl ProgressPublisher {
    /// Sends what has changed to all users who have an open socket.
    pub async fn publish_changes(&mut self, hub: &Hub) {
        let users = hub.connected_users();
        if users.is_empty() {
            self.last_jobs.clear();
            return;
        }
        if let Err(error) = self.try_publish(hub, users).await {
            tracing::debug!(%error, "progress could not be published");
        }
    }

    async fn try_publish(
        &mut self,
        hub: &Hub,
        users: Vec<contract::UserId>,
    ) -> Result<(), engine::store::Error> {
        let forecast = hub.engine.forecast().await?;
        for channel in &forecast.channels {
            if !self.last_channels.contains(channel)
                && let Some(text) = encode(&ServerFrame::Channel(channel.clone()))
            {
                hub.send_to_all(&SocketMessage::Ephemeral(text));
            }
        }
        self.last_channels.clone_from(&forecast.channels);
        let mut published = HashMap::new();
        for user in users {
            let jobs = hub.store.jobs.running_jobs(user, MAX_JOBS_PER_USER).await?;
            let forecasts = hub.engine.job_forecasts(&jobs, user).await?;
            for job in jobs {
                let Some(forecast) = forecasts.get(&job.id) else { continue };
                if self.last_jobs.get(&job.id) != Some(forecast) {
                    hub.send_to_user(
                        user,
                        &ServerFrame::Progress(job_progress(job.clone(), forecast)),
                    );
                }
                published.insert(job.id, forecast.clone());
            }
        }
        self.last_jobs = published;
        Ok(())
    }
}

fn job_progress(job: Job, forecast: &JobForecast) -> JobProgress {
    JobProgress {
        job: job.id,
        status: job.with_eta(forecast.eta),
        running: forecast.running,
        limited_by: forecast.limited_by.clone(),
    }
}
