//! Client of a sales channel that a file describes: renders its requests, sends them, and
//! says by the file's rules what the answers mean.

mod address;
mod answer;
mod token;

pub use answer::{Answer, Verdict};

use super::{BuildClientError, request_error, traced};
use address::PublicAddresses;
use channels::{Body, Channel, Request, Scope, Step, template::TemplateError};
use engine::store::AttemptError;
use minijinja::Value;
use parking_lot::RwLock;
use reqwest::{Method, RequestBuilder, Url, redirect};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};
pub use token::CurrentToken;
use token::TokenCache;

/// Client of one sales channel.
pub struct ChannelClient {
    /// The channel as its file describes it.
    pub channel: Channel,
    http_client: reqwest::Client,
    token: TokenCache,
}

/// The client of a channel, which a changed file replaces. An attempt keeps the client that
/// it began with.
pub struct ChannelHandle(RwLock<Arc<ChannelClient>>);

impl ChannelHandle {
    /// Creates the handle of a client.
    pub fn new(client: ChannelClient) -> Self {
        Self(RwLock::new(Arc::new(client)))
    }

    /// Returns the present client.
    pub fn current(&self) -> Arc<ChannelClient> {
        Arc::clone(&self.0.read())
    }

    /// Replaces the client for attempts that begin from now on.
    pub fn replace(&self, client: ChannelClient) {
        *self.0.write() = Arc::new(client);
    }
}

/// Why the client of a channel can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The HTTP client can't be built.
    #[error(transparent)]
    Client(#[from] BuildClientError),
    /// The base URL names a private address.
    #[error(
        "{0} is a private address: write `private_address = true` if the channel's service \
         really is there"
    )]
    PrivateAddress(String),
}

impl ChannelClient {
    /// Creates the client of a channel. `timeout` limits one request, and is well below the
    /// lease.
    ///
    /// # Errors
    /// The HTTP client can't be built, or the base URL is a private address and the file does
    /// not allow it.
    pub fn new(channel: Channel, timeout: Duration) -> Result<Self, BuildError> {
        let mut builder = super::client_builder(timeout)
            .map_err(BuildClientError::from)?
            .redirect(redirect::Policy::none());
        if !channel.private_address {
            for url in [Some(&channel.base_url), channel.token_url.as_ref()].into_iter().flatten() {
                if let Some(host) = address::private_host(url) {
                    return Err(BuildError::PrivateAddress(host));
                }
            }
            // A proxy resolves the names itself, and may have a private address.
            if !address::uses_proxy() {
                builder = builder.dns_resolver(Arc::new(PublicAddresses));
            }
        }
        Ok(Self {
            channel,
            http_client: builder.build().map_err(BuildClientError::from)?,
            token: TokenCache::default(),
        })
    }

    /// Name of the channel in messages.
    pub fn name(&self) -> &str {
        &self.channel.name
    }

    /// Returns the time after a call without a response in which the call may still have its
    /// effect: twice the expected duration of a call.
    pub fn settle_time(&self) -> Duration {
        self.channel.pace.latency * 2
    }

    /// Returns the token for the next request. To fetch one is a request too.
    pub fn current_token(&self) -> CurrentToken {
        self.token.current(&self.channel)
    }

    /// Fetches a token.
    ///
    /// # Errors
    /// The service gives none.
    pub async fn fetch_token(&self) -> Result<(), AttemptError> {
        self.token.fetch(self).await
    }

    /// Forgets a token that was refused.
    pub fn forget_token(&self, token: &str) {
        self.token.forget(token);
    }

    /// Sends the request of a step, and returns the answer.
    ///
    /// # Errors
    /// The request can't be rendered, or there is no answer.
    pub async fn send(
        &self,
        step: &Step,
        scope: &Scope,
        key: &str,
        token: Option<&str>,
    ) -> Result<Answer, AttemptError> {
        let mut request = self.render(&step.request, &scope.variables())?;
        if let Some(header) = &step.key_header {
            request = request.header(header, key);
        }
        self.send_rendered(self.token.authenticate(self, request, token)?).await
    }

