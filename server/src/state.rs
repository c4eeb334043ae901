//! What every request may need.

use crate::{assets::Assets, guard::Origins, hub::Hub, session::Limiter};
use engine::Engine;

#[derive(Clone)]
pub struct State {
    pub engine: Engine,
    pub hub: Hub,
    pub origins: Origins,
    pub assets: Assets,
    pub limiter: Limiter,
    /// Whether the first visitor may make the first account: only where no
    /// stranger can be the first, on a loopback listener.
    pub set_up_by_visitor: bool,
}
