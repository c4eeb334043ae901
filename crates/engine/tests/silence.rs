//! A network that loses everything and closes nothing.
#![allow(clippy::unwrap_used)]

use contract::{UserId, command::Ec2Start, state::JobKind};
use engine::{
    clock::Steered,
    store::{Accept, Control, Error, NewTask, Store, Turns},
    testing::{Mode, PostgresNode, Proxy},
};
use futures_util::future::join_all;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::{Duration, Instant};
use tokio::time::{pause, resume, sleep, timeout};

/// As many as one process may have.
const CONNECTIONS: usize = 16;
/// Of the real clock: nothing that gets through takes so long, and less than
/// the server waits for who is idle in a transaction.
const PATIENCE: Duration = Duration::from_secs(8);

/// A store, and PostgreSQL beyond a network; `raw` goes around it.
struct Way {
    store: Store,
    proxy: Proxy,
    raw: DatabaseConnection,
    _node: PostgresNode,
}

impl Way {
    async fn open() -> Self {
        let node = PostgresNode::start();
        let url = node.url();
        let proxy = Proxy::start(node.port()).await.unwrap();
        let by = url.replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port));
        let store = Store::open(&by, Steered::at(0), 1.0).await.unwrap();
        let raw = Database::connect(ConnectOptions::new(url).max_connections(1).to_owned());
        Self { store, proxy, raw: raw.await.unwrap(), _node: node }
    }

    /// Whoever adds a row to `table` waits, `when` the constraint is looked at.
    async fn hold(&self, table: &str, when: &str) {
        let sql = format!(
            "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR DELETE ON {table} {when} \
             FOR EACH ROW EXECUTE FUNCTION hold(); \
             SELECT pg_advisory_lock(1)"
        );
        self.raw.execute_unprepared(&sql).await.unwrap();
    }

    /// It goes on, and nobody hears of it.
    async fn lose_what_is_held(&self) {
        self.proxy.lose();
        self.raw.execute_unprepared("SELECT pg_advisory_unlock(1)").await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        let all = Statement::from_string(self.raw.get_database_backend(), sql);
        self.raw.query_one_raw(all).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn until(&self, sql: &str, count: i64) {
        let start = Instant::now();
        while self.count(sql).await != count {
            assert!(start.elapsed() < PATIENCE, "{sql}: not {count}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What others do on the database.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
    AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_commit_without_a_word_may_have_been_kept() {
    let way = Way::open().await;
    way.hold("users", "DEFERRABLE INITIALLY DEFERRED").await;
    let store = way.store.clone();
    let made = tokio::spawn(async move { store.add_first_account("ada@example.com", "h").await });
    way.until(&format!("{OTHERS} AND query = 'COMMIT' AND wait_event = 'advisory'"), 1).await;
    way.lose_what_is_held().await;
    pause();
    let error = made.await.unwrap().unwrap_err();
    resume();
    assert!(matches!(error, Error::Unsettled(_)), "{error:?}");
    way.until("SELECT count(*) FROM users", 1).await;
}

#[tokio::test]
async fn a_write_without_a_word_may_have_been_kept() {
    let way = Way::open().await;
    let user = way.store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    way.store.add_session("hash", user, i64::MAX).await.unwrap();
    way.hold("sessions", "").await;
    let store = way.store.clone();
    let ended = tokio::spawn(async move { store.end_session("hash").await });
    way.until(WAITS, 1).await;
    way.lose_what_is_held().await;
    pause();
    let error = ended.await.unwrap().unwrap_err();
    resume();
    assert!(matches!(error, Error::Unsettled(_)), "{error:?}");
    way.until("SELECT count(*) FROM sessions", 0).await;
}

/// Who waits for a lock that another holds.
const WAITS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'";

#[tokio::test]
async fn a_launch_that_waits_long_for_another_one_is_done_anew() {
    let way = Way::open().await;
    let user = way.store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let lock = format!("(hashtextextended('launches of {user}', 0))");
    way.raw.execute_unprepared(&format!("SELECT pg_advisory_lock{lock}")).await.unwrap();
    let store = way.store.clone();
    let launched = tokio::spawn(async move { store.accept(machines(user, 1)).await });
    way.until(WAITS, 1).await;
    way.raw
        .execute_unprepared(&format!(
            "CREATE TABLE first AS {}",
            WAITS.replace("count(*)", "xact_start AS began")
        ))
        .await
        .unwrap();
    way.until(&format!("{WAITS} AND xact_start > (SELECT began FROM first)"), 1).await;
    way.raw.execute_unprepared(&format!("SELECT pg_advisory_unlock{lock}")).await.unwrap();
    launched.await.unwrap().unwrap();
    assert_eq!(way.count("SELECT count(*) FROM tasks").await, 1);
}

fn machines(user: UserId, count: u32) -> Accept {
    let machine = |row| {
        let command = Ec2Start { instance_id: format!("i-{row}"), name: String::new() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    };
    Accept {
        actor: user.into(),
        kind: JobKind::Ec2Starts,
        title: "machines".into(),
        channels: Vec::new(),
        tasks: (0..count).map(machine).collect(),
        idempotency: None,
    }
}

#[tokio::test]
async fn a_begin_that_is_answered_too_late_opens_no_transaction_for_others() {
    let way = Way::open().await;
    let there = way.count(OTHERS).await;
    way.raw
        .execute_unprepared(&format!(
            "CREATE TABLE old AS {}",
            OTHERS.replace("count(*)", "pid AS own")
        ))
        .await
        .unwrap();
    way.proxy.set(Mode::Silent);
    pause();
    let error = way.store.add_first_account("ada@example.com", "hash").await.unwrap_err();
    resume();
    way.proxy.set(Mode::Carry);
    assert!(matches!(error, Error::Database(_)), "{error:?}");
    let old = format!("{OTHERS} AND pid IN (SELECT own FROM old)");
    way.until(&old, there - 1).await;
    assert!(way.store.take_seat("relay", "here", 1_000).await.unwrap());
    assert_eq!(way.count("SELECT count(*) FROM seats").await, 1, "nobody else sees it");
}

#[tokio::test]
async fn connections_that_are_lost_are_given_up_and_made_anew() {
    let Way { store, proxy, .. } = &Way::open().await;
    let ask = |count| join_all((0..count).map(|_| store.ping()));
    for answer in ask(CONNECTIONS).await {
        answer.unwrap();
    }

    proxy.set(Mode::Silent);
    // Nothing comes in any more, so that only limits of time are waited for.
    pause();
    for answer in ask(CONNECTIONS * 2).await {
        assert!(answer.unwrap_err().is_unreachable());
    }
    resume();

    proxy.lose();
    proxy.set(Mode::Carry);
    for answer in timeout(PATIENCE, ask(CONNECTIONS)).await.expect("it still waits") {
        answer.unwrap();
    }
}

#[tokio::test]
async fn what_changes_all_of_a_job_may_take_its_time() {
    let node = PostgresNode::start();
    let url = node.url();
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
    let raw = Database::connect(&url).await.unwrap();
    raw.execute_unprepared(
        "CREATE TABLE seen (by_limit text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('statement_timeout')); RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER UPDATE ON tasks EXECUTE FUNCTION note();",
    )
    .await
    .unwrap();
    let user = store.add_first_account("ada@example.com", "hash").await.unwrap().user;
    let job = store.accept(machines(user, 2)).await.unwrap().job.id;
    let due = store.due("meanwhile.q.ec2.start.v1", 1, &Turns::default()).await.unwrap().tasks;
    store.claim(due[0].task, due[0].fence, "w").await.unwrap();
    store.control(user, job, Control::Cancel).await.unwrap();
    // The next one on the same connection is an ordinary one again.
    store.renew(due[0].task, due[0].fence + 1).await.unwrap();
    let seen = Statement::from_string(raw.get_database_backend(), "SELECT by_limit FROM seen");
    let seen = raw.query_all_raw(seen).await.unwrap();
    let seen: Vec<String> = seen.iter().map(|row| row.try_get("", "by_limit").unwrap()).collect();
    assert_eq!(seen, ["15s", "5min", "15s"]);
}
