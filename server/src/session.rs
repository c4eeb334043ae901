//! Who asks: sessions, and what opens one.

use crate::{
    config::Config,
    cookie, device,
    guard::Origins,
    limiter::{Guess, Subject},
    password::{self, Asker},
    problem::Problem,
    state::State,
};
use anyhow::Context;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use contract::{UserId, api::Role, text};
use engine::store::{self, Actor, Credential, Identity, Link, Store};
use sha2::{Digest, Sha256};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const COOKIE: &str = "meanwhile_session";
const LIFE_S: i64 = 30 * 24 * 3600;

/// The signed-in person.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub identity: Identity,
    pub by: By,
    /// Hash of the cookie's or the token's secret.
    pub session: String,
}

impl SignedIn {
    /// The person and the credential, for a change that is made on their
    /// behalf.
    pub fn actor(&self) -> Actor {
        let hash = self.session.clone();
        let credential = match self.by {
            By::Cookie => Credential::Session(hash),
            By::Token => Credential::ApiToken(hash),
        };
        Actor { user: self.identity.user, credential }
    }
}

/// What a request brought to say who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A cookie: the browser sends it whoever asked for the request.
    Cookie,
    /// A program's token.
    Token,
}

/// The signed-in person, if any.
#[derive(Clone, Debug)]
pub struct Visitor(pub Option<SignedIn>);

/// Who asks, where that was found out before the request got here.
#[derive(Clone, Debug)]
pub struct Known(pub Visitor);

impl FromRequestParts<State> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        if let Some(Known(visitor)) = parts.extensions.get() {
            return Ok(visitor.clone());
        }
        let store = state.engine.store();
        // Whoever sends a token means it, so a bad one is not made good by a
        // cookie: without an Origin that could be another site's request.
        if let Some(secret) = bearer(&parts.headers) {
            let session = hash(secret);
            let Some(identity) = store.token(&session).await? else {
                let words = "This token is not known here, or was revoked.";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, words));
            };
            return Ok(Self(Some(SignedIn { identity, by: By::Token, session })));
        }
        let Some(token) = cookie::get(&parts.headers, COOKIE) else { return Ok(Self(None)) };
        let session = hash(&token);
        let identity = store.session(&session).await?;
        Ok(Self(identity.map(|identity| SignedIn { identity, by: By::Cookie, session })))
    }
}

impl FromRequestParts<State> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        Visitor::from_request_parts(parts, state).await?.0.ok_or_else(Problem::sign_in)
    }
}

/// The signed-in person, in a browser: what concerns the account itself is not
/// for API tokens.
pub struct InBrowser(pub SignedIn);

impl FromRequestParts<State> for InBrowser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        match who.by {
            By::Cookie => Ok(Self(who)),
            By::Token => {
                let words = "An API token can't do this: sign in with a password.";
                Err(Problem::new(StatusCode::FORBIDDEN, words))
            }
        }
    }
}

/// The signed-in admin, in a browser: a program's token manages no people.
/// Nobody else is told that anything is here.
pub struct Admin(pub SignedIn);

