//! Routes and their handlers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Form, Path, Query, State, rejection::FormRejection},
    http::{HeaderMap, StatusCode},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    aws::{AwsService, Endpoint},
    call_tracker::CallTracker,
    channel::Channel,
    cloudwatch::CloudWatch,
    connection::ConnectionAbortHandle,
    ec2::Ec2,
    environment::Environment,
    graphql_channel::GraphQlChannel,
    ledger::{ServiceSummary, Snapshot},
    profiles::{ChannelApi, ChannelProfile},
    query_protocol::QueryParams,
    traceparent,
};

const MAX_BODY_BYTES: usize = 32 << 20;

/// State that all handlers share.
pub struct AppState {
    environment: Arc<Environment>,
    calls: CallTracker,
    channels: HashMap<&'static str, Arc<Channel>>,
    graphql_channels: HashMap<&'static str, Arc<GraphQlChannel>>,
    ec2: Arc<Endpoint<Ec2>>,
    cloudwatch: Arc<Endpoint<CloudWatch>>,
}

impl AppState {
    /// Restores all services from the ledger.
    pub fn new(
        environment: Arc<Environment>,
        calls: CallTracker,
        channels: &[ChannelProfile],
    ) -> Self {
        let of_api = |api| channels.iter().copied().filter(move |profile| profile.api == api);
        let graphql_channels = of_api(ChannelApi::GraphQl).map(|profile| {
            (profile.id, Arc::new(GraphQlChannel::new(profile, Arc::clone(&environment))))
        });
        let graphql_channels = graphql_channels.collect();
        let channels = of_api(ChannelApi::Rest)
            .map(|profile| (profile.id, Arc::new(Channel::new(profile, Arc::clone(&environment)))));
        let channels = channels.collect();
        let ec2 = Arc::new(Endpoint::new(Arc::clone(&environment)));
        let cloudwatch = Arc::new(Endpoint::new(Arc::clone(&environment)));
        Self { environment, calls, channels, graphql_channels, ec2, cloudwatch }
    }
}

type SharedState = State<Arc<AppState>>;

/// Returns the router of all routes.
pub fn router(state: Arc<AppState>) -> Router {
    let ec2 = |State(state): SharedState, ConnectInfo(abort_handle), form| async move {
        call_aws(&state, abort_handle, &state.ec2, form).await
    };
    let cloudwatch = |State(state): SharedState, ConnectInfo(abort_handle), form| async move {
        call_aws(&state, abort_handle, &state.cloudwatch, form).await
    };
    Router::new()
        .route("/channels/{id}/products", get(find_products).post(create_product))
        .route("/channels/{id}/products/{product}", put(update_product))
        .route("/channels/{id}/graphql.json", post(execute_graphql))
        .route("/ec2", get(ec2).post(ec2))
        .route("/ec2/", get(ec2).post(ec2))
        .route("/cloudwatch", get(cloudwatch).post(cloudwatch))
        .route("/cloudwatch/", get(cloudwatch).post(cloudwatch))
        .route("/ledger", get(ledger))
        .route("/ledger/summary", get(summary))
        .route("/faults", get(faults).post(set_faults))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(traceparent::keep))
        .with_state(state)
}

async fn create_product(
    State(state): SharedState,
    Path(id): Path<String>,
    ConnectInfo(abort_handle): ConnectInfo<ConnectionAbortHandle>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(channel) = state.channels.get(id.as_str()).cloned() else {
        return channel_not_found(&id);
    };
    let key = idempotency_key(&headers);
    state.calls.run_detached(abort_handle, channel.create_product(key, body)).await
}

async fn update_product(
    State(state): SharedState,
    Path((id, product)): Path<(String, String)>,
    ConnectInfo(abort_handle): ConnectInfo<ConnectionAbortHandle>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(channel) = state.channels.get(id.as_str()).cloned() else {
        return channel_not_found(&id);
    };
    let key = idempotency_key(&headers);
    state.calls.run_detached(abort_handle, channel.update_product(product, key, body)).await
}

fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    key.map(str::to_owned)
}

#[derive(Deserialize)]
struct FindQuery {
    sku: Option<String>,
}

async fn find_products(
    State(state): SharedState,
    Path(id): Path<String>,
    ConnectInfo(abort_handle): ConnectInfo<ConnectionAbortHandle>,
    Query(query): Query<FindQuery>,
) -> Response {
    let Some(channel) = state.channels.get(id.as_str()).cloned() else {
        return channel_not_found(&id);
    };
    state.calls.run_detached(abort_handle, channel.find_products(query.sku)).await
}

async fn execute_graphql(
    State(state): SharedState,
    Path(id): Path<String>,
    ConnectInfo(abort_handle): ConnectInfo<ConnectionAbortHandle>,
    body: Bytes,
) -> Response {
    let Some(channel) = state.graphql_channels.get(id.as_str()).cloned() else {
        return channel_not_found(&id);
    };
    state.calls.run_detached(abort_handle, channel.execute(body)).await
}

fn channel_not_found(id: &str) -> Response {
    let body = json!({ "error": "no_such_channel", "reason": format!("No channel {id}") });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

type FormResult = Result<Form<Vec<(String, String)>>, FormRejection>;

async fn call_aws<S: AwsService>(
    state: &AppState,
    abort_handle: ConnectionAbortHandle,
    endpoint: &Arc<Endpoint<S>>,
    form: FormResult,
) -> Response {
    let params = form.ok().map(|Form(pairs)| pairs.into_iter().collect::<QueryParams>());
    state.calls.run_detached(abort_handle, Arc::clone(endpoint).call(params)).await
}

async fn ledger(State(state): SharedState) -> Json<Snapshot> {
    Json(state.environment.ledger.snapshot())
}

async fn summary(State(state): SharedState) -> Json<BTreeMap<&'static str, ServiceSummary>> {
    Json(state.environment.ledger.summary())
}

#[derive(Serialize, Deserialize)]
struct FaultSwitch {
    enabled: bool,
}

async fn faults(State(state): SharedState) -> Json<FaultSwitch> {
    Json(FaultSwitch { enabled: state.environment.faults_enabled() })
}

async fn set_faults(
    State(state): SharedState,
    Json(faults): Json<FaultSwitch>,
) -> Json<FaultSwitch> {
    state.environment.set_faults_enabled(faults.enabled);
    Json(faults)
}
