//! Extractor of the client's address.

use crate::{problem::Problem, state::AppState};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{StatusCode, request::Parts},
};
use std::net::{IpAddr, SocketAddr};

/// Extractor of the address that a request came from.
pub struct ClientAddress(pub IpAddr);

impl FromRequestParts<AppState> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
            let detail = "The server can't tell where this request came from.";
            return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail));
        };
        Ok(Self(state.proxies.client_address(peer.ip(), &parts.headers)))
    }
}
