use std::{fs, io::Write};

use sandbox::Error;
use serde_json::json;

use crate::client::{TestClient, product, sandbox_in, status_and_json};

#[tokio::test]
async fn products_and_keys_survive_a_restart() {
    let client = TestClient::start(200.0).await;
    client.create_product("acme", Some("k1"), "A").await;
    client.create_product("bazaar", None, "A").await;
    let before = client.get("/ledger").await;

    let client = client.restart(200.0).await;
    assert_eq!(client.get("/ledger").await, before);
    let known = status_and_json(client.create_product("acme", Some("k1"), "A").await).await;
    assert_eq!(known, (200, json!({ "id": "acme-000001", "sku": "A", "result": "created" })));
    let (_, next) = status_and_json(client.create_product("acme", Some("k2"), "B").await).await;
    assert_eq!(next["id"], "acme-000002");
    assert_eq!(client.create_product("bazaar", None, "A").await.status(), 409);
}

#[tokio::test]
async fn ledger_has_the_shape_that_other_tests_read() {
    let client = TestClient::start(200.0).await;
    client.create_product("acme", Some("k1"), "A").await;
    let ledger = client.get("/ledger").await;
    for service in ["acme", "bazaar", "corner", "depot", "ec2", "cloudwatch"] {
        assert!(ledger[service]["requests"].is_array(), "{service}");
        assert!(ledger[service]["effects"].is_array(), "{service}");
    }
    let request = &ledger["acme"]["requests"][0];
    assert!(request["at_ms"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(
        (&request["key"], &request["sku"], &request["status"], &request["over_limit"]),
        (&json!("k1"), &json!("A"), &json!(201), &json!(false))
    );
    let effect = &ledger["acme"]["effects"][0];
    assert_eq!(
        (&effect["key"], &effect["sku"], &effect["created"]),
        (&json!("k1"), &json!("A"), &json!(true))
    );
}

#[tokio::test]
async fn request_in_flight_at_shutdown_is_kept_and_can_be_repeated() {
    let client = TestClient::start(0.01).await;
    let call = tokio::spawn(client.request("acme", Some("k1"), &product("A")).send());
    client.wait_for_record("acme", |record| record.requests.len() == 1).await;

    let client = client.restart(200.0).await;
    assert!(call.await.unwrap().is_err(), "the request got a response despite the shutdown");
    let record = client.service_record("acme");
    assert_eq!((record.requests.len(), record.requests[0].status), (1, None));
    assert!(record.effects.is_empty() && !record.requests[0].connection_dropped);
    assert_eq!(client.create_product("acme", Some("k1"), "A").await.status(), 201);
}

#[tokio::test]
async fn restart_keeps_used_tokens_and_cooldowns() {
    let client = TestClient::start(0.001).await;
    for _ in 0..2 {
        client.post_empty_product("acme").await;
    }
    client.request("corner", None, &product("A-SBX-429ONCE")).send().await.unwrap();

    let client = client.restart(0.001).await;
    assert_eq!(client.post_empty_product("acme").await.status(), 429);
    assert!(client.service_record("acme").requests[2].over_limit);
    assert_eq!(client.post_empty_product("corner").await.status(), 429);
    assert!(client.service_record("corner").requests[1].during_cooldown);
}

#[tokio::test]
async fn restart_keeps_changes_and_the_keys_that_made_them() {
    let client = TestClient::start(200.0).await;
    let mut changed = product("A");
    client.send_product("acme", Some("one"), &changed).await;
    changed["price"] = "6.00".into();
    client.send_product("acme", Some("two"), &changed).await;
    let before = client.find_products("acme", "A").await;

    let client = client.restart(200.0).await;
    assert_eq!(client.find_products("acme", "A").await, before);
    let repeated = client.send_product("acme", Some("two"), &changed).await;
    assert_eq!(repeated.json::<serde_json::Value>().await.unwrap()["result"], "updated");
    assert_eq!(client.service_record("acme").effects.len(), 2);
}

#[tokio::test]
async fn unfinished_last_line_is_cut_off() {
    let client = TestClient::start(200.0).await;
    client.create_product("acme", None, "A").await;
    let before = client.get("/ledger").await;
    let client = client
        .restart_after(200.0, |ledger| {
            let mut file = fs::OpenOptions::new().append(true).open(ledger).unwrap();
            file.write_all(br#"{"service":"acme","row":"req"#).unwrap();
        })
        .await;
    assert_eq!(client.get("/ledger").await, before);
    client.create_product("acme", None, "B").await;
    let client = client.restart(200.0).await;
    assert_eq!(client.service_record("acme").effects.len(), 2);
}

#[tokio::test]
async fn ledger_that_is_locked_or_invalid_is_rejected() {
    let client = TestClient::start(1.0).await;
    let error = sandbox_in(client.folder(), 1.0).await.err().unwrap();
    assert!(error.to_string().contains("in use"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ledger.jsonl"), "sku,title,price\n").unwrap();
    let error = sandbox_in(folder.path(), 1.0).await.err().unwrap();
    assert!(error.to_string().starts_with("line 1 of"), "{error}");
    assert!(matches!(sandbox_in(folder.path(), 0.0).await, Err(Error::Speed(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_releases_the_ledger_with_clients_still_connected() {
    let mut client = TestClient::start(5_000.0).await;
    for _ in 0..20 {
        let calls = (0..10).map(|_| client.post_empty_product("acme"));
        futures_util::future::join_all(calls).await;
        // The clone keeps the client's idle connections open.
        let _http = client.http.clone();
        client = client.restart(5_000.0).await;
    }
}
