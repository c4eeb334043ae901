//! The database itself: its connections, its clock and its dialect.

use super::{
    DEFAULT_LEASE_MS, DEFAULT_OPEN_LIMITS, Error, OpenLimits, RETRY_BACKOFF_MS,
    connect::{self, Connections},
    database_files::DatabaseFiles,
    execute, query_one,
    row::missing,
    sql,
};
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbBackend};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::{ContextV7, Timestamp, Uuid};

/// The database itself: its connections, its clock and its dialect. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    /// Connections for reading. On PostgreSQL the same pool as `writer`.
    pub(super) reader: DatabaseConnection,
    /// Connections for writing. On SQLite a pool of one, because there is one
    /// writer.
    pub(super) writer: DatabaseConnection,
    /// The files of a SQLite database; `None` on PostgreSQL.
    pub(super) files: Option<Arc<DatabaseFiles>>,
    pub(super) clock: crate::clock::SharedClock,
    pub(super) epoch: String,
    pub(super) time_scale: f64,
    pub(super) lease_ms: i64,
    pub(super) open_limits: OpenLimits,
    /// Orders the ids of one millisecond.
    pub(super) id_counter: Arc<Mutex<ContextV7>>,
}

impl Database {
    /// Opens the database at `url` (`sqlite://path` or `postgres://…`) and migrates
    /// its schema; a schema that a newer release has migrated further is accepted.
    /// `time_scale` divides back-offs: with speed 50, a sandbox retries 50 times as
    /// soon.
    ///
    /// # Errors
    /// [`Error::Database`] where it can't be opened or migrated;
    /// [`Error::open_failure`] tells the reason.
    pub(super) async fn open(
        url: &str,
        clock: crate::clock::SharedClock,
        time_scale: f64,
    ) -> Result<Self, Error> {
        let connections = connect::connect(url).await.map_err(|error| error.redact_url(url))?;
        let Connections { writer, reader, files } = connections;
        let epoch = String::new();
        let (lease_ms, open_limits) = (DEFAULT_LEASE_MS, DEFAULT_OPEN_LIMITS);
        let id_counter = Arc::default();
        let mut store = Self {
            reader,
            writer,
            files,
            clock,
            epoch,
            time_scale,
            lease_ms,
            open_limits,
            id_counter,
        };
        store.sync_clock().await?;
        store.epoch = store.read_epoch().await?;
        Ok(store)
    }

    /// Returns the maximum of what one user may have open.
    pub fn open_limits(&self) -> OpenLimits {
        self.open_limits
    }

    /// Returns the length of a lease.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.unsigned_abs())
    }

    /// Whether only one process can use this database.
    pub fn is_single_process(&self) -> bool {
        self.is_sqlite()
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Sqlite
    }

    /// Returns the random value that was created with the database. It identifies this
    /// database; a client whose epoch differs must reload.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Returns the time of the store's clock, UTC in milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Returns a new UUIDv7 by the store's clock. Ids of one process ascend.
    pub(super) fn new_id(&self) -> Uuid {
        let now = Duration::from_millis(self.now_ms().unsigned_abs());
        let timestamp = Timestamp::from_unix(&*self.id_counter, now.as_secs(), now.subsec_nanos());
        Uuid::new_v7(timestamp)
    }

    /// Allows SQLite's file to grow, or fixes it at its current size.
    ///
    /// # Errors
    /// [`Error::Database`].
    #[cfg(feature = "testing")]
    pub async fn set_growth_allowed(&self, is_allowed: bool) -> Result<(), Error> {
        // SQLite raises a number below the current page count to that count.
        let pages = if is_allowed { u32::MAX - 1 } else { 1 };
        query_one(&self.writer, &format!("PRAGMA max_page_count = {pages}"), []).await.map(|_| ())
    }

    /// Checks that the database answers and that its files are where they were
    /// opened.
    ///
    /// # Errors
    /// [`Error::FilesMissing`]; [`Error::Database`].
    pub async fn ping(&self) -> Result<(), Error> {
        if self.files.as_ref().is_some_and(|files| !files.are_in_place()) {
            return Err(Error::FilesMissing);
        }
        query_one(&self.reader, "SELECT 1 AS one", []).await.map(|_| ())
    }

    /// Returns the key that signs the cookies of known devices. It is random, and
    /// the same for all processes on this database.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn signing_key(&self) -> Result<String, Error> {
        let key: [u8; 32] = rand::random();
        execute(
            &self.writer,
            "INSERT INTO meta (name, value) VALUES ('signing_key', $1) \
             ON CONFLICT (name) DO NOTHING",
            [hex::encode(key).into()],
        )
        .await?;
        let sql = "SELECT value FROM meta WHERE name = 'signing_key'";
        let row = query_one(&self.writer, sql, []).await?;
        row.ok_or_else(|| missing("signing key"))?.get("value")
    }

    async fn read_epoch(&self) -> Result<String, Error> {
        execute(
            &self.writer,
            "INSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING",
            [Uuid::now_v7().simple().to_string().into()],
        )
        .await?;
        let row =
            query_one(&self.writer, "SELECT value FROM meta WHERE name = 'epoch'", []).await?;
        row.ok_or_else(|| missing("epoch"))?.get("value")
    }

    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        sql::begin(&self.writer).await
    }

    /// Returns the clause that locks the selected rows. It is empty on SQLite,
    /// which has one writer.
    pub(super) fn for_update(&self) -> &'static str {
        if self.is_sqlite() { "" } else { " FOR UPDATE" }
    }

    /// Returns the clause that locks the selected rows against everything but new
    /// rows that refer to them.
    pub(super) fn for_no_key_update(&self) -> &'static str {
        if self.is_sqlite() { "" } else { " FOR NO KEY UPDATE" }
    }

    /// Returns the back-off after attempt number `attempt`, with full jitter, in
    /// milliseconds.
    pub(super) fn retry_backoff(&self, attempt: i64) -> i64 {
        let step = usize::try_from(attempt - 1).unwrap_or(0).min(RETRY_BACKOFF_MS.len() - 1);
        self.scaled(rand::random_range(0..=RETRY_BACKOFF_MS[step]))
    }

    /// Returns the mean back-off after a first failed attempt, in milliseconds.
    pub(crate) fn mean_first_retry_backoff(&self) -> i64 {
        self.scaled(RETRY_BACKOFF_MS[0] / 2)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub(super) fn scaled(&self, ms: i64) -> i64 {
        (ms as f64 / self.time_scale) as i64
    }
}
