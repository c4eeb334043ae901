//! Connections: how each database is spoken to, and when it is given up.

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

/// Any number that no other user of the database takes.
const MIGRATION_LOCK: i64 = 0x6d65_616e_7768_696c;
/// A connection that was used so lately is taken as it is.
const FRESH: Duration = Duration::from_secs(1);
/// A connection that does not answer within this time is closed.
const PING: Duration = Duration::from_secs(3);

/// The database as it was opened, its schema up to date.
pub(super) struct Opened {
    /// On SQLite a pool of one connection.
    pub writer: DatabaseConnection,
    /// On PostgreSQL the same pool as `writer`.
    pub reader: DatabaseConnection,
    /// SQLite's.
    pub files: Option<Arc<DatabaseFiles>>,
}

/// Opens the database at `url`, and brings its schema up to date.
pub(super) async fn open(url: &str) -> Result<Opened, Error> {
    if url.starts_with("sqlite:") {
        return open_sqlite(url).await;
    }
    migrate(url).await?;
    let pool = Database::connect(postgres(url)).await?;
    Ok(Opened { writer: pool.clone(), reader: pool, files: None })
}

/// Only the first connection may make the file: one that is opened later, for
/// one that was given up, would make an empty database where the file is gone.
async fn open_sqlite(url: &str) -> Result<Opened, Error> {
    let first = Database::connect(sqlite(url, 1, true, None)).await?;
    Migrator::up(&first, None).await?;
    let path = url.parse::<SqliteConnectOptions>().map_err(unreadable)?;
    let files = DatabaseFiles::of_open(path.get_filename());
    let files = Arc::new(files.map_err(|error| unreadable(sqlx::Error::Io(error)))?);
    let writer = Database::connect(sqlite(url, 1, false, Some(Arc::clone(&files)))).await?;
    let reader = Database::connect(sqlite(url, 4, false, None)).await?;
    // The last one that closes would take the log with it.
    first.close().await?;
    Ok(Opened { writer, reader, files: Some(files) })
}

fn unreadable(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

/// Of processes that start together one migrates, the others wait, however
/// long it takes.
async fn migrate(url: &str) -> Result<(), Error> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).connect_timeout(CONNECT).sqlx_logging(false);
    let patient = Database::connect(options).await?;
    let tx = patient.begin().await?;
    let wait = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    tx.execute_unprepared(&wait).await?;
    Migrator::up(&patient, None).await?;
    tx.commit().await?;
    Ok(patient.close().await?)
}

/// Largest size that the log keeps after its content is in the database, bytes:
/// what a burst made of it goes back to the disk.
const LOG_KEPT: &str = "67108864";

fn sqlite(
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
                .pragma("journal_size_limit", LOG_KEPT)
        })
        .map_sqlx_sqlite_pool_opts(move |pool| checked(pool, files.clone()));
    options
}

/// A connection is taken only while no transaction is open on it, and comes back
/// only when SQLite itself agrees: see [`has_no_transaction`]. A commit that
/// would go to a file that is no longer in its place is made a rollback.
fn checked(pool: SqlitePoolOptions, files: Option<Arc<DatabaseFiles>>) -> SqlitePoolOptions {
    // The thread of a connection ends in a use of it, which its release sees.
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

/// Whether no transaction is open, by SQLite and by the driver's own count.
///
/// SQLite ends a transaction by itself when a statement finds the disk full or
/// fails to read or write. The driver's ROLLBACK is then an error and its count
/// stays above zero: what it begins next is a savepoint, which may leave a
/// transaction open for ever and everything after it uncommitted, though each
/// RELEASE is answered with success. Such a connection is closed, and SQLite
/// rolls back what was open on it.
async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // Takes no lock and reads nothing; an error where a transaction is open. It
    // follows a ROLLBACK that a dropped transaction has left behind.
    let probe = sqlx::raw_sql("BEGIN; ROLLBACK").execute(&mut *connection).await;
    let clean = probe.is_ok() && !connection.is_in_transaction();
    if !clean {
        tracing::warn!("a connection whose transaction has not ended is closed");
    }
    Ok(clean)
}

const CONNECT: Duration = Duration::from_secs(5);

fn postgres(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(16)
        .min_connections(1)
        .connect_timeout(CONNECT)
        .acquire_timeout(Duration::from_secs(5))
        .sqlx_logging(false)
        .map_sqlx_postgres_pool_opts(supervised);
    options
}

/// A network may lose everything and close nothing. On our side a connection is
/// asked before it is used after a rest, and whenever it comes back: a request
/// that was given up leaves one behind that may never answer. The server ends
/// what nobody waits for any more, and with it the locks of a machine that is
/// gone; it does so first, so that what it says is told from silence.
fn supervised(pool: PgPoolOptions) -> PgPoolOptions {
    pool.test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // A plan that was made while the tables were small reads them
                // from end to end, and would be kept as they grow.
                let session = format!(
                    "SET plan_cache_mode = force_custom_plan; \
                     SET statement_timeout = '{statement}s'; \
                     SET lock_timeout = '{lock}s'; \
                     SET idle_in_transaction_session_timeout = '{statement}s'; \
                     SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; \
                     SET tcp_keepalives_count = 3; SET tcp_user_timeout = '{statement}s'",
                    statement = sql::STATEMENT.as_secs(),
                    lock = sql::LOCK.as_secs(),
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(session)).execute(connection).await.map(|_| ())
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    ping(connection).await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| Box::pin(is_idle(connection)))
}

/// Whether no transaction is open. A BEGIN that was given up and is answered
/// after all opens one that nobody knows of: what is written next on that
/// connection would not be kept.
async fn is_idle(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // Only the simple protocol begins a transaction with its statement.
    let asked = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection);
    in_time(asked).await?.try_get(0)
}

async fn ping(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    in_time(connection.ping()).await
}

async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(PING, answer).await.map_err(silent)?
}
