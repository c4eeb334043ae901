//! Channels as files, in the running product.

use crate::support::{BINARY, new_server};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use contract::api::Job;
use parking_lot::Mutex;
use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};
use testbed::ServerProcess;
use tokio::time::{Instant, sleep};

const SECRET: &str = "s3cret-0f-the-shop";
/// Longer than any wait of these tests takes on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(60);

const FILE: &str = r#"name = "My shop"
base_url = "{{ settings.url }}"
private_address = true

[settings]
url = "URL"
token = { env = "SHOP_TOKEN" }

[headers]
X-Version = "VERSION"

[auth]
type = "bearer"
token = "{{ settings.token }}"

[pace]
rate = 100
concurrency = 4
latency = 0.1

[product]
exists = "found"
reference = "found.id if found else none"

[[step]]
name = "find"
request = "GET products"
query = { sku = "{{ product.sku }}" }
save = { found = "answer | first | default(none)" }

[[step]]
name = "create"
when = "not found"
effect = "create"
request = "POST products"
json = "{{ product.content }}"

[check]
request = "GET shop"
says = "{{ answer.name }}"
"#;

/// A shop that refuses products with *bad* in their SKU, and repeats in its reason the
/// credentials that it got.
struct Shop {
    url: String,
    /// Values of `X-Version` of the requests that created something.
    versions: Arc<Mutex<Vec<String>>>,
    /// Number of requests in flight now, and at most so far.
    in_flight: Arc<Mutex<(usize, usize)>>,
}

/// Time that the creation of a product with *slow* in its SKU takes.
const SLOW: Duration = Duration::from_secs(1);

impl Shop {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let versions: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&versions);
        let in_flight: Arc<Mutex<(usize, usize)>> = Arc::default();
        let counted = Arc::clone(&in_flight);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let header = |name| headers[name].to_str().unwrap().to_owned();
            let credentials = header("authorization");
            assert_eq!(credentials, format!("Bearer {SECRET}"));
            let response = match (method.as_str(), uri.path()) {
                ("GET", "/shop") => (StatusCode::OK, format!("{{\"name\": \"{credentials}\"}}")),
                ("GET", _) => (StatusCode::OK, "[]".into()),
                _ if String::from_utf8_lossy(&body).contains("bad") => {
                    let reason = format!("{{\"reason\": \"{credentials} may not\"}}");
                    (StatusCode::UNPROCESSABLE_ENTITY, reason)
                }
                _ => {
                    seen.lock().push(header("x-version"));
                    (StatusCode::CREATED, "{}".into())
                }
            };
            let is_slow = String::from_utf8_lossy(&body).contains("slow");
            let in_flight = Arc::clone(&counted);
            async move {
                if is_slow {
                    {
                        let mut counts = in_flight.lock();
                        counts.0 += 1;
                        counts.1 = counts.1.max(counts.0);
                    }
                    sleep(SLOW).await;
                    in_flight.lock().0 -= 1;
                }
                response
            }
        };
        tokio::spawn(async move {
            axum::serve(listener, Router::new().fallback(answer)).await.unwrap();
        });
        Self { url, versions, in_flight }
    }

    fn write_file(&self, folder: &Path, version: &str) {
        let text = FILE.replace("URL", &self.url).replace("VERSION", version);
        fs::write(folder.join("my-shop.toml"), text).unwrap();
    }
}

async fn start_with_channels(folder: &Path) -> ServerProcess {
    let mut server = new_server().with_admin();
    server.set_env("MEANWHILE_CHANNELS", folder.to_str().unwrap());
    server.set_env("SHOP_TOKEN", SECRET);
    server.set_env("RUST_LOG", "trace");
    server.spawn().await.unwrap();
    server.api.sign_in().await.unwrap();
    server
}

async fn upload(server: &ServerProcess, prefix: &str) -> Job {
    upload_rows(server, prefix, 3).await
}

