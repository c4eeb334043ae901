//! Ids of machines as people paste and programs send them.

use crate::support::{post_form, start_server};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testbed::{ServerProcess, wait_until};

const WEB_2: &str = "i-0a1b2c3d4e5f60002";
const BATCH_1: &str = "i-0a1b2c3d4e5f60003";
/// Has the shape of an id, and no machine of the account has it.
const UNKNOWN: &str = "i-0000000000000dead";

async fn post_ids(meanwhile: &ServerProcess, ids: Value) -> (StatusCode, Value) {
    let request = meanwhile.api.post("/api/v1/jobs/ec2-starts");
    let response = request.json(&json!({ "instance_ids": ids })).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Waits until a job has ended, and returns the state and the message of its start of each
/// machine.
async fn start_results(meanwhile: &ServerProcess, launched: &Value) -> BTreeMap<String, Value> {
    let job = format!("/api/v1/jobs/{}", launched["job"]["id"].as_str().unwrap());
    wait_until("the machines are started", async || {
        meanwhile.api.get_json(&job).await.unwrap()["state"] != "running"
    })
    .await;
    let tasks = meanwhile.api.get_json(&format!("{job}/tasks")).await.unwrap();
    let starts =
        tasks["items"].as_array().unwrap().iter().filter(|task| task["kind"] == "ec2.start");
    starts
        .map(|task| {
            let result = json!([task["state"], task["outcome"]["message"]]);
            (task["sku"].as_str().unwrap().to_owned(), result)
        })
        .collect()
}

#[tokio::test]
async fn pasted_ids_are_split_trimmed_and_started_once() {
    let meanwhile = start_server().await;
    let pasted =
        json!([format!("{WEB_2} "), format!(" {BATCH_1}\n"), format!("{BATCH_1},{WEB_2};")]);
    let (status, launched) = post_ids(&meanwhile, pasted).await;
    assert_eq!(
        (status, &launched["job"]["total"]),
        (StatusCode::ACCEPTED, &json!(2)),
        "{launched}"
    );
    let done = json!(["succeeded", "The machine is running."]);
    let expected = [(WEB_2.to_owned(), done.clone()), (BATCH_1.to_owned(), done)];
    assert_eq!(start_results(&meanwhile, &launched).await, BTreeMap::from(expected));

    // Starting them again is no failure, and says that there was nothing to do.
    let (_, again) = post_ids(&meanwhile, json!([WEB_2])).await;
    let running = json!(["succeeded", "The machine was running already."]);
    assert_eq!(start_results(&meanwhile, &again).await[WEB_2], running);
}

#[tokio::test]
async fn one_unknown_machine_does_not_keep_the_others_from_starting() {
    let meanwhile = start_server().await;
    let (status, launched) = post_ids(&meanwhile, json!([WEB_2, UNKNOWN, BATCH_1])).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{launched}");
    let results = start_results(&meanwhile, &launched).await;
    assert_eq!(
        (&results[WEB_2][0], &results[BATCH_1][0]),
        (&json!("succeeded"), &json!("succeeded"))
    );
    let reason = format!("The account “sandbox” has no machine {UNKNOWN} in eu-central-1.");
    assert_eq!(results[UNKNOWN], json!(["failed", reason]));
}

#[tokio::test]
async fn wrong_ids_are_refused_by_name_before_anything_is_stored() {
    let meanwhile = start_server().await;
    let (status, problem) = post_ids(&meanwhile, json!(["ma1", WEB_2, "web-server-01"])).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("“ma1” and “web-server-01” are not ids of machines"), "{detail}");
    assert!(detail.contains("8 or 17 hexadecimal digits"), "{detail}");
    for empty in [json!([]), json!([""]), json!([" ,\n"])] {
        let (status, problem) = post_ids(&meanwhile, empty).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["detail"], "Choose at least one machine.");
    }
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));
}

/// Sends the form of the machines as a browser does.
async fn send_form(meanwhile: &ServerProcess, fields: &[(&str, &str)]) -> Response {
    post_form(meanwhile, "/launch/machines", fields).await
}

#[tokio::test]
async fn form_asks_about_machines_that_the_account_does_not_have() {
    let meanwhile = start_server().await;
    let pasted = format!("{WEB_2}, {UNKNOWN}");
    let fields = [("key", "of-the-form"), ("pasted", pasted.as_str())];
    let asked = send_form(&meanwhile, &fields).await;
    assert_eq!(asked.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = asked.text().await.unwrap();
    let question = format!("{UNKNOWN} is not among the machines of the configured accounts.");
    assert!(page.contains(&question) && page.contains("Start it anyway?"), "{page}");
    assert!(page.contains(&pasted), "the pasted ids stay in the form: {page}");
    assert!(page.contains("name=\"key\" value=\"of-the-form\""), "{page}");
    assert_eq!(meanwhile.api.get_json("/api/v1/jobs").await.unwrap()["items"], json!([]));

    let total = async |fields: &[(&str, &str)]| {
        let accepted = send_form(&meanwhile, fields).await;
        assert_eq!(accepted.status(), StatusCode::SEE_OTHER);
        let to = accepted.headers()[header::LOCATION].to_str().unwrap();
        let job = to.trim_start_matches("/jobs/").trim_end_matches("?accepted=1");
        meanwhile.api.get_json(&format!("/api/v1/jobs/{job}")).await.unwrap()["total"].clone()
    };
    let answer = |word: &'static str| [fields[1], ("unknown", word)];
    assert_eq!(total(&answer("leave_out")).await, 1);
    assert_eq!(total(&answer("include")).await, 2);
    // Nothing is left.
    let nothing = send_form(&meanwhile, &[("pasted", UNKNOWN), ("unknown", "leave_out")]).await;
    let to = nothing.headers()[header::LOCATION].to_str().unwrap();
    assert_eq!(to, "/machines?problem=Choose%20at%20least%20one%20machine.");
}

#[tokio::test]
async fn form_shows_wrong_ids_and_keeps_them() {
    let meanwhile = start_server().await;
    let refused = send_form(&meanwhile, &[("ids", WEB_2), ("pasted", "web-server-01")]).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = refused.text().await.unwrap();
    assert!(page.contains("“web-server-01” is not the id of a machine"), "{page}");
    assert!(page.contains(&format!("{WEB_2}\nweb-server-01")), "{page}");
}
