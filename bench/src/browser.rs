//! A client for forms and sign-ins from a chosen loopback address, and for
//! requests with slow bodies.

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};
use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Maximum wait for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that follows no redirects.
pub struct Browser {
    client: Client,
    port: u16,
    /// Value of the `Cookie` header that it sends.
    pub cookies: String,
}

impl Browser {
    /// Returns a client at the loopback address `from`.
    pub fn new(from: Ipv4Addr, port: u16, cookies: &str) -> anyhow::Result<Self> {
        let client = Client::builder().redirect(Policy::none()).local_address(Some(from.into()));
        let client = client.timeout(RESPONSE_TIMEOUT).build()?;
        Ok(Self { client, port, cookies: cookies.into() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let request = self.client.post(self.url(path)).header(header::ORIGIN, self.url(""));
        request.header(header::COOKIE, &self.cookies)
    }

    /// Sends a form and returns the response, usually a redirect.
    pub async fn submit_form(&self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<Response> {
        Ok(self.post(path).form(form).send().await?)
    }

    /// Sends a form and checks that the response redirects to `page`.
    pub async fn submit_form_to(
        &self,
        path: &str,
        form: &[(&str, &str)],
        page: &str,
    ) -> anyhow::Result<Response> {
        let answer = self.submit_form(path, form).await?;
        let target = location(&answer);
        if target != page {
            bail!("{path} leads to {target:?} instead of {page:?} ({})", answer.status());
        }
        Ok(answer)
    }

    /// Signs in through the API.
    pub async fn sign_in(&self, email: &str, password: &str) -> anyhow::Result<Response> {
        let who = serde_json::json!({ "email": email, "password": password });
        Ok(self.post("/api/v1/session").json(&who).send().await?)
    }

    /// Returns the status and text of a response.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let request = self.client.get(self.url(path)).header(header::COOKIE, &self.cookies);
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Returns whether the cookies belong to a session.
    pub async fn is_signed_in(&self) -> anyhow::Result<bool> {
        Ok(self.get("/api/v1/jobs?limit=1").await?.0 == 200)
    }

    /// Creates an account by an invitation from this browser's admin, and returns
    /// its cookies.
    pub async fn invite_user(
        &self,
        email: &str,
        role: &str,
        password: &str,
    ) -> anyhow::Result<String> {
        let form = [("email", email), ("role", role)];
        let made = self.submit_form_to("/people", &form, "/people").await?;
        self.redeem_link(&made, "invite", password).await
    }

    /// Redeems the one-time link that `made` carries, as another user, and
    /// returns their cookies.
    pub async fn redeem_link(
        &self,
        made: &Response,
        page: &str,
        password: &str,
    ) -> anyhow::Result<String> {
        let carried = response_cookies(made);
        let token = carried.split_once('=').context("no link")?.1;
        let path = format!("/{page}/{token}");
        let request = self.client.post(self.url(&path)).header(header::ORIGIN, self.url(""));
        let used = request.form(&[("password", password)]).send().await?;
        if location(&used) != "/" {
            bail!("{path} leads to {:?}", location(&used));
        }
        Ok(response_cookies(&used))
    }

    /// Returns the id of an account, read from the page that this browser's admin
    /// sees.
    pub async fn user_id(&self, email: &str) -> anyhow::Result<String> {
        let (_, page) = self.get("/people").await?;
        let at = page.find(&format!("Disable: {email}")).context("the person is not listed")?;
        let end = page[at..].find("/disable").context("no form")?;
        let id = page[..at + end].rsplit('/').next().unwrap_or_default();
        Ok(id.to_owned())
    }

    /// Sends a request without the last byte of its body, which it begins after the
    /// server has asked for it with 100 Continue.
    pub async fn begin_slow_request(
        &self,
        path: &str,
        kind: &str,
        body: &str,
    ) -> anyhow::Result<SlowRequest> {
        let port = self.port;
        let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Cookie: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Expect: 100-continue\r\n\r\n",
            self.cookies,
            body.len()
        );
        connection.write_all(head.as_bytes()).await?;
        let mut answer = [0; 25];
        timeout(RESPONSE_TIMEOUT, connection.read_exact(&mut answer)).await??;
        if !answer.starts_with(b"HTTP/1.1 100") {
            bail!("{path} is refused at once: {}", String::from_utf8_lossy(&answer));
        }
        let (first, rest) = body.split_at(body.len().saturating_sub(1));
        connection.write_all(first.as_bytes()).await?;
        Ok(SlowRequest { connection, rest: rest.into() })
    }
}

/// A request whose body is still incomplete.
pub struct SlowRequest {
    connection: TcpStream,
    rest: String,
}

impl SlowRequest {
    /// Sends the rest of the body and returns the head of the response.
    pub async fn finish(mut self) -> anyhow::Result<String> {
        self.connection.write_all(self.rest.as_bytes()).await?;
        let mut answer = Vec::new();
        timeout(RESPONSE_TIMEOUT, self.connection.read_to_end(&mut answer)).await??;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        Ok(answer.split("\r\n\r\n").next().unwrap_or_default().to_owned())
    }
}

/// Returns all cookies that a response sets, as the value of a `Cookie` header.
pub fn response_cookies(answer: &Response) -> String {
    let set = answer.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next().map(str::to_owned));
    pairs.collect::<Vec<_>>().join("; ")
}

fn location(answer: &Response) -> &str {
    let location = answer.headers().get(header::LOCATION);
    location.and_then(|location| location.to_str().ok()).unwrap_or_default()
}
