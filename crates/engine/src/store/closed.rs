//! Until when accounts are closed and why, beyond the gates' own memory.

use super::{Error, Store, execute, one};
use contract::text;

/// What a service said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// UTC ms; it may be over.
    pub until: i64,
    /// The code of its answer, where it is known.
    pub by: Option<String>,
}

impl Store {
    /// Nobody calls `account` before `until`, UTC ms, for the service answered
    /// `by`; an earlier word does not shorten a later one.
    pub async fn close_account(&self, account: &str, until: i64, by: &str) -> Result<(), Error> {
        execute(
            &self.writer,
            "INSERT INTO closed_accounts (account, closed_until, closed_by, closed_at) \
             VALUES ($1, $2, $3, $4) \
             ON CONFLICT (account) DO UPDATE SET closed_until = excluded.closed_until, \
             closed_by = excluded.closed_by, closed_at = excluded.closed_at \
             WHERE closed_accounts.closed_until < excluded.closed_until",
            [
                account.into(),
                until.into(),
                text::OUTCOME_CODE.clean(by).into(),
                self.now_ms().into(),
            ],
        )
        .await
        .map(|_| ())
    }

    /// How `account` is, or was last, closed.
    pub async fn closing(&self, account: &str) -> Result<Option<Closing>, Error> {
        let found = one(
            &self.reader,
            "SELECT closed_until, closed_by FROM closed_accounts WHERE account = $1",
            [account.into()],
        )
        .await?;
        let Some(row) = found else { return Ok(None) };
        let (until, by) = (row.try_get("", "closed_until")?, row.try_get("", "closed_by")?);
        Ok(Some(Closing { until, by }))
    }
}
