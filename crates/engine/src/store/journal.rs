//! The journal: each fact gets its user's next `seq` in the commit that makes the
//! change it reports.

use super::{
    Actor, Database, Error, Journal, commit, execute, query_all, query_one, retry_on_contention,
    row::{self, FromRow, Row, missing, rows},
    row_set::{
        ColumnType::{self, BigInt, Text},
        MAX_ROWS_PER_STATEMENT, RowSet, id_list, is_one_of,
    },
};
use crate::trace;
use contract::{
    JobId, TaskId, UserId,
    api::{Inbox, Job, Notification, NotificationKind},
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
pub(super) struct FactDraft {
    pub kind: FactKind,
    pub job: Option<JobId>,
    pub task: Option<TaskId>,
    /// Trace of what caused it; without one, that of the span that runs at the moment.
    pub traceparent: Option<String>,
    pub data: FactData,
}

impl FactDraft {
    pub fn for_job(kind: FactKind, job: Job) -> Self {
        let data = FactData { job: Some(job.clone()), ..FactData::default() };
        Self { kind, job: Some(job.id), task: None, traceparent: None, data }
    }
}

/// Writes `drafts` in order. It locks the user's row until the transaction ends, so
/// call it last.
pub(super) async fn append_facts<C: ConnectionTrait>(
    c: &C,
    user: UserId,
    now: i64,
    drafts: Vec<FactDraft>,
) -> Result<Vec<Fact>, Error> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let count = i64::try_from(drafts.len()).unwrap_or(i64::MAX);
    let head: i64 = query_one(
        c,
        "UPDATE users SET seq = seq + $2 WHERE id = $1 RETURNING seq",
        [user.0.into(), count.into()],
    )
    .await?
    .ok_or_else(|| missing("user"))?
    .get("seq")?;
    let facts = number_facts(head - count, now, drafts);
    insert_facts(c, &[(user, &facts)]).await?;
    Ok(facts)
}

/// Writes the facts of many users. User rows are locked in the order of their ids;
/// every transaction that locks several users uses this order.
pub(super) async fn append_facts_for_users<C: ConnectionTrait>(
    db: &Database,
    c: &C,
    now: i64,
    drafts: BTreeMap<UserId, Vec<FactDraft>>,
) -> Result<Vec<(UserId, Vec<Fact>)>, Error> {
    let users: Vec<_> = drafts.keys().copied().collect();
    let mut heads: HashMap<UserId, i64> = HashMap::with_capacity(users.len());
    let sql = format!(
        "SELECT id, seq FROM users WHERE {} ORDER BY id{}",
        is_one_of(c, "id", 1),
        db.for_no_key_update()
    );
    for users in users.chunks(MAX_ROWS_PER_STATEMENT) {
        for found in query_all(c, &sql, [id_list(users.iter().copied())]).await? {
            heads.insert(found.get("id")?, found.get("seq")?);
        }
    }
    let mut facts = Vec::with_capacity(users.len());
    for (user, drafts) in drafts {
        let head = *heads.get(&user).ok_or_else(|| missing("user"))?;
        facts.push((user, number_facts(head, now, drafts)));
    }
    for facts in facts.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[("user_id", ColumnType::Uuid), ("new_seq", BigInt)]);
        for (user, facts) in facts {
            if let Some(last) = facts.last() {
                rows.push([user.0.into(), last.seq.into()])?;
            }
        }
        let sql = format!(
            "UPDATE users SET seq = new_seq FROM {} WHERE id = user_id",
            rows.table_sql(c, 1)
        );
        execute(c, &sql, [rows.into_value()]).await?;
    }
    let facts_by_user: Vec<_> =
        facts.iter().map(|(user, facts)| (*user, facts.as_slice())).collect();
    insert_facts(c, &facts_by_user).await?;
    Ok(facts)
}

/// Turns drafts into facts with the numbers that follow `head`.
fn number_facts(head: i64, now: i64, drafts: Vec<FactDraft>) -> Vec<Fact> {
    let number = |(seq, mut draft): (i64, FactDraft)| {
        if let Some(notification) = &mut draft.data.notification {
            notification.seq = seq;
            notification.at = now;
        }
        let FactDraft { kind, job, task, traceparent, data } = draft;
        let traceparent = traceparent.or_else(trace::current_traceparent);
        Fact { seq, id: Uuid::now_v7(), kind, job, task, at: now, traceparent, data }
    };
    (head + 1..).zip(drafts).map(number).collect()
}

