//! Uploads to services that answer in every way, also in those that nobody documents.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod adobe_commerce;
mod bigcommerce;
mod preset;
mod rest;
mod scripted_shop;
mod shopify;
mod vendure;
mod woocommerce;

use super::ProductUploadHandler;
use crate::{
    connector::channel::{ChannelClient, ChannelHandle},
    handler::{AttemptContext, Handler},
};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Response, Uri},
};
use channels::{Channel, settings::SecretSource};
use contract::{
    JobId, TaskId, UserId,
    api::CooldownReason,
    command::ProductUpload,
    product::{Price, Product},
    state::Effect,
};
use engine::store::{AttemptError, AttemptResult, ClaimedTask};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::{io, path::Path, sync::Arc, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

const SECRET: &str = "s3cret-of-the-shop";
/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

struct TestSecrets;

impl SecretSource for TestSecrets {
    fn env(&self, _name: &str) -> Option<String> {
        Some(SECRET.into())
    }

    fn file(&self, _path: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A request as the service received it.
#[derive(Clone, Debug)]
struct Received {
    line: String,
    headers: HeaderMap,
    body: Json,
}

/// A service that answers as its script says, and remembers the requests.
struct Service {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Service {
    async fn start(
        script: impl Fn(&Received, usize) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let seen = Arc::clone(&received);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let request = Received { line: format!("{method} {uri}"), headers, body };
            let number = {
                let mut seen = seen.lock();
                seen.push(request.clone());
                seen.len() - 1
            };
            let response = script(&request, number);
            async move { response }
        };
        tokio::spawn(async move {
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
        Self { url, received }
    }

    fn lines(&self) -> Vec<String> {
        self.received.lock().iter().map(|request| request.line.clone()).collect()
    }

    fn client(&self, steps: &str) -> ChannelClient {
        let text = format!(
            "name = \"Shop\"\nbase_url = \"{}\"\nprivate_address = true\n\
             [settings]\ntoken = {{ env = \"TOKEN\" }}\n\
             [pace]\nrate = 100\nconcurrency = 4\nlatency = 1\n\
             [product]\nexists = \"found\"\nreference = \"id\"\n{steps}",
            self.url
        );
        let channel = Channel::load("shop.toml", &text, &TestSecrets, &[])
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        ChannelClient::new(channel, REQUEST_TIMEOUT).unwrap()
    }
}

fn json_response(status: u16, body: &Json) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("Content-Type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn task(unknown_since: Option<i64>) -> ClaimedTask {
    ClaimedTask {
        id: TaskId(Uuid::now_v7()),
        job: JobId(Uuid::now_v7()),
        user: UserId(Uuid::now_v7()),
        kind: "product.upload".into(),
        key: "shop/S-1".into(),
        channel: Some("shop".into()),
        sku: "S-1".into(),
        title: "Lamp".into(),
        row: 0,
        body: Json::Null,
        checkpoint: None,
        attempt: 1,
        unknown_since,
        only_reconcile: false,
        revision: 0,
        fence: 1,
        started_at: 1_000_000,
    }
}

fn command() -> ProductUpload {
    let product = Product::new("S-1", "Lamp \"7\"", Price(4_299));
    serde_json::from_value(json!({"channel": "shop", "product": product})).unwrap()
}

async fn upload_with(client: ChannelClient, task: ClaimedTask) -> AttemptResult {
    upload_product(client, task, &command().product).await
}

async fn upload_product(
    client: ChannelClient,
    task: ClaimedTask,
    product: &Product,
) -> AttemptResult {
    run(&Arc::new(ChannelHandle::new(client)), preset::command(product), task).await
}

/// Runs one attempt of an upload.
async fn run(
    channel: &Arc<ChannelHandle>,
    command: ProductUpload,
    task: ClaimedTask,
) -> AttemptResult {
    let handler = ProductUploadHandler { channel: Arc::clone(channel) };
    let mut context =
        AttemptContext::new(&task, None, None, Instant::now() + Duration::from_secs(60));
    match task.only_reconcile {
        true => handler.reconcile(command, &mut context).await,
        false => handler.run(command, &mut context).await,
    }
}

async fn upload(client: ChannelClient) -> AttemptResult {
    upload_with(client, task(None)).await
}

const FIND_AND_CREATE: &str = r#"
[[step]]
name = "find"
request = "GET products"
query = { sku = "{{ product.sku }}" }
save = { found = "answer.items | selectattr('sku', 'equalto', product.sku) | first | default(none)", id = "none" }

[[step]]
name = "create"
when = "not found"
effect = "create"
request = "POST products"
json = '{"sku": {{ product.sku }}, "title": {{ product.title }}, "vendor": {{ product.vendor }}}'
save = { id = "answer.id" }
"#;

/// A step that creates, without a find.
const CREATE: &str = r#"
[[step]]
name = "create"
effect = "create"
request = "POST products"
json = '{"sku": {{ product.sku }}}'
save = { id = "answer.id", found = "none" }
"#;

#[tokio::test]
async fn steps_find_and_create_what_the_file_says() {
    let service = Service::start(|request, _| match request.line.starts_with("GET") {
        // Another SKU, which a service finds that searches for parts.
        true => json_response(200, &json!({"items": [{"sku": "S-10", "id": 3}]})),
        false => json_response(201, &json!({"id": 7})),
    })
    .await;
    let success = upload(service.client(FIND_AND_CREATE)).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Created));
    assert_eq!(success.outcome.reference.as_deref(), Some("7"));
    assert_eq!(service.lines(), ["GET /products?sku=S-1", "POST /products"]);
    let body = service.received.lock()[1].body.clone();
    assert_eq!(body, json!({"sku": "S-1", "title": "Lamp \"7\""}), "without null members");
}

#[tokio::test]
async fn what_is_there_is_not_created_again() {
    let found = json!({"items": [{"sku": "S-1", "id": 3}]});
    let service = Service::start(move |_, _| json_response(200, &found)).await;
    let success = upload(service.client(FIND_AND_CREATE)).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Unchanged));
    assert_eq!(service.lines(), ["GET /products?sku=S-1"]);
}

#[tokio::test]
async fn a_missing_product_is_created_again_only_when_the_earlier_call_has_settled() {
    let service = Service::start(|_, _| json_response(200, &json!({"items": [], "id": 1}))).await;
    let early = upload_with(service.client(FIND_AND_CREATE), task(Some(999_000))).await;
    assert!(
        matches!(early, Err(AttemptError::Wait { wait, .. }) if wait == Duration::from_secs(1))
    );
    assert_eq!(service.lines().len(), 1, "{:?}", service.lines());
    let later = upload_with(service.client(FIND_AND_CREATE), task(Some(998_000))).await.unwrap();
    assert_eq!(later.effect, Some(Effect::Created));
}

#[tokio::test]
async fn a_create_after_another_change_waits_for_the_earlier_call_too() {
    let steps = r#"
[[step]]
name = "update"
effect = "update"
request = "PUT products/1"
save = { id = "answer.id", found = "true" }

[[step]]
name = "variants"
effect = "create"
request = "POST products/1/variants"
"#;
    let service = Service::start(|_, _| json_response(200, &json!({"id": 1}))).await;
    let result = upload_with(service.client(steps), task(Some(999_000))).await;
    assert!(matches!(result, Err(AttemptError::Wait { .. })), "{result:?}");
    assert_eq!(service.lines(), ["PUT /products/1"]);
}

#[tokio::test]
async fn a_step_is_repeated_for_a_list_that_a_template_makes() {
    let steps = r#"
[[step]]
name = "options"
define.names = '''[{% for name in ["Color", "Size"] %}{% if not loop.first %},{% endif %}{"name": {{ name }}}{% endfor %}]'''
for_each = "names"
effect = "create"
request = "POST options/{{ item.name }}"
save = { id = "answer.id", found = "none" }
"#;
    let service = Service::start(|_, _| json_response(200, &json!({"id": 1}))).await;
    upload(service.client(steps)).await.unwrap();
    assert_eq!(service.lines(), ["POST /options/Color", "POST /options/Size"]);
    let broken = steps.replace("{% if not loop.first %},{% endif %}", "");
    let error = upload(service.client(&broken)).await.unwrap_err();
    assert!(error.to_string().contains("`names` is no JSON"), "{error}");
    // No item, no effect.
    let none = steps.replace(r#"["Color", "Size"]"#, "product.options");
    let success = upload(service.client(&none)).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Unchanged));
}

