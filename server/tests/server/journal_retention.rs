//! A client that was away for longer than the journal's retention must reload.

use crate::support::start_server;
use contract::{fact::Fact, websocket::ServerFrame};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::time::{Duration, Instant};
use testbed::{ServerProcess, WebSocketClient, websocket::StreamPosition};

/// Connects with `after`. Returns the `seq` of the welcome frame and whether the gap is
/// replayed, and the first fact that arrives within `timeout`.
async fn connect_websocket(
    meanwhile: &ServerProcess,
    after: i64,
    timeout: Duration,
) -> (i64, bool, Option<Fact>) {
    let position = StreamPosition { epoch: None, seq: Some(after) };
    let mut socket = WebSocketClient::open(&meanwhile.api, position).await.unwrap();
    let ServerFrame::Welcome { seq, recovered, .. } = socket.next_frame().await.unwrap().frame
    else {
        panic!("the first frame is no welcome");
    };
    let fact = async {
        loop {
            if let ServerFrame::Fact(fact) = socket.next_frame().await.unwrap().frame {
                return fact;
            }
        }
    };
    (seq, recovered, tokio::time::timeout(timeout, fact).await.ok())
}

async fn query_integer(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn client_behind_the_retained_journal_must_reload() {
    let mut meanwhile = start_server().await;
    let launch = meanwhile.api.post("/api/v1/jobs/product-uploads?channels=acme");
    let body = "sku,title,price\nA,Lamp,1\nB,Lamp,1\nC,Lamp,1\n";
    let response = launch.body(body).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let start = Instant::now();
    while meanwhile.api.get_json(&location).await.unwrap()["open"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the job has not finished");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    meanwhile.kill();
    let url = format!("sqlite://{}", meanwhile.folder().join("meanwhile.sqlite").display());
    let db = Database::connect(&url).await.unwrap();
    let head = query_integer(&db, "SELECT MAX(seq) AS n FROM journal").await;
    assert!(head >= 5, "accepted, three items, finished: {head}");
    let month = 31_i64 * 24 * 3_600_000;
    let old = format!("UPDATE journal SET at = at - {month} WHERE seq <= 2 RETURNING seq AS n");
    query_integer(&db, &old).await;

    meanwhile.spawn().await.unwrap();
    let start = Instant::now();
    while query_integer(&db, "SELECT MIN(seq) AS n FROM journal").await != 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "expired facts are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (seq, recovered, next) = connect_websocket(&meanwhile, 1, Duration::from_secs(1)).await;
    assert_eq!((seq, recovered), (head, false));
    assert!(next.is_none(), "a fact from before the head: {next:?}");
    let (_, recovered, next) = connect_websocket(&meanwhile, 2, Duration::from_secs(60)).await;
    assert!(recovered);
    assert_eq!(next.unwrap().seq, 3, "every fact after 2 is still there");
}
