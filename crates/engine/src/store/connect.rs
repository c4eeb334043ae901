//! Connections: how each database is set up, and when a connection is closed.

use super::{Error, database_files::DatabaseFiles, schema::Migrator, sql};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, RuntimeErr,
    TransactionTrait,
    sqlx::{
        self, Connection, PgConnection, Row, SqliteConnection,
        postgres::PgPoolOptions,
        sqlite::{SqliteConnectOptions, SqlitePoolOptions},
    },
};
use sea_orm_migration::MigratorTrait;
use std::{sync::Arc, time::Duration};

/// Number of an advisory lock, arbitrary but used by no other program on the
/// database.
const MIGRATION_LOCK: i64 = 0x6d65_616e_7768_696c;
/// Idle time after which a connection is pinged before its next use.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);
/// Maximum time that a connection has to answer a ping before it is closed.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections to a database whose schema is up to date.
pub(super) struct Connections {
    /// Connections for writing. On SQLite a pool of one.
    pub writer: DatabaseConnection,
    /// Connections for reading. On PostgreSQL the same pool as `writer`.
    pub reader: DatabaseConnection,
    /// The files of a SQLite database.
    pub files: Option<Arc<DatabaseFiles>>,
}

/// Opens the database at `url`, and migrates its schema.
pub(super) async fn connect(url: &str) -> Result<Connections, Error> {
    if url.starts_with("sqlite:") {
        return connect_sqlite(url).await;
    }
    migrate(url).await?;
    let pool = Database::connect(postgres_options(url)).await?;
    Ok(Connections { writer: pool.clone(), reader: pool, files: None })
}

/// Opens a SQLite database. Only the first connection may create the file: a later
/// one, which replaces a closed one, would create an empty database where the file
/// is missing.
async fn connect_sqlite(url: &str) -> Result<Connections, Error> {
    let first = Database::connect(sqlite_options(url, 1, true, None)).await?;
    Migrator::up(&first, None).await?;
    let path = url.parse::<SqliteConnectOptions>().map_err(connection_error)?;
    let files = DatabaseFiles::track(path.get_filename());
    let files = Arc::new(files.map_err(|error| connection_error(sqlx::Error::Io(error)))?);
    let writer = Database::connect(sqlite_options(url, 1, false, Some(Arc::clone(&files)))).await?;
    let reader = Database::connect(sqlite_options(url, 4, false, None)).await?;
    // The last connection that closes deletes the log, hence only now.
    first.close().await?;
    Ok(Connections { writer, reader, files: Some(files) })
}

fn connection_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

/// Migrates the schema. Of several processes that start together one migrates, and
/// the others wait, however long it takes.
async fn migrate(url: &str) -> Result<(), Error> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).connect_timeout(CONNECT_TIMEOUT).sqlx_logging(false);
    let connection = Database::connect(options).await?;
    let tx = connection.begin().await?;
    let lock_sql = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    tx.execute_unprepared(&lock_sql).await?;
    Migrator::up(&connection, None).await?;
    tx.commit().await?;
    Ok(connection.close().await?)
}

/// Largest size of the write-ahead log once its content is in the database, in
/// bytes; beyond it the log is truncated, so that a burst doesn't occupy the disk
/// for ever.
const WAL_SIZE_LIMIT: &str = "67108864";

/// Pages of the write-ahead log after which a commit also copies them into the
/// database, 16 MB. With SQLite's 1,000 every second large launch pays for that, and
/// pages that change again are copied more often: the 90th percentile of 600 inserted
/// tasks was 12.5 ms, and 8.5 ms with 4,000.
const WAL_CHECKPOINT_PAGES: &str = "4000";

fn sqlite_options(
    url: &str,
    connections: u32,
    create: bool,
    files: Option<Arc<DatabaseFiles>>,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            options
                .create_if_missing(create)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "FULL")
                .pragma("journal_size_limit", WAL_SIZE_LIMIT)
                .pragma("wal_autocheckpoint", WAL_CHECKPOINT_PAGES)
                // A statement that changes many rows keeps what it may have to undo.
                .pragma("temp_store", "MEMORY")
        })
        .map_sqlx_sqlite_pool_opts(move |pool| with_transaction_checks(pool, files.clone()));
    options
}

