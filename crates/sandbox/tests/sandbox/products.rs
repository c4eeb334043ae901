use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::client::{TestClient, product, status_and_json};

#[tokio::test]
async fn product_is_created_and_found() {
    let client = TestClient::start(200.0).await;
    for channel in ["acme", "bazaar", "corner"] {
        let (status, created) =
            status_and_json(client.create_product(channel, None, "A").await).await;
        assert_eq!((status, &created["sku"]), (201, &json!("A")));
        let found = client.find_products(channel, "A").await;
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        let found = &found[0];
        assert_eq!((&found["id"], &found["revision"]), (&created["id"], &json!(1)));
        assert_eq!(found["product"], product("A"));
        assert_eq!(client.find_products(channel, "B").await, json!([]));
    }
}

#[tokio::test]
async fn bazaar_rejects_a_second_product_with_the_same_sku() {
    let client = TestClient::start(100.0).await;
    let (_, created) = status_and_json(client.create_product("bazaar", None, "A").await).await;
    let rejected = status_and_json(client.create_product("bazaar", None, "A").await).await;
    assert_eq!(rejected, (409, json!({ "error": "duplicate_sku", "id": created["id"] })));
    assert_eq!(client.service_record("bazaar").effects.len(), 1);
}

fn with_price(sku: &str, price: &str) -> Value {
    let mut product = product(sku);
    product["price"] = json!(price);
    product
}

#[tokio::test]
async fn every_channel_changes_a_stored_product_and_says_what_it_did() {
    let client = TestClient::start(200.0).await;
    for channel in ["acme", "bazaar", "corner"] {
        let (_, created) = status_and_json(client.create_product(channel, None, "A").await).await;
        assert_eq!(created["result"], "created", "{channel}");
        let id = created["id"].as_str().unwrap_or_default();
        for (price, expected) in [("5.00", "updated"), ("5.00", "unchanged"), ("6.00", "updated")] {
            let body = with_price("A", price);
            let (status, updated) =
                status_and_json(client.update_product(channel, id, &body).await).await;
            assert_eq!((status, &updated["result"]), (200, &json!(expected)), "{channel} {price}");
        }
        let found = client.find_products(channel, "A").await;
        assert_eq!(found[0]["product"], with_price("A", "6.00"));
        assert_eq!((found.as_array().map(Vec::len), &found[0]["revision"]), (Some(1), &json!(3)));
        let (status, _) =
            status_and_json(client.update_product(channel, "no-such", &product("A")).await).await;
        assert_eq!(status, 404);
        let effects = client.service_record(channel).effects;
        let kinds: Vec<_> = effects.iter().map(|it| (it.created, it.updated)).collect();
        assert_eq!(kinds, [(true, false), (false, true), (false, true)]);
        let summary = &client.sandbox.summary()[channel];
        assert_eq!((summary.effects, summary.updates, summary.duplicate_effects), (1, 2, 0));
    }
}

#[tokio::test]
async fn acme_changes_the_product_with_the_sku_and_repeats_the_answer_to_a_key() {
    let client = TestClient::start(200.0).await;
    let send = async |key: &str, price: &str| {
        let sent = client.send_product("acme", Some(key), &with_price("A", price)).await;
        status_and_json(sent).await
    };
    let (status, created) = send("one", "5.00").await;
    assert_eq!((status, &created["result"]), (201, &json!("created")));
    let (status, updated) = send("two", "6.00").await;
    assert_eq!((status, &updated["result"]), (200, &json!("updated")));
    assert_eq!(created["id"], updated["id"]);
    assert_eq!(send("three", "6.00").await.1["result"], "unchanged");
    // A late repetition of the first call does not bring its price back.
    assert_eq!(send("one", "5.00").await.1["result"], "created");
    let found = client.find_products("acme", "A").await;
    assert_eq!(found[0]["product"]["price"], "6.00");
}

#[tokio::test]
async fn bazaar_creates_one_of_two_concurrent_products() {
    let client = TestClient::start(5.0).await;
    let both = tokio::join!(
        client.create_product("bazaar", None, "A"),
        client.create_product("bazaar", None, "A")
    );
    let mut statuses = [both.0.status().as_u16(), both.1.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let record = client.service_record("bazaar");
    assert_eq!(record.effects.len(), 1);
    assert!(record.requests[1].at_ms < record.effects[0].at_ms, "they were not in flight at once");
}

#[tokio::test]
async fn dropped_connection_sends_no_response_and_stores_the_product() {
    let client = TestClient::start(100.0).await;
    let body = product("A-SBX-DROPONCE").to_string();
    let mut socket = TcpStream::connect(client.sandbox.addr()).await.unwrap();
    let head = format!(
        "POST /channels/corner/products HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut response));
    let _ = read.await.expect("the socket stays open");
    assert_eq!(String::from_utf8_lossy(&response), "");

    let record = client.service_record("corner");
    assert_eq!(record.effects.len(), 1);
    assert_eq!((record.requests[0].status, record.requests[0].connection_dropped), (None, true));
    assert_eq!(client.find_products("corner", "A-SBX-DROPONCE").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn client_disconnect_does_not_cancel_the_call() {
    let client = TestClient::start(5.0).await;
    let request = client.request("corner", None, &product("A"));
    let call = tokio::spawn(request.send());
    client.wait_for_record("corner", |record| !record.requests.is_empty()).await;
    call.abort();
    assert!(
        client.service_record("corner").effects.is_empty(),
        "the effect came before the disconnect"
    );
    let record =
        client.wait_for_record("corner", |record| record.requests[0].status.is_some()).await;
    assert_eq!((record.requests[0].status, record.effects.len()), (Some(201), 1));
}

#[tokio::test]
async fn forced_faults_and_bad_bodies_get_an_error_with_a_reason() {
    let client = TestClient::start(500.0).await;
    let (status, body) =
        status_and_json(client.create_product("acme", None, "A-SBX-REJECT").await).await;
    assert_eq!((status, &body["error"]), (422, &json!("rejected")));
    assert!(body["reason"].as_str().unwrap().len() > 20);
    for _ in 0..2 {
        assert_eq!(client.create_product("acme", None, "A-SBX-500ALWAYS").await.status(), 500);
    }
    let request = |body: Value| client.request("corner", None, &body).send();
    assert_eq!(request(json!([])).await.unwrap().status(), 400);
    assert_eq!(request(json!({ "sku": "A" })).await.unwrap().status(), 422);
    assert!(client.service_record("acme").effects.is_empty());
    let url = format!("{}/channels/nowhere/products", client.sandbox.base_url());
    assert_eq!(client.http.post(url).send().await.unwrap().status(), 404);
}
