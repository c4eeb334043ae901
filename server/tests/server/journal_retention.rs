//! A client that was away for longer than the journal's retention must reload.

use crate::support::ServerProcess;
use futures_util::{SinkExt, StreamExt};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

/// Connects with `after`; returns the welcome frame, and the first fact that
/// arrives within a second.
async fn connect_websocket(meanwhile: &ServerProcess, after: i64) -> (Value, Option<Value>) {
    let mut request =
        format!("ws://127.0.0.1:{}/ws", meanwhile.port).into_client_request().unwrap();
    let header = |text: &str| HeaderValue::from_str(text).unwrap();
    request.headers_mut().insert("origin", header(&meanwhile.url("")));
    request.headers_mut().insert("cookie", header(&meanwhile.cookie));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello = json!({ "type": "hello", "v": 1, "after": after });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let mut frame = async || -> Value {
        let frame = socket.next().await.unwrap().unwrap();
        serde_json::from_str(frame.to_text().unwrap()).unwrap()
    };
    let welcome = frame().await;
    assert_eq!(welcome["type"], "welcome");
    let fact = async {
        loop {
            let frame = frame().await;
            if frame["type"] == "fact" {
                return frame;
            }
        }
    };
    (welcome, tokio::time::timeout(Duration::from_secs(1), fact).await.ok())
}

async fn query_integer(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn client_behind_the_retained_journal_must_reload() {
    let mut meanwhile = ServerProcess::start().await;
    let launch = meanwhile.post("/api/v1/jobs/product-uploads?channels=acme");
    let body = "sku,title,price\nA,Lamp,1\nB,Lamp,1\nC,Lamp,1\n";
    let response = launch.body(body).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let start = Instant::now();
    while meanwhile.get_json(&location).await["open"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "the job has not finished");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    meanwhile.kill();
    let url = format!("sqlite://{}", meanwhile.data_dir.path().join("meanwhile.sqlite").display());
    let db = Database::connect(&url).await.unwrap();
    let head = query_integer(&db, "SELECT MAX(seq) AS n FROM journal").await;
    assert!(head >= 5, "accepted, three items, finished: {head}");
    let month = 31_i64 * 24 * 3_600_000;
    let old = format!("UPDATE journal SET at = at - {month} WHERE seq <= 2 RETURNING seq AS n");
    query_integer(&db, &old).await;

    meanwhile.spawn(true).await;
    let start = Instant::now();
    while query_integer(&db, "SELECT MIN(seq) AS n FROM journal").await != 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "expired facts are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (welcome, next) = connect_websocket(&meanwhile, 1).await;
    assert_eq!((&welcome["recovered"], &welcome["seq"]), (&json!(false), &json!(head)));
    assert!(next.is_none(), "a fact from before the head: {next:?}");
    let (welcome, next) = connect_websocket(&meanwhile, 2).await;
    assert_eq!(welcome["recovered"], json!(true));
    assert_eq!(next.unwrap()["seq"], json!(3), "every fact after 2 is still there");
}
