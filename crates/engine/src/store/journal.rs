//! The journal: each fact gets its user's next `seq` in the commit of the
//! change that it tells of.

use super::{Actor, Error, Store, all, commit, execute, one, parts, persist, places, row, tuples};
use contract::{
    JobId, TaskId, UserId,
    api::{Inbox, Job, Notification},
    fact::{Fact, FactData, FactKind},
    state::{JobKind, JobState},
};
use sea_orm::{ConnectionTrait, Value};
use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
};
use uuid::Uuid;

/// A fact to be written; its `seq` comes from the user's row.
pub(super) struct Draft {
    pub kind: FactKind,
    pub job: Option<JobId>,
    pub task: Option<TaskId>,
    pub data: FactData,
}

impl Draft {
    pub fn of_job(kind: FactKind, job: Job) -> Self {
        let data = FactData { job: Some(job.clone()), ..FactData::default() };
        Self { kind, job: Some(job.id), task: None, data }
    }
}

/// Rows of one statement; see `accept::ROWS`.
const ROWS: usize = 32;

/// Writes `drafts` in order. The user's row is locked from here on: call it
/// last.
pub(super) async fn append<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    now: i64,
    drafts: Vec<Draft>,
) -> Result<Vec<Fact>, Error> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
    let head: i64 = one(
        c,
        "UPDATE users SET seq = seq + $2 WHERE id = $1 RETURNING seq",
        [user.0.into(), count.into()],
    )
    .await?
    .ok_or(Error::NotFound)?
    .try_get("", "seq")?;
    let facts = numbered(head - count, now, drafts);
    insert(c, &[(user, &facts)]).await?;
    Ok(facts)
}

/// The same for many users. Rows of users are locked in the order of their
/// ids: whoever locks many does so in this order.
pub(super) async fn append_all<C: ConnectionTrait>(
    store: &Store,
    c: &C,
    now: i64,
    drafts: BTreeMap<UserId, Vec<Draft>>,
) -> Result<Vec<(UserId, Vec<Fact>)>, Error> {
    let users: Vec<_> = drafts.keys().copied().collect();
    let mut heads = HashMap::with_capacity(users.len());
    for part in parts(&users, ROWS) {
        let sql = format!(
            "SELECT id, seq FROM users WHERE id IN ({}) ORDER BY id{}",
            places(1, part.len()),
            store.for_update_of_values()
        );
        for found in all(c, &sql, part.iter().map(|user| user.0.into())).await? {
            heads.insert(UserId(found.try_get("", "id")?), found.try_get::<i64>("", "seq")?);
        }
    }
    let mut facts = Vec::with_capacity(users.len());
    for (user, drafts) in drafts {
        let head = *heads.get(&user).ok_or(Error::NotFound)?;
        facts.push((user, numbered(head, now, drafts)));
    }
    for part in parts(&facts, ROWS) {
        let sql = format!(
            "WITH new (person, head) AS (VALUES {}) UPDATE users SET seq = head FROM new \
             WHERE id = person",
            tuples(part.len(), 2)
        );
        let head = |facts: &[Fact]| facts.last().map(|fact| fact.seq);
        let rows = part.iter().map(|(user, facts)| [user.0.into(), head(facts).into()]);
        execute(c, &sql, rows.flatten().collect::<Vec<Value>>()).await?;
    }
    let told: Vec<_> = facts.iter().map(|(user, facts)| (*user, facts.as_slice())).collect();
    insert(c, &told).await?;
    Ok(facts)
}

/// Facts that follow `head`.
fn numbered(head: i64, now: i64, drafts: Vec<Draft>) -> Vec<Fact> {
    let number = |(seq, mut draft): (i64, Draft)| {
        if let Some(notification) = &mut draft.data.notification {
            notification.seq = seq;
            notification.at = now;
        }
        let Draft { kind, job, task, data } = draft;
        Fact { seq, id: Uuid::now_v7(), kind, job, task, at: now, data }
    };
    (head + 1..).zip(drafts).map(number).collect()
}