async fn upload_rows(server: &ServerProcess, prefix: &str, count: u32) -> Job {
    let rows = (0..count).map(|row| format!("{prefix}-{row},Lamp {row},19.90\n"));
    let csv = format!("sku,title,price\n{}", rows.collect::<String>());
    let job = server.api.upload_to_channels("my-shop", csv, prefix).await.unwrap();
    let start = Instant::now();
    loop {
        let found = server.api.job(job.id).await.unwrap();
        if found.counts.open == 0 {
            return found;
        }
        assert!(start.elapsed() < TIMEOUT, "{found:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_for_log(server: &ServerProcess, text: &str, count: usize) {
    let start = Instant::now();
    while server.count_in_log(text) < count {
        assert!(start.elapsed() < TIMEOUT, "the log never says {text:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn hang_up(server: &ServerProcess) {
    let pid = server.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_used_after_sighup_and_a_wrong_one_changes_nothing() {
    let (shop, folder) = (Shop::start().await, tempfile::tempdir().unwrap());
    shop.write_file(folder.path(), "1");
    let server = start_with_channels(folder.path()).await;
    assert_eq!(upload(&server, "first").await.counts.created, 3);
    shop.write_file(folder.path(), "2");
    hang_up(&server);
    wait_for_log(&server, "the files of the channels were read again", 1).await;
    assert_eq!(upload(&server, "second").await.counts.created, 3);
    fs::write(folder.path().join("my-shop.toml"), "name = 7").unwrap();
    hang_up(&server);
    wait_for_log(&server, "the channels stay as they were", 1).await;
    assert_eq!(upload(&server, "third").await.counts.created, 3);
    assert_eq!(*shop.versions.lock(), ["1", "1", "1", "2", "2", "2", "2", "2", "2"]);
    // The pages know no sandbox when the channels are real.
    let page = server.api.get("/").send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("sandbox-badge"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raised_concurrency_is_used_after_sighup() {
    let (shop, folder) = (Shop::start().await, tempfile::tempdir().unwrap());
    let write_file = |concurrency: &str| {
        shop.write_file(folder.path(), "1");
        let path = folder.path().join("my-shop.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("concurrency = 4", concurrency)).unwrap();
    };
    write_file("concurrency = 1");
    let server = start_with_channels(folder.path()).await;
    assert_eq!(upload_rows(&server, "slow-a", 4).await.counts.created, 4);
    assert_eq!(shop.in_flight.lock().1, 1);
    write_file("concurrency = 3");
    hang_up(&server);
    wait_for_log(&server, "the concurrency was changed", 1).await;
    assert_eq!(upload_rows(&server, "slow-b", 12).await.counts.created, 12);
    assert_eq!(shop.in_flight.lock().1, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_channels_are_nowhere_to_be_found() {
    let (shop, folder) = (Shop::start().await, tempfile::tempdir().unwrap());
    shop.write_file(folder.path(), "1");
    let mut server = start_with_channels(folder.path()).await;
    let job = upload(&server, "bad").await;
    assert_eq!(job.counts.rejected, 3);
    let mut texts = Vec::new();
    for path in [
        "/".to_owned(),
        "/inbox".into(),
        format!("/jobs/{}", job.id),
        format!("/api/v1/jobs/{}", job.id),
        format!("/api/v1/jobs/{}/tasks", job.id),
        format!("/api/v1/jobs/{}/failed.csv", job.id),
        "/api/v1/channels".into(),
        "/api/v1/events".into(),
        "/metrics".into(),
    ] {
        let text = server.api.get(&path).send().await.unwrap().text().await.unwrap();
        texts.push((path, text));
    }
    let tasks = &texts[4].1;
    assert!(tasks.contains("Bearer [secret] may not"), "{tasks}");
    server.stop().await.unwrap();
    let log = server.read_log();
    assert!(log.contains("TRACE"), "the log has no details");
    texts.push(("log".into(), log));
    for entry in fs::read_dir(server.folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            texts.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    assert!(texts.iter().any(|(name, _)| name.ends_with("meanwhile.sqlite")));
    for (name, text) in texts {
        let at = text.find(SECRET);
        let around =
            at.map(|at| String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(200)..at]));
        assert!(at.is_none(), "{name} has the secret after: {around:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_says_what_is_wrong_and_what_the_service_answers() {
    let (shop, folder) = (Shop::start().await, tempfile::tempdir().unwrap());
    shop.write_file(folder.path(), "1");
    let check = |arguments: &'static [&'static str], token: Option<&'static str>| {
        let mut command = Command::new(BINARY);
        command.args(["channels", "check"]).args(arguments);
        command.env("MEANWHILE_CHANNELS", folder.path()).env_remove("SHOP_TOKEN");
        if let Some(token) = token {
            command.env("SHOP_TOKEN", token);
        }
        async move {
            let output = tokio::task::spawn_blocking(move || command.output()).await;
            let output = output.unwrap().unwrap();
            let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            (output.status.success(), texts.concat())
        }
    };
    let (is_right, said) = check(&[], Some(SECRET)).await;
    let expected =
        format!("my-shop: the file is right, and {} answers: Bearer [secret]\n", shop.url);
    assert!(is_right && said == expected, "{said}");
    let (is_right, said) = check(&["my-shop"], None).await;
    assert!(!is_right && said.contains("my-shop.toml:7:9: settings.token:"), "{said}");
    let (is_right, said) = check(&["other"], Some(SECRET)).await;
    assert!(!is_right && said.contains("there is no channel other; there are my-shop"), "{said}");
}