impl FromRequestParts<State> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let who = SignedIn::from_request_parts(parts, state).await?;
        match (who.identity.role, who.by) {
            (Role::Admin, By::Cookie) => Ok(Self(who)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// The hash of what a request brought to say who asks; nobody has looked yet
/// whether it is good for anything.
pub fn presented(headers: &HeaderMap) -> Option<String> {
    let token = bearer(headers).map(hash);
    token.or_else(|| cookie::get(headers, COOKIE).map(|token| hash(&token)))
}

/// The secret of `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// 256 bits that nobody can guess.
pub fn secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// As the store keeps a secret. One of 256 bits needs no slow hash.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Cookies of somebody who has just signed in: the session's, and the one by
/// which the device is known from now on.
pub type Cookies = axum::response::AppendHeaders<[(header::HeaderName, HeaderValue); 2]>;

/// Checks a password, makes a session, and returns its cookies.
///
/// # Errors
/// 401 without telling which of the two was wrong. 429 after ten failures
/// within a quarter of an hour: of the device, where the account was signed in
/// to from it before, else of the account or of the network. 503 where too many
/// passwords are being checked.
pub async fn sign_in(
    state: &State,
    address: IpAddr,
    headers: &HeaderMap,
    email: &str,
    password: String,
) -> Result<Cookies, Problem> {
    let email = email.trim().to_lowercase();
    // Before it is counted: a text that no account can have costs nothing.
    text::EMAIL.check(&email)?;
    text::PASSWORD.check_length(&password)?;
    let (guess, asker) = guess_at_account(state, address, headers, &email)?;
    let wrong = || {
        let words = "Email and password don't match an account.";
        Problem::new(StatusCode::UNAUTHORIZED, words)
    };
    let account = state.engine.store().account(&email).await?;
    let account = account.filter(|account| !account.disabled);
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = password::verify(asker, password, stored.clone()).await?;
    match (account, stored) {
        (Some(account), Some(stored)) if right => {
            guess.was_right();
            let opened = open(state, account.identity.user, &email, &stored).await;
            // It was the right one when it was checked, and is not any more.
            opened.map_err(|error| match error.status {
                StatusCode::UNAUTHORIZED => wrong(),
                _ => error,
            })
        }
        _ => {
            guess.was_wrong();
            Err(wrong())
        }
    }
}

/// A guess at the password of an account: one of a known device's own, while it
/// may guess, else one of everybody's.
fn guess_at_account(
    state: &State,
    address: IpAddr,
    headers: &HeaderMap,
    email: &str,
) -> Result<(Guess, Asker), Problem> {
    if let Some(device) = device::known(state, headers, email)
        && let Ok(guess) = state.limiter.guess(&[Subject::device(&device)])
    {
        return Ok((guess, Asker::Known));
    }
    let subjects = [Subject::account(email), Subject::network(address)];
    Ok((state.limiter.guess(&subjects)?, Asker::Stranger))
}

/// Makes the first account and signs it in.
///
/// # Errors
/// 403 without the token of the log, where one is asked for; 422 for an
/// address or a password that won't do; 409 where there is an account.
pub async fn set_up(
    state: &State,
    email: &str,
    password: String,
    token: &str,
) -> Result<Cookies, Problem> {
    // Hashes are compared, so that the time it takes tells nothing.
    if state.set_up_token.as_ref().is_some_and(|own| hash(own) != hash(token.trim())) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This server can be reached from other machines, so the first account is made by \
             whoever runs it. Copy the set-up token from the server's log.",
        ));
    }
    let email = email.trim().to_lowercase();
    check_email(&email)?;
    password::check(&password)?;
    let hashed = password::hash(password).await?;
    let identity = state.engine.store().add_first_account(&email, &hashed).await?;
    open(state, identity.user, &email, &hashed).await
}

/// What the one-time link of `token` is good for.
///
/// # Errors
/// 404 where there is no such link (any more); 409 where it was used or is too
/// old.
pub async fn link(state: &State, token: &str) -> Result<Link, Problem> {
    state.engine.store().link(&hash(token)).await.map_err(|error| match error {
        store::Error::NotFound => Problem::new(
            StatusCode::NOT_FOUND,
            "This link is not valid. Check that it was copied whole; if it was, it has been taken \
             back or replaced: ask an admin for a new one.",
        ),
        error => error.into(),
    })
}

/// Uses a one-time link: keeps the password and signs in.
///
/// # Errors
/// As [`link`]; 422 for a password that won't do; 429 after ten failures of an
/// address within a quarter of an hour.
pub async fn redeem(
    state: &State,
    address: IpAddr,
    token: &str,
    password: String,
) -> Result<Cookies, Problem> {
    let guess = state.limiter.guess(&[Subject::network(address)])?;
    // Looked at before anything is hashed: a wrong link costs little.
    let link = match link(state, token).await {
        Ok(link) => link,
        Err(problem) => {
            if problem.status.is_client_error() {
                guess.was_wrong();
            }
            return Err(problem);
        }
    };
    password::check(&password)?;
    let hashed = password::hash(password).await?;
    let user = state.engine.redeem(&hash(token), &hashed).await?;
    open(state, user, &link.email, &hashed).await
}

