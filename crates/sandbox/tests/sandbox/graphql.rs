//! Depot, the channel with a GraphQL API.

use serde_json::{Value, json};

use crate::client::{TestClient, retry_after, status_and_json};

const FIND: &str = "query Find($handle: String!, $sku: String!) { product { id } }";
const SET: &str = "mutation Set($identifier: ProductSetIdentifiers!) { productSet { id } }";
/// Speed at which a second takes a quarter of an hour.
const STANDSTILL: f64 = 0.001;

fn input(handle: &str, sku: &str, price: &str) -> Value {
    json!({
        "handle": handle, "title": "Desk lamp", "variants": [{ "sku": sku, "price": price }],
    })
}

async fn set(client: &TestClient, identifier: Value, input: Value) -> Value {
    let sent = client.graphql(SET, json!({ "identifier": identifier, "input": input })).await;
    let (status, body) = status_and_json(sent).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn set_by_handle(client: &TestClient, handle: &str, sku: &str, price: &str) -> Value {
    set(client, json!({ "handle": handle }), input(handle, sku, price)).await
}

async fn find(client: &TestClient, handle: &str, sku: &str) -> Value {
    let sku = format!("sku:\"{sku}\"");
    let found = client.graphql(FIND, json!({ "handle": handle, "sku": sku })).await;
    let (status, body) = status_and_json(found).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

/// Returns what the ledger says about errors and effects.
fn recorded(client: &TestClient) -> (Vec<String>, Vec<(bool, bool)>) {
    let record = client.service_record("depot");
    let errors = record.requests.iter().filter_map(|request| request.error);
    let effects = record.effects.iter().map(|effect| (effect.created, effect.updated));
    (errors.map(|error| format!("{error:?}")).collect(), effects.collect())
}

#[tokio::test]
async fn a_product_is_created_and_changed_by_its_handle_and_found_by_a_sku() {
    let client = TestClient::start(200.0).await;
    let created = set_by_handle(&client, "lamp", "A", "5.00").await;
    let id = created["data"]["productSet"]["product"]["id"].clone();
    assert_eq!(id, "gid://depot/Product/1");
    for price in ["5.00", "6.00"] {
        let answer = set_by_handle(&client, "lamp", "A", price).await;
        assert_eq!(answer["data"]["productSet"]["product"]["id"], id);
    }
    let by_id = json!({ "title": "Table lamp" });
    set(&client, json!({ "id": id }), by_id).await;
    let found = find(&client, "lamp", "A").await;
    let product = &found["product"];
    assert_eq!((&product["title"], &product["handle"]), (&json!("Table lamp"), &json!("lamp")));
    assert_eq!(product["variants"]["nodes"], json!([{ "sku": "A", "price": "6.00" }]));
    assert_eq!(found["bySku"]["nodes"], json!([{ "sku": "A", "product": product }]));
    assert!(product["updatedAt"].as_str() > product["createdAt"].as_str(), "{product}");
    let other_handle = find(&client, "other", "A").await;
    assert_eq!(other_handle["product"], Value::Null);
    assert_eq!(other_handle["bySku"]["nodes"].as_array().map(Vec::len), Some(1));
    // The second call changed nothing.
    assert_eq!(recorded(&client), (vec![], vec![(true, false), (false, true), (false, true)]));
    let summary = &client.sandbox.summary()["depot"];
    assert_eq!((summary.effects, summary.updates, summary.duplicate_effects), (1, 2, 0));
}

#[tokio::test]
async fn a_variant_that_is_not_sent_again_is_not_found_any_more() {
    let client = TestClient::start(200.0).await;
    set_by_handle(&client, "lamp", "A", "5.00").await;
    set_by_handle(&client, "lamp", "B", "5.00").await;
    assert_eq!(find(&client, "other", "A").await["bySku"]["nodes"], json!([]));
    assert_eq!(find(&client, "other", "B").await["bySku"]["nodes"][0]["product"]["handle"], "lamp");
}

#[tokio::test]
async fn errors_come_with_the_status_200() {
    let client = TestClient::start(200.0).await;
    let user_error = |body: &Value| body["data"]["productSet"]["userErrors"][0]["code"].clone();
    let error = |body: &Value| body["errors"][0]["extensions"]["code"].clone();
    let rejected = set_by_handle(&client, "lamp", "A-SBX-REJECT", "5.00").await;
    assert_eq!(user_error(&rejected), "INVALID_INPUT");
    let other = set(&client, json!({ "handle": "x" }), input("y", "A", "5.00")).await;
    assert_eq!(user_error(&other), "INPUT_MISMATCH");
    let unknown = json!({ "id": "gid://depot/Product/7" });
    let missing = set(&client, unknown, input("y", "A", "5.00")).await;
    assert_eq!(user_error(&missing), "PRODUCT_DOES_NOT_EXIST");
    let untitled = json!({ "handle": "y", "variants": [{ "sku": "A" }] });
    let untitled = set(&client, json!({ "handle": "y" }), untitled).await;
    assert_eq!(user_error(&untitled), "MISSING_FIELD_REQUIRED");
    let failed = set_by_handle(&client, "lamp", "A-SBX-500ONCE", "5.00").await;
    assert_eq!(error(&failed), "INTERNAL_SERVER_ERROR");
    let strange = client.graphql("mutation Delete { productDelete { id } }", json!({})).await;
    assert_eq!(error(&strange.json().await.unwrap()), "BAD_REQUEST");
    let rest = format!("{}/channels/depot/products?sku=A", client.sandbox.base_url());
    assert_eq!(client.http.get(rest).send().await.unwrap().status(), 404);
    let errors = ["Rejected", "Rejected", "Rejected", "Rejected", "Internal", "Invalid"];
    assert_eq!(recorded(&client), (errors.map(String::from).into(), vec![]));
}

#[tokio::test]
async fn operations_take_points_and_are_throttled_when_too_few_are_left() {
    let client = TestClient::start(STANDSTILL).await;
    let check = async || {
        let body: Value =
            client.graphql("query Check { x }", json!({})).await.json().await.unwrap();
        body["extensions"]["cost"].clone()
    };
    let cost = check().await;
    assert_eq!((&cost["requestedQueryCost"], &cost["actualQueryCost"]), (&json!(1), &json!(1)));
    let status = &cost["throttleStatus"];
    assert_eq!(status["maximumAvailable"], 100);
    assert_eq!(status["restoreRate"], 0.025);
    assert_eq!(status["currentlyAvailable"], 99.0);
    for _ in 0..98 {
        check().await;
    }
    // One point is left, and a change takes 11.
    let throttled = set_by_handle(&client, "lamp", "A", "5.00").await;
    assert_eq!(throttled["errors"][0]["extensions"]["code"], "THROTTLED");
    let cost = &throttled["extensions"]["cost"];
    assert_eq!((&cost["requestedQueryCost"], &cost["actualQueryCost"]), (&json!(11), &Value::Null));
    let (errors, effects) = recorded(&client);
    assert_eq!((errors, effects), (vec!["Throttled".into()], vec![]));
    let last = client.service_record("depot").requests.pop().unwrap();
    assert_eq!((last.over_limit, last.cost, last.status), (true, None, Some(200)));
    assert_eq!(client.sandbox.summary()["depot"].over_limit, 1);
}

#[tokio::test]
async fn a_find_that_finds_nothing_gets_points_back() {
    let client = TestClient::start(1.0).await;
    find(&client, "lamp", "A").await;
    assert_eq!(client.service_record("depot").requests[0].cost, Some(3));
}

#[tokio::test]
async fn a_cooldown_is_a_429_and_a_lost_answer_has_its_effect() {
    let client = TestClient::start(100.0).await;
    let variables =
        |sku: &str| json!({ "identifier": { "handle": sku }, "input": input(sku, sku, "5.00") });
    let rejected = client.graphql(SET, variables("A-SBX-429ONCE")).await;
    assert_eq!((rejected.status().as_u16(), retry_after(&rejected)), (429, "1"));
    let during = client.graphql("query Check { x }", json!({})).await;
    assert_eq!(during.status(), 429);
    assert!(client.service_record("depot").requests[1].during_cooldown);

    let client = TestClient::start(100.0).await;
    let url = format!("{}/channels/depot/graphql.json", client.sandbox.base_url());
    let body = json!({ "query": SET, "variables": variables("A-SBX-DROPONCE") });
    assert!(client.http.post(url).json(&body).send().await.is_err());
    assert_eq!(recorded(&client), (vec![], vec![(true, false)]));
    let found = find(&client, "other", "A-SBX-DROPONCE").await;
    assert_eq!(found["bySku"]["nodes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn products_and_used_points_survive_a_restart() {
    let client = TestClient::start(200.0).await;
    for price in ["5.00", "6.00"] {
        set_by_handle(&client, "lamp", "A", price).await;
    }
    let (before, ledger) = (find(&client, "lamp", "A").await, client.get("/ledger").await);
    let client = client.restart(200.0).await;
    assert_eq!(client.get("/ledger").await, ledger);
    assert_eq!(find(&client, "lamp", "A").await, before);
    let second = set_by_handle(&client, "vase", "B", "5.00").await;
    assert_eq!(second["data"]["productSet"]["product"]["id"], "gid://depot/Product/2");

    let client = TestClient::start(STANDSTILL).await;
    for _ in 0..95 {
        client.graphql("query Check { x }", json!({})).await;
    }
    let client = client.restart(STANDSTILL).await;
    let throttled = set_by_handle(&client, "lamp", "A", "5.00").await;
    assert_eq!(throttled["errors"][0]["extensions"]["code"], "THROTTLED");
}
