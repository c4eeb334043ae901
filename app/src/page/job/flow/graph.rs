//! Graph of a job: what was launched, and each kind of task with its counts, after the kind
//! that caused it.

use crate::{
    labels,
    page::job::progress_bar::{BarSegments, ProgressBar},
};
use contract::{
    JobId,
    api::{self, Channel, FlowNode, GridFilter},
    command::{Command, ProductUpload},
    state::{Effect, TaskState},
};
use leptos::prelude::*;

/// Renders the graph. `channels` provides the names of the channels.
pub fn graph(job: JobId, flow: &api::Flow, channels: &[Channel]) -> AnyView {
    let deepest = flow.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let launched: u32 = flow.nodes.iter().filter(|n| n.depth == 0).map(FlowNode::total).sum();
    let steps = (0..=deepest)
        .map(|depth| {
            let before = depth.checked_sub(1).map(|depth| nodes_at_depth(flow, depth));
            let own = nodes_at_depth(flow, depth);
            let arrows = arrows(flow, before.as_deref(), &own);
            let nodes =
                own.iter().map(|&index| flow_node(job, flow, index, channels)).collect_view();
            view! { <li class="flow-step">{arrows} <ul>{nodes}</ul></li> }
        })
        .collect_view();
    view! {
        <section aria-labelledby="flow">
            <h2 id="flow" class="visually-hidden">"Flow"</h2>
            <ol class="flow" data-testid="flow">
                <li class="flow-step">
                    <ul>
                        <li class="flow-node">
                            <h3>"Launched"</h3>
                            <p>{item_count(launched)}</p>
                        </li>
                    </ul>
                </li>
                {steps}
            </ol>
        </section>
    }
    .into_any()
}

fn item_count(count: u32) -> String {
    labels::count_noun(count.into(), "item")
}

/// Returns the indexes of the nodes at one depth.
fn nodes_at_depth(flow: &api::Flow, depth: u32) -> Vec<usize> {
    let all = flow.nodes.iter().enumerate();
    all.filter(|(_, node)| node.depth == depth).map(|(index, _)| index).collect()
}

/// Draws arrows from each node to the nodes that it caused. The nodes of a step share its
/// height evenly, so their middles are known. `before` is `None` for the launch.
fn arrows(flow: &api::Flow, before: Option<&[usize]>, own: &[usize]) -> impl IntoView + use<> {
    let middle = |index: usize, of: usize| (index * 2 + 1) as f64 * 50.0 / of.max(1) as f64;
    let mut lines = Vec::new();
    for (row, &to) in own.iter().enumerate() {
        let y = middle(row, own.len());
        let causes: Vec<f64> = match before {
            None => vec![50.0],
            Some(before) => (0..before.len())
                .filter(|&cause| {
                    let ends = |edge: &api::FlowEdge| (edge.from as usize, edge.to as usize);
                    flow.edges.iter().any(|edge| ends(edge) == (before[cause], to))
                })
                .map(|cause| middle(cause, before.len()))
                .collect(),
        };
        lines.extend(
            causes.into_iter().map(|x| format!("M0 {x:.1}C50 {x:.1} 50 {y:.1} 100 {y:.1}")),
        );
    }
    view! {
        <svg class="arrows" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
            {lines.into_iter().map(|line| view! { <path d=line></path> }).collect_view()}
        </svg>
    }
}

fn flow_node(job: JobId, flow: &api::Flow, index: usize, channels: &[Channel]) -> AnyView {
    let Some(node) = flow.nodes.get(index) else { return ().into_any() };
    let succeeded = if node.kind == ProductUpload::KIND { "uploaded" } else { "done" };
    let unchanged = Effect::Unchanged.as_str();
    let parts: BarSegments = [
        (TaskState::Succeeded.as_str(), node.succeeded.saturating_sub(node.unchanged)),
        (unchanged, node.unchanged),
        (TaskState::Failed.as_str(), node.failed),
        (TaskState::Rejected.as_str(), node.rejected),
        (TaskState::NeedsReview.as_str(), node.needs_review),
        (TaskState::Cancelled.as_str(), node.cancelled),
        (TaskState::Running.as_str(), node.running),
    ];
    let counts = [
        (TaskState::Succeeded.as_str(), node.succeeded, GridFilter::Succeeded, succeeded),
        (unchanged, node.unchanged, GridFilter::Unchanged, "unchanged"),
        (TaskState::Failed.as_str(), node.failed, GridFilter::Failed, "failed"),
        (TaskState::Rejected.as_str(), node.rejected, GridFilter::Rejected, "rejected"),
        (
            TaskState::NeedsReview.as_str(),
            node.needs_review,
            GridFilter::NeedsReview,
            labels::needs_you(node.needs_review),
        ),
        (TaskState::Cancelled.as_str(), node.cancelled, GridFilter::Cancelled, "cancelled"),
        (TaskState::Running.as_str(), node.running, GridFilter::Running, "running"),
        (TaskState::Queued.as_str(), node.queued, GridFilter::Waiting, "waiting"),
    ];
    let state_counts = counts
        .into_iter()
        .filter(|(_, count, ..)| *count > 0)
        .map(|(state, count, filter, word)| {
            let words = format!("{} {word}", labels::group_thousands(count.into()));
            view! {
                <li data-state=state>
                    <a href=format!("/jobs/{job}?show={}", filter.as_str()) data-noscroll="">{words}</a>
                </li>
            }
        })
        .collect_view();
    let causes = flow
        .edges
        .iter()
        .filter(|edge| edge.to as usize == index)
        .filter_map(|edge| {
            let cause = flow.nodes.get(edge.from as usize)?;
            let words = format!(
                "{} caused by {}",
                labels::group_thousands(edge.count.into()),
                node_name(cause, channels)
            );
            Some(view! { <small>{words}</small> })
        })
        .collect_view();
    view! {
        <li class="flow-node" data-testid="flow-node" data-kind=node.kind.clone()>
            <h3>{node_name(node, channels)}</h3>
            <p>{item_count(node.total())} " " {causes}</p>
            <ProgressBar parts=Signal::stored(parts) total=Signal::stored(node.total())/>
            <ul class="state-counts">{state_counts}</ul>
        </li>
    }
    .into_any()
}

/// Returns the name of a node, such as `Start` or `Upload to Bazaar`.
fn node_name(node: &FlowNode, channels: &[Channel]) -> String {
    let kind = labels::task_kind(&node.kind);
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let kind: String = first.into_iter().chain(letters).collect();
    let Some(id) = &node.channel else { return kind };
    let known = channels.iter().find(|channel| channel.id == *id);
    format!("{kind} to {}", known.map_or(id, |channel| &channel.name))
}