/// Changes the password of whoever knows the old one, ends their other
/// sessions, and revokes their API tokens where that is asked for.
///
/// # Errors
/// As [`confirm`]; 422 for a new password that won't do.
pub async fn change_password(
    state: &State,
    who: &SignedIn,
    old: String,
    new: String,
    revoke_tokens: bool,
) -> Result<(), Problem> {
    password::check(&new)?;
    let checked = confirm(state, who, old).await?;
    let new = password::hash(new).await?;
    let engine = &state.engine;
    Ok(engine.change_password(who.actor(), &checked, &new, &who.session, revoke_tokens).await?)
}

/// Checks the password of somebody who is signed in. Returns the hash that it
/// was checked against.
///
/// # Errors
/// 422 for a wrong password; 429 after ten failures of this session within a
/// quarter of an hour: whoever guesses at the sign-in does not bind it.
pub async fn confirm(state: &State, who: &SignedIn, password: String) -> Result<String, Problem> {
    text::PASSWORD.check_length(&password)?;
    let guess = state.limiter.guess(&[Subject::session(&who.session)])?;
    let account = state.engine.store().account(&who.identity.email).await?;
    let stored = account.and_then(|account| account.password_hash);
    match stored {
        Some(stored) if password::verify(Asker::Known, password, Some(stored.clone())).await? => {
            guess.was_right();
            Ok(stored)
        }
        _ => {
            guess.was_wrong();
            let words = "The current password is not right. Nothing was changed.";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words))
        }
    }
}

/// Refuses what is no address.
///
/// # Errors
/// 422, with what to do.
pub fn check_email(email: &str) -> Result<(), Problem> {
    let parts =
        email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    text::EMAIL.check(email)?;
    if !parts || email.contains(char::is_whitespace) {
        let words = "Write an email address, such as ada@example.com.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    Ok(())
}

/// Opens a session for somebody whose password was checked against
/// `password_hash`.
async fn open(
    state: &State,
    user: UserId,
    email: &str,
    password_hash: &str,
) -> Result<Cookies, Problem> {
    let token = secret();
    let expires_at = state.engine.store().now_ms() + LIFE_S * 1000;
    state.engine.open_session(&hash(&token), user, password_hash, expires_at).await?;
    let session = cookie::set(state, COOKIE, &token, "/", LIFE_S)?;
    let device = device::remember(state, email)?;
    Ok(axum::response::AppendHeaders([(header::SET_COOKIE, session), (header::SET_COOKIE, device)]))
}

/// A cookie that takes the session's cookie away.
pub fn no_cookie(state: &State) -> Result<HeaderValue, Problem> {
    cookie::set(state, COOKIE, "", "/", 0)
}

/// What the first visitor is asked for, where a stranger could be the first:
/// whoever is not on this machine, or comes through a proxy that is. It is told
/// in the log, for whoever runs the server, and is the same on every node.
pub async fn set_up_token(
    store: &Store,
    config: &Config,
    origins: &Origins,
    listen: SocketAddr,
) -> anyhow::Result<Option<Arc<str>>> {
    if listen.ip().is_loopback() && origins.are_local() && config.trusted_proxy.is_empty() {
        return Ok(None);
    }
    // Random, and told to nobody before there is an account.
    let token = hash(&format!("set-up {}", store.epoch()));
    if !store.has_accounts().await? {
        tracing::warn!("no account yet: make the first one at /setup; set-up token: {token}");
    }
    Ok(Some(token.into()))
}

/// Makes the account of the configuration, where there is none.
pub async fn first_account(store: &Store, config: &Config) -> anyhow::Result<()> {
    let (Some(email), Some(password)) = (&config.admin_email, &config.admin_password) else {
        return Ok(());
    };
    if store.has_accounts().await? {
        return Ok(());
    }
    let email = email.trim().to_lowercase();
    let hashed = match check_email(&email).and_then(|()| password::check(password)) {
        Ok(()) => password::hash(password.to_string()).await,
        Err(problem) => Err(problem),
    };
    let hashed = hashed.map_err(|problem| anyhow::anyhow!(problem.detail))?;
    match store.add_first_account(&email, &hashed).await {
        // Another process that starts with this one was first.
        Ok(_) | Err(store::Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error).context("can't make the first account"),
    }
}
