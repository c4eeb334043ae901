//! What admins set for an upstream, for all processes: a pause, and a lower rate. It is stored
//! beside the cooldowns, not as one of them: a pause is neither shortened nor ended by what the
//! service answers, and its end leaves the service's own cooldown as it is.

use super::{
    Actor, Error, UpstreamControls, audit::NewAuditEntry, commit, execute, query_all, query_one,
    retry_on_contention,
};
use contract::{
    api::{AuditAction, UpstreamPause},
    text, timestamp,
};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};

/// What is set for one upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpstreamControl {
    /// Pause, which may be over.
    pub pause: Option<UpstreamPause>,
    /// Rate in requests per second, if it is lower than the configured one.
    pub rate: Option<f64>,
}

impl UpstreamControls {
    /// Returns what is set, by upstream.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn all(&self) -> Result<Vec<(String, UpstreamControl)>, Error> {
        let sql = "SELECT upstream, paused_until, paused_by, pause_note, rate \
                   FROM upstream_controls";
        let rows = query_all(&self.db.reader, sql, []).await?;
        let control = |row: &super::row::Row| {
            let until: Option<i64> = row.get("paused_until")?;
            let by: Option<String> = row.get("paused_by")?;
            let note: Option<String> = row.get("pause_note")?;
            let pause = until.map(|until| UpstreamPause {
                until,
                by: by.unwrap_or_default(),
                note: note.unwrap_or_default(),
            });
            Ok((row.get("upstream")?, UpstreamControl { pause, rate: row.get("rate")? }))
        };
        rows.iter().map(control).collect()
    }

    /// Pauses `upstreams`, all limits of the upstream `subject`, until `until` in UTC ms. A
    /// pause takes the place of an earlier one.
    ///
    /// # Errors
    /// [`Error::SignedOut`], [`Error::Database`]; [`Error::NotFound`] where the actor is no
    /// admin; [`Error::Text`] where the note can't be stored. Nothing was changed.
    /// [`Error::CommitUnknown`]: it may have been.
    pub async fn pause(
        &self,
        actor: impl Into<Actor>,
        subject: &str,
        upstreams: &[String],
        until: i64,
        note: &str,
    ) -> Result<(), Error> {
        text::AUDIT_NOTE.check(note)?;
        let actor = actor.into();
        retry_on_contention!(self.set_pause(&actor, subject, upstreams, Some((until, note))))
    }

    /// Ends the pause of `upstreams`. The service's own cooldown stays.
    ///
    /// # Errors
    /// Same as those of [`pause`](Self::pause).
    pub async fn resume(
        &self,
        actor: impl Into<Actor>,
        subject: &str,
        upstreams: &[String],
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.set_pause(&actor, subject, upstreams, None))
    }

    async fn set_pause(
        &self,
        actor: &Actor,
        subject: &str,
        upstreams: &[String],
        pause: Option<(i64, &str)>,
    ) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_operator(&tx, actor).await?;
        let now = self.db.now_ms();
        let mut before = None;
        let mut upstreams = upstreams.to_vec();
        upstreams.sort_unstable();
        for upstream in &upstreams {
            let row = self.lock_row(&tx, upstream).await?;
            let until: Option<i64> = row.get("paused_until")?;
            before = before.max(until.filter(|until| *until > now));
            execute(
                &tx,
                "UPDATE upstream_controls SET paused_until = $2, pause_note = $4, paused_by = \
                 CASE WHEN $2 IS NULL THEN NULL ELSE (SELECT email FROM users WHERE id = $3) END \
                 WHERE upstream = $1",
                [
                    upstream.as_str().into(),
                    pause.map(|(until, _)| until).into(),
                    actor.user.0.into(),
                    pause.map(|(_, note)| note).into(),
                ],
            )
            .await?;
        }
        if pause.is_none() && before.is_none() {
            return commit(tx).await;
        }
        let entry = NewAuditEntry {
            action: match pause {
                Some(_) => AuditAction::UpstreamPaused,
                None => AuditAction::UpstreamResumed,
            },
            subject: subject.into(),
            before: before.map(timestamp::format).map(Value::from),
            after: pause.map(|(until, _)| timestamp::format(until).into()),
            note: pause.map(|(_, note)| note.into()).unwrap_or_default(),
        };
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    /// Sets the rate of a limit in requests per second; `None` for the configured one.
    ///
    /// # Errors
    /// Same as those of [`pause`](Self::pause).
    pub async fn set_rate(
        &self,
        actor: impl Into<Actor>,
        upstream: &str,
        rate: Option<f64>,
    ) -> Result<(), Error> {
        let actor = actor.into();
        retry_on_contention!(self.try_set_rate(&actor, upstream, rate))
    }

    async fn try_set_rate(
        &self,
        actor: &Actor,
        upstream: &str,
        rate: Option<f64>,
    ) -> Result<(), Error> {
        let tx = self.db.begin().await?;
        self.db.authorize_operator(&tx, actor).await?;
        let before: Option<f64> = self.lock_row(&tx, upstream).await?.get("rate")?;
        if before == rate {
            return commit(tx).await;
        }
        let sql = "UPDATE upstream_controls SET rate = $2 WHERE upstream = $1";
        execute(&tx, sql, [upstream.into(), rate.into()]).await?;
        let entry = NewAuditEntry {
            action: AuditAction::UpstreamPaceChanged,
            subject: upstream.into(),
            before: before.map(|rate| json!(rate)),
            after: rate.map(|rate| json!(rate)),
            note: String::new(),
        };
        self.db.add_audit_entry(&tx, actor, entry).await?;
        commit(tx).await
    }

    /// Returns the row of an upstream, which is locked until the transaction ends.
    async fn lock_row(
        &self,
        tx: &DatabaseTransaction,
        upstream: &str,
    ) -> Result<super::row::Row, Error> {
        let sql = "INSERT INTO upstream_controls (upstream) VALUES ($1) \
                   ON CONFLICT (upstream) DO UPDATE SET upstream = excluded.upstream \
                   RETURNING paused_until, rate";
        let found = query_one(tx, sql, [upstream.into()]).await?;
        found.ok_or_else(|| super::row::missing("row of an upstream"))
    }
}
