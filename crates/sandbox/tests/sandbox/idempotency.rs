use serde_json::json;

use crate::client::{TestClient, product, status_and_json};

#[tokio::test]
async fn acme_repeats_the_first_response_for_a_known_key() {
    let client = TestClient::start(100.0).await;
    let first = status_and_json(client.create_product("acme", Some("k1"), "A").await).await;
    assert_eq!(first, (201, json!({ "id": "acme-000001", "sku": "A", "result": "created" })));
    let second = status_and_json(client.create_product("acme", Some("k1"), "A").await).await;
    assert_eq!(second, (200, json!({ "id": "acme-000001", "sku": "A", "result": "created" })));
    assert_eq!(client.service_record("acme").effects.len(), 1);
    assert_eq!(client.service_record("acme").requests[1].key.as_deref(), Some("k1"));
}

#[tokio::test]
async fn request_with_a_key_in_flight_waits_for_the_first_response() {
    let client = TestClient::start(5.0).await;
    let both = tokio::join!(
        client.create_product("acme", Some("k1"), "A"),
        client.create_product("acme", Some("k1"), "A")
    );
    let (first, second) = (status_and_json(both.0).await, status_and_json(both.1).await);
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(first.1, second.1);
    let record = client.service_record("acme");
    assert_eq!(record.effects.len(), 1);
    assert!(record.requests[1].at_ms < record.effects[0].at_ms, "they were not in flight at once");
}

#[tokio::test]
async fn another_body_with_the_same_key_is_rejected() {
    let client = TestClient::start(100.0).await;
    client.create_product("acme", Some("k1"), "A").await;
    let (status, body) =
        status_and_json(client.create_product("acme", Some("k1"), "B").await).await;
    assert_eq!((status, &body["error"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(client.service_record("acme").effects.len(), 1);
}

#[tokio::test]
async fn key_can_be_reused_after_a_500() {
    let client = TestClient::start(100.0).await;
    let sku = "A-SBX-500ONCE";
    assert_eq!(client.create_product("acme", Some("k1"), sku).await.status(), 500);
    assert!(client.service_record("acme").effects.is_empty());
    assert_eq!(client.create_product("acme", Some("k1"), sku).await.status(), 201);
}

#[tokio::test]
async fn key_is_remembered_when_its_response_was_dropped() {
    let client = TestClient::start(100.0).await;
    let sku = "A-SBX-DROPONCE";
    assert!(client.request("acme", Some("k1"), &product(sku)).send().await.is_err());
    let (status, body) =
        status_and_json(client.create_product("acme", Some("k1"), sku).await).await;
    assert_eq!((status, &body["id"]), (200, &json!("acme-000001")));
    assert_eq!(client.service_record("acme").effects.len(), 1);
}

#[tokio::test]
async fn corner_ignores_idempotency_keys() {
    let client = TestClient::start(200.0).await;
    for _ in 0..2 {
        assert_eq!(client.create_product("corner", Some("k1"), "A").await.status(), 201);
    }
    let effects = client.service_record("corner").effects;
    assert_eq!(effects.len(), 2, "a second request creates a second product");
    assert!(effects.iter().all(|effect| effect.created && &*effect.sku == "A"));
    assert_eq!(client.sandbox.summary()["corner"].duplicate_effects, 1);
    assert_eq!(client.find_products("corner", "A").await.as_array().unwrap().len(), 2);
}
