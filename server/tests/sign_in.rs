//! Signing in while others guess, and requests that outlast their person's
//! right to make them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use futures_util::future::join_all;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde_json::{Value, json};
use support::Meanwhile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PASSWORD: &str = "correct-horse";

/// A browser: its cookies, and no redirects.
struct Browser<'a> {
    meanwhile: &'a Meanwhile,
    client: Client,
    cookies: String,
}

impl<'a> Browser<'a> {
    fn new(meanwhile: &'a Meanwhile, cookies: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { meanwhile, client, cookies: cookies.into() }
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let request = self.client.post(self.meanwhile.url(path));
        request.header(header::ORIGIN, self.meanwhile.url("")).header(header::COOKIE, &self.cookies)
    }

    async fn submit(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.post(path).form(form).send().await.unwrap()
    }

    async fn sign_in(&self, email: &str, password: &str) -> Response {
        let who = json!({ "email": email, "password": password });
        self.post("/api/v1/session").json(&who).send().await.unwrap()
    }

    /// Whether the cookies are somebody's session.
    async fn is_signed_in(&self) -> bool {
        let jobs = self.client.get(self.meanwhile.url("/api/v1/jobs"));
        let jobs = jobs.header(header::COOKIE, &self.cookies).send().await.unwrap();
        jobs.status() == StatusCode::OK
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.client.get(self.meanwhile.url(path));
        request.header(header::COOKIE, &self.cookies).send().await.unwrap().json().await.unwrap()
    }

    /// Opens a one-time link that the admin made; the cookies of who used it.
    async fn redeem(&self, made: Response, page: &str) -> String {
        assert_eq!(made.headers()[header::LOCATION], "/people");
        let token = cookies(&made);
        let token = token.split_once('=').unwrap().1;
        let used = self.submit(&format!("/{page}/{token}"), &[("password", PASSWORD)]).await;
        assert_eq!(used.headers()[header::LOCATION], "/");
        cookies(&used)
    }
}

/// All cookies that an answer sets, as a request sends them.
fn cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> =
        set.map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
    pairs.join("; ")
}

/// Makes an account, and returns the cookies of its person.
async fn join(admin: &Browser<'_>, email: &str, role: &str) -> String {
    let invited = admin.submit("/people", &[("email", email), ("role", role)]).await;
    Browser::new(admin.meanwhile, "").redeem(invited, "invite").await
}