async fn insert_facts<C: ConnectionTrait>(
    c: &C,
    facts_by_user: &[(UserId, &[Fact])],
) -> Result<(), Error> {
    let facts = facts_by_user.iter();
    let facts = facts.flat_map(|(user, facts)| facts.iter().map(move |fact| (*user, fact)));
    let facts: Vec<_> = facts.collect();
    for facts in facts.chunks(MAX_ROWS_PER_STATEMENT) {
        let mut rows = RowSet::new(&[
            ("user_id", ColumnType::Uuid),
            ("seq", BigInt),
            ("id", ColumnType::Uuid),
            ("kind", Text),
            ("job_id", ColumnType::Uuid),
            ("task_id", ColumnType::Uuid),
            ("at", BigInt),
            ("traceparent", Text),
            ("data", Text),
        ]);
        for (user, fact) in facts {
            rows.push([
                user.0.into(),
                fact.seq.into(),
                fact.id.into(),
                fact.kind.as_str().into(),
                fact.job.map(|id| id.0).into(),
                fact.task.map(|id| id.0).into(),
                fact.at.into(),
                fact.traceparent.as_deref().into(),
                row::to_json_text("data", &fact.data)?.into(),
            ])?;
        }
        let sql = format!(
            "INSERT INTO journal \
             (user_id, seq, id, kind, job_id, task_id, at, traceparent, data) SELECT new.* FROM {}",
            rows.table_sql(c, 1)
        );
        execute(c, &sql, [rows.into_value()]).await?;
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

/// Returns the notification about a job that has finished.
pub(super) fn job_finished_notification(job: &Job) -> Notification {
    let items = match job.kind {
        JobKind::ProductUploads => "uploads",
        JobKind::Ec2Starts | JobKind::Ec2Launches => "steps",
        JobKind::Ec2Stops => "stops",
        JobKind::Noops => "no-ops",
    };
    let c = &job.counts;
    let unchanged = match c.unchanged {
        0 => String::new(),
        unchanged => format!(" ({unchanged} unchanged)"),
    };
    let needs_you = if c.needs_review == 1 { "needs you" } else { "need you" };
    let mut text = format!("{} of {} {items} succeeded{unchanged}", c.succeeded, c.total);
    for (count, word) in [
        (c.failed, "failed"),
        (c.rejected, "rejected"),
        (c.cancelled, "cancelled"),
        (c.needs_review, needs_you),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text.push('.');
    if job.left_out > 0 {
        let are = if job.left_out == 1 { "was" } else { "were" };
        let of = job.file_rows;
        text.push_str(&format!(" {} of the file's {of} rows {are} left out.", job.left_out));
    }
    let title = match job.state {
        JobState::Succeeded => format!("{} is done", job.title),
        JobState::Cancelled => format!("{} was cancelled", job.title),
        JobState::Failed => format!("{} failed", job.title),
        JobState::PartlyFailed | JobState::Running => format!("{} partly failed", job.title),
    };
    let kind = match c.needs_review {
        0 => NotificationKind::Finished,
        _ => NotificationKind::NeedsReview,
    };
    Notification { seq: 0, job: job.id, kind, title, text, at: 0, read: false }
}

impl Journal {
    /// Returns the head of a user's journal: the last assigned `seq`, 0 for none.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::NotFound`] where there is no such user.
    pub async fn journal_head(&self, user: UserId) -> Result<i64, Error> {
        let row =
            query_one(&self.db.reader, "SELECT seq FROM users WHERE id = $1", [user.0.into()])
                .await?;
        row.ok_or(Error::NotFound)?.get("seq")
    }

    /// Returns the range in which a user's journal can be replayed: the lowest and
    /// the highest `after` whose later facts all still exist. The highest is the
    /// head.
    ///
    /// # Errors
    /// [`Error::Database`]; [`Error::NotFound`] where there is no such user.
    pub async fn replayable_range(&self, user: UserId) -> Result<RangeInclusive<i64>, Error> {
        let row = query_one(
            &self.db.reader,
            "SELECT u.seq, (SELECT MIN(j.seq) FROM journal j WHERE j.user_id = u.id) AS first \
             FROM users u WHERE u.id = $1",
            [user.0.into()],
        )
        .await?
        .ok_or(Error::NotFound)?;
        let head: i64 = row.get("seq")?;
        let first: Option<i64> = row.get("first")?;
        Ok(first.map_or(head, |first| first - 1)..=head)
    }

    async fn facts<const N: usize>(
        &self,
        condition: &str,
        values: [Value; N],
    ) -> Result<Vec<Fact>, Error> {
        let sql = format!("SELECT {FACT_COLUMNS} FROM journal {condition}");
        rows(&self.db.reader, &sql, values).await
    }

    /// Returns facts of a user with `seq > after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn facts_after(
        &self,
        user: UserId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        self.facts(
            "WHERE user_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            [user.0.into(), after.into(), limit.into()],
        )
        .await
    }

    /// Returns facts of one job with `seq > after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn job_journal(
        &self,
        user: UserId,
        job: JobId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        self.facts(
            "WHERE job_id = $2 AND user_id = $1 AND seq > $3 ORDER BY seq LIMIT $4",
            [user.0.into(), job.0.into(), after.into(), limit.into()],
        )
        .await
    }

    /// Returns the facts of one task, in order, at most `limit`. Looks at the facts of its job.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn task_journal(
        &self,
        user: UserId,
        job: JobId,
        task: TaskId,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        self.facts(
            "WHERE job_id = $2 AND user_id = $1 AND task_id = $3 ORDER BY seq LIMIT $4",
            [user.0.into(), job.0.into(), task.0.into(), limit.into()],
        )
        .await
    }

    /// Returns facts of one job with `seq < before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn job_journal_before(
        &self,
        user: UserId,
        job: JobId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Fact>, Error> {
        self.facts(
            "WHERE job_id = $2 AND user_id = $1 AND seq < $3 ORDER BY seq DESC LIMIT $4",
            [user.0.into(), job.0.into(), before.into(), limit.into()],
        )
        .await
    }

    /// Returns the user's newest notifications, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn inbox(&self, user: UserId, limit: i64) -> Result<Inbox, Error> {
        let rows = query_all(
            &self.db.reader,
            "SELECT seq, job_id, kind, title, text, at, read_at FROM notifications \
             WHERE user_id = $1 ORDER BY seq DESC LIMIT $2",
            [user.0.into(), limit.into()],
        )
        .await?;
        let items = rows
            .iter()
            .map(|row| {
                Ok(Notification {
                    seq: row.get("seq")?,
                    job: row.get("job_id")?,
                    kind: row.get("kind")?,
                    title: row.get("title")?,
                    text: row.get("text")?,
                    at: row.get("at")?,
                    read: row.get::<Option<i64>>("read_at")?.is_some(),
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let unread = items.iter().filter(|item| !item.read).count();
        Ok(Inbox { items, unread: u32::try_from(unread).unwrap_or(u32::MAX) })
    }

    /// Marks all notifications up to `up_to` as read; the returned fact tells the
    /// user's other tabs.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::CommitUnknown`], [`Error::SignedOut`].
    pub async fn mark_notifications_read(
        &self,
        actor: impl Into<Actor>,
        up_to: i64,
    ) -> Result<Vec<Fact>, Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_mark_notifications_read(&actor, up_to))
    }

    async fn try_mark_notifications_read(
        &self,
        actor: &Actor,
        up_to: i64,
    ) -> Result<Vec<Fact>, Error> {
        let user = actor.user;
        let tx = self.db.begin().await?;
        let now = self.db.now_ms();
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
            let kind = FactKind::NotificationsRead;
            let draft = FactDraft { kind, job: None, task: None, traceparent: None, data };
            facts = append_facts(&tx, user, now, vec![draft]).await?;
        }
        self.db.authorize(&tx, actor).await?;
        commit(tx).await?;
        Ok(facts)
    }
}

/// Columns of a [`Fact`].
pub(super) const FACT_COLUMNS: &str = "seq, id, kind, job_id, task_id, at, traceparent, data";

impl FromRow for Fact {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            seq: row.get("seq")?,
            id: row.get("id")?,
            kind: row.get("kind")?,
            job: row.get("job_id")?,
            task: row.get("task_id")?,
            at: row.get("at")?,
            traceparent: row.get("traceparent")?,
            data: row.json("data")?,
        })
    }
}
