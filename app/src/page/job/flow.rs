//! The chain of a job as a graph.

#[cfg(feature = "ssr")]
pub mod graph;

use crate::{fragment::Fragment, load::Loaded, page::problem::problem};
use leptos::prelude::*;

#[component]
pub fn Flow(flow: Loaded<Option<Fragment>>) -> impl IntoView {
    let show = |flow: Option<Fragment>| flow.map_or_else(|| ().into_any(), Fragment::show);
    flow.view("Reading …", show, problem)
}
