//! The audit log: an entry for each change that somebody made for everybody, in the commit of the
//! change. Entries are only added.

use super::{
    Actor, Audit, Database, Error, commit, execute, retry_on_contention,
    row::{FromRow, Row, rows, to_json_text},
};
use contract::{
    api::{AuditAction, AuditEntry, Job, Page, Role},
    text,
};
use sea_orm::{ConnectionTrait, Value as SqlValue};
use serde_json::{Value, json};
use uuid::Uuid;

/// Which entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditScope {
    /// All entries.
    Everything,
    /// Entries about channels and other upstreams.
    Upstreams,
}

/// What is recorded of a change; the database adds who made it, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAuditEntry {
    /// What was done.
    pub action: AuditAction,
    /// Id of what it was done to.
    pub subject: String,
    /// Value before the change.
    pub before: Option<Value>,
    /// Value after the change.
    pub after: Option<Value>,
    /// Reason that the person gave; empty without one.
    pub note: String,
}

impl NewAuditEntry {
    /// An entry without values and note.
    pub(super) fn new(action: AuditAction, subject: impl Into<String>) -> Self {
        Self { action, subject: subject.into(), before: None, after: None, note: String::new() }
    }

    /// An entry about a job.
    pub(super) fn about_job(action: AuditAction, job: &Job) -> Self {
        let after = json!({ "kind": job.kind, "title": job.title, "items": job.counts.total });
        Self { after: Some(after), ..Self::new(action, job.id.to_string()) }
    }
}

impl FromRow for AuditEntry {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            at: row.get("at")?,
            actor: row.get("user_id")?,
            actor_email: row.get("user_email")?,
            action: row.get("action")?,
            subject: row.get("subject")?,
            before: row.optional_json("before_value")?,
            after: row.optional_json("after_value")?,
            note: row.get("note")?,
        })
    }
}

impl Database {
    /// Checks, as [`Database::authorize`] does, that `actor` may still act, and that they may
    /// change what concerns everybody. Unlike the management of users, a program may do this
    /// with the API token of an admin.
    ///
    /// # Errors
    /// [`Error::SignedOut`]; [`Error::NotFound`] where the actor is not (or no longer) an admin.
    pub(super) async fn authorize_operator<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
    ) -> Result<(), Error> {
        match self.authorize(c, actor).await? {
            Role::Admin => Ok(()),
            Role::User => Err(Error::NotFound),
        }
    }

    /// Adds an entry in the transaction of the change that it describes. `actor` is authorized.
    pub(super) async fn add_audit_entry<C: ConnectionTrait>(
        &self,
        c: &C,
        actor: &Actor,
        entry: NewAuditEntry,
    ) -> Result<(), Error> {
        text::AUDIT_NOTE.check(&entry.note)?;
        let json = |value: Option<Value>| {
            value.map(|value| to_json_text("audit entry", &value)).transpose()
        };
        // Written by the database's clock, which a UUIDv7 of this machine need not follow.
        let at = self.now_ms();
        execute(
            c,
            "INSERT INTO audit_log \
             (id, at, user_id, user_email, action, subject, before_value, after_value, note) \
             SELECT $1, $2, id, email, $4, $5, $6, $7, $8 FROM users WHERE id = $3",
            [
                self.new_id().into(),
                at.into(),
                actor.user.0.into(),
                entry.action.as_str().into(),
                entry.subject.into(),
                json(entry.before)?.into(),
                json(entry.after)?.into(),
                entry.note.into(),
            ],
        )
        .await
        .map(|_| ())
    }
}

impl Audit {
    /// Adds an entry about something that changed nothing in the database.
    ///
    /// # Errors
    /// [`Error::SignedOut`], [`Error::Database`]; [`Error::NotFound`] where the actor is no
    /// admin; [`Error::Text`] where the note can't be stored.
    pub async fn record(&self, actor: impl Into<Actor>, entry: NewAuditEntry) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_record(&actor, entry.clone()))
    }

    async fn try_record(&self, actor: &Actor, entry: NewAuditEntry) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_operator(&tx, actor).await?;
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    /// Returns the entries in `scope` before the one with the id `before`, newest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn entries(
        &self,
        scope: AuditScope,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Page<AuditEntry>, Error> {
        let values: [SqlValue; 2] = [before.unwrap_or(Uuid::max()).into(), i64::from(limit).into()];
        let sql = match scope {
            AuditScope::Everything => {
                "SELECT * FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2"
            }
            AuditScope::Upstreams => {
                "SELECT * FROM audit_log WHERE id < $1 AND action LIKE 'upstream.%' \
                 ORDER BY id DESC LIMIT $2"
            }
        };
        let items: Vec<AuditEntry> = rows(&self.db.reader, sql, values).await?;
        let is_full = items.len() == limit as usize;
        let next = items.last().filter(|_| is_full).map(|entry| entry.id.to_string());
        Ok(Page { items, next })
    }

    /// Returns the last entry with this action about `subject`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Corrupt`].
    pub async fn last_entry(
        &self,
        subject: &str,
        action: AuditAction,
    ) -> Result<Option<AuditEntry>, Error> {
        let sql = "SELECT * FROM audit_log WHERE subject = $1 AND action = $2 \
                   ORDER BY id DESC LIMIT 1";
        let values = [subject.into(), action.as_str().into()];
        Ok(rows(&self.db.reader, sql, values).await?.into_iter().next())
    }
}
