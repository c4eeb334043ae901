//! Requests to the API of one server.

use crate::{
    arguments::ClientOptions,
    error::{Error, Refusal},
    profile::Connection,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{io, time::Duration};
use tls::TlsFailure;

/// Maximum time of a request whose body and answer are small.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time of an upload or a download: 32 MiB at 300 kbit/s.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Maximum time for opening a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of times that a launch without an answer is sent, always with the same key.
const LAUNCH_ATTEMPTS: u32 = 3;

/// Client of a server's API.
#[derive(Clone, Debug)]
pub struct ApiClient {
    http: Client,
    /// The server, and the token.
    pub connection: Connection,
}

/// Body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// A file, as it is.
    File(Vec<u8>),
    /// JSON.
    Json(Value),
}

impl ApiClient {
    /// Returns a client of the server that the options and the environment name.
    ///
    /// # Errors
    /// Those of [`Connection::resolve`] and [`ApiClient::new`].
    pub fn resolve(options: &ClientOptions) -> Result<Self, Error> {
        Self::new(Connection::resolve(options)?)
    }

    /// Returns a client of a server. It follows no redirect, which would lead the token
    /// elsewhere.
    ///
    /// # Errors
    /// The authorities that the environment names can't be read.
    pub fn new(connection: Connection) -> Result<Self, Error> {
        let roots = tls::https_config().map_err(|error| Error::Usage(error.to_string()))?;
        let http = Client::builder()
            .tls_backend_preconfigured(roots)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .user_agent(concat!("meanwhile/", env!("CARGO_PKG_VERSION")))
            .build();
        let http = http.map_err(|error| Error::Usage(format!("No HTTP client: {error}.")))?;
        Ok(Self { http, connection })
    }

    /// Sends a GET to a path below `/api/v1`, and returns the answer's JSON.
    ///
    /// # Errors
    /// The server can't be reached, refuses the request, or does not answer with JSON.
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        let answer = self.send(self.request(Method::GET, &format!("/api/v1{path}"))).await?;
        self.json(answer).await
    }

    /// Sends a POST with JSON to a path below `/api/v1`, and returns the answer's JSON.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Error> {
        let request = self.request(Method::POST, &format!("/api/v1{path}")).json(body);
        let answer = self.send(request).await?;
        self.json(answer).await
    }

    /// Sends a DELETE to a path below `/api/v1`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, &format!("/api/v1{path}"))).await.map(drop)
    }

    /// Sends a launch to a path below `/api/v1`, with an idempotency key. It is sent again
    /// where no answer arrived, or a 503, which can't launch it twice.
    ///
    /// # Errors
    /// As [`Self::get`]; [`Error::LaunchUnknown`] if it was sent and no answer arrived.
    pub async fn launch(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: Body,
        key: &str,
    ) -> Result<Value, Error> {
        let mut attempt = 1;
        loop {
            let request = self.request(Method::POST, &format!("/api/v1{path}"));
            let request = request.query(query).header("Idempotency-Key", key);
            let request = match body.clone() {
                Body::File(bytes) => request.body(bytes).timeout(TRANSFER_TIMEOUT),
                Body::Json(body) => request.json(&body),
            };
            let (error, may_be_accepted) = match request.send().await {
                Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    (self.refusal(answer).await, false)
                }
                Ok(answer) if answer.status().is_success() => match self.json(answer).await {
                    Ok(body) => return Ok(body),
                    Err(error) => (error, true),
                },
                Ok(answer) => return Err(self.refusal(answer).await),
                Err(error) if error.is_connect() => return Err(self.unreachable(&error)),
                Err(error) => (self.unreachable(&error), true),
            };
            if attempt == LAUNCH_ATTEMPTS {
                return Err(match error {
                    Error::Unreachable { reason, .. } if may_be_accepted => {
                        Error::LaunchUnknown { reason, key: key.to_owned() }
                    }
                    error => error,
                });
            }
            tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
            attempt += 1;
        }
    }

    /// Downloads a path of the server, and passes each piece to `write`.
    ///
    /// # Errors
    /// As [`Self::get`], or that of `write`.
    pub async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
        mut write: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let request = self.request(Method::GET, path).query(query).timeout(TRANSFER_TIMEOUT);
        let mut answer = self.send(request).await?;
        while let Some(piece) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            write(&piece)?;
        }
        Ok(())
    }

    /// Reads an answer as a type of the API.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse<T: DeserializeOwned>(&self, body: Value) -> Result<T, Error> {
        serde_json::from_value(body).map_err(|error| self.not_meanwhile(error.to_string()))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.connection.url());
        // Without it, an error might be a page.
        let request = self.http.request(method, url).header(header::ACCEPT, "application/json");
        request.bearer_auth(self.connection.token.expose()).timeout(REQUEST_TIMEOUT)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Error> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(self.refusal(answer).await),
        }
    }

    async fn json(&self, answer: Response) -> Result<Value, Error> {
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        let not_json = |_| self.not_meanwhile(format!("{status} without JSON"));
        serde_json::from_slice(&body).map_err(not_json)
    }

    async fn refusal(&self, answer: Response) -> Error {
        let status = answer.status();
        let is_redirect = status.is_redirection();
        let body = answer.bytes().await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if is_redirect {
            return self.not_meanwhile(format!("it redirects with {status}"));
        }
        Error::Refused(Box::new(Refusal::new(status.as_u16(), body)))
    }

    fn not_meanwhile(&self, reason: String) -> Error {
        Error::NotMeanwhile { url: self.connection.url().to_owned(), reason }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let reason = match TlsFailure::find(error) {
            Some(failure) => failure.to_string(),
            None if error.is_timeout() => "it did not answer in time".into(),
            None => innermost(error),
        };
        Error::Unreachable { url: self.connection.url().to_owned(), reason }
    }
}

impl Refusal {
    /// Takes an answer of the server.
    pub fn new(status: u16, body: Value) -> Self {
        let problem = serde_json::from_value(body.clone()).ok();
        Self { status, body, problem }
    }
}

/// Returns the text of the error that caused the others, such as `connection refused`.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "nothing listens there".into(),
        Some(io::ErrorKind::ConnectionReset) => "the connection was reset".into(),
        _ => cause.to_string(),
    }
}
