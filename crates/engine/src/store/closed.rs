//! Until when accounts are closed, beyond the gates' own memory.

use super::{Error, Store, execute, one};

impl Store {
    /// Nobody calls `account` before `until`, UTC ms; an earlier word does not
    /// shorten a later one.
    pub async fn close_account(&self, account: &str, until: i64) -> Result<(), Error> {
        execute(
            &self.writer,
            "INSERT INTO closed_accounts (account, closed_until) VALUES ($1, $2) \
             ON CONFLICT (account) DO UPDATE SET closed_until = excluded.closed_until \
             WHERE closed_accounts.closed_until < excluded.closed_until",
            [account.into(), until.into()],
        )
        .await
        .map(|_| ())
    }

    /// Until when `account` is, or was last, closed, UTC ms.
    pub async fn closed_until(&self, account: &str) -> Result<Option<i64>, Error> {
        let found = one(
            &self.reader,
            "SELECT closed_until FROM closed_accounts WHERE account = $1",
            [account.into()],
        )
        .await?;
        Ok(found.map(|row| row.try_get("", "closed_until")).transpose()?)
    }
}
