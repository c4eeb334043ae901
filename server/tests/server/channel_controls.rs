//! What admins do with channels: pause, change pace, check; and the audit log.

use crate::support::{BINARY, start_server};
use contract::{
    api::{AuditAction, AuditEntry, Page, UpstreamCheck, UpstreamStatus, WaitReason},
    timestamp,
    websocket::ServerFrame,
};
use reqwest::{StatusCode, header, redirect};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, time::Duration};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, SandboxConfig, WebSocketClient,
    api::{CHANNEL_COUNT, product_csv},
    wait_until,
};
use tokio::time::timeout;

const HOUR_MS: i64 = 3_600_000;

/// Returns a time from now as a request has it.
fn from_now(ms: i64) -> String {
    timestamp::format(now_plus(ms))
}

/// Returns a time from now, UTC ms, by this machine's clock.
fn now_plus(ms: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() + ms
}

async fn post(api: &ApiClient, path: &str, body: Value) -> (StatusCode, Value) {
    let response = api.post(&format!("/api/v1{path}")).json(&body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn acme(api: &ApiClient) -> UpstreamStatus {
    serde_json::from_value(api.get_json("/api/v1/channels/acme").await.unwrap()).unwrap()
}

async fn audit(api: &ApiClient) -> Vec<AuditEntry> {
    let page = api.get_json("/api/v1/audit").await.unwrap();
    serde_json::from_value::<Page<AuditEntry>>(page).unwrap().items
}

/// A change between the page and its socket would be lost otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn each_new_socket_gets_the_state_of_all_channels() {
    let server = start_server().await;
    for _ in 0..2 {
        let (mut socket, _) = WebSocketClient::open_at_head(&server.api).await.unwrap();
        let all = async {
            let mut ids = BTreeSet::new();
            while ids.len() < CHANNEL_COUNT {
                if let ServerFrame::Channel(channel) = socket.next_frame().await.unwrap().frame {
                    ids.insert(channel.id);
                }
            }
        };
        timeout(Duration::from_secs(60), all).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_items_says_why_and_survives_a_restart() {
    let mut server = start_server().await;
    // Slow enough for an estimate without a measurement.
    let (status, _) = post(&server.api, "/channels/acme/pace", json!({ "rate": 5 })).await;
    assert_eq!(status, StatusCode::OK);
    let until = now_plus(HOUR_MS);
    let pause = json!({ "until": timestamp::format(until), "note": "price review" });
    let (status, body) = post(&server.api, "/channels/acme/pause", pause).await;
    assert_eq!(
        (status, &body["pause"]["until"]),
        (StatusCode::OK, &json!(timestamp::format(until))),
        "{body}"
    );
    let job = server.api.upload_to_channels("acme", product_csv(30), "one").await.unwrap();
    server.stop().await.unwrap();
    server.spawn().await.unwrap();
    let other = server.api.upload_to_channels("corner", product_csv(2), "two").await.unwrap();
    wait_until("the other channel", async || {
        server.api.job(other.id).await.unwrap().counts.open == 0
    })
    .await;
    for task in server.api.tasks(job.id).await.unwrap() {
        let waiting = task.waiting_for.unwrap();
        assert_eq!((waiting.reason, waiting.until), (WaitReason::Paused, Some(until)));
        let detail = "Paused by ada@example.com: price review.";
        assert_eq!(waiting.detail.as_deref(), Some(detail));
    }
    let counts = server.api.job(job.id).await.unwrap().counts;
    assert_eq!((counts.total, counts.open), (30, 30), "nothing was sent");
    let status = acme(&server.api).await;
    assert_eq!((status.queue[0].open, status.queue[0].job), (30, job.id));
    // The estimate of what is launched next contains the pause.
    let path = "/api/v1/jobs/product-uploads?channels=acme&dry_run=true";
    let dry_run = server.api.post(path).body(product_csv(5)).send().await.unwrap();
    let dry_run: Value = dry_run.json().await.unwrap();
    let min_ms = dry_run["estimate"]["min_ms"].as_i64().unwrap();
    assert!(min_ms > HOUR_MS / 2, "{dry_run}");

    let (status, _) = post(&server.api, "/channels/acme/resume", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(acme(&server.api).await.pause, None);
    wait_until("the paused job", async || server.api.job(job.id).await.unwrap().counts.open == 0)
        .await;
    let actions: Vec<_> = audit(&server.api).await.iter().map(|entry| entry.action).collect();
    let expected = [
        AuditAction::UpstreamResumed,
        AuditAction::JobLaunched,
        AuditAction::JobLaunched,
        AuditAction::UpstreamPaused,
        AuditAction::UpstreamPaceChanged,
    ];
    assert_eq!(actions, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn pace_is_reduced_up_to_the_configured_one_and_back() {
    let mut server = start_server().await;
    let configured = acme(&server.api).await.limits[0].rate;
    for (rate, words) in [
        (json!(configured + 1.0), "The pace has to be 0.2 to 40 requests per second."),
        (json!(0), "The pace has to be 0.2 to 40"),
        (json!(-1), "The pace has to be 0.2 to 40"),
        (json!("fast"), "`rate` has to be a number, but is the text \"fast\"."),
    ] {
        let body = json!({ "rate": rate });
        let (status, problem) = post(&server.api, "/channels/acme/pace", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with(words), "{detail}");
    }
    let (status, _) = post(&server.api, "/channels/acme/pace", json!({ "rate": 5 })).await;
    assert_eq!(status, StatusCode::OK);
    server.stop().await.unwrap();
    server.spawn().await.unwrap();
    let limit = acme(&server.api).await.limits.remove(0);
    assert_eq!((limit.rate, limit.reduced_rate), (configured, Some(5.0)));
    let current = limit.current_rate.unwrap();
    assert!((current - 4.85).abs() < 0.01, "{current}");
    let channels = server.api.channels().await.unwrap();
    let channel = channels.iter().find(|channel| channel.id == "acme").unwrap();
    assert_eq!((channel.rate, channel.reduced_rate), (configured, Some(5.0)));
    let (status, body) = post(&server.api, "/channels/acme/pace", json!({ "rate": null })).await;
    assert_eq!((status, &body["limits"][0]["reduced_rate"]), (StatusCode::OK, &Value::Null));
    let entries = audit(&server.api).await;
    let [back, reduced] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((&back.before, &back.after), (&Some(json!(5.0)), &None));
    assert_eq!((&reduced.before, &reduced.after), (&None, &Some(json!(5.0))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_the_service_answers_even_during_a_pause() {
    let server = start_server().await;
    let pause = json!({ "until": from_now(HOUR_MS) });
    assert_eq!(post(&server.api, "/channels/acme/pause", pause).await.0, StatusCode::OK);
    let (status, body) = post(&server.api, "/channels/acme/check", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let check: UpstreamCheck = serde_json::from_value(body).unwrap();
    assert!(check.ok, "{check:?}");
    assert_eq!(check.says, "the simulated channel is ready");
    let known = acme(&server.api).await.last_check.unwrap();
    assert_eq!((known.ok, known.says), (true, check.says));
    let (status, body) = post(&server.api, "/channels/machines/check", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["says"].as_str().unwrap().ends_with(" machines"), "{body}");
    for path in ["/channels/nowhere/check", "/channels/nowhere/resume"] {
        assert_eq!(post(&server.api, path, json!({})).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_that_make_no_sense_are_refused() {
    let server = start_server().await;
    for (body, words) in [
        (json!({ "until": from_now(-1_000) }), "The pause has to end in the future."),
        (json!({ "until": from_now(31 * 24 * HOUR_MS) }), "A pause may last 30 days."),
        (json!({ "until": from_now(HOUR_MS), "note": "x".repeat(201) }), "The note has 201"),
        (json!({ "until": from_now(HOUR_MS), "why": "" }), "There is no field `why`. Known: until"),
        (json!({ "until": "soon" }), "`until`: a time has to be written like"),
        (json!({ "until": now_plus(HOUR_MS) }), "`until` has to be a"),
    ] {
        let (status, problem) = post(&server.api, "/channels/acme/pause", body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with(words), "{problem}");
    }
    assert_eq!(audit(&server.api).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_channels_and_change_none() {
    let server = start_server().await;
    let bob = server.api.invite_user("bob@example.com", server.api.port).await.unwrap();
    let pause = json!({ "until": from_now(HOUR_MS), "note": "sale" });
    assert_eq!(post(&server.api, "/channels/acme/pause", pause.clone()).await.0, StatusCode::OK);
    server.api.upload_named_file("secret-prices.csv", product_csv(7), "one").await.unwrap();
    let own = bob.upload_named_file("bobs.csv", product_csv(2), "two").await.unwrap();
    for (path, body) in [
        ("/channels/acme/pause", pause),
        ("/channels/acme/resume", json!({})),
        ("/channels/acme/pace", json!({ "rate": 1 })),
        ("/channels/acme/check", json!({})),
    ] {
        assert_eq!(post(&bob, path, body).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let form = [("for", "1h"), ("rate", "1")];
    for what in ["pause", "resume", "pace", "check"] {
        let path = format!("/channels/acme/{what}");
        let answer = bob.post(&path).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(bob.get("/api/v1/audit").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let status = acme(&bob).await;
    assert_eq!(status.pause.unwrap().note, "sale");
    assert_eq!(status.queue.iter().map(|entry| entry.job).collect::<Vec<_>>(), [own.id]);
    assert_eq!(status.other_open, 7);
    let page = bob.get("/channels").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Paused until"), "{page}");
    assert!(!page.contains("secret-prices"), "{page}");
    assert!(!page.contains("Pause for everybody"), "{page}");
    let admins = server.api.get("/channels").send().await.unwrap().text().await.unwrap();
    assert!(admins.contains("secret-prices") && admins.contains("bobs.csv"), "{admins}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_work_without_scripts_and_say_what_is_wrong() {
    let server = start_server().await;
    let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let send = async |what: &str, form: &[(&str, &str)]| {
        let path = format!("/channels/acme/{what}");
        let request = client.post(server.api.url(&path)).form(form);
        let request = request.header(header::ORIGIN, server.api.base_url());
        let answer = request.header(header::COOKIE, &server.api.cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{what} {form:?}");
        answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
    };
    assert_eq!(send("pause", &[("for", "1h"), ("until", ""), ("note", "sale")]).await, "/channels");
    let wait_ms = acme(&server.api).await.pause.unwrap().until - now_plus(0);
    assert!((HOUR_MS - 60_000..=HOUR_MS).contains(&wait_ms), "{wait_ms}");
    assert_eq!(send("resume", &[]).await, "/channels");
    assert_eq!(acme(&server.api).await.pause, None);
    assert_eq!(send("pace", &[("limit", "acme"), ("rate", "7,5")]).await, "/channels");
    assert_eq!(acme(&server.api).await.limits[0].reduced_rate, Some(7.5));
    let reset = [("limit", "acme"), ("rate", "7.5"), ("reset", "true")];
    assert_eq!(send("pace", &reset).await, "/channels");
    assert_eq!(acme(&server.api).await.limits[0].reduced_rate, None);
    assert_eq!(send("check", &[]).await, "/channels");
    assert!(acme(&server.api).await.last_check.unwrap().ok);
    let past = "2001-01-01T00:00";
    for (what, form, words, kept) in [
        ("pause", [("note", "sale & more"), ("until", "soon")], "Say how long", "sale &amp; more"),
        ("pause", [("for", "tomorrow"), ("until", past)], "in the future", past),
        ("pace", [("limit", "acme"), ("rate", "2,x")], "number of requests", "2,x"),
        ("pace", [("limit", "corner"), ("rate", "1")], "There is no limit corner. Choose", "acme"),
    ] {
        let location = send(what, &form).await;
        let (page, anchor) = location.split_once('#').unwrap();
        assert_eq!(anchor, format!("{what}-acme"), "{location}");
        assert!(page.starts_with("/channels?form="), "{location}");
        let request = server.api.get(page).header("sec-fetch-site", "same-origin");
        let html = request.send().await.unwrap().text().await.unwrap();
        // The form is open, and has the problem, which names the channel, and what was typed.
        let (_, details) = html.split_once(&format!("id=\"{anchor}\"")).unwrap();
        let (tag, _) = details.split_once('>').unwrap();
        assert!(tag.contains("open"), "{tag}");
        let (form, _) = details.split_once("</details>").unwrap();
        let (_, problem) = form.split_once("data-testid=\"problem\"").unwrap();
        let (_, problem) = problem.split_once('>').unwrap();
        assert!(problem.starts_with("Acme: "), "{problem}");
        assert!(problem.contains(words) && form.contains(kept), "{form}");
        // Another site can't put text into the page.
        let linked = server.api.get(page).header("sec-fetch-site", "cross-site");
        let html = linked.send().await.unwrap().text().await.unwrap();
        assert!(!html.contains(words), "{html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_follows_within_seconds_and_a_lost_redis_changes_nothing() {
    let config = ClusterConfig {
        web: 2,
        workers: 1,
        lease_s: 20,
        small_disk: false,
        sandbox_config: SandboxConfig::without_faults(20.0),
    };
    let options = ClusterOptions { without_proxies: true, ..ClusterOptions::default() };
    let mut cluster = Cluster::start_with(Path::new(BINARY), config, options).await.unwrap();
    let ada = cluster.signed_in_clients().await.unwrap();
    let pause = json!({ "until": from_now(HOUR_MS) });
    assert_eq!(post(&ada[0], "/channels/acme/pause", pause).await.0, StatusCode::OK);
    wait_until("the other node", async || acme(&ada[1]).await.pause.is_some()).await;
    cluster.redis.kill();
    cluster.redis.spawn();
    let job = ada[1].upload_to_channels("acme", product_csv(10), "one").await.unwrap();
    let other = ada[1].upload_to_channels("corner", product_csv(2), "two").await.unwrap();
    wait_until("the other channel", async || ada[0].job(other.id).await.unwrap().counts.open == 0)
        .await;
    assert_eq!(ada[0].job(job.id).await.unwrap().counts.open, 10);
    assert_eq!(post(&ada[1], "/channels/acme/resume", json!({})).await.0, StatusCode::OK);
    wait_until("the paused job", async || ada[0].job(job.id).await.unwrap().counts.open == 0).await;
    assert_eq!(post(&ada[1], "/channels/acme/pace", json!({ "rate": 3 })).await.0, StatusCode::OK);
    wait_until("the other node", async || acme(&ada[0]).await.limits[0].reduced_rate == Some(3.0))
        .await;
}
