//! A client that was away for longer than the journal is kept is told so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures_util::{SinkExt, StreamExt};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::Meanwhile;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

/// The welcome that a client with `after` gets, and the frame behind it.
async fn greeted(meanwhile: &Meanwhile, after: i64) -> (Value, Option<Value>) {
    let mut request =
        format!("ws://127.0.0.1:{}/ws", meanwhile.port).into_client_request().unwrap();
    let header = |text: &str| HeaderValue::from_str(text).unwrap();
    request.headers_mut().insert("origin", header(&meanwhile.url("")));
    request.headers_mut().insert("cookie", header(&meanwhile.cookie));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello = json!({ "type": "hello", "v": 1, "after": after });
    socket.send(Message::text(hello.to_string())).await.unwrap();
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = tokio::time::timeout(
        Duration::from_millis(if frames.is_empty() { 20_000 } else { 1_000 }),
        socket.next(),
    )
    .await
    {
        frames.push(serde_json::from_str(frame.unwrap().to_text().unwrap()).unwrap());
        if frames.len() == 2 {
            break;
        }
    }
    let mut frames = frames.into_iter();
    (frames.next().expect("no welcome"), frames.next())
}

async fn query(db: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap()
}

#[tokio::test]
async fn who_was_away_for_longer_than_the_journal_is_kept_loads_anew() {
    let mut meanwhile = Meanwhile::start().await;
    let launch = meanwhile.post("/api/v1/jobs/product-uploads?channels=acme");
    let body = "sku,title,price\nA,Lamp,1\nB,Lamp,1\nC,Lamp,1\n";
    let response = launch.body(body).send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let start = Instant::now();
    while meanwhile.get(&location).await["open"] != 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "not at an end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    meanwhile.kill();
    let url = format!("sqlite://{}", meanwhile.folder.path().join("meanwhile.sqlite").display());
    let db = Database::connect(&url).await.unwrap();
    let head = query(&db, "SELECT MAX(seq) AS n FROM journal").await;
    assert!(head >= 5, "accepted, three items, finished: {head}");
    let month = 31_i64 * 24 * 3_600_000;
    let old = format!("UPDATE journal SET at = at - {month} WHERE seq <= 2 RETURNING seq AS n");
    query(&db, &old).await;

    meanwhile.spawn(true).await;
    let start = Instant::now();
    while query(&db, "SELECT MIN(seq) AS n FROM journal").await != 3 {
        assert!(start.elapsed() < Duration::from_secs(60), "what is too old is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (welcome, next) = greeted(&meanwhile, 1).await;
    assert_eq!((&welcome["recovered"], &welcome["seq"]), (&json!(false), &json!(head)));
    assert!(next.is_none(), "it goes on from the head: {next:?}");
    let (welcome, next) = greeted(&meanwhile, 2).await;
    assert_eq!(welcome["recovered"], json!(true));
    assert_eq!(next.unwrap()["seq"], json!(3), "all that is behind 2 is kept");
}
