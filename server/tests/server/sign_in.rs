//! Sign-in during password guessing, and requests that outlast their user's right
//! to make them.

use crate::support::start_server;
use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use testbed::ServerProcess;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PASSWORD: &str = "correct-horse";

/// A browser with its cookies, which follows no redirects.
struct Browser<'a> {
    meanwhile: &'a ServerProcess,
    client: Client,
    cookies: String,
}

impl<'a> Browser<'a> {
    fn new(meanwhile: &'a ServerProcess, cookies: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { meanwhile, client, cookies: cookies.into() }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let request = self.client.post(self.meanwhile.api.url(path));
        request
            .header(header::ORIGIN, self.meanwhile.api.url(""))
            .header(header::COOKIE, &self.cookies)
    }

    async fn submit(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.post(path).form(form).send().await.unwrap()
    }

    async fn sign_in(&self, email: &str, password: &str) -> Response {
        let credentials = json!({ "email": email, "password": password });
        self.post("/api/v1/session").json(&credentials).send().await.unwrap()
    }

    /// Whether the cookies belong to a valid session.
    async fn is_signed_in(&self) -> bool {
        let jobs = self.client.get(self.meanwhile.api.url("/api/v1/jobs"));
        let jobs = jobs.header(header::COOKIE, &self.cookies).send().await.unwrap();
        jobs.status() == StatusCode::OK
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(self.meanwhile.api.url(path));
        request.header(header::COOKIE, &self.cookies).send().await.unwrap().json().await.unwrap()
    }

    /// Uses the one-time link in `created`, the answer to an admin's form; returns
    /// the cookies of the user whom it signs in.
    async fn redeem(&self, created: Response, page: &str) -> String {
        assert_eq!(created.headers()[header::LOCATION], "/people");
        let token = response_cookies(&created);
        let token = token.split_once('=').unwrap().1;
        let used = self.submit(&format!("/{page}/{token}"), &[("password", PASSWORD)]).await;
        assert_eq!(used.headers()[header::LOCATION], "/");
        response_cookies(&used)
    }
}

/// Returns the cookies that an answer sets, in the form in which a request sends
/// them.
fn response_cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> =
        set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
    pairs.join("; ")
}

/// Creates a user by invitation and returns their cookies.
async fn create_account(admin: &Browser<'_>, email: &str, role: &str) -> String {
    let invited = admin.submit("/people", &[("email", email), ("role", role)]).await;
    Browser::new(admin.meanwhile, "").redeem(invited, "invite").await
}

