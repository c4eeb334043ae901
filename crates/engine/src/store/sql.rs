//! Statements of the dialect that both databases understand.

use super::{Error, row::Row};
use contract::text::TextError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use std::time::Duration;

/// Maximum time without an answer before the database counts as unreachable: no
/// statement takes that long on a database that makes any progress.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Time after which PostgreSQL itself aborts a statement.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// Time after which PostgreSQL aborts a statement that waits for another transaction's
/// lock. It is shorter than [`STATEMENT_TIMEOUT`], because the other transaction is the
/// slow one, and this one is retried.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a statement that changes all tasks of a job, of which there may be as
/// many as [`DEFAULT_OPEN_LIMITS`](super::DEFAULT_OPEN_LIMITS) allows.
const BULK_STATEMENT_TIMEOUT: Duration = Duration::from_secs(300);

async fn with_response_timeout<T>(
    statement: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Error> {
    with_timeout(RESPONSE_TIMEOUT, statement).await
}

async fn with_timeout<T>(
    limit: Duration,
    statement: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Error> {
    let timed_out = |_| DbErr::Conn(RuntimeErr::Internal("no answer in time".into()));
    let result = tokio::time::timeout(limit, statement).await.map_err(timed_out)?;
    result.map_err(|error| Error::from(error).into_files_missing())
}

/// Begins a transaction that may write.
pub(super) async fn begin(writer: &DatabaseConnection) -> Result<DatabaseTransaction, Error> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    with_response_timeout(writer.begin_with_options(options)).await
}

/// Commits a transaction. Returns [`Error::CommitUnknown`] where the connection is
/// lost before the database has confirmed or rejected the commit.
pub(super) async fn commit(tx: DatabaseTransaction) -> Result<(), Error> {
    with_response_timeout(tx.commit()).await.map_err(Error::into_commit_error)
}

/// Executes a statement outside of a transaction, which commits by itself; errors
/// are those of [`commit`].
pub(super) async fn execute_and_commit(
    writer: &DatabaseConnection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    execute(writer, sql, values).await.map_err(Error::into_commit_error)
}

/// Maximum number of times that a transaction is run.
pub(super) const MAX_TRANSACTION_ATTEMPTS: u32 = 5;
/// Base of the random delay before a transaction is repeated, in milliseconds. After `n`
/// runs the delay is below `RETRY_BASE_DELAY_MS << n`.
const RETRY_BASE_DELAY_MS: u64 = 20;

/// Repeats a transaction that the database aborted in favour of another one.
macro_rules! retry_on_contention {
    ($transaction:expr) => {{
        let mut attempts = 1;
        loop {
            match $transaction.await {
                Err(error) if attempts < $crate::store::sql::MAX_TRANSACTION_ATTEMPTS && error.is_contention() => {
                    tracing::debug!(%error, "retrying a transaction after contention");
                    $crate::store::sql::sleep_before_retry(attempts).await;
                    attempts += 1;
                }
                result => break result,
            }
        }
    }};
}
pub(super) use retry_on_contention;

pub(super) async fn sleep_before_retry(attempts: u32) {
    let ms = rand::random_range(0..RETRY_BASE_DELAY_MS << attempts);
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Takes PostgreSQL's advisory lock with this number until the transaction ends,
/// and waits while another transaction has it.
pub(super) async fn advisory_lock<C: ConnectionTrait>(c: &C, lock: i64) -> Result<(), Error> {
    query_one(c, "SELECT pg_advisory_xact_lock($1)", [lock.into()]).await.map(|_| ())
}

/// Returns the first row. Don't use it for a statement that commits by itself and
/// returns rows: the driver stops at the first row, and a failure of SQLite's
/// commit would go unnoticed.
pub(super) async fn query_one<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<Row>, Error> {
    let found = with_response_timeout(c.query_one_raw(statement(c, sql, values)?)).await?;
    Ok(found.map(Row::from))
}

pub(super) async fn query_all<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Row>, Error> {
    let found = with_response_timeout(c.query_all_raw(statement(c, sql, values)?)).await?;
    Ok(found.into_iter().map(Row::from).collect())
}

pub(super) async fn execute<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    Ok(with_response_timeout(c.execute_raw(statement(c, sql, values)?)).await?.rows_affected())
}

/// Executes a statement that may change any number of rows, with a longer timeout
/// than [`execute`].
pub(super) async fn execute_bulk(
    tx: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<u64, Error> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let limit =
            format!("SET LOCAL statement_timeout = '{}s'", BULK_STATEMENT_TIMEOUT.as_secs());
        execute(tx, &limit, []).await?;
    }
    Ok(with_timeout(BULK_STATEMENT_TIMEOUT, tx.execute_raw(statement(tx, sql, values)?))
        .await?
        .rows_affected())
}

fn statement<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Statement, Error> {
    let statement = Statement::from_sql_and_values(c.get_database_backend(), sql, values);
    let values = statement.values.iter().flat_map(|values| &values.0);
    for value in values {
        if let Value::String(Some(text)) = value {
            check_text(text)?;
        }
    }
    Ok(statement)
}

/// Rejects a NUL character, which PostgreSQL does not store in a text and at which
/// SQLite truncates some texts. Callers reject it with the name of the field; this
/// check covers those that forget to.
pub(super) fn check_text(text: &str) -> Result<(), TextError> {
    let Some(byte_index) = text.find('\0') else { return Ok(()) };
    let position = text[..byte_index].chars().count() + 1;
    Err(TextError::ControlCharacter { field: "text", code: 0, position })
}