async fn insert<C: ConnectionTrait>(c: &C, told: &[(UserId, &[Fact])]) -> Result<(), Error> {
    let facts = told.iter().flat_map(|(user, facts)| facts.iter().map(move |fact| (*user, fact)));
    let facts: Vec<_> = facts.collect();
    for part in parts(&facts, ROWS) {
        let sql = format!(
            "INSERT INTO journal (user_id, seq, id, kind, job_id, task_id, at, data) VALUES {}",
            tuples(part.len(), 8)
        );
        let mut values: Vec<Value> = Vec::with_capacity(part.len() * 8);
        for (user, fact) in part {
            values.extend([
                user.0.into(),
                fact.seq.into(),
                fact.id.into(),
                fact.kind.as_str().into(),
                fact.job.map(|id| id.0).into(),
                fact.task.map(|id| id.0).into(),
                fact.at.into(),
                row::text("data", &fact.data)?.into(),
            ]);
        }
        execute(c, &sql, values).await?;
    }
    for (user, fact) in facts {
        if let Some(notification) = &fact.data.notification {
            insert_notification(c, user, notification).await?;
        }
    }
    Ok(())
}

async fn insert_notification<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    n: &Notification,
) -> Result<(), Error> {
    execute(
        c,
        "INSERT INTO notifications (user_id, seq, job_id, kind, title, text, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [
            user.0.into(),
            n.seq.into(),
            n.job.0.into(),
            n.kind.as_str().into(),
            n.title.as_str().into(),
            n.text.as_str().into(),
            n.at.into(),
        ],
    )
    .await
    .map(|_| ())
}

