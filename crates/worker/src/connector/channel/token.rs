//! Authentication, and the token of a channel whose requests need one.

use super::{super::traced, Answer, ChannelClient};
use channels::{Auth, Channel, Request, Scope};
use engine::store::AttemptError;
use minijinja::Value;
use parking_lot::Mutex;
use reqwest::RequestBuilder;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Number of tokens that are kept out of texts.
const LATEST_TOKENS: usize = 4;
/// A token is renewed this much before it expires; half its lifetime if that is less.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// The token of one channel, shared by all its requests.
#[derive(Default)]
pub struct TokenCache {
    state: Mutex<TokenState>,
    /// Lets one caller fetch, and the others use what it got.
    fetch_lock: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct TokenState {
    current: Option<Token>,
    /// The latest tokens, which an answer may repeat.
    latest: VecDeque<String>,
}

#[derive(Clone)]
struct Token {
    text: String,
    renew_at: Instant,
}

/// The token for the next request.
pub enum CurrentToken {
    /// Requests carry no token.
    NotNeeded,
    /// The token.
    Available(String),
    /// A token has to be fetched first.
    Missing,
}

impl TokenCache {
    /// Returns the token for the next request.
    pub fn current(&self, channel: &Channel) -> CurrentToken {
        if !matches!(channel.auth, Some(Auth::Token(_))) {
            return CurrentToken::NotNeeded;
        }
        let state = self.state.lock();
        match &state.current {
            Some(token) if Instant::now() < token.renew_at => {
                CurrentToken::Available(token.text.clone())
            }
            _ => CurrentToken::Missing,
        }
    }

    /// Forgets a refused token, unless there is a newer one already.
    pub fn forget(&self, text: &str) {
        let mut state = self.state.lock();
        if state.current.as_ref().is_some_and(|token| token.text == text) {
            state.current = None;
        }
    }

    /// Replaces the latest tokens in a text that people may see.
    pub fn redact(&self, text: &str) -> String {
        let state = self.state.lock();
        state.latest.iter().fold(text.to_owned(), |text, token| text.replace(token, "[secret]"))
    }

    /// Fetches a token, unless another caller just did.
    ///
    /// # Errors
    /// The service gives none.
    pub async fn fetch(&self, client: &ChannelClient) -> Result<(), AttemptError> {
        let Some(Auth::Token(auth)) = &client.channel.auth else { return Ok(()) };
        let _guard = self.fetch_lock.lock().await;
        if !matches!(self.current(&client.channel), CurrentToken::Missing) {
            return Ok(());
        }
        let mut scope = Scope::without_product(&client.channel.settings);
        self.request(client, &auth.request, &mut scope).await?;
        let variables = scope.variables();
        let text =
            auth.take.evaluate(&variables).ok().and_then(|token| {
                token.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
            });
        let Some(text) = text else {
            let message = format!("{} answered a login without a token.", client.name());
            return Err(AttemptError::retry("no_token", message));
        };
        let seconds =
            auth.lifetime.as_ref().and_then(|lifetime| lifetime.evaluate(&variables).ok());
        let seconds = seconds.and_then(|seconds| f64::try_from(seconds).ok());
        let lifetime = seconds
            .filter(|seconds| (1.0..=31_536_000.0).contains(seconds))
            .map_or(auth.default_lifetime, Duration::from_secs_f64);
        let renew_at = Instant::now() + lifetime - RENEWAL_MARGIN.min(lifetime / 2);
        let mut state = self.state.lock();
        state.latest.push_back(text.clone());
        if state.latest.len() > LATEST_TOKENS {
            state.latest.pop_front();
        }
        state.current = Some(Token { text, renew_at });
        Ok(())
    }

    async fn request(
        &self,
        client: &ChannelClient,
        request: &Request,
        scope: &mut Scope,
    ) -> Result<(), AttemptError> {
        let rendered = client.render(request, &scope.variables())?;
        let sent = traced::send(&client.channel.id, rendered).await;
        let response = sent.map_err(|error| client.send_error(&error))?;
        let answer = Answer::read(client.name(), response).await?;
        match answer.judge(client, None, scope) {
            Ok(_) => Ok(()),
            // A login changes nothing at the service.
            Err(AttemptError::Retry { outcome, .. }) => {
                Err(AttemptError::Retry { outcome, outcome_unknown: false })
            }
            Err(AttemptError::Failed(_) | AttemptError::Rejected(_)) => {
                Err(answer.login_refused(client))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the credentials to a request.
    ///
    /// # Errors
    /// They can't be rendered.
    pub fn authenticate(
        &self,
        client: &ChannelClient,
        request: RequestBuilder,
        token: Option<&str>,
    ) -> Result<RequestBuilder, AttemptError> {
        let Some(auth) = &client.channel.auth else { return Ok(request) };
        let mut scope = Scope::without_product(&client.channel.settings);
        let render = |template: &channels::template::Template, scope: &Scope| {
            template.render(&scope.variables()).map_err(|error| client.template_error(&error))
        };
        Ok(match auth {
            Auth::Header { name, value } => request.header(name, render(value, &scope)?),
            Auth::Basic { user, password } => {
                request.basic_auth(render(user, &scope)?, Some(render(password, &scope)?))
            }
            Auth::Token(auth) => {
                let Some(token) = token else { return Ok(request) };
                scope.set("token", Value::from(token));
                request.header(&auth.header, render(&auth.value, &scope)?)
            }
        })
    }
}
