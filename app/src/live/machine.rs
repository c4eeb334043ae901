//! What was heard of a machine.

use super::Live;
use contract::api::Task;
use leptos::prelude::*;

impl Live {
    /// The last task of `kind` about `id`: `page`'s as it is now, or one that
    /// was heard of since `since`.
    pub fn last_about(self, kind: &str, id: &str, page: Option<&Task>, since: i64) -> Option<Task> {
        let known = page.map(|task| task.id);
        let newer = self.tasks.with(|tasks| {
            let heard = tasks.values().filter(|(seq, task)| {
                *seq > since && task.kind == kind && task.sku == id && Some(task.id) != known
            });
            // A retry of an older job's task may end after a newer start began.
            heard.max_by_key(|(_, task)| (task.job, task.attempt)).map(|(_, task)| task.clone())
        });
        let page = page.map(|task| self.task(task, since));
        match (newer, page) {
            (Some(newer), Some(page)) if newer.job < page.job => Some(page),
            (newer, page) => newer.or(page),
        }
    }
}
