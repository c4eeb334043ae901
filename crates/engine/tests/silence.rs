//! A network partition to PostgreSQL: packets are lost, and connections stay open.
//!
//! A binary of its own, because it limits real time, and tests run beside each other in
//! one binary.
#![allow(clippy::unwrap_used)]

use contract::{UserId, command::Ec2Start, state::JobKind};
use engine::{
    clock::ManualClock,
    store::{Error, JobControl, NewJob, NewTask, RoundRobin, Store},
};
use futures_util::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::{Duration, Instant};
use testbed::{PostgresNode, Proxy, ProxyMode};
use tokio::time::{pause, resume, sleep, timeout};

/// Maximum number of connections of one process.
const CONNECTIONS: usize = 16;
/// Limit of real time. Statements that get through are faster, and PostgreSQL's timeout for
/// idle transactions is longer.
const TEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Limit of real time for a wait that contains PostgreSQL's timeout for locks, 5 s. Its timeout
/// for statements is not mistaken for it: a statement that it ends is not retried.
const LOCK_TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A store that reaches PostgreSQL through a proxy, and `raw`, a direct connection.
struct ProxiedDatabase {
    store: Store,
    proxy: Proxy,
    raw: DatabaseConnection,
    _node: PostgresNode,
}

impl ProxiedDatabase {
    async fn open() -> Self {
        let node = PostgresNode::start();
        let url = node.create_database();
        let proxy = Proxy::start(node.port()).await.unwrap();
        let proxied_url = url.replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port));
        let store = Store::open(&proxied_url, ManualClock::at(0), 1.0).await.unwrap();
        let raw = Database::connect(ConnectOptions::new(url).max_connections(1).to_owned());
        Self { store, proxy, raw: raw.await.unwrap(), _node: node }
    }

    /// Blocks transactions that insert into or delete from `table`, at the time of the
    /// constraint that `when` sets, until the lock is released.
    async fn install_blocking_trigger(&self, table: &str, when: &str) {
        let sql = format!(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR DELETE ON {table} {when} \
             FOR EACH ROW EXECUTE FUNCTION hold(); \
             SELECT pg_advisory_lock(1)"
        );
        self.raw.execute_unprepared(&sql).await.unwrap();
    }

    /// Lets the blocked transaction continue without its response arriving.
    async fn drop_network_and_release_lock(&self) {
        self.proxy.stall_connections_forever();
        self.raw.execute_unprepared("SELECT pg_advisory_unlock(1)").await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        let all = Statement::from_string(self.raw.get_database_backend(), sql);
        self.raw.query_one_raw(all).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn wait_for_count(&self, sql: &str, count: i64) {
        self.wait_for_count_within(TEST_TIMEOUT, sql, count).await;
    }

    async fn wait_for_count_within(&self, limit: Duration, sql: &str, count: i64) {
        let start = Instant::now();
        while self.count(sql).await != count {
            assert!(start.elapsed() < limit, "{sql}: not {count}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Counts the other connections to the database.
const OTHER_BACKENDS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_commit_without_a_response_has_an_unknown_outcome() {
    let database = ProxiedDatabase::open().await;
    database.install_blocking_trigger("users", "DEFERRABLE INITIALLY DEFERRED").await;
    let store = database.store.clone();
    let adding =
        tokio::spawn(async move { store.accounts.add_first_user("ada@example.com", "h").await });
    database
        .wait_for_count(
            &format!("{OTHER_BACKENDS} AND query = 'COMMIT' AND wait_event = 'advisory'"),
            1,
        )
        .await;
    database.drop_network_and_release_lock().await;
    pause();
    let error = adding.await.unwrap().unwrap_err();
    resume();
    assert!(matches!(error, Error::CommitUnknown(_)), "{error:?}");
    database.wait_for_count("SELECT count(*) FROM users", 1).await;
}

#[tokio::test]
async fn a_write_without_a_response_has_an_unknown_outcome() {
    let database = ProxiedDatabase::open().await;
    let user =
        database.store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    database.store.accounts.add_session("hash", user, i64::MAX).await.unwrap();
    database.install_blocking_trigger("sessions", "").await;
    let store = database.store.clone();
    let ending = tokio::spawn(async move { store.accounts.end_session("hash").await });
    database.wait_for_count(LOCK_WAITERS, 1).await;
    database.drop_network_and_release_lock().await;
    pause();
    let error = ending.await.unwrap().unwrap_err();
    resume();
    assert!(matches!(error, Error::CommitUnknown(_)), "{error:?}");
    database.wait_for_count("SELECT count(*) FROM sessions", 0).await;
}

/// Counts the connections that wait for an advisory lock.
const LOCK_WAITERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";

#[tokio::test]
async fn a_launch_blocked_by_another_launch_is_retried() {
    let database = ProxiedDatabase::open().await;
    let user =
        database.store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let lock = format!("(hashtextextended('launches of {user}', 0))");
    database.raw.execute_unprepared(&format!("SELECT pg_advisory_lock{lock}")).await.unwrap();
    let store = database.store.clone();
    let launch = tokio::spawn(async move { store.tasks.accept(machine_launch(user, 1)).await });
    database.wait_for_count(LOCK_WAITERS, 1).await;
    database
        .raw
        .execute_unprepared(&format!(
            "CREATE TABLE first AS {}",
            LOCK_WAITERS.replace("count(*)", "xact_start AS began")
        ))
        .await
        .unwrap();
    let later = format!("{LOCK_WAITERS} AND xact_start > (SELECT began FROM first)");
    database.wait_for_count_within(LOCK_TEST_TIMEOUT, &later, 1).await;
    database.raw.execute_unprepared(&format!("SELECT pg_advisory_unlock{lock}")).await.unwrap();
    launch.await.unwrap().unwrap();
    assert_eq!(database.count("SELECT count(*) FROM tasks").await, 1);
}

fn machine_launch(user: UserId, count: u32) -> NewJob {
    let machine = |row| {
        let command = Ec2Start { instance_id: format!("i-{row}"), ..Ec2Start::default() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    };
    NewJob {
        actor: user.into(),
        kind: JobKind::Ec2Starts,
        title: "machines".into(),
        channels: Vec::new(),
        tasks: (0..count).map(machine).collect(),
        file: None,
        idempotency: None,
    }
}

#[tokio::test]
async fn a_late_begin_response_does_not_leak_a_transaction() {
    let database = ProxiedDatabase::open().await;
    let connections = database.count(OTHER_BACKENDS).await;
    database
        .raw
        .execute_unprepared(&format!(
            "CREATE TABLE old AS {}",
            OTHER_BACKENDS.replace("count(*)", "pid AS own")
        ))
        .await
        .unwrap();
    database.proxy.set_mode(ProxyMode::Stalled);
    pause();
    let error =
        database.store.accounts.add_first_user("ada@example.com", "hash").await.unwrap_err();
    resume();
    database.proxy.set_mode(ProxyMode::Forward);
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    let old = format!("{OTHER_BACKENDS} AND pid IN (SELECT own FROM old)");
    database.wait_for_count(&old, connections - 1).await;
    assert!(
        database
            .store
            .coordination
            .acquire_leader_lease("relay", "here", Duration::from_secs(1))
            .await
            .unwrap()
    );
    assert_eq!(
        database.count("SELECT count(*) FROM leader_leases").await,
        1,
        "another connection doesn't see it"
    );
}

#[tokio::test]
async fn lost_connections_are_closed_and_replaced() {
    let ProxiedDatabase { store, proxy, .. } = &ProxiedDatabase::open().await;
    let ping_all = |count| join_all((0..count).map(|_| store.database.ping()));
    for result in ping_all(CONNECTIONS).await {
        result.unwrap();
    }

    proxy.set_mode(ProxyMode::Stalled);
    // Nothing arrives any more, so only timeouts are waited for.
    pause();
    for result in ping_all(CONNECTIONS * 2).await {
        assert!(result.unwrap_err().is_unreachable());
    }
    resume();

    proxy.stall_connections_forever();
    proxy.set_mode(ProxyMode::Forward);
    for result in
        timeout(TEST_TIMEOUT, ping_all(CONNECTIONS)).await.expect("lost connections are still used")
    {
        result.unwrap();
    }
}

#[tokio::test]
async fn job_wide_changes_have_a_longer_statement_timeout() {
    let node = PostgresNode::start();
    let url = node.create_database();
    let store = Store::open(&url, ManualClock::at(0), 1.0).await.unwrap();
    let raw = Database::connect(&url).await.unwrap();
    raw.execute_unprepared(
        "CREATE TABLE seen (by_limit text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER UPDATE ON tasks EXECUTE FUNCTION note();",
    )
    .await
    .unwrap();
    let user = store.accounts.add_first_user("ada@example.com", "hash").await.unwrap().user;
    let job = store.tasks.accept(machine_launch(user, 2)).await.unwrap().job.id;
    let due = store
        .tasks
        .due_tasks("meanwhile.q.ec2.start.v1", 1, &RoundRobin::default())
        .await
        .unwrap()
        .tasks;
    store.tasks.claim(due[0].task, due[0].fence, "w").await.unwrap();
    store.tasks.control_job(user, job, JobControl::Cancel).await.unwrap();
    // The next statement on the same connection has the ordinary timeout again.
    store.tasks.renew_lease(due[0].task, due[0].fence + 1).await.unwrap();
    let seen = Statement::from_string(raw.get_database_backend(), "SELECT by_limit FROM seen");
    let seen = raw.query_all_raw(seen).await.unwrap();
    let seen: Vec<String> = seen.iter().map(|row| row.try_get("", "by_limit").unwrap()).collect();
    // A cancel ends what waits, and makes due what has to be reconciled.
    assert_eq!(seen, ["15s", "5min", "5min", "15s"]);
}
