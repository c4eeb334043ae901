//! The page of the machines and its forms, as a browser without scripts uses them.

use crate::support::{get_page, page_text, post_form, start_server};
use reqwest::{Response, StatusCode, header};
use serde_json::{Value, json};
use testbed::{ServerProcess, wait_until};

const WEB_1: &str = "i-0a1b2c3d4e5f60001";
const WEB_2: &str = "i-0a1b2c3d4e5f60002";
const FORM: &str = "/launch/machines";

/// Returns the names of the machines that a page lists.
fn listed(page: &str) -> Vec<&str> {
    let rows = page.split("data-machine=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap()).collect()
}

/// Returns the job that a form has launched.
async fn job_of(meanwhile: &ServerProcess, response: Response) -> Value {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", response.text().await.unwrap());
    let to = response.headers()[header::LOCATION].to_str().unwrap();
    let id = to.trim_start_matches("/jobs/").trim_end_matches("?accepted=1");
    meanwhile.api.get_json(&format!("/api/v1/jobs/{id}")).await.unwrap()
}

/// Returns the value of a hidden field.
fn field<'a>(page: &'a str, name: &str) -> &'a str {
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn the_url_filters_and_the_words_count() {
    let meanwhile = start_server().await;
    let all = get_page(&meanwhile, "/machines").await;
    assert_eq!(listed(&all).len(), 8);
    assert!(all.contains("8 machines"), "{all}");
    assert!(all.contains("7 can start, 1 can stop"), "{all}");
    assert!(all.contains(">Stopped 7</a>") && all.contains(">Running 1</a>"), "{all}");

    let stopped_web = get_page(&meanwhile, "/machines?state=stopped&q=WEB").await;
    assert_eq!(listed(&stopped_web), ["web-2"]);
    assert!(stopped_web.contains("1 of 8 machines"), "{stopped_web}");
    // The states are counted among those that match the rest.
    assert!(stopped_web.contains(">All 2</a>"), "{stopped_web}");
    assert!(stopped_web.contains("value=\"WEB\""), "the field keeps the text: {stopped_web}");

    // As an empty field of the form sends it, and by id.
    let by_id = get_page(&meanwhile, &format!("/machines?q={WEB_1}&state=&account=")).await;
    assert_eq!(listed(&by_id), ["web-1"]);
    let none = get_page(&meanwhile, "/machines?q=no-such").await;
    assert_eq!(listed(&none), [""; 0]);
    assert!(none.contains("No machines match."), "{none}");
    let alarm = "“status-{name}-{id}”, raised when the maximum of StatusCheckFailed is at least 1";
    assert!(all.contains(alarm), "{all}");
}

