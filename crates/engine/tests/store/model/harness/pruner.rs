//! The pruner: deletes whole jobs, and the beginning of journals.

use super::{Harness, user_actions::IDEMPOTENCY_KEY_LIFETIME_MS};
use crate::model::snapshot::{self, Snapshot};
use contract::state::JobState;
use engine::{clock::whole_millis, store::Retention};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
const RETENTION: Retention =
    Retention { journal: Duration::from_secs(3_600), jobs: Duration::from_secs(24 * 3_600) };
/// Rows that would outlive what they belong to.
const ORPHANS: [&str; 3] = [
    "attempts WHERE task_id NOT IN (SELECT id FROM tasks)",
    "notifications WHERE job_id NOT IN (SELECT id FROM jobs)",
    "idempotency_keys WHERE job_id NOT IN (SELECT id FROM jobs)",
];

impl Harness {
    /// Lets time pass and deletes what is past its retention then: the jobs that ended
    /// before it with all their rows, and the facts before it. Everything else stays
    /// as it was.
    pub(super) async fn prune(&mut self, days: i64) {
        self.fixture.clock.advance(days * 24 * HOUR_MS);
        let now = self.fixture.store.database.now_ms();
        let mut expected = self.snapshot.clone();
        let ended_before = now - whole_millis(RETENTION.jobs);
        expected.jobs.retain(|_, job| {
            job.state == JobState::Running || job.finished_at.is_none_or(|at| at >= ended_before)
        });
        expected.tasks.retain(|_, task| expected.jobs.contains_key(&task.job));
        let mut journals = Vec::new();
        for user in self.users {
            journals.push(snapshot::journal(&self.db, user, 0).await);
        }

        let pruned = self.fixture.store.tasks.prune(RETENTION).await.unwrap();
        let actual = Snapshot::read(&self.db).await;
        assert_eq!(actual, expected);
        let deleted = |before: usize, after: usize| u64::try_from(before - after).unwrap();
        assert_eq!(
            (pruned.jobs, pruned.tasks),
            (
                deleted(self.snapshot.jobs.len(), expected.jobs.len()),
                deleted(self.snapshot.tasks.len(), expected.tasks.len()),
            )
        );
        for (user, mut journal) in self.users.into_iter().zip(journals) {
            journal.retain(|fact| fact.at >= now - whole_millis(RETENTION.journal));
            assert_eq!(snapshot::journal(&self.db, user, 0).await, journal);
        }
        for rows in ORPHANS {
            let sql = format!("SELECT COUNT(*) AS n FROM {rows}");
            assert_eq!(self.fixture.query_number(&sql).await, 0, "{rows}");
        }
        self.idempotency_keys.retain(|_, first| first.at >= now - IDEMPOTENCY_KEY_LIFETIME_MS);
    }
}