#[tokio::test]
async fn an_item_has_no_value_after_its_step() {
    let steps = r#"
[[step]]
name = "options"
for_each = "['Color', 'Size']"
effect = "create"
request = "POST options/{{ item }}"
save = { id = "answer.id", found = "none" }

[[step]]
name = "finish"
effect = "update"
request = "POST finish"
json = "{}"

[[on]]
when = "item is none and index is none"
then = "rejected"
reason = "no item"
"#;
    let service = Service::start(|_, _| json_response(200, &json!({"id": 1}))).await;
    let error = upload(service.client(steps)).await.unwrap_err();
    assert!(error.to_string().contains("no item"), "{error}");
    assert_eq!(service.lines().len(), 3, "{:?}", service.lines());
}

#[tokio::test]
async fn a_failure_after_the_first_item_leaves_the_outcome_unknown() {
    let steps = r#"
[[step]]
name = "options"
for_each = "['Color', 'Size']"
effect = "create"
request = "POST options/{{ item }}"
save = { id = "answer.id", found = "none" }
"#;
    let service = Service::start(|_, number| match number {
        0 => json_response(201, &json!({"id": 1})),
        _ => json_response(500, &json!({})),
    })
    .await;
    let error = upload(service.client(steps)).await.unwrap_err();
    assert!(matches!(error, AttemptError::Retry { outcome_unknown: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_reconciliation_sends_nothing_that_changes_something() {
    let service = Service::start(|_, _| json_response(200, &json!({"items": []}))).await;
    let only_reconcile = ClaimedTask { only_reconcile: true, ..task(Some(0)) };
    let result = upload_with(service.client(FIND_AND_CREATE), only_reconcile).await;
    assert!(matches!(result, Err(AttemptError::NotDone(_))), "{result:?}");
    assert_eq!(service.lines(), ["GET /products?sku=S-1"]);
}

#[tokio::test]
async fn hostile_answers_are_bounded_and_said() {
    let endless = || {
        let chunk = Bytes::from(vec![b' '; 1 << 20]);
        let stream = futures_util::stream::repeat_with(move || Ok::<_, io::Error>(chunk.clone()));
        Response::new(Body::from_stream(stream))
    };
    let drip = || {
        let stream = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b" ")), ()))
        });
        Response::new(Body::from_stream(stream))
    };
    let html = || {
        let builder = Response::builder().header("Content-Type", "text/html; charset=utf-8");
        builder.body(Body::from("<h1>Welcome</h1>")).unwrap()
    };
    let redirect = || {
        let builder = Response::builder().status(307).header("Location", "http://169.254.169.254/");
        builder.body(Body::empty()).unwrap()
    };
    let nested = || Response::new(Body::from("[".repeat(100_000)));
    type Answer = Arc<dyn Fn() -> Response<Body> + Send + Sync>;
    let cases: Vec<(Answer, &str, bool)> = vec![
        (Arc::new(endless), "more than 4194304 bytes", true),
        (Arc::new(drip), "did not answer in time", true),
        (Arc::new(html), "text/html instead of JSON", true),
        (Arc::new(nested), "instead of JSON", true),
        (Arc::new(|| Response::new(Body::from("{\"id\":"))), "instead of JSON", true),
        (Arc::new(|| Response::new(Body::from("[7]"))), "step create, id", true),
        (Arc::new(|| Response::new(Body::from("\"ok\""))), "step create, id", true),
        (Arc::new(redirect), "redirects to another address", true),
    ];
    for (answer, expected, is_unknown) in cases {
        let service = Service::start(move |_, _| answer()).await;
        let error = upload(service.client(CREATE)).await.unwrap_err();
        match &error {
            AttemptError::Retry { outcome, outcome_unknown } => {
                assert!(outcome.message.contains(expected), "{expected}: {error}");
                assert_eq!(*outcome_unknown, is_unknown, "{expected}");
            }
            AttemptError::Failed(outcome) => {
                assert!(!is_unknown && outcome.message.contains(expected), "{expected}: {error}");
            }
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(service.lines().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn refused_credentials_pause_the_channel_and_fail_no_task() {
    for status in [401, 403] {
        let body = json!({"message": format!("token {SECRET} is wrong")});
        let service = Service::start(move |_, _| json_response(status, &body)).await;
        match upload(service.client(CREATE)).await {
            Err(AttemptError::Cooldown { outcome, reason, wait, outcome_unknown: false }) => {
                assert_eq!(reason, CooldownReason::CredentialsRefused);
                assert!(wait >= Duration::from_secs(60), "{wait:?}");
                assert!(outcome.message.contains("meanwhile channels check shop"));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_that_repeats_a_secret_does_not_make_it_public() {
    for (status, rules) in [
        (422, ""),
        (400, ""),
        (
            400,
            "[[on]]\nwhen = \"status == 400\"\nthen = \"rejected\"\nreason = \"{{ answer.message }}\"\n",
        ),
    ] {
        let body = json!({"message": format!("Bearer {SECRET} may not")});
        let service = Service::start(move |_, _| json_response(status, &body)).await;
        let auth = "[auth]\ntype = \"bearer\"\ntoken = \"{{ settings.token }}\"\n";
        let error = upload(service.client(&format!("{CREATE}{auth}{rules}"))).await.unwrap_err();
        let header = service.received.lock()[0].headers["authorization"].clone();
        assert_eq!(header.to_str().unwrap(), format!("Bearer {SECRET}"));
        let told = format!("{error:?} {error}");
        assert!(told.contains("Bearer [secret] may not") && !told.contains(SECRET), "{told}");
    }
}

const LOGIN: &str = r#"
[auth]
type = "login"
request = "POST login"
json = '{"password": {{ settings.token }}}'
take = "headers['x-token']"
header = "X-Session"
value = "{{ token }}"
"#;

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let service = Service::start(|request, number| match request.line.as_str() {
        "POST /login" => {
            let builder = Response::builder().header("X-Token", format!("t{number}"));
            builder.body(Body::empty()).unwrap()
        }
        // The first token is revoked after its first use.
        _ if request.headers["x-session"] == "t0" && number > 1 => json_response(401, &json!({})),
        _ => json_response(200, &json!({"items": [], "id": 1})),
    })
    .await;
    let success = upload(service.client(&format!("{FIND_AND_CREATE}{LOGIN}"))).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Created));
    let expected =
        ["POST /login", "GET /products?sku=S-1", "POST /products", "POST /login", "POST /products"];
    assert_eq!(service.lines(), expected);
    assert_eq!(service.received.lock()[0].body, json!({"password": SECRET}));
}

#[tokio::test]
async fn a_token_that_a_rule_calls_refused_is_fetched_again() {
    let rule = "[[on]]\nwhen = \"answer.code == 'FORBIDDEN'\"\nthen = \"credentials\"\n";
    let service = Service::start(|request, number| match request.line.as_str() {
        "POST /login" => {
            let builder = Response::builder().header("X-Token", format!("t{number}"));
            builder.body(Body::empty()).unwrap()
        }
        _ if request.headers["x-session"] == "t0" => {
            json_response(200, &json!({"code": "FORBIDDEN"}))
        }
        _ => json_response(200, &json!({"items": [], "id": 1})),
    })
    .await;
    let file = format!("{FIND_AND_CREATE}{LOGIN}{rule}");
    let success = upload(service.client(&file)).await.unwrap();
    assert_eq!(success.effect, Some(Effect::Created));
    let expected = [
        "POST /login",
        "GET /products?sku=S-1",
        "POST /login",
        "GET /products?sku=S-1",
        "POST /products",
    ];
    assert_eq!(service.lines(), expected);
}

#[tokio::test]
async fn a_token_that_is_refused_at_once_is_not_fetched_for_ever() {
    let service = Service::start(|request, _| match request.line.as_str() {
        "POST /login" => Response::builder().header("X-Token", "t").body(Body::empty()).unwrap(),
        _ => json_response(401, &json!({})),
    })
    .await;
    let error = upload(service.client(&format!("{CREATE}{LOGIN}"))).await.unwrap_err();
    assert!(matches!(
        error,
        AttemptError::Cooldown { reason: CooldownReason::CredentialsRefused, .. }
    ));
    assert!(service.lines().len() <= 4, "{:?}", service.lines());
}

#[tokio::test]
async fn a_login_that_gives_no_token_pauses_the_channel() {
    let body = json!({"error": "invalid_client", "error_description": "no such app"});
    for (status, body, said) in [(400, body, "no such app"), (302, json!({}), "answered 302")] {
        let service = Service::start(move |_, _| json_response(status, &body)).await;
        match upload(service.client(&format!("{CREATE}{LOGIN}"))).await {
            Err(AttemptError::Cooldown { outcome, reason, .. }) => {
                assert_eq!(reason, CooldownReason::CredentialsRefused);
                assert!(outcome.message.contains(said), "{}", outcome.message);
            }
            other => panic!("{status}: {other:?}"),
        }
        assert_eq!(service.lines(), ["POST /login"]);
    }
}

#[tokio::test]
async fn a_step_defines_what_it_compares_and_sends() {
    let steps = r#"
[[step]]
name = "find"
request = "GET products"
save = { found = "answer.items | first | default(none)", id = "none" }

[[step]]
name = "put"
define = { wanted = '{"title": {{ product.title }}, "skus": [{% for v in product.all_variants %}{% if not loop.first %},{% endif %}{{ v.sku }}{% endfor %}]}' }
when = "not found or differs(found, wanted)"
effect = "upsert"
request = "PUT products"
json = '{"product": {{ wanted }}}'
"#;
    for (title, is_sent) in [("Lamp \"7\"", false), ("Lamp", true)] {
        let found = json!({"items": [{"title": title, "skus": ["S-1"]}]});
        let service = Service::start(move |_, _| json_response(200, &found)).await;
        let success = upload(service.client(steps)).await.unwrap();
        assert_eq!(success.effect == Some(Effect::Updated), is_sent, "{title}");
        if is_sent {
            let body = service.received.lock()[1].body.clone();
            assert_eq!(body, json!({"product": {"title": "Lamp \"7\"", "skus": ["S-1"]}}));
        }
    }
    let service = Service::start(|_, _| json_response(200, &json!({"items": []}))).await;
    let broken = steps.replace("\"skus\"", "skus");
    let error = upload(service.client(&broken)).await.unwrap_err();
    assert!(error.to_string().contains("`wanted` is no JSON"), "{error}");
}

const TWO_EFFECTS: &str = r#"
[[step]]
name = "create"
effect = "create"
request = "POST products"
json = '{"sku": {{ product.sku }}}'
save = { id = "answer.id", found = "none" }

[[step]]
name = "variants"
for_each = "product.all_variants"
effect = "create"
request = "POST products/{{ id }}/variants"
json = '{"sku": {{ item.sku }}}'
"#;

#[tokio::test]
async fn a_failure_after_the_first_change_leaves_the_outcome_unknown() {
    for (status, is_final) in [(500, false), (429, false), (401, false), (422, true)] {
        let service = Service::start(move |_, number| match number {
            0 => json_response(201, &json!({"id": "a/b"})),
            _ => json_response(status, &json!({"reason": "no"})),
        })
        .await;
        let error = upload(service.client(TWO_EFFECTS)).await.unwrap_err();
        assert_eq!(service.lines()[1], "POST /products/a%2Fb/variants");
        match error {
            AttemptError::Retry { outcome_unknown, .. }
            | AttemptError::Cooldown { outcome_unknown, .. } => {
                assert!(outcome_unknown && !is_final, "{status}");
            }
            AttemptError::NeedsReview(outcome) => {
                assert!(is_final);
                assert!(outcome.message.ends_with("Part of it was stored before."));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn rules_decide_before_the_status() {
    let cases = [
        ("status == 200 and answer.errors", "rejected", "rejected: Shop rejected it: no"),
        ("answer.errors[0].code == 'THROTTLED'", "cooldown", "asked to wait for 7s"),
        ("answer.errors", "needs_review", "needs review: no"),
        ("answer.errors", "failed", "failed: Shop refused it: no"),
        ("answer.errors", "retry", "failed temporarily: Shop could not do it now: no"),
        ("answer.errors", "outcome_unknown", "Shop could not say whether it is done: no"),
    ];
    for (when, then, expected) in cases {
        let body = json!({"errors": [{"code": "THROTTLED", "message": "no"}]});
        let service = Service::start(move |_, _| json_response(200, &body)).await;
        let wait = if then == "cooldown" { "wait = \"5 + 2\"\n" } else { "" };
        let rule = format!(
            "[[on]]\nwhen = \"answer.nothing.here == 3\"\nthen = \"ok\"\n\
             [[on]]\nwhen = \"{when}\"\nthen = \"{then}\"\n{wait}\
             reason = \"{{{{ answer.errors[0].message }}}}\"\n"
        );
        let error = upload(service.client(&format!("{CREATE}{rule}"))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{then}: {error}");
        let is_unknown = matches!(error, AttemptError::Retry { outcome_unknown: true, .. });
        assert_eq!(is_unknown, then == "outcome_unknown", "{error:?}");
    }
}

#[tokio::test]
async fn a_product_that_the_service_has_already_is_found_and_changed() {
    let steps = r#"
[[step]]
name = "find"
when = "known"
request = "GET products/{{ id }}"
save = { found = "answer" }

[[step]]
name = "create"
when = "not known"
effect = "create"
request = "POST products"
json = '{"sku": {{ product.sku }}}'

[[step]]
name = "update"
when = "found and differs(found, {'price': product.price})"
effect = "update"
request = "PUT products/{{ id }}"
json = '{"price": {{ product.price }}}'

[[on]]
step = "create"
when = "answer.code == 'product_invalid_sku'"
then = "found"
save = { id = "answer.data.resource_id" }
"#;
    for (price, expected) in [("42.98", Effect::Updated), ("42.99", Effect::Unchanged)] {
        let service = Service::start(move |request, _| match request.line.as_str() {
            "POST /products" => {
                let data = json!({"resource_id": 9});
                json_response(400, &json!({"code": "product_invalid_sku", "data": data}))
            }
            _ => json_response(200, &json!({"id": 9, "price": price})),
        })
        .await;
        let success = upload(service.client(steps)).await.unwrap();
        assert_eq!(success.effect, Some(expected));
        assert_eq!(success.outcome.reference.as_deref(), Some("9"));
        assert_eq!(service.lines()[..2], ["POST /products", "GET /products/9"]);
    }
}

#[tokio::test]
async fn a_private_address_is_called_only_if_the_file_allows_it() {
    let service = Service::start(|_, _| json_response(201, &json!({"id": 1}))).await;
    let mut channel = service.client(CREATE).channel.clone();
    channel.private_address = false;
    let error = ChannelClient::new(channel, REQUEST_TIMEOUT).err().expect("refused");
    assert!(error.to_string().contains("private_address = true"), "{error}");
    assert!(service.lines().is_empty());
}

#[tokio::test]
async fn an_outcome_stays_unknown_until_a_lookup_has_answered() {
    let service = Service::start(|_, _| json_response(200, &json!({"error": "odd"}))).await;
    for only_reconcile in [false, true] {
        let task = ClaimedTask { only_reconcile, ..task(Some(0)) };
        let result = upload_with(service.client(FIND_AND_CREATE), task).await;
        assert!(
            matches!(result, Err(AttemptError::Retry { outcome_unknown: true, .. })),
            "{result:?}"
        );
    }
    let result = upload(service.client(FIND_AND_CREATE)).await;
    assert!(
        matches!(result, Err(AttemptError::Retry { outcome_unknown: false, .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_product_that_no_lookup_shows_may_be_that_of_an_earlier_call() {
    let rule = "[[on]]\nstep = \"create\"\nwhen = \"status == 409\"\nthen = \"found\"\n";
    for (unknown_since, expected) in [(Some(0), true), (None, false)] {
        let service = Service::start(|request, _| match request.line.starts_with("GET") {
            true => json_response(200, &json!({"items": []})),
            false => json_response(409, &json!({})),
        })
        .await;
        let client = service.client(&format!("{FIND_AND_CREATE}{rule}"));
        match upload_with(client, task(unknown_since)).await {
            Err(AttemptError::Retry { outcome, outcome_unknown }) => {
                assert_eq!((outcome.code.as_str(), outcome_unknown), ("duplicate", expected));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_reconciliation_without_a_lookup_needs_a_person() {
    let service = Service::start(|_, _| json_response(200, &json!({"id": 1}))).await;
    let only_reconcile = ClaimedTask { only_reconcile: true, ..task(Some(0)) };
    let result = upload_with(service.client(CREATE), only_reconcile).await;
    assert!(matches!(result, Err(AttemptError::NeedsReview(_))), "{result:?}");
    assert!(service.lines().is_empty());
}

#[tokio::test]
async fn a_later_step_that_changes_nothing_leaves_the_product_created() {
    let service =
        Service::start(|_, _| json_response(200, &json!({"id": 1, "result": "unchanged"}))).await;
    let steps = format!("{TWO_EFFECTS}result = \"answer.result\"\n");
    assert_eq!(upload(service.client(&steps)).await.unwrap().effect, Some(Effect::Created));
}

#[tokio::test]
async fn an_answer_under_an_idempotency_key_is_that_of_the_first_call() {
    let upsert = r#"
[[step]]
name = "put"
effect = "upsert"
request = "POST products"
json = '{"sku": {{ product.sku }}}'
save = { id = "answer.id", found = "none" }
result = "answer.result"
"#;
    let service =
        Service::start(|_, _| json_response(200, &json!({"id": 1, "result": "unchanged"}))).await;
    let keyed = format!("{upsert}key_header = \"Idempotency-Key\"\n");
    for (steps, expected) in [(&*keyed, Effect::Unchanged), (upsert, Effect::Updated)] {
        let success = upload_with(service.client(steps), task(Some(0))).await.unwrap();
        assert_eq!(success.effect, Some(expected), "{steps}");
    }
}

#[tokio::test]
async fn an_id_that_leads_to_another_path_is_not_used() {
    for id in ["..", ".", ""] {
        let service = Service::start(move |_, _| json_response(201, &json!({"id": id}))).await;
        let error = upload(service.client(TWO_EFFECTS)).await.unwrap_err();
        assert!(error.to_string().contains("can't be a part of a path"), "{error}");
        assert_eq!(service.lines(), ["POST /products"], "{id:?}");
    }
}
