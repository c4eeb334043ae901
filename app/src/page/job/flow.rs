//! Tab with the chain of a job as a graph.

#[cfg(feature = "ssr")]
pub mod graph;

use crate::{fragment::Fragment, page::load_error::section_error, resource::PageResource};
use leptos::prelude::*;

#[component]
pub fn Flow(flow: PageResource<Option<Fragment>>) -> impl IntoView {
    let show = |flow: Option<Fragment>| flow.map_or_else(|| ().into_any(), Fragment::view);
    flow.view("Loading …", show, section_error)
}
