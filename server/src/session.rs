//! Authentication of requests, sign-out, and everything that opens a session:
//! sign-in, set-up, and one-time links.

use crate::{
    config::Config,
    cookie, device,
    origin::Origins,
    password::{self, HashQueue},
    problem::Problem,
    sign_in_throttle::{SignInAttempt, ThrottleKey},
    state::AppState,
};
use anyhow::Context;
use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponseParts, ResponseParts},
};
use axum_extra::extract::CookieJar;
use contract::{
    TokenId, UserId,
    api::{Role, TokenScope},
    text,
};
use engine::store::{self, Actor, Credential, Identity, OneTimeLink, Store};
use sha2::{Digest, Sha256};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const COOKIE: &str = "meanwhile_session";
const LIFETIME_S: i64 = 30 * 24 * 3600;

/// The authenticated user of a request.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    pub identity: Identity,
    pub auth_method: AuthMethod,
    /// Hash of the secret in the cookie or the token.
    pub credential_hash: String,
    /// What the credential permits; everything for a session.
    pub scope: TokenScope,
    /// Id of the token, if there is one.
    pub token: Option<TokenId>,
}

impl CurrentUser {
    /// Returns the user and the credential, for a change that is made on the
    /// user's behalf.
    pub fn actor(&self) -> Actor {
        let hash = self.credential_hash.clone();
        let credential = match self.auth_method {
            AuthMethod::Cookie => Credential::Session(hash),
            AuthMethod::Token => Credential::ApiToken(hash),
        };
        Actor { user: self.identity.user, credential }
    }

    /// Checks that the credential permits what requires `scope`.
    ///
    /// # Errors
    /// 403, with the scope that is needed.
    pub fn require_scope(&self, scope: TokenScope) -> Result<(), Problem> {
        if self.scope.includes(scope) {
            return Ok(());
        }
        let detail = format!(
            "This token has the scope `{}`, and this needs the scope `{scope}`. Create a token \
             with it on the account page.",
            self.scope
        );
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    /// Whether the user is an admin, and the credential permits to act as one.
    pub fn acts_as_admin(&self) -> bool {
        self.identity.role == Role::Admin && self.scope.includes(TokenScope::Admin)
    }
}

/// The kind of credential that a request was authenticated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// A session cookie, which browsers also add to requests that other sites
    /// cause.
    Cookie,
    /// An API token of a program.
    Token,
}

/// The authenticated user of a request, if any.
#[derive(Clone, Debug)]
pub struct OptionalUser(pub Option<CurrentUser>);

/// Returns the scope that a token needs for a request. Handlers for admins check theirs beside
/// the role, in [`OperatorUser`].
fn required_scope(parts: &Parts) -> TokenScope {
    let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    match parts.method {
        Method::GET | Method::HEAD => TokenScope::Read,
        // `token::delete` decides: each token may revoke itself.
        Method::DELETE if path == Some("/api/v1/tokens/{id}") => TokenScope::Read,
        _ => TokenScope::Launch,
    }
}

/// Request extension with the result of an earlier authentication, which
/// extractors reuse.
#[derive(Clone, Debug)]
pub struct ResolvedUser(pub OptionalUser);

impl FromRequestParts<AppState> for OptionalUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        if let Some(ResolvedUser(user)) = parts.extensions.get() {
            return Ok(user.clone());
        }
        let store = state.engine.store();
        // An invalid token is rejected even if the cookie is valid: a request with
        // a token needs no Origin, so another site could have caused it.
        if let Some(secret) = bearer_token(&parts.headers) {
            let credential_hash = hash_secret(secret);
            let Some(grant) = store.accounts.authenticate_token(&credential_hash).await? else {
                let detail =
                    "This token is unknown or was revoked. Create a new one on the account page.";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
            };
            let user = CurrentUser {
                identity: grant.identity,
                auth_method: AuthMethod::Token,
                credential_hash,
                scope: grant.scope,
                token: Some(grant.id),
            };
            user.require_scope(required_scope(parts))?;
            return Ok(Self(Some(user)));
        }
        let Some(token) = cookie::get(&parts.headers, COOKIE) else { return Ok(Self(None)) };
        let credential_hash = hash_secret(&token);
        let identity = store.accounts.authenticate_session(&credential_hash).await?;
        Ok(Self(identity.map(|identity| CurrentUser {
            identity,
            auth_method: AuthMethod::Cookie,
            credential_hash,
            scope: TokenScope::Admin,
            token: None,
        })))
    }
}

