//! Pauses of a channel by an admin.

use crate::system::{InProcessSystem, SystemOptions, no_hook, wait_until};
use contract::state::JobState;

impl InProcessSystem {
    /// Pauses a channel until an hour from now, or ends its pause.
    async fn set_pause(&self, channel: &str, paused: bool) {
        let (controls, upstreams) = (&self.store.upstream_controls, [channel.to_owned()]);
        let until = self.store.database.now_ms() + 3_600_000;
        match paused {
            true => controls.pause(self.user, channel, &upstreams, until, "").await.unwrap(),
            false => controls.resume(self.user, channel, &upstreams).await.unwrap(),
        }
        self.limiters.load_controls().await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_sent_during_a_pause_and_everything_when_it_ends() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let _worker = system.spawn_worker("w", &no_hook());
    system.set_pause("acme", true).await;
    let paused = system.upload_skus(&["acme"], &["A-1", "A-2", "A-3"]).await;
    let other = system.upload_skus(&["corner"], &["B-1"]).await;
    assert_eq!(system.wait_for_end(other).await.state, JobState::Succeeded);
    assert_eq!(system.actions("acme"), [] as [&str; 0]);
    let job = system.job(paused).await;
    assert_eq!((job.counts.open, job.state), (3, JobState::Running));
    let published = "SELECT id FROM tasks WHERE channel = 'acme' AND published_at IS NOT NULL";
    assert_eq!(system.query(published).await.len(), 0, "the relay holds them back");
    system.set_pause("acme", false).await;
    assert_eq!(system.wait_for_end(paused).await.counts.succeeded, 3);
    for task in system.tasks(paused).await {
        assert_eq!((task.task.attempt, task.attempts.len()), (1, 1), "the pause cost no attempt");
    }
}

#[tokio::test]
async fn items_that_were_published_before_a_pause_go_on_soon_after_it() {
    let system = InProcessSystem::new(SystemOptions::default()).await;
    let job = system.upload_skus(&["acme"], &["A-1", "A-2"]).await;
    let published = "SELECT id FROM tasks WHERE published_at IS NOT NULL";
    wait_until("both published", async || system.query(published).await.len() == 2).await;
    system.set_pause("acme", true).await;
    let _worker = system.spawn_worker("w", &no_hook());
    let deferred = "SELECT id FROM tasks WHERE waiting_for LIKE '%\"paused\"%'";
    wait_until("both deferred", async || system.query(deferred).await.len() == 2).await;
    assert_eq!(system.actions("acme"), [] as [&str; 0]);
    system.set_pause("acme", false).await;
    assert_eq!(system.wait_for_end(job).await.counts.succeeded, 2);
}
