//! What no page shows, asked of PostgreSQL itself.

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The database that all nodes share.
pub struct Database(pub String);

impl Database {
    /// One line a row, its columns with `|` between them.
    pub async fn rows(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut psql = Command::new("psql");
        psql.args(["-d", &self.0, "-X", "-q", "-A", "-t", "-c", sql]).kill_on_drop(true);
        let said = psql.output().await.context("can't run psql")?;
        ensure!(said.status.success(), "{sql}: {}", String::from_utf8_lossy(&said.stderr).trim());
        Ok(String::from_utf8(said.stdout)?.lines().map(str::to_owned).collect())
    }

    pub async fn count(&self, sql: &str) -> anyhow::Result<usize> {
        let rows = self.rows(sql).await?;
        Ok(rows.first().with_context(|| format!("{sql}: no row"))?.parse()?)
    }
}
