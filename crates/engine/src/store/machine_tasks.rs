//! The last tasks about machines.

use super::{
    Error, Jobs, query_all,
    row::{self, rows},
    row_set::{ColumnType, RowSet},
    schema::bytewise_collation,
};
use contract::{UserId, api::Task, state::JobKind};
use sea_orm::DbBackend;
use std::collections::HashSet;
use uuid::Uuid;

/// Number of a user's newest jobs about machines that are searched.
const MAX_JOBS_SEARCHED: u32 = 20;

impl Jobs {
    /// Returns the tasks about the machines `ids`, of each machine those of the newest job that
    /// has some. The user's newest 20 jobs about machines are searched. The ids are in lower case.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`]; [`Error::Text`] for an id with a NUL character.
    pub async fn last_machine_tasks(&self, user: UserId, ids: &[&str]) -> Result<Vec<Task>, Error> {
        let [starts, stops, launches] =
            [JobKind::Ec2Starts, JobKind::Ec2Stops, JobKind::Ec2Launches].map(JobKind::as_str);
        let jobs_sql = format!(
            "SELECT id FROM jobs WHERE user_id = $1 AND kind IN ('{starts}', '{stops}', \
             '{launches}') ORDER BY id DESC LIMIT {MAX_JOBS_SEARCHED}"
        );
        let is_sqlite = self.db.reader.get_database_backend() == DbBackend::Sqlite;
        let columns: Vec<_> =
            row::TASK_COLUMNS.split(", ").map(|column| format!("tasks.{column}")).collect();
        let (columns, collation) = (columns.join(", "), bytewise_collation(is_sqlite));
        let mut missing: HashSet<&str> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for job in query_all(&self.db.reader, &jobs_sql, [user.0.into()]).await? {
            if missing.is_empty() {
                break;
            }
            let id: Uuid = job.get("id")?;
            let mut wanted = RowSet::new(&[("sku", ColumnType::Text)]);
            for id in &missing {
                wanted.push([(*id).into()])?;
            }
            let tasks_sql = format!(
                "SELECT {columns} FROM {} JOIN tasks ON tasks.job_id = $1 \
                 AND LOWER(tasks.sku){collation} = new.sku ORDER BY tasks.row_no, tasks.id",
                wanted.table_sql(&self.db.reader, 2)
            );
            let tasks: Vec<Task> =
                rows(&self.db.reader, &tasks_sql, [id.into(), wanted.into_value()]).await?;
            for task in &tasks {
                missing.remove(task.sku.as_str());
            }
            found.extend(tasks);
        }
        Ok(found)
    }
}
