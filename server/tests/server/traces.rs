//! One trace from the request of a launch to the frames that report it, across all tasks that it
//! causes; and its export.

use crate::support::{BINARY, new_server};
use contract::{
    fact::{Fact, FactKind},
    trace_context::{TRACEPARENT, TraceContext},
    websocket::ServerFrame,
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use testbed::{
    ApiClient, Cluster, ClusterConfig, ClusterOptions, OtlpReceiver, RabbitTap, ReceivedSpan,
    SandboxConfig, ServerProcess, WebSocketClient, api::RecordedRequest, wait_until,
};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(60);
const EC2_STARTS: &str = "/api/v1/jobs/ec2-starts";
/// Trace of the client that launches.
const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parse(text: &str) -> TraceContext {
    TraceContext::parse(text).unwrap_or_else(|| panic!("{text:?} is no traceparent"))
}

fn span_id(context: TraceContext) -> String {
    format!("{:016x}", context.span_id)
}

fn response_context(response: &Response) -> TraceContext {
    parse(response.headers()[TRACEPARENT].to_str().unwrap())
}

fn fact_context(fact: &Fact) -> TraceContext {
    parse(fact.traceparent.as_deref().unwrap_or_else(|| panic!("no trace: {fact:?}")))
}

/// Starts the first stopped machine, and returns the context of the response and the job's id.
async fn start_machine(api: &ApiClient, traceparent: &str) -> (TraceContext, String) {
    let machines = api.get_json("/api/v1/instances").await.unwrap();
    let mut machines = machines["items"].as_array().unwrap().iter();
    let stopped = machines.find(|machine| machine["state"] == "stopped").unwrap();
    let launch = api.post(EC2_STARTS).header(TRACEPARENT, traceparent);
    let launch = launch.json(&json!({ "instance_ids": [stopped["id"]] })).send().await.unwrap();
    assert_eq!(launch.status(), StatusCode::ACCEPTED);
    let context = response_context(&launch);
    let job: Value = launch.json().await.unwrap();
    (context, job["job"]["id"].as_str().unwrap().to_owned())
}

/// Returns the facts that the socket receives, up to the end of the job.
async fn facts_until_finished(socket: &mut WebSocketClient<tokio::net::TcpStream>) -> Vec<Fact> {
    let mut facts = Vec::new();
    while facts.last().is_none_or(|fact: &Fact| fact.kind != FactKind::JobFinished) {
        let frame = timeout(TIMEOUT, socket.next_frame()).await.expect("no frame arrives");
        if let ServerFrame::Fact(fact) = frame.unwrap().frame {
            facts.push(fact);
        }
    }
    facts
}

/// Returns the requests of the sandbox's ledger that belong to a trace.
async fn recorded_requests(
    api: &ApiClient,
    trace: TraceContext,
) -> Vec<(RecordedRequest, TraceContext)> {
    let services = api.ledger().await.unwrap().into_values();
    let requests = services.flat_map(|service| service.requests);
    let with_context = requests.filter_map(|request| {
        let context = request.traceparent.as_deref().map(parse)?;
        (context.trace_id == trace.trace_id).then_some((request, context))
    });
    with_context.collect()
}

#[tokio::test]
async fn a_trace_reaches_the_services_and_the_facts_without_any_export() {
    let mut meanwhile = new_server().with_admin();
    meanwhile.set_env("MEANWHILE_SANDBOX_FAULTS", "false");
    // The HTTP client logs what it does for an attempt.
    meanwhile.set_env("RUST_LOG", "info,hyper_util=debug,reqwest=debug");
    meanwhile.spawn().await.unwrap();
    meanwhile.api.sign_in().await.unwrap();
    let (mut socket, _) = WebSocketClient::open_at_head(&meanwhile.api).await.unwrap();

    let (context, job) = start_machine(&meanwhile.api, CLIENT).await;
    assert_eq!(context.trace_id, parse(CLIENT).trace_id);
    assert_ne!(context.span_id, parse(CLIENT).span_id);
    let facts = facts_until_finished(&mut socket).await;
    assert!(facts.iter().any(|fact| fact.kind == FactKind::TaskCreated), "{facts:?}");
    for fact in &facts {
        assert_eq!(fact_context(fact).trace_id, context.trace_id, "{fact:?}");
    }
    // The request accepted the job; everything later was caused by attempts.
    assert_eq!(fact_context(&facts[0]), context);
    assert!(facts[1..].iter().all(|fact| fact_context(fact).span_id != context.span_id));
    let path = format!("/api/v1/jobs/{job}/journal");
    let journal = meanwhile.api.get_json(&path).await.unwrap();
    let journal: Vec<Fact> = serde_json::from_value(journal["items"].clone()).unwrap();
    assert_eq!(journal, facts);
    let requests = recorded_requests(&meanwhile.api, context).await;
    for action in ["StartInstances", "PutMetricAlarm"] {
        assert!(requests.iter().any(|(request, _)| request.action == action), "{requests:?}");
    }

    let prefix = format!("attempt{{trace_id={}}}", context.trace_id_text());
    assert!(meanwhile.read_log().contains(&prefix), "no log line of the attempts has {prefix}");

    // A new trace begins where there is none, or none that can be read, or two of them. It is
    // not recorded, as nothing is.
    let other = CLIENT.replace("-b7", "-c7");
    let mut seen = BTreeSet::from([context.trace_id]);
    for headers in [&[][..], &["yesterday"], &[CLIENT, &other]] {
        let request = headers.iter().fold(meanwhile.api.get("/api/v1/jobs"), |request, value| {
            request.header(TRACEPARENT, *value)
        });
        let context = response_context(&request.send().await.unwrap());
        assert!(seen.insert(context.trace_id), "{headers:?}");
        assert!(!context.is_sampled, "{headers:?}");
    }
}

/// Returns the name of the variable that makes a process export to `receiver`, and others that
/// make it hurry.
fn export_env(receiver: &OtlpReceiver) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".into()),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100".into()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_from_click_to_notice() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let config = ClusterConfig {
        web: 1,
        workers: 1,
        lease_s: 60,
        small_disk: false,
        sandbox_config: SandboxConfig::without_faults(20.0),
    };
    let options = ClusterOptions {
        without_proxies: true,
        env: export_env(&receiver),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start_with(Path::new(BINARY), config, options).await.unwrap();
    let queues = ["ec2.start", "alarm.create"].map(|kind| format!("meanwhile.q.{kind}.v1"));
    let mut tap = RabbitTap::start(&cluster.rabbit.url(), &queues).await.unwrap();
    let api = cluster.signed_in_clients().await.unwrap().remove(0);
    let (mut socket, _) = WebSocketClient::open_at_head(&api).await.unwrap();

    let (request, job) = start_machine(&api, CLIENT).await;
    let trace_id = request.trace_id_text();
    assert_eq!(request.trace_id, parse(CLIENT).trace_id);
    let facts = facts_until_finished(&mut socket).await;
    let journal = api.journal(job.parse().unwrap()).await.unwrap();
    assert_eq!(journal, facts);
    let alarm_span = fact_context(facts.last().unwrap());
    let mut received = Vec::new();
    wait_until("the last span is exported", async || {
        received = receiver.spans();
        received.iter().any(|span| span.span_id == span_id(alarm_span))
            && received.iter().any(|span| span.span_id == span_id(request))
    })
    .await;
    let spans: BTreeMap<_, _> = received
        .iter()
        .filter(|span| span.trace_id == trace_id)
        .map(|span| (span.span_id.as_str(), span))
        .collect();
    let find = |context: TraceContext| -> &ReceivedSpan {
        assert_eq!(context.trace_id, request.trace_id);
        spans.get(span_id(context).as_str()).unwrap_or_else(|| panic!("no span {context}"))
    };

    // The request continues the client's span, and nothing else does.
    let root = find(request);
    assert_eq!(
        (root.name.as_str(), &root.parent),
        ("POST /api/v1/jobs/ec2-starts", &Some(span_id(parse(CLIENT))))
    );
    assert_eq!(root.resource["service.name"], "meanwhile");
    for span in spans.values().filter(|span| span.span_id != root.span_id) {
        let parent = span.parent.as_deref().unwrap();
        assert!(spans.contains_key(parent), "{span:?} has no parent in the trace");
    }
    // Each attempt at the start is a child of the request; the alarm is one of the attempt that
    // caused it, which succeeded.
    let named = |name: &str| -> Vec<&ReceivedSpan> {
        spans.values().filter(|span| span.name == name).copied().collect()
    };
    let starts = named("process ec2.start");
    assert!(starts.iter().all(|span| span.parent.as_ref() == Some(&root.span_id)), "{starts:?}");
    let [alarm] = named("process alarm.create")[..] else { panic!("not one alarm: {spans:?}") };
    let cause = spans[alarm.parent.as_deref().unwrap()];
    assert_eq!(cause.name, "process ec2.start");
    assert_eq!(cause.attributes["meanwhile.outcome"], "running");
    assert!(spans.values().all(|span| span.error.is_none()), "{spans:?}");
    assert!(spans.values().all(|span| span.times.0 <= span.times.1), "{spans:?}");
    let worker = &alarm.resource["process.pid"];
    assert_ne!(&root.resource["process.pid"], worker, "web node and worker");

    // Facts carry the span that committed them, from the journal to the frame.
    assert_eq!(find(fact_context(&facts[0])).span_id, root.span_id);
    for fact in &facts[1..] {
        let span = find(fact_context(fact));
        assert!(span.name.starts_with("process "), "{fact:?} of {span:?}");
        let commits = spans.values().filter(|it| it.parent.as_ref() == Some(&span.span_id));
        assert_eq!(commits.filter(|it| it.name == "commit").count(), 1, "{span:?}");
    }
    let created = facts.iter().find(|fact| fact.kind == FactKind::TaskCreated).unwrap();
    assert_eq!(span_id(fact_context(created)), cause.span_id);

    // Each request that the services received is the span of a call by an attempt.
    let requests = recorded_requests(&api, request).await;
    let mut actions = BTreeSet::new();
    for (request, context) in &requests {
        let call = find(*context);
        assert!(call.name.ends_with(&request.action), "{call:?}");
        let attempt = spans[call.parent.as_deref().unwrap()];
        assert!(attempt.name.starts_with("process "), "{attempt:?}");
        actions.insert(request.action.as_str());
    }
    assert!(actions.is_superset(&["StartInstances", "PutMetricAlarm"].into()), "{actions:?}");

    // The messages on RabbitMQ have it in their header and in their envelope.
    let mut parents = BTreeMap::new();
    while parents.len() < 2 {
        let message = timeout(TIMEOUT, tap.next_with_traceparent()).await.expect("no message");
        let (bytes, header) = message.unwrap();
        let event: Value = serde_json::from_slice(&bytes).unwrap();
        let Some(header) = header else { continue };
        assert_eq!(event["traceparent"], header.as_str());
        parents.insert(event["type"].as_str().unwrap().to_owned(), span_id(parse(&header)));
    }
    assert_eq!(parents["ec2.start.v1"], root.span_id);
    assert_eq!(parents["alarm.create.v1"], cause.span_id);
}

async fn launch_noop(meanwhile: &ServerProcess, traceparent: Option<&str>) -> TraceContext {
    let mut launch = meanwhile.api.post("/api/v1/jobs/noops").json(&json!({ "count": 1 }));
    if let Some(traceparent) = traceparent {
        launch = launch.header(TRACEPARENT, traceparent);
    }
    let launch = launch.send().await.unwrap();
    assert_eq!(launch.status(), StatusCode::ACCEPTED);
    let context = response_context(&launch);
    let location = launch.headers()["location"].to_str().unwrap().to_owned();
    wait_until("the job finishes", async || {
        meanwhile.api.get_json(&location).await.unwrap()["state"] != "running"
    })
    .await;
    context
}

#[tokio::test]
async fn the_sampler_decides_what_is_exported_and_a_stop_loses_nothing() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let mut meanwhile = new_server().with_admin();
    for (name, value) in export_env(&receiver) {
        meanwhile.set_env(name, value);
    }
    // Nothing is exported before the stop.
    meanwhile.set_env("OTEL_BSP_SCHEDULE_DELAY", "600000");
    meanwhile.set_env("OTEL_SERVICE_NAME", "shop-uploads");
    meanwhile.set_env("MEANWHILE_NOOPS", "true");
    meanwhile.spawn().await.unwrap();
    meanwhile.api.sign_in().await.unwrap();
    let not_sampled = CLIENT.replace("-01", "-00");
    assert!(!launch_noop(&meanwhile, Some(&not_sampled)).await.is_sampled);
    assert!(launch_noop(&meanwhile, Some(&CLIENT.replace("0af", "1af"))).await.is_sampled);
    let own = launch_noop(&meanwhile, None).await;
    assert!(own.is_sampled);
    meanwhile.stop().await.unwrap();
    let spans = receiver.spans();
    let of_trace = |id: &str| spans.iter().filter(|span| span.trace_id == id).count();
    assert_eq!(of_trace("0af7651916cd43dd8448eb211c80319c"), 0, "{spans:?}");
    // The request, the attempt and its commit.
    assert_eq!(of_trace("1af7651916cd43dd8448eb211c80319c"), 3, "{spans:?}");
    assert_eq!(of_trace(&own.trace_id_text()), 3, "{spans:?}");
    assert!(spans.iter().all(|span| span.resource["service.name"] == "shop-uploads"));

    // Without a sample nothing is sent, whatever the client says.
    meanwhile.set_env("OTEL_TRACES_SAMPLER", "always_off");
    meanwhile.spawn().await.unwrap();
    let before = receiver.span_count();
    assert!(!launch_noop(&meanwhile, Some(CLIENT)).await.is_sampled);
    meanwhile.stop().await.unwrap();
    assert_eq!(receiver.span_count(), before);
}

