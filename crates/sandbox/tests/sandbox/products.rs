use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{Client, json_of, product};

#[tokio::test]
async fn a_product_is_made_and_found() {
    let client = Client::start(200.0).await;
    for channel in ["acme", "bazaar", "corner"] {
        let (status, made) = json_of(client.make(channel, None, "A").await).await;
        assert_eq!((status, &made["sku"]), (201, &json!("A")));
        let found = client.find(channel, "A").await;
        assert_eq!(found, json!([{ "id": made["id"], "sku": "A", "title": "Desk lamp" }]));
        assert_eq!(client.find(channel, "B").await, json!([]));
    }
}

#[tokio::test]
async fn bazaar_refuses_a_second_product_with_a_sku() {
    let client = Client::start(100.0).await;
    let (_, made) = json_of(client.make("bazaar", None, "A").await).await;
    let refused = json_of(client.make("bazaar", None, "A").await).await;
    assert_eq!(refused, (409, json!({ "error": "duplicate_sku", "id": made["id"] })));
    assert_eq!(client.record("bazaar").effects.len(), 1);
}

#[tokio::test]
async fn of_two_in_flight_bazaar_makes_one() {
    let client = Client::start(5.0).await;
    let both = tokio::join!(client.make("bazaar", None, "A"), client.make("bazaar", None, "A"));
    let mut statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let record = client.record("bazaar");
    assert_eq!(record.effects.len(), 1);
    assert!(record.requests[1].at_ms < record.effects[0].at_ms, "they were not in flight at once");
}

#[tokio::test]
async fn a_dropped_connection_says_nothing_and_the_product_is_there() {
    let client = Client::start(100.0).await;
    let body = product("A-SBX-DROPONCE").to_string();
    let mut socket = TcpStream::connect(client.sandbox.addr()).await.unwrap();
    let head = format!(
        "POST /channels/corner/products HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut answer));
    let _ = read.await.expect("the socket stays open");
    assert_eq!(String::from_utf8_lossy(&answer), "");

    let record = client.record("corner");
    assert_eq!(record.effects.len(), 1);
    assert_eq!((record.requests[0].status, record.requests[0].dropped), (None, true));
    assert_eq!(client.find("corner", "A-SBX-DROPONCE").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_has_its_effect_all_the_same() {
    let client = Client::start(5.0).await;
    let request = client.request("corner", None, &product("A"));
    let left = request.timeout(Duration::from_millis(100)).send().await;
    assert!(left.unwrap_err().is_timeout());
    assert!(client.record("corner").effects.is_empty(), "it left before the effect");
    let record = client.record_when("corner", |record| record.requests[0].status.is_some()).await;
    assert_eq!((record.requests[0].status, record.effects.len()), (Some(201), 1));
}

#[tokio::test]
async fn forced_faults_and_bad_bodies_are_answered_in_words() {
    let client = Client::start(500.0).await;
    let (status, body) = json_of(client.make("acme", None, "A-SBX-REJECT").await).await;
    assert_eq!((status, &body["error"]), (422, &json!("rejected")));
    assert!(body["reason"].as_str().unwrap().len() > 20);
    for _ in 0..2 {
        assert_eq!(client.make("acme", None, "A-SBX-500ALWAYS").await.status(), 500);
    }
    let request = |body: Value| client.request("corner", None, &body).send();
    assert_eq!(request(json!([])).await.unwrap().status(), 400);
    assert_eq!(request(json!({ "sku": "A" })).await.unwrap().status(), 422);
    assert!(client.record("acme").effects.is_empty());
    let url = format!("{}/channels/nowhere/products", client.sandbox.base_url());
    assert_eq!(client.http.post(url).send().await.unwrap().status(), 404);
}
