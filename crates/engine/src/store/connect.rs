//! Connections: how each database is spoken to, and when it is given up.

use super::{Error, schema::Migrator, sql};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, TransactionTrait,
    sqlx::{self, Connection, PgConnection, Row, postgres::PgPoolOptions},
};
use sea_orm_migration::MigratorTrait;
use std::time::Duration;

/// Any number that no other user of the database takes.
const MIGRATION_LOCK: i64 = 0x6d65_616e_7768_696c;
/// A connection that was used so lately is taken as it is.
const FRESH: Duration = Duration::from_secs(1);
/// A connection that does not answer within this time is closed.
const PING: Duration = Duration::from_secs(3);

/// The writer and the readers of the database at `url`, its schema up to date.
pub(super) async fn open(url: &str) -> Result<(DatabaseConnection, DatabaseConnection), Error> {
    if url.starts_with("sqlite:") {
        let writer = Database::connect(sqlite(url, 1)).await?;
        Migrator::up(&writer, None).await?;
        return Ok((writer, Database::connect(sqlite(url, 4)).await?));
    }
    migrate(url).await?;
    let pool = Database::connect(postgres(url)).await?;
    Ok((pool.clone(), pool))
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

fn sqlite(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(Duration::from_secs(10))
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|options| {
            options
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
                .pragma("journal_mode", "WAL")
                .pragma("synchronous", "FULL")
        });
    options
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
