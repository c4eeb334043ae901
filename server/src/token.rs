//! Tokens of programs: `Authorization: Bearer mw_…` in the place of a
//! session's cookie.

use crate::{
    problem::Problem,
    request::Body,
    session::{self, InBrowser, SignedIn},
    state::State,
};
use axum::{
    Json,
    extract::{Path, State as Extract},
    http::StatusCode,
};
use contract::{
    api::{MadeToken, NewToken, Page, Token},
    text,
};

/// By this secrets are found where they should not be.
const PREFIX: &str = "mw_";

/// Makes a token of a person's; its secret is kept nowhere.
///
/// # Errors
/// 422 for a name that is empty, too long or holds a control character, and for a wrong
/// password; otherwise as [`session::confirm`].
pub async fn make(
    state: &State,
    who: &SignedIn,
    name: &str,
    password: String,
) -> Result<MadeToken, Problem> {
    let name = name.trim();
    text::TOKEN_NAME.check(name)?;
    if name.is_empty() {
        let words = "Give the token a name, such as what it is for.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words));
    }
    session::confirm(state, who, password).await?;
    let secret = format!("{PREFIX}{}", session::secret());
    let hash = session::hash(&secret);
    let token = state.engine.store().add_token(who.actor(), name, &hash).await?;
    Ok(MadeToken { token, secret })
}

/// `POST /api/v1/tokens`. Not with a token: one that leaked could be followed by
/// another that nobody revokes.
pub async fn add(
    Extract(state): Extract<State>,
    InBrowser(who): InBrowser,
    Body(new): Body<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    Ok((StatusCode::CREATED, Json(make(&state, &who, &new.name, new.password).await?)))
}

/// `GET /api/v1/tokens`.
pub async fn list(
    Extract(state): Extract<State>,
    who: SignedIn,
) -> Result<Json<Page<Token>>, Problem> {
    let items = state.engine.store().tokens(who.identity.user).await?;
    Ok(Json(Page { items, next: None }))
}

/// `DELETE /api/v1/tokens/{id}`. A token may revoke tokens, itself too: what
/// has leaked can be ended by whoever has it.
pub async fn delete(
    Extract(state): Extract<State>,
    who: SignedIn,
    Path(token): Path<String>,
) -> Result<StatusCode, Problem> {
    let token = token.parse().map_err(|_| Problem::not_found())?;
    state.engine.revoke_token(who.actor(), token).await?;
    Ok(StatusCode::NO_CONTENT)
}
