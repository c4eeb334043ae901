//! The examples in `deploy/nginx` and `deploy/caddy`, with the real programs in front of a
//! server: only ports, names and paths are replaced.

use crate::support::new_server;
use contract::websocket::{ClientFrame, PROTOCOL_VERSION, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Certificate, Client, Response, StatusCode, header, redirect::Policy};
use serde_json::json;
use std::{
    fmt::Write,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use testbed::{
    CertificateAuthority, ManagedProcess, ServerProcess,
    api::{ADMIN_EMAIL, PASSWORD},
    connect_tls, free_port, wait_until,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

const HOST: &str = "localhost";
/// Time for which the server waits for the rest of a request body.
const BODY_TIMEOUT_S: u64 = 6;
/// Maximum size of a product file, in bytes.
const MAX_FILE_BYTES: usize = 32 << 20;

/// Replaces each text in an example, which must have it.
fn replace_all(example: &str, replacements: &[(&str, String)]) -> String {
    replacements.iter().fold(example.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example has no {from:?}");
        text.replace(from, to)
    })
}

fn start_nginx(folder: &Path, port: u16, app_port: u16) -> ManagedProcess {
    let example = include_str!("../../../deploy/nginx/meanwhile.conf");
    let path = |name: &str| folder.join(name).display().to_string();
    let site = replace_all(
        example,
        &[
            ("listen [::]:80;", String::new()),
            ("listen [::]:443 ssl http2;", String::new()),
            ("listen 80;", format!("listen 127.0.0.1:{};", free_port())),
            ("listen 443 ssl http2;", format!("listen 127.0.0.1:{port} ssl http2;")),
            ("server_name meanwhile.example.com;", format!("server_name {HOST};")),
            ("server 127.0.0.1:3000;", format!("server 127.0.0.1:{app_port};")),
            ("/etc/ssl/meanwhile/fullchain.pem", path("fullchain.pem")),
            ("/etc/ssl/meanwhile/privkey.pem", path("privkey.pem")),
        ],
    );
    fs::write(folder.join("meanwhile.conf"), site).unwrap();
    let mut main = String::from("daemon off;\npid nginx.pid;\nerror_log stderr warn;\n");
    // Workers of another account could not use the folder.
    if fs::metadata("/proc/self")
        .is_ok_and(|about| std::os::unix::fs::MetadataExt::uid(&about) == 0)
    {
        main.push_str("user root;\n");
    }
    main.push_str("events {}\nhttp {\naccess_log off;\n");
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(main, "{kind}_temp_path {kind};").unwrap();
    }
    main.push_str("include meanwhile.conf;\n}\n");
    fs::write(folder.join("nginx.conf"), main).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "stderr"]).stdout(Stdio::null());
    ManagedProcess::spawn(&mut nginx).expect("nginx is missing: run scripts/setup.sh test")
}

fn start_caddy(folder: &Path, port: u16, app_port: u16) -> ManagedProcess {
    let example = include_str!("../../../deploy/caddy/Caddyfile");
    let path = |name: &str| folder.join(name).display().to_string();
    let tls = format!("\ttls {} {}\n", path("fullchain.pem"), path("privkey.pem"));
    let site = replace_all(
        example,
        &[
            ("\nmeanwhile.example.com {\n", format!("\nhttps://{HOST}:{port} {{\n{tls}")),
            ("reverse_proxy 127.0.0.1:3000 {", format!("reverse_proxy 127.0.0.1:{app_port} {{")),
        ],
    );
    let options =
        "{\n\tadmin off\n\tauto_https disable_redirects\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n";
    fs::write(folder.join("Caddyfile"), format!("{options}{site}")).unwrap();
    let mut caddy = Command::new("caddy");
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("HOME", folder)
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .stdout(Stdio::null());
    ManagedProcess::spawn(&mut caddy).expect("Caddy is missing: run scripts/setup.sh test")
}

/// A server behind a proxy.
struct ProxiedServer {
    port: u16,
    authority: CertificateAuthority,
    _proxy: ManagedProcess,
    _server: ServerProcess,
    _folder: tempfile::TempDir,
}