impl FromRequestParts<AppState> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        OptionalUser::from_request_parts(parts, state)
            .await?
            .0
            .ok_or_else(Problem::sign_in_required)
    }
}

/// The authenticated user in a browser. API tokens are rejected with 403: they
/// can't change the account itself.
pub struct BrowserUser(pub CurrentUser);

impl FromRequestParts<AppState> for BrowserUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user = CurrentUser::from_request_parts(parts, state).await?;
        match user.auth_method {
            AuthMethod::Cookie => Ok(Self(user)),
            AuthMethod::Token => {
                let detail = "An API token can't do this. Sign in with a password.";
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
        }
    }
}

/// The authenticated admin in a browser: API tokens can't manage accounts. All
/// others get 404, which doesn't reveal that the path exists.
pub struct AdminUser(pub CurrentUser);

impl FromRequestParts<AppState> for AdminUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user = CurrentUser::from_request_parts(parts, state).await?;
        match (user.identity.role, user.auth_method) {
            (Role::Admin, AuthMethod::Cookie) => Ok(Self(user)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// The authenticated admin of a request, in a browser or with an API token of the scope `admin`.
/// An admin's other tokens get 403, and all others 404, as from [`AdminUser`].
pub struct OperatorUser(pub CurrentUser);

impl FromRequestParts<AppState> for OperatorUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let user = CurrentUser::from_request_parts(parts, state).await?;
        match user.identity.role {
            Role::Admin => user.require_scope(TokenScope::Admin).map(|()| Self(user)),
            Role::User => Err(Problem::not_found()),
        }
    }
}

/// Returns the hash of the credential that the request presents, which has not
/// been verified.
pub fn presented_credential_hash(headers: &HeaderMap) -> Option<String> {
    let token = bearer_token(headers).map(hash_secret);
    token.or_else(|| cookie::get(headers, COOKIE).map(|token| hash_secret(&token)))
}

/// Returns the secret of `Authorization: Bearer …`.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Returns 256 random bits, hex-encoded.
pub fn generate_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// Returns the form in which the store saves a secret: its SHA-256. A secret of
/// 256 bits needs no slow hash.
pub fn hash_secret(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Cookies that a sign-in sets: the session's first, then the one that makes the
/// device a known one.
pub struct SessionCookies {
    session: CookieJar,
    device: CookieJar,
}

impl IntoResponseParts for SessionCookies {
    type Error = Infallible;

    fn into_response_parts(self, parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.device.into_response_parts(self.session.into_response_parts(parts)?)
    }
}

/// Checks a password, opens a session, and returns its cookies.
///
/// # Errors
/// 401 for a wrong email or password, without telling which one; 422 for an
/// email or a password that no account can have; 429 after ten failures within
/// 15 minutes, counted by device if it is known for the account, otherwise by
/// account and by network; 503 if too many passwords are being checked.
pub async fn sign_in(
    state: &AppState,
    address: IpAddr,
    headers: &HeaderMap,
    email: &str,
    password: String,
) -> Result<SessionCookies, Problem> {
    let email = email.trim().to_lowercase();
    // A text that no account can have is rejected before it counts as an attempt.
    text::EMAIL.check(&email)?;
    text::PASSWORD.check_length(&password)?;
    let (attempt, queue) = begin_account_attempt(state, address, headers, &email)?;
    let wrong = || {
        let detail = "Email and password don't match an account.";
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    };
    let account = state.engine.store().accounts.user_account_by_email(&email).await?;
    let account = account.filter(|account| !account.disabled);
    let stored = account.as_ref().and_then(|account| account.password_hash.clone());
    let is_correct = password::verify(queue, password, stored.clone()).await?;
    match (account, stored) {
        (Some(account), Some(stored)) if is_correct => {
            attempt.record_success();
            let cookies = open_session(state, account.identity.user, &email, &stored).await;
            // The password was changed after the check.
            cookies.map_err(|error| match error.status {
                StatusCode::UNAUTHORIZED => wrong(),
                _ => error,
            })
        }
        _ => {
            attempt.record_failure();
            Err(wrong())
        }
    }
}

/// Begins an attempt at the password of an account: counted by the known device
/// while that one has attempts left, otherwise by account and network.
fn begin_account_attempt(
    state: &AppState,
    address: IpAddr,
    headers: &HeaderMap,
    email: &str,
) -> Result<(SignInAttempt, HashQueue), Problem> {
    if let Some(device) = device::known_device_id(state, headers, email)
        && let Ok(attempt) = state.sign_in_throttle.begin_attempt(&[ThrottleKey::device(&device)])
    {
        return Ok((attempt, HashQueue::Known));
    }
    let keys = [ThrottleKey::account(email), ThrottleKey::network(address)];
    Ok((state.sign_in_throttle.begin_attempt(&keys)?, HashQueue::Anonymous))
}

/// Creates the first account and signs it in.
///
/// # Errors
/// 403 if the set-up token is required and wrong; 422 for an invalid email
/// address or password; 409 if an account exists.
pub async fn set_up(
    state: &AppState,
    email: &str,
    password: String,
    token: &str,
) -> Result<SessionCookies, Problem> {
    // Comparing hashes keeps the comparison's duration from revealing the token.
    if state
        .set_up_token
        .as_ref()
        .is_some_and(|expected| hash_secret(expected) != hash_secret(token.trim()))
    {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This server can be reached from other machines, so only its operator can \
             create the first account. Copy the set-up token from the server's log.",
        ));
    }
    let email = email.trim().to_lowercase();
    check_email(&email)?;
    password::check(&password)?;
    let hashed = password::hash(password).await?;
    let identity = state.engine.store().accounts.add_first_user(&email, &hashed).await?;
    open_session(state, identity.user, &email, &hashed).await
}

