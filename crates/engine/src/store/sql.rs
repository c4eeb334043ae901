//! Statements of the dialect that both databases speak.

use super::Error;
use contract::text::TextError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use std::time::Duration;

/// No statement of ours takes so long, on a database that does anything at
/// all: one that is silent for longer is away.
const ANSWER: Duration = Duration::from_secs(20);
/// PostgreSQL ends one itself after this time, and one that waits for another
/// transaction's lock sooner: then that one is what is slow, and it is done
/// anew.
pub(super) const STATEMENT: Duration = Duration::from_secs(15);
pub(super) const LOCK: Duration = Duration::from_secs(5);
/// But for one that changes all tasks of a job, of which there may be
/// [`MAX_OPEN`](super::MAX_OPEN).
const CHANGES: Duration = Duration::from_secs(300);

async fn answered<T>(statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, Error> {
    within(ANSWER, statement).await
}

async fn within<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Error> {
    let silent = |_| DbErr::Conn(RuntimeErr::Internal("no answer in time".into()));
    let answer = tokio::time::timeout(limit, statement).await.map_err(silent)?;
    answer.map_err(|error| Error::from(error).of_files())
}

/// A transaction that may write.
pub(super) async fn begin(writer: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    answered(writer.begin_with_options(options)).await
}

/// [`Error::Unsettled`] where the connection is lost before the database has
/// said that it was kept, or was not.
pub(super) async fn commit(tx: DatabaseTransaction) -> Result<(), Error> {
    answered(tx.commit()).await.map_err(Error::of_commit)
}

/// A statement outside of a transaction, which commits by itself: an error is
/// as [`commit`]'s.
pub(super) async fn write(
    writer: &DatabaseConnection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    execute(writer, sql, values).await.map_err(Error::of_commit)
}

/// So often, and between two of them so long, ms.
pub(super) const TRIES: u32 = 5;
const TRY_AGAIN_MS: u64 = 20;

/// Does a transaction anew that the database turned away for the sake of
/// another one.
macro_rules! persist {
    ($transaction:expr) => {{
        let mut tries = 1;
        loop {
            match $transaction.await {
                Err(error) if tries < $crate::store::sql::TRIES && error.is_contention() => {
                    tracing::debug!(%error, "a transaction is tried anew");
                    $crate::store::sql::pause(tries).await;
                    tries += 1;
                }
                done => break done,
            }
        }
    }};
}
pub(super) use persist;

pub(super) async fn pause(tries: u32) {
    let ms = rand::random_range(0..TRY_AGAIN_MS << tries);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// `rows` in parts of 1, 2, 4, … and at most `most` (a power of two) rows:
/// statements of few sizes, each of which the database prepares once.
pub(super) fn parts<T>(mut rows: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = 1 << rows.len().checked_ilog2()?.min(most.ilog2());
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

/// Places of so many rows: `($1, $2), ($3, $4)`.
pub(super) fn tuples(rows: usize, width: usize) -> String {
    let tuple = |row: usize| format!("({})", places(row * width + 1, width));
    (0..rows).map(tuple).collect::<Vec<_>>().join(", ")
}

/// `$first, $(first+1), …`
pub(super) fn places(first: usize, count: usize) -> String {
    let places: Vec<_> = (first..first + count).map(|n| format!("${n}")).collect();
    places.join(", ")
}

/// Waits until no other transaction on PostgreSQL has the lock of this number,
/// and has it until this one ends.
pub(super) async fn alone<C: ConnectionTrait>(c: &C, lock: i64) -> Result<(), Error> {
    one(c, "SELECT pg_advisory_xact_lock($1)", [lock.into()]).await.map(|_| ())
}

/// Returns the first row. A statement that commits by itself must not return rows
/// through this: the driver stops at the first one, and then nobody hears whether
/// SQLite's commit failed.
pub(super) async fn one<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, Error> {
    answered(c.query_one_raw(statement(c, sql, values)?)).await
}

pub(super) async fn all<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<QueryResult>, Error> {
    answered(c.query_all_raw(statement(c, sql, values)?)).await
}

pub(super) async fn execute<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    Ok(answered(c.execute_raw(statement(c, sql, values)?)).await?.rows_affected())
}

/// As [`execute`], where as many rows may change as there are.
pub(super) async fn execute_on_all(
    tx: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let limit = format!("SET LOCAL statement_timeout = '{}s'", CHANGES.as_secs());
        execute(tx, &limit, []).await?;
    }
    Ok(within(CHANGES, tx.execute_raw(statement(tx, sql, values)?)).await?.rows_affected())
}

fn statement<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Statement, Error> {
    let statement = Statement::from_sql_and_values(c.get_database_backend(), sql, values);
    let values = statement.values.iter().flat_map(|values| &values.0);
    for value in values {
        // PostgreSQL keeps no NUL in a text, and SQLite cuts some at it. Each
        // edge refuses it with the name of the field; this is for those that
        // forget to.
        if let Value::String(Some(text)) = value
            && let Some(place) = text.find('\0')
        {
            let place = text[..place].chars().count() + 1;
            return Err(TextError::ControlCharacter { field: "text", code: 0, place }.into());
        }
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_and_of_few_sizes() {
        let rows: Vec<u8> = (0..77).collect();
        let sizes: Vec<_> = parts(&rows, 32).map(<[u8]>::len).collect();
        assert_eq!(sizes, [32, 32, 8, 4, 1]);
        assert_eq!(parts(&rows, 32).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(parts::<u8>(&[], 32).count(), 0);
        assert_eq!(tuples(2, 2), "($1, $2), ($3, $4)");
    }
}