#[tokio::test]
async fn metrics_and_log_lines_are_exported_without_secrets() {
    let receiver = OtlpReceiver::start().await.unwrap();
    let mut meanwhile = new_server().with_admin();
    for (name, value) in export_env(&receiver) {
        meanwhile.set_env(name, value);
    }
    meanwhile.set_env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hush-hush");
    // The endpoint of the last signal can't be reached, and its error has the credentials.
    meanwhile.set_env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:s3cret@127.0.0.1:1/");
    meanwhile.set_env("RUST_LOG", "info");
    meanwhile.set_env("MEANWHILE_NOOPS", "true");
    meanwhile.spawn().await.unwrap();
    meanwhile.api.sign_in().await.unwrap();
    launch_noop(&meanwhile, None).await;
    wait_until("the counters are exported", async || {
        let metrics = receiver.metrics();
        let find = |name| metrics.iter().rfind(|metric| metric.name == name);
        let finished = find("meanwhile_tasks_finished_total").map(|metric| format!("{metric:?}"));
        let duration = find("meanwhile_attempt_duration_seconds");
        let duration = duration.map(|metric| format!("{metric:?}"));
        finished.is_some_and(|it| it.contains("noop.run") && it.contains("AsDouble(1.0)"))
            && duration.is_some_and(|it| it.contains("bucket_counts") && it.contains("count: 1,"))
            && find("meanwhile_up").is_some()
    })
    .await;
    wait_until("the log lines are exported", async || {
        receiver.logs().iter().any(|log| log.text.starts_with("Meanwhile is ready"))
    })
    .await;
    // The exporter's own failures are logged, but not exported.
    wait_until("the failure is logged", async || {
        meanwhile.count_in_log("telemetry could not be exported") > 0
    })
    .await;
    assert_eq!(meanwhile.count_in_log("telemetry could not be exported"), 1);
    let logs = format!("{:?}{}", receiver.logs(), meanwhile.read_log());
    for secret in ["hush-hush", "s3cret"] {
        assert!(!logs.contains(secret), "{logs}");
    }
}