/// Returns the one-time link with this token.
///
/// # Errors
/// 404 if there is no such link (any more); 409 if it was used or has expired.
pub async fn find_link(state: &AppState, token: &str) -> Result<OneTimeLink, Problem> {
    state.engine.store().accounts.usable_link(&hash_secret(token)).await.map_err(|error| match error {
        store::Error::NotFound => Problem::new(
            StatusCode::NOT_FOUND,
            "This link is not valid. Check that you copied all of it. If you did, it was revoked \
             or replaced: ask an admin for a new one.",
        ),
        error => error.into(),
    })
}

/// Redeems a one-time link: saves the password and signs in.
///
/// # Errors
/// Those of [`find_link`]; 422 for an invalid password; 429 after ten failures
/// of a network within 15 minutes; 503 if too many passwords are being hashed.
pub async fn redeem(
    state: &AppState,
    address: IpAddr,
    token: &str,
    password: String,
) -> Result<SessionCookies, Problem> {
    let attempt = state.sign_in_throttle.begin_attempt(&[ThrottleKey::network(address)])?;
    // The link is looked up before hashing, so that a wrong one costs little.
    let link = match find_link(state, token).await {
        Ok(link) => link,
        Err(problem) => {
            if problem.status.is_client_error() {
                attempt.record_failure();
            }
            return Err(problem);
        }
    };
    password::check(&password)?;
    let hashed = password::hash(password).await?;
    let user = state.engine.redeem_link(&hash_secret(token), &hashed).await?;
    open_session(state, user, &link.email, &hashed).await
}