/// Takes a connection from the pool only while no transaction is open on it, and
/// returns it only when SQLite itself agrees: see [`has_no_transaction`]. A commit
/// to a file that is no longer in its place becomes a rollback.
fn with_transaction_checks(
    pool: SqlitePoolOptions,
    files: Option<Arc<DatabaseFiles>>,
) -> SqlitePoolOptions {
    // No ping is needed: the thread of a connection ends only during a use, and the
    // check at its release sees that.
    pool.test_before_acquire(false)
        .after_connect(move |connection, _| {
            let files = files.clone();
            Box::pin(async move {
                if let Some(files) = files {
                    let mut handle = connection.lock_handle().await?;
                    handle.set_commit_hook(move || files.are_in_place());
                }
                Ok(())
            })
        })
        .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
        .after_release(|connection, _| Box::pin(has_no_transaction(connection)))
}

/// Whether no transaction is open, both for SQLite and by the driver's own count.
///
/// SQLite ends a transaction by itself when a statement finds the disk full or
/// fails to read or write. The driver's ROLLBACK is then an error, and its count
/// stays above zero: its next BEGIN becomes a savepoint, which may leave a
/// transaction open for ever and all later changes uncommitted, though each RELEASE
/// succeeds. Such a connection is closed, and SQLite rolls back what was open on
/// it.
async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // It takes no lock and reads nothing, and is an error where a transaction is
    // open. It runs after the ROLLBACK that a dropped transaction has left behind.
    let probe = sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut *connection).await;
    let is_clean = probe.is_ok() && !connection.is_in_transaction();
    if !is_clean {
        tracing::warn!("closing a connection whose transaction has not ended");
    }
    Ok(is_clean)
}

/// Maximum time to connect to PostgreSQL.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

fn postgres_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(16)
        .min_connections(1)
        .connect_timeout(CONNECT_TIMEOUT)
        .acquire_timeout(Duration::from_secs(5))
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(with_connection_checks);
    options
}

/// Detects connections that a network has lost without closing them. This side
/// pings a connection before it is used after an idle time, and checks each one
/// that is returned to the pool: a cancelled request may leave one behind that
/// never answers. The server aborts statements that nobody waits for any more, and
/// with them releases the locks of a lost machine. Its timeouts are shorter than
/// this side's, so that its error can be told apart from silence.
fn with_connection_checks(pool: PgPoolOptions) -> PgPoolOptions {
    pool.test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // A plan made while the tables were small scans them from end to
                // end, and would be reused as they grow.
                let session = format!(
                    "SET plan_cache_mode = force_custom_plan; \
                     SET statement_timeout = '{statement}s'; \
                     SET lock_timeout = '{lock}s'; \
                     SET idle_in_transaction_session_timeout = '{statement}s'; \
                     SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; \
                     SET tcp_keepalives_count = 3; SET tcp_user_timeout = '{statement}s'",
                    statement = sql::STATEMENT_TIMEOUT.as_secs(),
                    lock = sql::LOCK_TIMEOUT.as_secs(),
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(session)).execute(connection).await.map(|_| ())
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > PING_AFTER_IDLE {
                    ping(connection).await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| Box::pin(is_idle(connection)))
}

/// Whether no transaction is open. A cancelled BEGIN that succeeds late opens a
/// transaction that no one knows of: later writes on that connection would never be
/// committed.
async fn is_idle(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // Only in the simple query protocol do statement and transaction start
    // together.
    let query = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection);
    with_ping_timeout(query).await?.try_get(0)
}

async fn ping(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    with_ping_timeout(connection.ping()).await
}

async fn with_ping_timeout<T>(
    query: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let timed_out = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(PING_TIMEOUT, query).await.map_err(timed_out)?
}