    /// Sends the request of `[check]`, which changes nothing, and returns what it says; `None`
    /// if the file has no check. Acquires no permits: it is for people who wait for it.
    ///
    /// # Errors
    /// The service does not answer as it should.
    pub async fn check(&self) -> Result<Option<String>, AttemptError> {
        let Some(check) = &self.channel.check else { return Ok(None) };
        self.fetch_token().await?;
        let token = match self.current_token() {
            CurrentToken::Available(token) => Some(token),
            CurrentToken::NotNeeded | CurrentToken::Missing => None,
        };
        let mut scope = Scope::without_product(&self.channel.settings);
        let request = self.render(&check.request, &scope.variables())?;
        let request = self.token.authenticate(self, request, token.as_deref())?;
        self.send_rendered(request).await?.judge(self, None, &mut scope)?;
        let public = scope.public_variables(&self.channel.settings);
        let says = check.says.render(&public).map_err(|error| {
            let message = format!("its answer is not as [check] expects it: {error}");
            AttemptError::retry("unexpected_answer", message)
        })?;
        Ok(Some(self.redact(&says)))
    }

    /// Replaces the channel's secrets in a text that people may see: an answer may repeat
    /// them.
    pub fn redact(&self, text: &str) -> String {
        self.token.redact(&self.channel.settings.redact(text))
    }

    async fn send_rendered(&self, request: RequestBuilder) -> Result<Answer, AttemptError> {
        let sent = traced::send(&self.channel.id, request).await;
        let response = sent.map_err(|error| self.send_error(&error))?;
        Answer::read(self.name(), response).await
    }

    fn send_error(&self, error: &reqwest::Error) -> AttemptError {
        match address::is_refused(error) {
            true => AttemptError::failed(
                "private_address",
                format!(
                    "{}'s address is a private one, and its file doesn't allow that.",
                    self.name()
                ),
            ),
            // Nothing was sent: a header has a line break, for example.
            false if error.is_builder() => self.broken("a header or the URL has a wrong character"),
            false => request_error(self.name(), error),
        }
    }

    fn render(&self, request: &Request, variables: &Value) -> Result<RequestBuilder, AttemptError> {
        let failed = |error: TemplateError| self.template_error(&error);
        let path = request.path.render(variables).map_err(failed)?;
        // Only the URL of a token may be a whole one, at a host that has no use for `[headers]`.
        let is_whole = path.contains("://");
        let url = if is_whole { path } else { format!("{}/{path}", self.channel.base_url) };
        let url = Url::parse(&url).map_err(|_| self.broken("the URL is not valid"))?;
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| self.broken("the method is not valid"))?;
        let mut builder = self.http_client.request(method, url);
        let common = self.channel.headers.iter().filter(|_| !is_whole);
        for (name, value) in common.chain(&request.headers) {
            builder = builder.header(name, value.render(variables).map_err(failed)?);
        }
        let mut query = Vec::with_capacity(request.query.len());
        for (name, value) in &request.query {
            query.push((name, value.render(variables).map_err(failed)?));
        }
        if !query.is_empty() {
            builder = builder.query(&query);
        }
        Ok(match &request.body {
            Body::Empty => builder,
            Body::Form(fields) => {
                let mut form = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    form.push((name, value.render(variables).map_err(failed)?));
                }
                builder.form(&form)
            }
            Body::Json { template, keep_nulls } => {
                builder.json(&self.json(&template.render(variables).map_err(failed)?, *keep_nulls)?)
            }
            Body::GraphQl { query, variables: template, keep_nulls } => {
                let mut body = serde_json::json!({ "query": query });
                if let Some(template) = template {
                    let rendered = template.render(variables).map_err(failed)?;
                    body["variables"] = self.json(&rendered, *keep_nulls)?;
                }
                builder.json(&body)
            }
        })
    }

    fn json(&self, rendered: &str, keep_nulls: bool) -> Result<Json, AttemptError> {
        let mut json: Json =
            serde_json::from_str(rendered).map_err(|_| self.broken("the body is not JSON"))?;
        if !keep_nulls {
            drop_nulls(&mut json);
        }
        Ok(json)
    }

    /// Returns the error of a template that this product can't be sent with.
    pub fn template_error(&self, error: &TemplateError) -> AttemptError {
        self.broken(&error.message)
    }

    fn broken(&self, why: &str) -> AttemptError {
        let message = format!(
            "The file of the channel {} can't express this product: {why}. An admin has to \
             correct it.",
            self.name()
        );
        AttemptError::failed("channel_file", message)
    }
}

/// Removes members that are null: a template needs no condition for each.
fn drop_nulls(json: &mut Json) {
    match json {
        Json::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_members_are_dropped_at_any_depth() {
        let mut json = serde_json::json!({"a": null, "b": [{"c": null, "d": 1}, null]});
        drop_nulls(&mut json);
        assert_eq!(json, serde_json::json!({"b": [{"d": 1}, null]}));
    }
}
