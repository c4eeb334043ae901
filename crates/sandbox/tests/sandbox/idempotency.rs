use serde_json::json;

use crate::client::{Client, json_of, product};

#[tokio::test]
async fn acme_answers_a_known_key_with_the_first_answer() {
    let client = Client::start(100.0).await;
    let first = json_of(client.make("acme", Some("k1"), "A").await).await;
    assert_eq!(first, (201, json!({ "id": "acme-000001", "sku": "A" })));
    let second = json_of(client.make("acme", Some("k1"), "A").await).await;
    assert_eq!(second, (200, json!({ "id": "acme-000001", "sku": "A" })));
    assert_eq!(client.record("acme").effects.len(), 1);
    assert_eq!(client.record("acme").requests[1].key.as_deref(), Some("k1"));
}

#[tokio::test]
async fn a_key_in_flight_waits_for_the_first_answer() {
    let client = Client::start(5.0).await;
    let both =
        tokio::join!(client.make("acme", Some("k1"), "A"), client.make("acme", Some("k1"), "A"));
    let (first, second) = (json_of(both.0).await, json_of(both.1).await);
    let mut statuses = [first.0, second.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(first.1, second.1);
    let record = client.record("acme");
    assert_eq!(record.effects.len(), 1);
    assert!(record.requests[1].at_ms < record.effects[0].at_ms, "they were not in flight at once");
}

#[tokio::test]
async fn another_body_under_the_same_key_is_refused() {
    let client = Client::start(100.0).await;
    client.make("acme", Some("k1"), "A").await;
    let (status, body) = json_of(client.make("acme", Some("k1"), "B").await).await;
    assert_eq!((status, &body["error"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(client.record("acme").effects.len(), 1);
}

#[tokio::test]
async fn a_key_is_free_again_after_a_500() {
    let client = Client::start(100.0).await;
    let sku = "A-SBX-500ONCE";
    assert_eq!(client.make("acme", Some("k1"), sku).await.status(), 500);
    assert!(client.record("acme").effects.is_empty());
    assert_eq!(client.make("acme", Some("k1"), sku).await.status(), 201);
}

#[tokio::test]
async fn a_key_whose_answer_was_dropped_is_known() {
    let client = Client::start(100.0).await;
    let sku = "A-SBX-DROPONCE";
    assert!(client.request("acme", Some("k1"), &product(sku)).send().await.is_err());
    let (status, body) = json_of(client.make("acme", Some("k1"), sku).await).await;
    assert_eq!((status, &body["id"]), (200, &json!("acme-000001")));
    assert_eq!(client.record("acme").effects.len(), 1);
}

#[tokio::test]
async fn corner_knows_no_keys() {
    let client = Client::start(200.0).await;
    for _ in 0..2 {
        assert_eq!(client.make("corner", Some("k1"), "A").await.status(), 201);
    }
    let effects = client.record("corner").effects;
    assert_eq!(effects.len(), 2, "a second request makes a second product");
    assert!(effects.iter().all(|effect| effect.created && &*effect.sku == "A"));
    assert_eq!(client.sandbox.summary()["corner"].duplicate_effects, 1);
    assert_eq!(client.find("corner", "A").await.as_array().unwrap().len(), 2);
}