impl ProxiedServer {
    async fn start(start_proxy: fn(&Path, u16, u16) -> ManagedProcess) -> Self {
        let authority = CertificateAuthority::new("Test authority");
        let certificate = authority.issue(&[HOST]);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fullchain.pem"), &certificate.certificate_pem).unwrap();
        fs::write(folder.path().join("privkey.pem"), &certificate.key_pem).unwrap();
        let port = free_port();
        let mut server = new_server().with_admin();
        server.set_env("MEANWHILE_PUBLIC_URL", format!("https://{HOST}:{port}"));
        server.set_env("MEANWHILE_TRUSTED_PROXY", "127.0.0.1");
        server.set_env("MEANWHILE_REQUEST_BODY_TIMEOUT_S", BODY_TIMEOUT_S.to_string());
        server.spawn().await.unwrap();
        let proxy = start_proxy(folder.path(), port, server.api.port);
        let proxied = Self { port, authority, _proxy: proxy, _server: server, _folder: folder };
        let client = proxied.client([127, 0, 0, 1]);
        wait_until("the proxy is ready", async || {
            let page = client.get(proxied.url("/readyz")).send().await;
            page.is_ok_and(|page| page.status() == StatusCode::OK)
        })
        .await;
        proxied
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    fn origin(&self) -> String {
        self.url("")
    }

    /// Returns a client with this address.
    fn client(&self, address: [u8; 4]) -> Client {
        let certificate = Certificate::from_pem(self.authority.certificate_pem.as_bytes());
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        Client::builder()
            .tls_certs_only([certificate.unwrap()])
            .local_address(IpAddr::from(address))
            .resolve(HOST, server)
            .redirect(Policy::none())
            .build()
            .unwrap()
    }

    async fn sign_in(&self, client: &Client, email: &str, password: &str) -> Response {
        let request = client.post(self.url("/api/v1/session"));
        let request = request.header(header::ORIGIN, self.origin());
        request.json(&json!({ "email": email, "password": password })).send().await.unwrap()
    }

    /// Signs the admin in, and returns the cookie.
    async fn signed_in_cookie(&self) -> String {
        let answer = self.sign_in(&self.client([127, 0, 0, 1]), ADMIN_EMAIL, PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let cookies = answer.headers().get_all(header::SET_COOKIE);
        let cookies: Vec<_> = cookies.iter().map(|cookie| cookie.to_str().unwrap()).collect();
        assert!(
            !cookies.is_empty() && cookies.iter().all(|it| it.contains("Secure")),
            "{cookies:?}"
        );
        let pairs = cookies.iter().map(|cookie| cookie.split(';').next().unwrap());
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Uploads a file in `pieces` with a pause after each, and returns the head of the answer.
    /// The body ends early if the pieces are shorter than `length`.
    async fn upload(
        &self,
        cookie: &str,
        length: usize,
        pieces: impl Iterator<Item = Vec<u8>>,
        pause: Duration,
    ) -> String {
        let connection = connect_tls(self.port, HOST, &self.authority).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(connection);
        let head = format!(
            "POST /api/v1/jobs/product-uploads?channels=acme HTTP/1.1\r\nHost: {HOST}:{}\r\n\
             Origin: {}\r\nCookie: {cookie}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n",
            self.port,
            self.origin()
        );
        writer.write_all(head.as_bytes()).await.unwrap();
        let read_answer = async {
            let mut answer = Vec::new();
            // A server that rejects the body may reset the connection after its answer.
            let _ = reader.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let send_body = async {
            for piece in pieces {
                if writer.write_all(&piece).await.is_err() {
                    break;
                }
                tokio::time::sleep(pause).await;
            }
            let _ = writer.flush().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answer = read_answer => answer,
            () = send_body => unreachable!(),
        }
    }
}

/// Returns a file of `bytes` bytes, most of which are in a column that is not read.
fn product_file(sku: &str, bytes: usize) -> Vec<u8> {
    let mut file = b"sku,title,price,shelf\n".to_vec();
    for number in 0.. {
        let row = format!("{sku}-{number},Lamp,19.90,{}\n", "x".repeat(30_000));
        if file.len() + row.len() > bytes {
            break;
        }
        file.extend_from_slice(row.as_bytes());
    }
    // Empty lines are skipped.
    file.resize(bytes, b'\n');
    file
}

fn pieces(file: &[u8], bytes: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    file.chunks(bytes).map(<[u8]>::to_vec)
}

async fn check_pages_and_websocket(proxied: &ProxiedServer) {
    let client = proxied.client([127, 0, 0, 1]);
    let page = client.get(proxied.url("/sign-in")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    assert!(page.text().await.unwrap().contains("type=\"password\""));
    let cookie = proxied.signed_in_cookie().await;
    let connection = connect_tls(proxied.port, HOST, &proxied.authority).await.unwrap();
    let url = proxied.url("/ws").replace("https:", "wss:");
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert(header::ORIGIN, HeaderValue::from_str(&proxied.origin()).unwrap());
    headers.insert(header::COOKIE, HeaderValue::from_str(&cookie).unwrap());
    let (mut socket, _) = client_async(request, connection).await.unwrap();
    let hello = ClientFrame::Hello { v: PROTOCOL_VERSION, epoch: None, after: None };
    socket.send(Message::text(serde_json::to_string(&hello).unwrap())).await.unwrap();
    let welcome = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let welcome = serde_json::from_str(&welcome).unwrap();
    assert!(matches!(welcome, ServerFrame::Welcome { .. }), "{welcome:?}");
}

async fn check_uploads(proxied: &ProxiedServer) {
    let cookie = proxied.signed_in_cookie().await;
    let largest = product_file("LARGE", MAX_FILE_BYTES);
    let answer =
        proxied.upload(&cookie, largest.len(), pieces(&largest, 1 << 20), Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    // Takes twice as long in all as the server waits for one piece.
    let slow = product_file("SLOW", 256 << 10);
    let pause = Duration::from_millis(100) * u32::try_from(BODY_TIMEOUT_S).unwrap();
    let answer = proxied.upload(&cookie, slow.len(), pieces(&slow, slow.len() / 20), pause).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    // The server answers though the body never ends: the proxy did not wait for it.
    let begin = [product_file("STALLED", 64 << 10)].into_iter();
    let answer = proxied.upload(&cookie, 128 << 10, begin, Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let too_large = MAX_FILE_BYTES * 2;
    let answer = proxied.upload(&cookie, too_large, std::iter::empty(), Duration::ZERO).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Rejected without a look at the body.
    let answer = proxied.upload("", 1 << 20, std::iter::empty(), Duration::ZERO).await;
    assert!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 408"), "{answer}");
}

async fn check_client_addresses(proxied: &ProxiedServer) {
    let fail_sign_in = async |address, nth: usize| {
        let client = proxied.client(address);
        let request = client.post(proxied.url("/api/v1/session"));
        let request = request.header(header::ORIGIN, proxied.origin());
        // Whatever the client claims, the proxy knows better.
        let request = request.header("x-forwarded-for", format!("203.0.113.{nth}"));
        let email = format!("nobody-{nth}@example.com");
        let request = request.json(&json!({ "email": email, "password": "wrong" }));
        request.send().await.unwrap().status().as_u16()
    };
    for nth in 0..10 {
        assert_eq!(fail_sign_in([127, 0, 0, 5], nth).await, 401);
    }
    assert_eq!(fail_sign_in([127, 0, 0, 5], 10).await, 429);
    assert_eq!(fail_sign_in([127, 0, 0, 6], 11).await, 401);
}

async fn check_proxy(start_proxy: fn(&Path, u16, u16) -> ManagedProcess) {
    let proxied = ProxiedServer::start(start_proxy).await;
    check_pages_and_websocket(&proxied).await;
    check_uploads(&proxied).await;
    check_client_addresses(&proxied).await;
}

#[tokio::test]
async fn nginx_passes_pages_websockets_uploads_and_addresses() {
    check_proxy(start_nginx).await;
}

#[tokio::test]
async fn caddy_passes_pages_websockets_uploads_and_addresses() {
    check_proxy(start_caddy).await;
}
