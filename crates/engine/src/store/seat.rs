//! Seats of which each has one holder at a time.

use super::{Error, Store, execute, one};

impl Store {
    /// Takes or keeps a seat for `term` ms, where it is free or `holder`'s.
    pub async fn take_seat(&self, name: &str, holder: &str, term: i64) -> Result<bool, Error> {
        let now = self.now_ms();
        let taken = execute(
            &self.writer,
            "INSERT INTO seats (name, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE seats.holder = excluded.holder OR seats.until < $4",
            [name.into(), holder.into(), (now + term).into(), now.into()],
        )
        .await?;
        Ok(taken == 1)
    }

    /// Somebody else than `holder` who has any seat.
    pub async fn seated_beside(&self, holder: &str) -> Result<Option<String>, Error> {
        let sql = "SELECT holder FROM seats WHERE holder <> $1 AND until >= $2 LIMIT 1";
        let other = one(&self.reader, sql, [holder.into(), self.now_ms().into()]).await?;
        Ok(other.map(|row| row.try_get("", "holder")).transpose()?)
    }

    /// Frees a seat, where it is `holder`'s.
    pub async fn leave_seat(&self, name: &str, holder: &str) -> Result<(), Error> {
        execute(
            &self.writer,
            "DELETE FROM seats WHERE name = $1 AND holder = $2",
            [name.into(), holder.into()],
        )
        .await
        .map(|_| ())
    }
}
