//! The states of all machines that tasks wait for, in one call.

use super::Ec2Client;
use crate::handler::AttemptContext;
use aws::ec2::MAX_FILTER_VALUES;
use engine::store::AttemptError;
use parking_lot::Mutex;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// Maximum number of pages of one read. EC2 may send pages without machines, but a read of 200
/// ids needs one page, so that more than some are a service that never ends.
const MAX_PAGES: usize = 20;
/// Minimum of [`MachineWatcher::forget_after`].
const MIN_FORGET_AFTER: Duration = Duration::from_secs(10);

/// Watches machines of one account and region for the attempts of this process. Attempts that ask
/// at the same time share a call, and a call asks about every machine that some task waits for:
/// 300 machines that start cost two calls per interval, not 300.
pub struct MachineWatcher {
    ec2: Ec2Client,
    /// Time after which a machine that no attempt asked about is no longer watched.
    forget_after: Duration,
    watched: Mutex<HashMap<String, Watched>>,
    /// One attempt calls EC2, the others wait for its result.
    read_lock: tokio::sync::Mutex<()>,
}

struct Watched {
    asked_at: Instant,
    last_read: Option<Snapshot>,
}

/// State of a machine as EC2 had it.
#[derive(Clone)]
struct Snapshot {
    /// Start of the call.
    at: Instant,
    /// `None` if EC2 has no such machine.
    state: Option<String>,
}

impl MachineWatcher {
    /// Creates a watcher of machines that are polled at `poll_interval`.
    pub fn new(ec2: Ec2Client, poll_interval: Duration) -> Self {
        Self {
            ec2,
            forget_after: (poll_interval * 3).max(MIN_FORGET_AFTER),
            watched: Mutex::default(),
            read_lock: tokio::sync::Mutex::default(),
        }
    }

    /// Returns EC2's name of a machine's state, which is at most `max_age` old; `None` if EC2 has
    /// no such machine. It calls EC2, with a rate permit of the attempt, only if no other attempt
    /// has learnt it meanwhile.
    ///
    /// # Errors
    /// There is no rate permit, or the machines can't be described.
    pub async fn state(
        &self,
        id: &str,
        max_age: Duration,
        context: &mut AttemptContext<'_>,
    ) -> Result<Option<String>, AttemptError> {
        let asked_at = Instant::now();
        self.watch(id, asked_at);
        let _read_guard = self.read_lock.lock().await;
        if let Some(snapshot) = self.last_read(id)
            && snapshot.at + max_age >= asked_at
        {
            return Ok(snapshot.state);
        }
        context.acquire_rate_permit().await?;
        self.read(id, context).await
    }

    fn watch(&self, id: &str, asked_at: Instant) {
        let mut watched = self.watched.lock();
        watched.retain(|_, machine| asked_at - machine.asked_at < self.forget_after);
        watched
            .entry(id.to_owned())
            .and_modify(|machine| machine.asked_at = asked_at)
            .or_insert(Watched { asked_at, last_read: None });
    }

    fn last_read(&self, id: &str) -> Option<Snapshot> {
        self.watched.lock().get(id)?.last_read.clone()
    }

    /// Reads the states of a machine, which is returned, and of others that are watched.
    async fn read(
        &self,
        id: &str,
        context: &mut AttemptContext<'_>,
    ) -> Result<Option<String>, AttemptError> {
        let ids = self.ids_to_read(id);
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let at = Instant::now();
        let mut states = HashMap::new();
        let mut next_token = None;
        for page in 0.. {
            if page == MAX_PAGES {
                let message = format!("EC2's list of machines did not end after {page} pages.");
                return Err(AttemptError::retry("endless_list", message));
            }
            if page > 0 {
                context.acquire_rate_permit().await?;
            }
            let read = self.ec2.describe_page(&ids, next_token.as_deref()).await?;
            states.extend(read.machines.into_iter().map(|machine| (machine.id, machine.state)));
            next_token = read.next_token;
            if next_token.is_none() {
                break;
            }
        }
        let state = states.get(id).cloned();
        let mut watched = self.watched.lock();
        for id in ids {
            if let Some(machine) = watched.get_mut(id) {
                machine.last_read = Some(Snapshot { at, state: states.remove(id) });
            }
        }
        Ok(state)
    }

    /// Returns `id` and the ids that were asked about since they were last read, then those that
    /// were read longest ago, as many as one filter takes.
    fn ids_to_read(&self, id: &str) -> Vec<String> {
        let watched = self.watched.lock();
        let mut others: Vec<_> = watched.iter().filter(|(other, _)| *other != id).collect();
        others.sort_by_key(|(_, machine)| {
            let read_at = machine.last_read.as_ref().map(|snapshot| snapshot.at);
            (read_at.is_some_and(|at| at >= machine.asked_at), read_at)
        });
        let others = others.into_iter().map(|(other, _)| other.clone());
        std::iter::once(id.to_owned()).chain(others).take(MAX_FILTER_VALUES).collect()
    }

    /// Forgets what was read, so that the next question is a call.
    #[cfg(test)]
    pub(crate) fn forget_reads(&self) {
        self.watched.lock().clear();
    }
}
