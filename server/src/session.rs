//! Who asks: passwords, sessions, and how often one may guess.

use crate::{config::Config, problem::Problem, state::State};
use anyhow::Context;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
};
use contract::api::Role;
use engine::store::{Identity, Store};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

const COOKIE: &str = "meanwhile_session";
const LIFE_S: i64 = 30 * 24 * 3600;
/// Hashing takes some 20 MiB and a core for a while: few at once.
static HASHERS: Semaphore = Semaphore::const_new(2);

/// The signed-in person.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub identity: Identity,
    pub by: By,
    /// Hash of the cookie's or the token's secret.
    pub session: String,
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
pub struct Visitor(pub Option<SignedIn>);

impl FromRequestParts<State> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
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
        let Some(token) = token(&parts.headers) else { return Ok(Self(None)) };
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

/// Refuses everyone who is not an admin.
pub fn admin(who: &SignedIn) -> Result<(), Problem> {
    match who.identity.role {
        Role::Admin => Ok(()),
        Role::User => Err(Problem::new(StatusCode::FORBIDDEN, "Only admins may do this.")),
    }
}

/// The secret of `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}

/// 256 bits that nobody can guess.
pub fn secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// As the store keeps a secret. One of 256 bits needs no slow hash.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Checks a password, makes a session, and returns its cookie.
///
/// # Errors
/// 401 without telling which of the two was wrong; 429 after ten failures of
/// an account or an address within a quarter of an hour.
pub async fn sign_in(
    state: &State,
    address: IpAddr,
    email: &str,
    password: String,
) -> Result<HeaderValue, Problem> {
    let email = email.trim().to_lowercase();
    let keys = [format!("account {email}"), format!("address {address}")];
    state.limiter.check(&keys)?;
    let account = state.engine.store().account(&email).await?;
    let account = account.filter(|account| !account.disabled);
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = verify(password, stored).await?;
    match account {
        Some(account) if right => {
            state.limiter.forget(&keys);
            open(state, &account.identity).await
        }
        _ => {
            state.limiter.count(&keys);
            Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "Email and password don't match an account.",
            ))
        }
    }
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
) -> Result<HeaderValue, Problem> {
    // Hashes are compared, so that the time it takes tells nothing.
    if state.set_up_token.as_ref().is_some_and(|own| hash(own) != hash(token.trim())) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This server can be reached from other machines, so the first account is made by \
             whoever runs it. Copy the set-up token from the server's log.",
        ));
    }
    let email = email.trim().to_lowercase();
    check_new(&email, &password)?;
    let hashed = hash_password(password).await?;
    let identity = state.engine.store().add_first_account(&email, &hashed).await?;
    open(state, &identity).await
}

fn check_new(email: &str, password: &str) -> Result<(), Problem> {
    let words = if !email.contains('@') || email.len() > 254 {
        "Write an email address, such as ada@example.com."
    } else if password.chars().count() < 10 {
        "Choose a password of at least 10 characters."
    } else {
        return Ok(());
    };
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words))
}

async fn open(state: &State, identity: &Identity) -> Result<HeaderValue, Problem> {
    let token = secret();
    let store = state.engine.store();
    store.add_session(&hash(&token), identity.user, store.now_ms() + LIFE_S * 1000).await?;
    cookie(state, &token, LIFE_S)
}

/// A cookie that takes the session's cookie away.
pub fn no_cookie(state: &State) -> Result<HeaderValue, Problem> {
    cookie(state, "", 0)
}

fn cookie(state: &State, token: &str, life_s: i64) -> Result<HeaderValue, Problem> {
    let secure = if state.origins.secure() { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life_s}{secure}"
    ))
    .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "No cookie could be made."))
}

/// What the first visitor is asked for, where a stranger could be the first.
/// It is told in the log, for whoever runs the server.
pub async fn set_up_token(store: &Store, listen: SocketAddr) -> anyhow::Result<Option<Arc<str>>> {
    if listen.ip().is_loopback() {
        return Ok(None);
    }
    let token = secret();
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
    let hashed = match check_new(&email, password) {
        Ok(()) => hash_password(password.clone()).await,
        Err(problem) => Err(problem),
    };
    let hashed = hashed.map_err(|problem| anyhow::anyhow!(problem.detail))?;
    store.add_first_account(&email, &hashed).await.context("can't make the first account")?;
    Ok(())
}

async fn hash_password(password: String) -> Result<String, Problem> {
    blocking(move || {
        Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string()).ok()
    })
    .await?
    .ok_or_else(busy)
}

/// Takes as long without an account as with one.
async fn verify(password: String, stored: Option<String>) -> Result<bool, Problem> {
    blocking(move || {
        let argon = Argon2::default();
        match stored.as_deref().and_then(|stored| PasswordHash::new(stored).ok()) {
            Some(hash) => argon.verify_password(password.as_bytes(), &hash).is_ok(),
            None => {
                let _ = argon.hash_password(password.as_bytes());
                false
            }
        }
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let _place = HASHERS.acquire().await.map_err(|_| busy())?;
    tokio::task::spawn_blocking(work).await.map_err(|_| busy())
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server is busy. Try again soon.")
}

/// How often one may guess: per account and per address.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<HashMap<String, (u32, Instant)>>>);

impl Limiter {
    const FAILURES: u32 = 10;
    const WITHIN: Duration = Duration::from_secs(15 * 60);

    fn check(&self, keys: &[String]) -> Result<(), Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, (_, since)| since.elapsed() < Self::WITHIN);
        if keys.iter().any(|key| counts.get(key).is_some_and(|(n, _)| *n >= Self::FAILURES)) {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many failed tries. Wait a quarter of an hour.",
            ));
        }
        Ok(())
    }

    fn count(&self, keys: &[String]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            counts.entry(key.clone()).or_insert((0, Instant::now())).0 += 1;
        }
    }

    fn forget(&self, keys: &[String]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|key, _| !keys.contains(key));
    }
}
