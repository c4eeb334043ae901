//! What the newest facts say about the flows between events: how many of each, what caused them,
//! and the last ones.

use super::{
    Error, Journal, QueueReader, query_all,
    row::{Row, rows},
};
use contract::{JobId, TaskId, UserId, fact::FactKind};
use sea_orm::Value;

/// Number of the newest facts of each user that are read.
const FACTS_PER_USER: i64 = 5_000;

/// How often a command caused a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactCount {
    /// Kind of the fact.
    pub fact: FactKind,
    /// Kind of the command whose task the fact is about, unless it is about a job.
    pub command: Option<String>,
    /// Kind of the command that caused that task, unless it was launched.
    pub cause: Option<String>,
    /// Number of facts.
    pub count: u32,
}

/// A fact, and what it was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFact {
    /// Kind of the fact.
    pub fact: FactKind,
    /// Time of the fact, UTC ms.
    pub at: i64,
    /// Its job with the title.
    pub job: Option<(JobId, String)>,
    /// Its task with the kind of the command and the SKU or machine.
    pub task: Option<(TaskId, String, String)>,
    /// Owner of the job.
    pub owner: UserId,
}

impl Journal {
    /// Counts the facts since `since` (UTC ms) that `reader` may see. It reads at most 5,000 facts
    /// of each user.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn recent_fact_counts(
        &self,
        reader: QueueReader,
        since: i64,
    ) -> Result<Vec<FactCount>, Error> {
        let (mut values, readable) = readable_users(reader);
        values.push(since.into());
        let since = format!("${}", values.len());
        let sql = format!(
            "SELECT j.kind AS fact, t.kind AS command, c.kind AS cause, COUNT(*) AS facts \
             FROM users u JOIN journal j ON j.user_id = u.id AND j.seq > u.seq - $1 \
             LEFT JOIN tasks t ON t.id = j.task_id LEFT JOIN tasks c ON c.id = t.cause_id \
             WHERE j.at >= {since}{readable} GROUP BY j.kind, t.kind, c.kind \
             ORDER BY j.kind, t.kind, c.kind"
        );
        let count = |row: &Row| {
            Ok(FactCount {
                fact: row.get("fact")?,
                command: row.get("command")?,
                cause: row.get("cause")?,
                count: row.get("facts")?,
            })
        };
        query_all(&self.db.reader, &sql, values).await?.iter().map(count).collect()
    }

    /// Returns the last facts of the kind `event`, or about tasks of the command `event`, that
    /// `reader` may see, newest first, at most `limit`. It looks at no more than 5,000 facts of
    /// each user.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn last_facts(
        &self,
        reader: QueueReader,
        event: &str,
        limit: u32,
    ) -> Result<Vec<SeenFact>, Error> {
        let (mut values, readable) = readable_users(reader);
        values.extend([event.into(), i64::from(limit).into()]);
        let (event, limit) = (values.len() - 1, values.len());
        let sql = format!(
            "SELECT j.kind AS fact, j.at, j.user_id, j.job_id, o.title AS job_title, t.id AS task_id, \
             t.kind AS command, t.sku \
             FROM users u JOIN journal j ON j.user_id = u.id AND j.seq > u.seq - $1 \
             LEFT JOIN tasks t ON t.id = j.task_id LEFT JOIN jobs o ON o.id = j.job_id \
             WHERE (j.kind = ${event} OR t.kind = ${event}){readable} \
             ORDER BY j.at DESC, j.seq DESC LIMIT ${limit}"
        );
        rows(&self.db.reader, &sql, values).await
    }
}

/// Returns the first parameters of a statement, and its condition on `u`, which is a user.
fn readable_users(reader: QueueReader) -> (Vec<Value>, &'static str) {
    match reader.sees_all {
        true => (vec![FACTS_PER_USER.into()], ""),
        false => (vec![FACTS_PER_USER.into(), reader.user.0.into()], " AND u.id = $2"),
    }
}

impl super::row::FromRow for SeenFact {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let (job, title): (Option<JobId>, Option<String>) =
            (row.get("job_id")?, row.get("job_title")?);
        let (task, command, sku): (Option<TaskId>, Option<String>, Option<String>) =
            (row.get("task_id")?, row.get("command")?, row.get("sku")?);
        Ok(Self {
            fact: row.get("fact")?,
            at: row.get("at")?,
            job: job.zip(title),
            task: task.zip(command).zip(sku).map(|((task, command), sku)| (task, command, sku)),
            owner: row.get("user_id")?,
        })
    }
}