/// Returns the user's id, read from the accounts page.
async fn account_id(admin: &Browser<'_>, email: &str) -> String {
    let page = admin.client.get(admin.meanwhile.api.url("/people"));
    let page = page.header(header::COOKIE, &admin.cookies).send().await.unwrap();
    let page = page.text().await.unwrap();
    let at = page.find(&format!("Disable: {email}")).expect("the page does not list the user");
    let before = &page[..at + page[at..].find("/disable").unwrap()];
    before.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn password_guessing_locks_out_no_known_device_and_no_session() {
    let meanwhile = start_server().await;
    let stranger = Browser::new(&meanwhile, "");
    let ada = "ada@example.com";
    let signed_in = stranger.sign_in(ada, PASSWORD).await;
    let known_device = Browser::new(&meanwhile, &response_cookies(&signed_in));
    assert!(known_device.cookies.contains("meanwhile_device="), "{}", known_device.cookies);
    for _ in 0..10 {
        assert_eq!(stranger.sign_in(ada, "a guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = stranger.sign_in(ada, PASSWORD).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(known_device.sign_in(ada, PASSWORD).await.status(), StatusCode::NO_CONTENT);
    let change = [("old", PASSWORD), ("new", "battery-staple")];
    let changed = known_device.submit("/account/password", &change).await;
    assert_eq!(changed.headers()[header::LOCATION], "/account?saved=password");

    // The device may guess as often as any client, and only for its own account.
    for _ in 0..10 {
        assert_eq!(known_device.sign_in(ada, "a guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = known_device.sign_in(ada, "battery-staple").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = known_device.sign_in("bob@example.com", "a guess").await;
    assert_eq!(other.status(), StatusCode::TOO_MANY_REQUESTS, "the network's guesses are used up");
}

#[tokio::test]
async fn impossible_email_is_rejected_before_any_password_work() {
    let meanwhile = start_server().await;
    let stranger = Browser::new(&meanwhile, "");
    let long = format!("{}@example.com", "x".repeat(60_000));
    for _ in 0..20 {
        let answer = stranger.sign_in(&long, "a guess").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn no_session_outlives_its_password() {
    let meanwhile = start_server().await;
    let admin = Browser::new(&meanwhile, &meanwhile.api.cookie);
    for (round, action) in ["change", "reset", "disable"].into_iter().enumerate() {
        let email = format!("p{round}@example.com");
        let cookies = create_account(&admin, &email, "user").await;
        let owner = Browser::new(&meanwhile, &cookies);
        let id = account_id(&admin, &email).await;
        let sign_ins = join_all((0..4).map(async |_| owner.sign_in(&email, PASSWORD).await));
        let end_sessions = async {
            match action {
                "change" => {
                    let change = [("old", PASSWORD), ("new", "battery-staple")];
                    let changed = owner.submit("/account/password", &change).await;
                    assert_eq!(changed.headers()[header::LOCATION], "/account?saved=password");
                }
                "reset" => {
                    let created = admin.submit(&format!("/people/{id}/reset"), &[]).await;
                    Browser::new(&meanwhile, "").redeem(created, "reset").await;
                }
                _ => {
                    let disabled = admin.submit(&format!("/people/{id}/disable"), &[]).await;
                    assert_eq!(disabled.headers()[header::LOCATION], "/people");
                }
            }
        };
        let (sign_ins, ()) = tokio::join!(sign_ins, end_sessions);
        if action == "disable" {
            admin.submit(&format!("/people/{id}/enable"), &[]).await;
        }
        for answer in sign_ins {
            if answer.status() == StatusCode::NO_CONTENT {
                let late = Browser::new(&meanwhile, &response_cookies(&answer));
                assert!(!late.is_signed_in().await, "{action}: a session is left");
            } else {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{action}");
            }
        }
        assert_eq!(owner.is_signed_in().await, action == "change");
    }
}

/// A request whose body is complete only after [`SlowRequest::finish`].
struct SlowRequest {
    connection: TcpStream,
    rest: String,
}

impl SlowRequest {
    /// Sends all but the last byte of the body, after the server has admitted the
    /// request.
    async fn begin(browser: &Browser<'_>, path: &str, kind: &str, body: &str) -> Self {
        let port = browser.meanwhile.api.port;
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (first, rest) = body.split_at(body.len() - 1);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Cookie: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Expect: 100-continue\r\n\r\n",
            browser.cookies,
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body when its handler reads it; by then it has
        // authenticated the request.
        let mut answer = [0; 25];
        connection.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&answer));
        connection.write_all(first.as_bytes()).await.unwrap();
        Self { connection, rest: rest.into() }
    }

    /// Sends the last byte and returns the answer's head.
    async fn finish(mut self) -> String {
        self.connection.write_all(self.rest.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        self.connection.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.split("\r\n\r\n").next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn requests_begun_before_the_user_was_disabled_are_not_carried_out() {
    let meanwhile = start_server().await;
    let ada = Browser::new(&meanwhile, &meanwhile.api.cookie);
    let bob = create_account(&ada, "bob@example.com", "admin").await;
    let bob = Browser::new(&meanwhile, &bob);
    let id = account_id(&ada, "bob@example.com").await;
    let file = "sku,title,price\nA,Lamp,1\n";
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    const START: &str = r#"{"instance_ids":["i-0a1b2c3d4e5f60002"]}"#;
    let token = format!(r#"{{"name":"late","password":"{PASSWORD}"}}"#);
    let slow = [
        SlowRequest::begin(&bob, "/api/v1/jobs/product-uploads?channels=acme", "text/csv", file)
            .await,
        SlowRequest::begin(&bob, "/api/v1/jobs/ec2-starts", json, START).await,
        SlowRequest::begin(&bob, "/api/v1/tokens", json, &token).await,
        SlowRequest::begin(&bob, "/people", form, "email=eve%40example.com&role=admin").await,
    ];
    let disabled = ada.submit(&format!("/people/{id}/disable"), &[]).await;
    assert_eq!(disabled.headers()[header::LOCATION], "/people");
    for slow in slow {
        let head = slow.finish().await;
        let redirect = "location: /people?problem=You%20were%20signed%20out";
        assert!(head.starts_with("HTTP/1.1 401") || head.contains(redirect), "{head}");
    }
    ada.submit(&format!("/people/{id}/enable"), &[]).await;
    let signed_in = bob.sign_in("bob@example.com", PASSWORD).await;
    let bob = Browser::new(&meanwhile, &response_cookies(&signed_in));
    assert_eq!(bob.get("/api/v1/jobs").await["items"], json!([]));
    assert_eq!(bob.get("/api/v1/tokens").await["items"], json!([]));
    let page = ada.client.get(meanwhile.api.url("/people")).header(header::COOKIE, &ada.cookies);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("eve@example.com"), "{page}");
}
