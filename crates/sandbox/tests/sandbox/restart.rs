use std::{fs, io::Write};

use sandbox::Error;
use serde_json::json;

use crate::client::{Client, json_of, product, sandbox_in};

#[tokio::test]
async fn a_restart_knows_products_and_keys_again() {
    let client = Client::start(200.0).await;
    client.make("acme", Some("k1"), "A").await;
    client.make("bazaar", None, "A").await;
    let before = client.get("/ledger").await;

    let client = client.restart(200.0).await;
    assert_eq!(client.get("/ledger").await, before);
    let known = json_of(client.make("acme", Some("k1"), "A").await).await;
    assert_eq!(known, (200, json!({ "id": "acme-000001", "sku": "A" })));
    let (_, next) = json_of(client.make("acme", Some("k2"), "B").await).await;
    assert_eq!(next["id"], "acme-000002");
    assert_eq!(client.make("bazaar", None, "A").await.status(), 409);
}

#[tokio::test]
async fn the_ledger_has_the_shape_that_tests_read() {
    let client = Client::start(200.0).await;
    client.make("acme", Some("k1"), "A").await;
    let ledger = client.get("/ledger").await;
    for service in ["acme", "bazaar", "corner", "ec2", "cloudwatch"] {
        assert!(ledger[service]["requests"].is_array(), "{service}");
        assert!(ledger[service]["effects"].is_array(), "{service}");
    }
    let request = &ledger["acme"]["requests"][0];
    assert!(request["at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(
        (&request["key"], &request["sku"], &request["status"], &request["over"]),
        (&json!("k1"), &json!("A"), &json!(201), &json!(false))
    );
    let effect = &ledger["acme"]["effects"][0];
    assert_eq!(
        (&effect["key"], &effect["sku"], &effect["created"]),
        (&json!("k1"), &json!("A"), &json!(true))
    );
}

#[tokio::test]
async fn a_request_in_flight_at_the_end_stays_counted_and_may_come_again() {
    let client = Client::start(0.01).await;
    let call = tokio::spawn(client.request("acme", Some("k1"), &product("A")).send());
    client.record_when("acme", |record| record.requests.len() == 1).await;

    let client = client.restart(200.0).await;
    assert!(call.await.unwrap().is_err(), "the end leaves it unanswered");
    let record = client.record("acme");
    assert_eq!((record.requests.len(), record.requests[0].status), (1, None));
    assert!(record.effects.is_empty() && !record.requests[0].dropped);
    assert_eq!(client.make("acme", Some("k1"), "A").await.status(), 201);
}

#[tokio::test]
async fn a_restart_gives_no_new_tokens_and_opens_no_closed_channel() {
    let client = Client::start(0.001).await;
    for _ in 0..2 {
        client.make_nothing("acme").await;
    }
    client.request("corner", None, &product("A-SBX-429ONCE")).send().await.unwrap();

    let client = client.restart(0.001).await;
    assert_eq!(client.make_nothing("acme").await.status(), 429);
    assert!(client.record("acme").requests[2].over);
    assert_eq!(client.make_nothing("corner").await.status(), 429);
    assert!(client.record("corner").requests[1].closed);
}

#[tokio::test]
async fn an_unfinished_last_line_is_cut_off() {
    let client = Client::start(200.0).await;
    client.make("acme", None, "A").await;
    let before = client.get("/ledger").await;
    let client = client
        .restart_after(200.0, |ledger| {
            let mut file = fs::OpenOptions::new().append(true).open(ledger).unwrap();
            file.write_all(br#"{"service":"acme","row":"arr"#).unwrap();
        })
        .await;
    assert_eq!(client.get("/ledger").await, before);
    client.make("acme", None, "B").await;
    let client = client.restart(200.0).await;
    assert_eq!(client.record("acme").effects.len(), 2);
}

#[tokio::test]
async fn a_ledger_that_is_in_use_or_is_none_is_refused() {
    let client = Client::start(1.0).await;
    let error = sandbox_in(client.folder(), 1.0).await.err().unwrap();
    assert!(error.to_string().contains("in use"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ledger.jsonl"), "sku,title,price\n").unwrap();
    let error = sandbox_in(folder.path(), 1.0).await.err().unwrap();
    assert!(error.to_string().starts_with("line 1 of"), "{error}");
    assert!(matches!(sandbox_in(folder.path(), 0.0).await, Err(Error::Speed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_frees_the_ledger_although_clients_stay_connected() {
    let mut client = Client::start(5_000.0).await;
    for _ in 0..20 {
        let calls = (0..10).map(|_| client.make_nothing("acme"));
        futures_util::future::join_all(calls).await;
        // Kept, so that its idle connections are.
        let _http = client.http.clone();
        client = client.restart(5_000.0).await;
    }
}
