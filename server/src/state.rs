//! What every request may need.

use crate::{
    assets::Assets, body::Patience, client::Proxies, device::DeviceKey, guard::Origins, hub::Hub,
    limiter::Limiter, measures::Measures, overload::Room, reader_shares::ReaderShares,
};
use engine::Engine;
use std::sync::Arc;

#[derive(Clone)]
pub struct State {
    pub engine: Engine,
    pub hub: Hub,
    pub origins: Origins,
    pub proxies: Proxies,
    pub assets: Assets,
    pub limiter: Limiter,
    pub device_key: DeviceKey,
    pub room: Room,
    pub readers: ReaderShares,
    pub measures: Measures,
    pub patience: Patience,
    /// Whether work that does nothing is accepted.
    pub noops: bool,
    /// What the first visitor has to know to make the first account; `None`
    /// on a loopback listener, where no stranger can be the first.
    pub set_up_token: Option<Arc<str>>,
}
