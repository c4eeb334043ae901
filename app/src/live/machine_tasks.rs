//! Tasks of a machine.

use super::LiveState;
use contract::api::Task;
use leptos::prelude::*;

impl LiveState {
    /// Returns the last task for machine `id` whose kind is one of `kinds`: the current state of
    /// the page's task, or one received after the page.
    pub fn last_machine_task(
        self,
        kinds: &[&str],
        id: &str,
        page: Option<&Task>,
        since: i64,
    ) -> Option<Task> {
        let known = page.map(|task| task.id);
        let newer = self.tasks.with(|tasks| {
            let candidates = tasks.values().filter(|(seq, task)| {
                let is_wanted = kinds.contains(&task.kind.as_str()) && task.sku == id;
                *seq > since && is_wanted && Some(task.id) != known
            });
            // A retry of an older job's task may end after a newer start began.
            candidates
                .max_by_key(|(_, task)| (task.job, task.attempt))
                .map(|(_, task)| task.clone())
        });
        let page = page.map(|task| self.current_task(task, since));
        match (newer, page) {
            (Some(newer), Some(page)) if newer.job < page.job => Some(page),
            (newer, page) => newer.or(page),
        }
    }
}
