//! Direct queries of PostgreSQL for what no page shows.

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The database that all nodes share.
pub struct Database(pub String);

impl Database {
    /// Runs `sql` and returns one line per row, with `|` between columns.
    pub async fn query_rows(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut psql = Command::new("psql");
        psql.args(["-d", &self.0, "-X", "-q", "-A", "-t", "-c", sql]).kill_on_drop(true);
        let output = psql.output().await.context("can't run psql")?;
        ensure!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Runs `sql`, which selects one number.
    pub async fn query_count(&self, sql: &str) -> anyhow::Result<usize> {
        let rows = self.query_rows(sql).await?;
        Ok(rows.first().with_context(|| format!("{sql}: no row"))?.parse()?)
    }
}