/// Ends the session of the request and closes its WebSockets.
///
/// # Errors
/// 409 for an API token, which has no session.
pub async fn sign_out(state: &AppState, user: &CurrentUser) -> Result<(), Problem> {
    if user.auth_method == AuthMethod::Token {
        let detail = "A token has no session to end. Revoke it: DELETE /api/v1/tokens/{id}.";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok(state.engine.end_session(user.identity.user, &user.credential_hash).await?)
}

/// Changes the password after checking the old one, ends the user's other
/// sessions, and revokes their API tokens if `revoke_tokens` is set.
///
/// # Errors
/// Those of [`confirm_password`]; 422 for an invalid new password.
pub async fn change_password(
    state: &AppState,
    user: &CurrentUser,
    old: String,
    new: String,
    revoke_tokens: bool,
) -> Result<(), Problem> {
    password::check(&new)?;
    let old_hash = confirm_password(state, user, old).await?;
    let new_hash = password::hash(new).await?;
    let engine = &state.engine;
    Ok(engine
        .change_password(user.actor(), &old_hash, &new_hash, &user.credential_hash, revoke_tokens)
        .await?)
}

/// Checks the password of a signed-in user. Returns the hash that it was checked
/// against.
///
/// # Errors
/// 422 for a wrong password; 429 after ten failures of this session within 15
/// minutes, regardless of failures at the sign-in; 503 if too many passwords are
/// being checked.
pub async fn confirm_password(
    state: &AppState,
    user: &CurrentUser,
    password: String,
) -> Result<String, Problem> {
    text::PASSWORD.check_length(&password)?;
    let attempt =
        state.sign_in_throttle.begin_attempt(&[ThrottleKey::session(&user.credential_hash)])?;
    let account = state.engine.store().accounts.user_account_by_email(&user.identity.email).await?;
    let stored = account.and_then(|account| account.password_hash);
    match stored {
        Some(stored)
            if password::verify(HashQueue::Known, password, Some(stored.clone())).await? =>
        {
            attempt.record_success();
            Ok(stored)
        }
        _ => {
            attempt.record_failure();
            let detail = "The current password is not right. Nothing was changed.";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail))
        }
    }
}

/// Checks that the text looks like an email address.
///
/// # Errors
/// 422, with an example.
pub fn check_email(email: &str) -> Result<(), Problem> {
    let has_parts =
        email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    text::EMAIL.check(email)?;
    if !has_parts || email.contains(char::is_whitespace) {
        let detail = "Enter an email address, such as ada@example.com.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(())
}

/// Opens a session for a user whose password was checked against
/// `password_hash`.
async fn open_session(
    state: &AppState,
    user: UserId,
    email: &str,
    password_hash: &str,
) -> Result<SessionCookies, Problem> {
    let token = generate_secret();
    let expires_at = state.engine.store().database.now_ms() + LIFETIME_S * 1000;
    state.engine.open_session(&hash_secret(&token), user, password_hash, expires_at).await?;
    let session = cookie::set(state, COOKIE, token, "/", LIFETIME_S);
    Ok(SessionCookies { session, device: device::device_cookie(state, email) })
}

/// Returns the part of a response that removes the session cookie.
pub fn removal_cookie(state: &AppState) -> CookieJar {
    cookie::remove(state, COOKIE, "/")
}

/// Returns the token that is required to create the first account if a stranger
/// could get there first: one on another machine, or behind a proxy on this one.
/// The operator finds it in the log. It is the same on every node.
pub async fn set_up_token(
    store: &Store,
    config: &Config,
    origins: &Origins,
    listen: SocketAddr,
) -> anyhow::Result<Option<Arc<str>>> {
    if listen.ip().is_loopback() && origins.are_loopback() && config.trusted_proxy.is_empty() {
        return Ok(None);
    }
    // The epoch is random, and not disclosed before there is an account.
    let token = hash_secret(&format!("set-up {}", store.database.epoch()));
    if !store.accounts.has_users().await? {
        tracing::warn!(
            "no account exists yet; create the first one at /setup; set-up token: {token}"
        );
    }
    Ok(Some(token.into()))
}

/// Creates the configured admin account if there is no account.
pub async fn create_configured_admin(store: &Store, config: &Config) -> anyhow::Result<()> {
    let (Some(email), Some(password)) = (&config.admin_email, &config.admin_password) else {
        return Ok(());
    };
    if store.accounts.has_users().await? {
        return Ok(());
    }
    let email = email.trim().to_lowercase();
    let hashed = match check_email(&email).and_then(|()| password::check(password)) {
        Ok(()) => password::hash(password.to_string()).await,
        Err(problem) => Err(problem),
    };
    let hashed = hashed.map_err(|problem| anyhow::anyhow!(problem.detail))?;
    match store.accounts.add_first_user(&email, &hashed).await {
        // Another process created it at the same time.
        Ok(_) | Err(store::Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error).context("can't create the first account"),
    }
}