#[tokio::test]
async fn all_that_match_are_started_and_another_number_is_asked_about() {
    let meanwhile = start_server().await;
    let path = "/machines?q=-2&select=all";
    let page = get_page(&meanwhile, path).await;
    assert_eq!(listed(&page), ["batch-2", "web-2"]);
    assert!(page.contains(">Start 2 machines</button>"), "{page}");
    assert!(!page.contains(">Stop "), "none of them can stop: {page}");
    assert_eq!((field(&page, "can_start"), field(&page, "can_stop")), ("2", "0"));

    // Somebody else has started one since.
    let form = format!("{FORM}?q=-2&select=all");
    let (action, key) = (("action", "start"), ("key", "of-the-form"));
    let asked = post_form(&meanwhile, &form, &[key, action, ("can_start", "3")]).await;
    assert_eq!(asked.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let asked = page_text(asked).await;
    assert!(asked.contains("Start 2 machines?") && asked.contains("batch-2 and web-2"), "{asked}");
    let jobs = meanwhile.api.get_json("/api/v1/jobs").await.unwrap();
    assert_eq!(jobs["items"], json!([]));
    // The question is answered for those machines, whatever matches by then.
    let ids = field(&asked, "pasted");
    let answer = [key, action, ("pasted", ids), ("confirmed", "yes")];
    let job = job_of(&meanwhile, post_form(&meanwhile, &form, &answer).await).await;
    assert_eq!((&job["total"], &job["title"]), (&json!(2), &json!("Start 2 machines")));

    let form = format!("{FORM}?q=web-1&select=all");
    let none = post_form(&meanwhile, &form, &[action, ("can_start", "1")]).await;
    assert_eq!(none.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let words = "None of the selected machines is stopped, so none can start.";
    assert!(none.text().await.unwrap().contains(words));
}

#[tokio::test]
async fn selected_machines_that_changed_are_asked_about_and_not_dropped_silently() {
    let meanwhile = start_server().await;
    // web-1 runs already.
    let fields = [("key", "a"), ("action", "start"), ("ids", WEB_1), ("ids", WEB_2)];
    let asked = post_form(&meanwhile, FORM, &fields).await;
    assert_eq!(asked.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let asked = page_text(asked).await;
    assert!(asked.contains("Start 1 machine?") && asked.contains("web-2"), "{asked}");
    assert_eq!(field(&asked, "pasted"), WEB_2);

    // A stop would interrupt nobody who uses web-2, which is stopped.
    let fields = [("key", "b"), ("action", "stop"), ("pasted", WEB_2)];
    let refused = post_form(&meanwhile, FORM, &fields).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let words = "None of the selected machines is running, so none can stop.";
    assert!(page_text(refused).await.contains(words));

    // Nothing would remain without the only one.
    let fields = [("key", "c"), ("action", "start"), ("pasted", "i-0123456789abcdef0")];
    let asked = page_text(post_form(&meanwhile, FORM, &fields).await).await;
    assert!(asked.contains("Start it anyway") && !asked.contains("Leave it out"), "{asked}");
    let jobs = meanwhile.api.get_json("/api/v1/jobs").await.unwrap();
    assert_eq!(jobs["items"], json!([]));
}

#[tokio::test]
async fn a_stop_is_confirmed_and_only_then_accepted() {
    let meanwhile = start_server().await;
    // Only running machines count: web-2 is stopped.
    let fields = [("key", "a"), ("action", "stop"), ("ids", WEB_1), ("ids", WEB_2)];
    let asked = post_form(&meanwhile, FORM, &fields).await;
    assert_eq!(asked.status(), StatusCode::OK);
    let asked = page_text(asked).await;
    assert!(asked.contains("Stop web-1?"), "{asked}");
    assert!(asked.contains("interrupts everyone"), "{asked}");
    assert!(asked.contains("Another one that you selected is not running"), "{asked}");
    assert!(asked.contains(">Stop 1 machine</button>"), "{asked}");
    assert_eq!(listed(&asked), [""; 0], "the question stands alone");
    let jobs = meanwhile.api.get_json("/api/v1/jobs").await.unwrap();
    assert_eq!(jobs["items"], json!([]), "nothing is stopped yet");

    let ids = field(&asked, "pasted");
    let confirmed = [("key", "a"), ("action", "stop"), ("pasted", ids), ("confirmed", "yes")];
    let job = job_of(&meanwhile, post_form(&meanwhile, FORM, &confirmed).await).await;
    assert_eq!((&job["kind"], &job["title"]), (&json!("ec2_stops"), &json!("Stop web-1")));
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    wait_until("the machine is stopped", async || {
        meanwhile.api.get_json(&path).await.unwrap()["state"] == "succeeded"
    })
    .await;
    wait_until("the list has it stopped", async || {
        get_page(&meanwhile, "/machines?state=running").await.contains("No machines match.")
    })
    .await;
    let page = get_page(&meanwhile, "/machines?q=web-1").await;
    assert!(page.contains("Stop done"), "{page}");
    let ledger = meanwhile.api.ledger().await.unwrap().remove("ec2").unwrap();
    assert_eq!(ledger.effects.iter().filter(|it| it.action == "StopInstances").count(), 1);
}

#[tokio::test]
async fn one_key_starts_and_stops_no_machine_with_one_job() {
    let meanwhile = start_server().await;
    let fields = [("key", "a"), ("pasted", WEB_2), ("action", "start")];
    let started = job_of(&meanwhile, post_form(&meanwhile, FORM, &fields).await).await;
    assert_eq!(started["kind"], "ec2_starts");
    let fields = [("key", "a"), ("pasted", WEB_2), ("action", "stop"), ("confirmed", "yes")];
    let refused = post_form(&meanwhile, FORM, &fields).await;
    let to = refused.headers()[header::LOCATION].to_str().unwrap();
    assert!(to.starts_with("/machines?problem=This%20form%20was%20already%20sent"), "{to}");
}
