//! Which path leads where.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, Form, Path, Query, State, rejection::FormRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    aws::{Endpoint, Service},
    channel::Channel,
    cloudwatch::CloudWatch,
    connection::Cut,
    ec2::Ec2,
    ledger::{Snapshot, Summary},
    query::Params,
    spec::channels,
    work::Work,
    world::World,
};

const LARGEST_BODY: usize = 32 << 20;

/// What all handlers share.
pub struct Outside {
    world: Arc<World>,
    work: Work,
    channels: HashMap<&'static str, Arc<Channel>>,
    ec2: Arc<Endpoint<Ec2>>,
    cloudwatch: Arc<Endpoint<CloudWatch>>,
}

impl Outside {
    pub fn new(world: Arc<World>, work: Work) -> Self {
        let channels = channels().iter().map(|spec| Channel::new(spec, Arc::clone(&world)));
        let channels = channels.map(|channel| (channel.id(), Arc::new(channel))).collect();
        let ec2 = Arc::new(Endpoint::new(Arc::clone(&world)));
        let cloudwatch = Arc::new(Endpoint::new(Arc::clone(&world)));
        Self { world, work, channels, ec2, cloudwatch }
    }
}

type Shared = State<Arc<Outside>>;

pub fn router(outside: Arc<Outside>) -> Router {
    let ec2 = |State(outside): Shared, ConnectInfo(cut), form| async move {
        call(&outside, cut, &outside.ec2, form).await
    };
    let cloudwatch = |State(outside): Shared, ConnectInfo(cut), form| async move {
        call(&outside, cut, &outside.cloudwatch, form).await
    };
    Router::new()
        .route("/channels/{id}/products", get(find_products).post(make_product))
        .route("/ec2", get(ec2).post(ec2))
        .route("/ec2/", get(ec2).post(ec2))
        .route("/cloudwatch", get(cloudwatch).post(cloudwatch))
        .route("/cloudwatch/", get(cloudwatch).post(cloudwatch))
        .route("/ledger", get(ledger))
        .route("/ledger/summary", get(summary))
        .route("/faults", get(faults).post(set_faults))
        .route("/healthz", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(outside)
}

async fn make_product(
    State(outside): Shared,
    Path(id): Path<String>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(channel) = outside.channels.get(id.as_str()).cloned() else {
        return no_channel(&id);
    };
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let key = key.map(str::to_owned);
    outside.work.carry(cut, channel.make(key, body)).await
}

#[derive(Deserialize)]
struct Find {
    sku: Option<String>,
}

async fn find_products(
    State(outside): Shared,
    Path(id): Path<String>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    Query(find): Query<Find>,
) -> Response {
    let Some(channel) = outside.channels.get(id.as_str()).cloned() else {
        return no_channel(&id);
    };
    outside.work.carry(cut, channel.find(find.sku)).await
}

fn no_channel(id: &str) -> Response {
    let body = json!({ "error": "no_such_channel", "reason": format!("No channel {id}") });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

type Pairs = Result<Form<Vec<(String, String)>>, FormRejection>;

async fn call<S: Service>(
    outside: &Outside,
    cut: Cut,
    endpoint: &Arc<Endpoint<S>>,
    form: Pairs,
) -> Response {
    let params = form.ok().map(|Form(pairs)| pairs.into_iter().collect::<Params>());
    outside.work.carry(cut, Arc::clone(endpoint).call(params)).await
}

async fn ledger(State(outside): Shared) -> Json<Snapshot> {
    Json(outside.world.ledger.snapshot())
}

async fn summary(State(outside): Shared) -> Json<BTreeMap<&'static str, Summary>> {
    Json(outside.world.ledger.summary())
}

#[derive(Serialize, Deserialize)]
struct Faults {
    on: bool,
}

async fn faults(State(outside): Shared) -> Json<Faults> {
    Json(Faults { on: outside.world.faults() })
}

async fn set_faults(State(outside): Shared, Json(faults): Json<Faults>) -> Json<Faults> {
    outside.world.set_faults(faults.on);
    Json(faults)
}
