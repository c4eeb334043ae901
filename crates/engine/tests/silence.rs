//! A network that loses everything and closes nothing.
#![allow(clippy::unwrap_used)]

use contract::{command::Ec2Start, state::JobKind};
use engine::{
    clock::Steered,
    store::{Accept, Control, NewTask, Store, Turns},
    testing::{Mode, PostgresNode, Proxy},
};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, Database, Statement};
use std::time::Duration;
use tokio::time::{pause, resume, timeout};

/// As many as one process may have.
const CONNECTIONS: usize = 16;
/// Of the real clock: nothing that gets through takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn connections_that_are_lost_are_given_up_and_made_anew() {
    let node = PostgresNode::start();
    let proxy = Proxy::start(node.port()).await.unwrap();
    let url = node.url().replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port));
    let store = Store::open(&url, Steered::at(0), 1.0).await.unwrap();
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
    let machine = |row: u32| {
        let command = Ec2Start { instance_id: format!("i-{row}"), name: String::new() };
        NewTask::new(&command, None, command.instance_id.clone(), String::new(), row).unwrap()
    };
    let launch = Accept {
        user,
        kind: JobKind::Ec2Starts,
        title: "machines".into(),
        channels: Vec::new(),
        tasks: (0..2).map(machine).collect(),
        idempotency: None,
    };
    let job = store.accept(launch).await.unwrap().job.id;
    let due = store.due("meanwhile.q.ec2.start.v1", 1, &Turns::default()).await.unwrap();
    store.claim(due[0].task, due[0].fence, "w").await.unwrap();
    store.control(user, job, Control::Cancel).await.unwrap();
    // The next one on the same connection is an ordinary one again.
    store.renew(due[0].task, due[0].fence + 1).await.unwrap();
    let seen = Statement::from_string(raw.get_database_backend(), "SELECT by_limit FROM seen");
    let seen = raw.query_all_raw(seen).await.unwrap();
    let seen: Vec<String> = seen.iter().map(|row| row.try_get("", "by_limit").unwrap()).collect();
    assert_eq!(seen, ["20s", "5min", "20s"]);
}
