//! Tokens of programs: `Authorization: Bearer mw_…` in the place of a
//! session's cookie.

use crate::{
    problem::Problem,
    request::Body,
    session::{self, By, SignedIn},
    state::State,
};
use axum::{
    Json,
    extract::{Path, State as Extract},
    http::StatusCode,
};
use contract::{
    TokenId,
    api::{MadeToken, NewToken, Page, Token},
    text,
};
use engine::broker::News;

/// By this secrets are found where they should not be.
const PREFIX: &str = "mw_";

/// Makes a token of a person's; its secret is kept nowhere.
///
/// # Errors
/// 422 for a name that is empty, too long, or holds a control character; 403 with a token: one
/// that leaked could be followed by another that nobody revokes.
pub async fn make(state: &State, who: &SignedIn, name: &str) -> Result<MadeToken, Problem> {
    if who.by == By::Token {
        let words = "A token can't make tokens: sign in with a password.";
        return Err(Problem::new(StatusCode::FORBIDDEN, words));
    }
    let name = name.trim();
    text::TOKEN_NAME.check(name)?;
    if name.is_empty() {
        let words = "Give the token a name, such as what it is for.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    let secret = format!("{PREFIX}{}", session::secret());
    let hash = session::hash(&secret);
    let token = state.engine.store().add_token(who.identity.user, name, &hash).await?;
    Ok(MadeToken { token, secret })
}

/// Revokes a token and closes its sockets.
///
/// # Errors
/// 404 where it is not the person's, or is revoked already.
pub async fn revoke(state: &State, who: &SignedIn, token: TokenId) -> Result<(), Problem> {
    let user = who.identity.user;
    let hash = state.engine.store().revoke_token(user, token).await?;
    state.engine.broker().announce(News::SignedOut { user, session: Some(hash) });
    Ok(())
}

/// `POST /api/v1/tokens`.
pub async fn add(
    Extract(state): Extract<State>,
    who: SignedIn,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    Ok((StatusCode::CREATED, Json(make(&state, &who, &new.name).await?)))
}

/// `GET /api/v1/tokens`.
pub async fn list(
    Extract(state): Extract<State>,
    who: SignedIn,
) -> Result<Json<Page<Token>>, Problem> {
    let items = state.engine.store().tokens(who.identity.user).await?;
    Ok(Json(Page { items, next: None }))
}

/// `DELETE /api/v1/tokens/{id}`.
pub async fn delete(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let token = token.parse().map_err(|_| Problem::not_found())?;
    revoke(&state, &who, token).await?;
    Ok(StatusCode::NO_CONTENT)
}