/// The id of the account, as its page names it.
async fn person(admin: &Browser<'_>, email: &str) -> String {
    let page = admin.client.get(admin.meanwhile.url("/people"));
    let page = page.header(header::COOKIE, &admin.cookies).send().await.unwrap();
    let page = page.text().await.unwrap();
    let at = page.find(&format!("Disable: {email}")).expect("the person is listed");
    let before = &page[..at + page[at..].find("/disable").unwrap()];
    before.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_stranger_who_guesses_locks_no_known_device_and_no_session_out() {
    let meanwhile = Meanwhile::start().await;
    let stranger = Browser::new(&meanwhile, "");
    let ada = "ada@example.com";
    let at_home = stranger.sign_in(ada, PASSWORD).await;
    let at_home = Browser::new(&meanwhile, &cookies(&at_home));
    assert!(at_home.cookies.contains("meanwhile_device="), "{}", at_home.cookies);
    for _ in 0..10 {
        assert_eq!(stranger.sign_in(ada, "a guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = stranger.sign_in(ada, PASSWORD).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(at_home.sign_in(ada, PASSWORD).await.status(), StatusCode::NO_CONTENT);
    let change = [("old", PASSWORD), ("new", "battery-staple")];
    let changed = at_home.submit("/account/password", &change).await;
    assert_eq!(changed.headers()[header::LOCATION], "/account?saved=password");

    // The device may guess no more than anybody else, and only about its own.
    for _ in 0..10 {
        assert_eq!(at_home.sign_in(ada, "a guess").await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = at_home.sign_in(ada, "battery-staple").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = at_home.sign_in("bob@example.com", "a guess").await;
    assert_eq!(other.status(), StatusCode::TOO_MANY_REQUESTS, "the network has guessed enough");
}

#[tokio::test]
async fn an_address_that_no_account_can_have_is_refused_before_it_costs_anything() {
    let meanwhile = Meanwhile::start().await;
    let stranger = Browser::new(&meanwhile, "");
    let long = format!("{}@example.com", "x".repeat(60_000));
    for _ in 0..20 {
        let answer = stranger.sign_in(&long, "a guess").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn no_session_outlives_the_password_that_it_was_opened_with() {
    let meanwhile = Meanwhile::start().await;
    let admin = Browser::new(&meanwhile, &meanwhile.cookie);
    for (round, how) in ["change", "reset", "disable"].into_iter().enumerate() {
        let email = format!("p{round}@example.com");
        let cookies_of_owner = join(&admin, &email, "user").await;
        let owner = Browser::new(&meanwhile, &cookies_of_owner);
        let id = person(&admin, &email).await;
        let sign_ins = join_all((0..4).map(async |_| owner.sign_in(&email, PASSWORD).await));
        let ends = async {
            match how {
                "change" => {
                    let change = [("old", PASSWORD), ("new", "battery-staple")];
                    let changed = owner.submit("/account/password", &change).await;
                    assert_eq!(changed.headers()[header::LOCATION], "/account?saved=password");
                }
                "reset" => {
                    let made = admin.submit(&format!("/people/{id}/reset"), &[]).await;
                    Browser::new(&meanwhile, "").redeem(made, "reset").await;
                }
                _ => {
                    let disabled = admin.submit(&format!("/people/{id}/disable"), &[]).await;
                    assert_eq!(disabled.headers()[header::LOCATION], "/people");
                }
            }
        };
        let (sign_ins, ()) = tokio::join!(sign_ins, ends);
        if how == "disable" {
            admin.submit(&format!("/people/{id}/enable"), &[]).await;
        }
        for answer in sign_ins {
            if answer.status() == StatusCode::NO_CONTENT {
                let late = Browser::new(&meanwhile, &cookies(&answer));
                assert!(!late.is_signed_in().await, "{how}: a session is left");
            } else {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{how}");
            }
        }
        assert_eq!(owner.is_signed_in().await, how == "change");
    }
}

/// A request whose body ends when [`Slow::end`] says so.
struct Slow {
    connection: TcpStream,
    rest: String,
}

impl Slow {
    /// Sends all but the last byte of the body, so that the request has been
    /// let in.
    async fn begin(who: &Browser<'_>, path: &str, kind: &str, body: &str) -> Self {
        let port = who.meanwhile.port;
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (first, rest) = body.split_at(body.len() - 1);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Cookie: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Expect: 100-continue\r\n\r\n",
            who.cookies,
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        // The server asks for the body when its handler reads it: whoever sends
        // this was known by then.
        let mut answer = [0; 25];
        connection.read_exact(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&answer));
        connection.write_all(first.as_bytes()).await.unwrap();
        Self { connection, rest: rest.into() }
    }

    /// Sends the rest and returns the answer's head.
    async fn end(mut self) -> String {
        self.connection.write_all(self.rest.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        self.connection.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.split("\r\n\r\n").next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn what_began_before_its_person_was_disabled_is_not_carried_out_after() {
    let meanwhile = Meanwhile::start().await;
    let ada = Browser::new(&meanwhile, &meanwhile.cookie);
    let bob = join(&ada, "bob@example.com", "admin").await;
    let bob = Browser::new(&meanwhile, &bob);
    let id = person(&ada, "bob@example.com").await;
    let file = "sku,title,price\nA,Lamp,1\n";
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let token = format!(r#"{{"name":"late","password":"{PASSWORD}"}}"#);
    let slow = [
        Slow::begin(&bob, "/api/v1/jobs/product-uploads?channels=acme", "text/csv", file).await,
        Slow::begin(&bob, "/api/v1/jobs/ec2-starts", json, r#"{"instance_ids":["i-1"]}"#).await,
        Slow::begin(&bob, "/api/v1/tokens", json, &token).await,
        Slow::begin(&bob, "/people", form, "email=eve%40example.com&role=admin").await,
    ];
    let disabled = ada.submit(&format!("/people/{id}/disable"), &[]).await;
    assert_eq!(disabled.headers()[header::LOCATION], "/people");
    for slow in slow {
        let head = slow.end().await;
        let led = "location: /people?problem=You%20were%20signed%20out";
        assert!(head.starts_with("HTTP/1.1 401") || head.contains(led), "{head}");
    }
    ada.submit(&format!("/people/{id}/enable"), &[]).await;
    let again = bob.sign_in("bob@example.com", PASSWORD).await;
    let again = Browser::new(&meanwhile, &cookies(&again));
    assert_eq!(again.get("/api/v1/jobs").await["items"], json!([]));
    assert_eq!(again.get("/api/v1/tokens").await["items"], json!([]));
    let page = ada.client.get(meanwhile.url("/people")).header(header::COOKIE, &ada.cookies);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(!page.contains("eve@example.com"), "{page}");
}
