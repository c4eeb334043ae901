//! What is still to do, by job and channel.

use super::{Error, Store, all, row};
use contract::{JobId, UserId};
use uuid::Uuid;

/// Open tasks of one job on one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenTasks {
    pub job: JobId,
    pub user: UserId,
    /// `None`: of no channel, such as a machine's.
    pub channel: Option<String>,
    pub queued: u32,
    pub running: u32,
}

impl Store {
    /// Open tasks of all jobs that run and are not paused.
    pub async fn open_tasks(&self) -> Result<Vec<OpenTasks>, Error> {
        all(
            &self.reader,
            "SELECT t.job_id, j.user_id, t.channel, \
             SUM(CASE WHEN t.state = 'queued' THEN 1 ELSE 0 END) AS queued, \
             SUM(CASE WHEN t.state = 'running' THEN 1 ELSE 0 END) AS running \
             FROM jobs j JOIN tasks t ON t.job_id = j.id AND t.state IN ('queued', 'running') \
             WHERE j.state = 'running' AND j.paused = 0 \
             GROUP BY t.job_id, j.user_id, t.channel",
            [],
        )
        .await?
        .iter()
        .map(|found| {
            Ok(OpenTasks {
                job: JobId(found.try_get::<Uuid>("", "job_id")?),
                user: UserId(found.try_get("", "user_id")?),
                channel: found.try_get("", "channel")?,
                queued: row::count(found, "queued")?,
                running: row::count(found, "running")?,
            })
        })
        .collect()
    }
}
