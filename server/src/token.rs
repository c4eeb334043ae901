//! API tokens of programs, which are sent as `Authorization: Bearer mw_…` instead
//! of a session cookie.

use crate::{
    problem::Problem,
    request::JsonBody,
    session::{self, BrowserUser, CurrentUser},
    state::AppState,
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use contract::{
    TokenId,
    api::{CreatedToken, MAX_TOKEN_DAYS, NewToken, Page, Role, Token, TokenScope},
    text,
};
use engine::store::TokenTerms;

/// Prefix that lets secret scanners recognise a leaked token.
const SECRET_PREFIX: &str = "mw_";

/// Creates an API token of a user. Its secret is not stored.
///
/// # Errors
/// 422 for a name that is empty, too long or contains a control character, for an expiry that is
/// out of range, for the scope `admin` of a user who is none, and for a wrong password;
/// otherwise those of [`session::confirm_password`].
pub async fn create_token(
    state: &AppState,
    user: &CurrentUser,
    name: &str,
    password: String,
    terms: TokenTerms,
) -> Result<CreatedToken, Problem> {
    let name = name.trim();
    text::TOKEN_NAME.check(name)?;
    if name.is_empty() {
        let detail = "Give the token a name, such as its purpose.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    if terms.expires_in_days.is_some_and(|days| !(1..=MAX_TOKEN_DAYS).contains(&days)) {
        let detail = format!(
            "A token expires after 1 to {MAX_TOKEN_DAYS} days, or never. Choose another expiry."
        );
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    if terms.scope == TokenScope::Admin && user.identity.role != Role::Admin {
        let detail = "Only an admin's token can have the scope `admin`. Choose another scope.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    session::confirm_password(state, user, password).await?;
    let secret = format!("{SECRET_PREFIX}{}", session::generate_secret());
    let hash = session::hash_secret(&secret);
    let token = state.engine.store().accounts.add_token(user.actor(), name, &hash, terms).await?;
    Ok(CreatedToken { token, secret })
}

/// `POST /api/v1/tokens`. Rejects API tokens: with a leaked one, somebody could
/// create another that nobody revokes.
pub async fn create(
    State(state): State<AppState>,
    BrowserUser(user): BrowserUser,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    let NewToken { name, password, scope, expires_in_days } = new;
    let terms = TokenTerms { scope, expires_in_days };
    let created = create_token(&state, &user, &name, password, terms).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// `GET /api/v1/tokens`.
pub async fn list(
    State(state): State<AppState>,
    user: CurrentUser,
) -> Result<Json<Page<Token>>, Problem> {
    let items = state.engine.store().accounts.tokens(user.identity.user).await?;
    Ok(Json(Page { items, next: None }))
}

/// `DELETE /api/v1/tokens/{id}`. A token may revoke itself, so that whoever finds a leaked one
/// can revoke it; others only with the scope `launch`.
pub async fn delete(
    State(state): State<AppState>,
    user: CurrentUser,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let token: TokenId = token.parse().map_err(|_| Problem::not_found())?;
    if user.token != Some(token) {
        user.require_scope(TokenScope::Launch)?;
    }
    state.engine.revoke_token(user.actor(), token).await?;
    Ok(StatusCode::NO_CONTENT)
}
