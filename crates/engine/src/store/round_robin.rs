//! Fairness between users, and between the jobs of a user: whose tasks are published
//! next.

use contract::{JobId, UserId, envelope::CommandMessage};
use std::collections::{BTreeMap, HashMap, VecDeque};
use uuid::Uuid;

/// The last turns in a queue. Rate permits come one at a time, and so does space in
/// the window: without this, the first job would get all of it.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    pub(super) last_user: Option<UserId>,
    /// Last job of each user.
    pub(super) last_jobs: HashMap<UserId, JobId>,
}

impl RoundRobin {
    /// Records that these had their turn, in this order.
    pub fn record_turns(&mut self, due: &[CommandMessage]) {
        for message in due {
            self.last_user = Some(message.user);
            self.last_jobs.insert(message.user, message.job);
        }
    }
}

/// The first due tasks of a job.
#[derive(Clone)]
pub(super) struct JobDueTasks {
    pub job: Uuid,
    pub tasks: VecDeque<CommandMessage>,
    /// Whether there may be more.
    pub is_truncated: bool,
}

/// Takes one task of each user in turn, and within a user one of each job in turn;
/// both start after the one that had the last turn. `None`: a list was too short to
/// tell.
pub(super) fn round_robin(
    users: BTreeMap<Uuid, VecDeque<JobDueTasks>>,
    capacity: usize,
    turns: &RoundRobin,
) -> Option<Vec<CommandMessage>> {
    let mut turn: VecDeque<_> = users.into_iter().collect();
    for (user, jobs) in &mut turn {
        if let Some(last) = turns.last_jobs.get(&UserId(*user)) {
            jobs.rotate_left(jobs.partition_point(|list| list.job <= last.0));
        }
    }
    if let Some(last) = turns.last_user {
        turn.rotate_left(turn.partition_point(|(user, _)| *user <= last.0));
    }
    let mut due = Vec::with_capacity(capacity);
    while due.len() < capacity
        && let Some((user, mut jobs)) = turn.pop_front()
    {
        while let Some(mut job) = jobs.pop_front() {
            if let Some(task) = job.tasks.pop_front() {
                due.push(task);
                jobs.push_back(job);
                break;
            }
            if job.is_truncated {
                return None;
            }
        }
        if !jobs.is_empty() {
            turn.push_back((user, jobs));
        }
    }
    Some(due)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::TaskId;
    use serde_json::Value as Json;

    fn tasks(user: u128, job: u128, count: usize) -> JobDueTasks {
        let message = |n| CommandMessage {
            task: TaskId(Uuid::from_u128(job * 100 + n as u128)),
            job: JobId(Uuid::from_u128(job)),
            user: UserId(Uuid::from_u128(user)),
            fence: 0,
            kind: String::new(),
            version: 1,
            queue: String::new(),
            traceparent: None,
            body: Json::Null,
        };
        JobDueTasks {
            job: Uuid::from_u128(job),
            tasks: (0..count).map(message).collect(),
            is_truncated: false,
        }
    }

    #[test]
    fn users_take_turns_and_so_do_their_jobs() {
        let users = BTreeMap::from([
            (Uuid::from_u128(1), VecDeque::from([tasks(1, 10, 9), tasks(1, 11, 1)])),
            (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 2)])),
        ]);
        let jobs = |after: Option<u128>| -> Vec<u128> {
            let user = after.map(|user| UserId(Uuid::from_u128(user)));
            round_robin(users.clone(), 6, &RoundRobin { last_user: user, ..RoundRobin::default() })
                .unwrap()
                .iter()
                .map(|message| message.job.0.as_u128())
                .collect()
        };
        assert_eq!(jobs(None), [10, 20, 11, 20, 10, 10]);
        assert_eq!(jobs(Some(1)), [20, 10, 20, 11, 10, 10]);
        assert_eq!(jobs(Some(2)), [10, 20, 11, 20, 10, 10]);
    }

    #[test]
    fn users_and_jobs_take_turns_with_a_capacity_of_one() {
        let users = BTreeMap::from([
            (Uuid::from_u128(1), VecDeque::from([tasks(1, 10, 9), tasks(1, 11, 9)])),
            (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 9)])),
        ]);
        let mut turns = RoundRobin::default();
        let mut jobs = Vec::new();
        for _ in 0..6 {
            let due = round_robin(users.clone(), 1, &turns).unwrap();
            turns.record_turns(&due);
            jobs.extend(due.iter().map(|message| message.job.0.as_u128()));
        }
        assert_eq!(jobs, [10, 20, 11, 20, 10, 20]);
    }

    #[test]
    fn a_truncated_list_is_too_short_when_its_turn_comes_again() {
        let truncated = |count| JobDueTasks { is_truncated: true, ..tasks(1, 10, count) };
        let with = |list| {
            BTreeMap::from([
                (Uuid::from_u128(1), VecDeque::from([list])),
                (Uuid::from_u128(2), VecDeque::from([tasks(2, 20, 1)])),
            ])
        };
        // A share is two each, but the other user has only one task.
        assert!(round_robin(with(truncated(2)), 4, &RoundRobin::default()).is_none());
        assert_eq!(round_robin(with(truncated(4)), 4, &RoundRobin::default()).unwrap().len(), 4);
        assert_eq!(round_robin(with(truncated(2)), 3, &RoundRobin::default()).unwrap().len(), 3);
    }
}
