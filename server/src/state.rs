//! Shared state of all request handlers.

use crate::{
    assets::Assets, comparison::ComparisonRunner, device::DeviceKey, hub::Hub, metrics::Metrics,
    origin::Origins, sign_in_throttle::SignInThrottle, work_limits::WorkLimits,
};
use contract::UserId;
use engine::Engine;
use ingress::{
    admission::AdmissionControl, client_address::TrustedProxies, request_body::BodyTimeouts,
};
use std::sync::Arc;

/// State that handlers and middleware share; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub engine: Engine,
    pub hub: Hub,
    pub origins: Origins,
    pub proxies: TrustedProxies,
    pub assets: Assets,
    pub sign_in_throttle: SignInThrottle,
    pub device_key: DeviceKey,
    pub admission: AdmissionControl<UserId>,
    pub work_limits: WorkLimits,
    pub metrics: Metrics,
    pub body_timeouts: BodyTimeouts,
    pub comparison: ComparisonRunner,
    /// Whether tasks that do nothing, for benchmarks, are accepted.
    pub accepts_noops: bool,
    /// Secret that is required to create the first account; `None` on a
    /// loopback listener, which no stranger can reach first.
    pub set_up_token: Option<Arc<str>>,
}