/// What a user is told when a job comes to its end.
pub(super) fn finished(job: &Job) -> Notification {
    let items = match job.kind {
        JobKind::ProductUploads => "uploads",
        JobKind::Ec2Starts => "steps",
        JobKind::Noops => "no-ops",
    };
    let c = &job.counts;
    let mut text = format!("{} of {} {items} succeeded", c.succeeded, c.total);
    for (count, word) in
        [(c.failed, "failed"), (c.cancelled, "cancelled"), (c.needs_person, "need you")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text.push('.');
    let title = match job.state {
        JobState::Succeeded => format!("{} is done", job.title),
        JobState::Cancelled => format!("{} was cancelled", job.title),
        JobState::Failed => format!("{} failed", job.title),
        JobState::PartlyFailed | JobState::Running => format!("{} partly failed", job.title),
    };
    let kind = if c.needs_person > 0 { "needs_person" } else { "finished" };
    Notification { seq: 0, job: job.id, kind: kind.into(), title, text, at: 0, read: false }
}

impl Store {
    /// The head of a user's journal: the last `seq` given, 0 for none.
    pub async fn head(&self, user: UserId) -> Result<i64, Error> {
        let row = one(&self.reader, "SELECT seq FROM users WHERE id = $1", [user.0.into()]).await?;
        Ok(row.ok_or(Error::NotFound)?.try_get("", "seq")?)
    }

    /// From where to where a user's journal can be replayed: the lowest and
    /// the highest `after` of which all that came later is kept. The highest
    /// is the head.
    pub async fn span(&self, user: UserId) -> Result<RangeInclusive<i64>, Error> {
        let row = one(
            &self.reader,
            "SELECT u.seq, (SELECT MIN(j.seq) FROM journal j WHERE j.user_id = u.id) AS first \
             FROM users u WHERE u.id = $1",
            [user.0.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        let head: i64 = row.try_get("", "seq")?;
        let first: Option<i64> = row.try_get("", "first")?;
        Ok(first.map_or(head, |first| first - 1)..=head)
    }

    /// Facts of a user with `seq > after`, in order, at most `limit`.
    pub async fn facts_after(
        &self,
        user: UserId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        all(
            &self.reader,
            "SELECT seq, id, kind, job_id, task_id, at, data FROM journal \
             WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            [user.0.into(), after.into(), limit.into()],
        )
        .await?
        .iter()
        .map(fact)
        .collect()
    }

    /// The journal of one job, in order, `seq > after`.
    pub async fn job_journal(
        &self,
        user: UserId,
        job: JobId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        all(
            &self.reader,
            "SELECT seq, id, kind, job_id, task_id, at, data FROM journal \
             WHERE job_id = $2 AND user_id = $1 AND seq > $3 ORDER BY seq LIMIT $4",
            [user.0.into(), job.0.into(), after.into(), limit.into()],
        )
        .await?
        .iter()
        .map(fact)
        .collect()
    }

    /// The journal of one job, newest first, `seq < before`.
    pub async fn job_journal_before(
        &self,
        user: UserId,
        job: JobId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        all(
            &self.reader,
            "SELECT seq, id, kind, job_id, task_id, at, data FROM journal \
             WHERE job_id = $2 AND user_id = $1 AND seq < $3 ORDER BY seq DESC LIMIT $4",
            [user.0.into(), job.0.into(), before.into(), limit.into()],
        )
        .await?
        .iter()
        .map(fact)
        .collect()
    }

    /// The user's newest notifications, at most `limit`.
    pub async fn inbox(&self, user: UserId, limit: i64) -> Result<Inbox, Error> {
        let rows = all(
            &self.reader,
            "SELECT seq, job_id, kind, title, text, at, read_at FROM notifications \
             WHERE user_id = $1 ORDER BY seq DESC LIMIT $2",
            [user.0.into(), limit.into()],
        )
        .await?;
        let items = rows
            .iter()
            .map(|row| {
                Ok(Notification {
                    seq: row.try_get("", "seq")?,
                    job: JobId(row.try_get("", "job_id")?),
                    kind: row.try_get("", "kind")?,
                    title: row.try_get("", "title")?,
                    text: row.try_get("", "text")?,
                    at: row.try_get("", "at")?,
                    read: row.try_get::<Option<i64>>("", "read_at")?.is_some(),
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let unread = items.iter().filter(|item| !item.read).count();
        Ok(Inbox { items, unread: u32::try_from(unread).unwrap_or(u32::MAX) })
    }

    /// Marks all notifications up to `up_to` as read, and tells every tab.
    pub async fn mark_read(&self, actor: impl Into<Actor>, up_to: i64) -> Result<Vec<Fact>, Error> {
        let actor = actor.into();
        persist!(self.try_mark_read(&actor, up_to))
    }

    async fn try_mark_read(&self, actor: &Actor, up_to: i64) -> Result<Vec<Fact>, Error> {
        let user = actor.user;
        let tx = self.begin().await?;
        let now = self.now_ms();
        let changed = execute(
            &tx,
            "UPDATE notifications SET read_at = $3 \
             WHERE user_id = $1 AND seq <= $2 AND read_at IS NULL",
            [user.0.into(), up_to.into(), now.into()],
        )
        .await?;
        let mut facts = Vec::new();
        if changed > 0 {
            let data = FactData { read_up_to: Some(up_to), ..FactData::default() };
            let draft = Draft { kind: FactKind::NotificationsRead, job: None, task: None, data };
            facts = append(&tx, user, now, vec![draft]).await?;
        }
        self.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok(facts)
    }
}

fn fact(row: &sea_orm::QueryResult) -> Result<Fact, Error> {
    Ok(Fact {
        seq: row.try_get("", "seq")?,
        id: row.try_get("", "id")?,
        kind: row::word(row, "kind")?,
        job: row.try_get::<Option<Uuid>>("", "job_id")?.map(JobId),
        task: row.try_get::<Option<Uuid>>("", "task_id")?.map(TaskId),
        at: row.try_get("", "at")?,
        data: row::json(row, "data")?,
    })
}
