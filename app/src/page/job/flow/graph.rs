//! What was launched, and each kind of task with its counts, behind what
//! caused it.

use crate::{
    fragment::Fragment,
    page::job::bar::{Bar, Parts},
    words,
};
use contract::{
    JobId,
    api::{self, Channel, Filter, FlowNode},
    state::TaskState,
};
use leptos::prelude::*;

/// The names of its channels are taken from `channels`.
pub fn fragment(job: JobId, flow: &api::Flow, channels: &[Channel]) -> Fragment {
    let deepest = flow.nodes.iter().map(|node| node.depth).max().unwrap_or(0);
    let launched: u32 = flow.nodes.iter().filter(|n| n.depth == 0).map(FlowNode::total).sum();
    let steps = (0..=deepest)
        .map(|depth| {
            let before = depth.checked_sub(1).map(|depth| step(flow, depth));
            let own = step(flow, depth);
            let arrows = arrows(flow, before.as_deref(), &own);
            let nodes = own.iter().map(|&place| node(job, flow, place, channels)).collect_view();
            view! { <li class="step">{arrows} <ul>{nodes}</ul></li> }
        })
        .collect_view();
    Fragment::of(view! {
        <section aria-labelledby="flow">
            <h2 id="flow" class="unseen">"Flow"</h2>
            <ol class="flow" data-testid="flow">
                <li class="step">
                    <ul>
                        <li class="node">
                            <h3>"Launched"</h3>
                            <p>{items(launched)}</p>
                        </li>
                    </ul>
                </li>
                {steps}
            </ol>
        </section>
    })
}

fn items(count: u32) -> String {
    words::many(count.into(), "item")
}

/// Places of the nodes of one depth.
fn step(flow: &api::Flow, depth: u32) -> Vec<usize> {
    let all = flow.nodes.iter().enumerate();
    all.filter(|(_, node)| node.depth == depth).map(|(place, _)| place).collect()
}

/// From each cause to what it caused. Nodes of a step share its height
/// evenly, so their middles are known; `before` is `None` for the launch.
fn arrows(flow: &api::Flow, before: Option<&[usize]>, own: &[usize]) -> impl IntoView + use<> {
    let middle = |place: usize, of: usize| (place * 2 + 1) as f64 * 50.0 / of.max(1) as f64;
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

fn node(job: JobId, flow: &api::Flow, place: usize, channels: &[Channel]) -> AnyView {
    let Some(node) = flow.nodes.get(place) else { return ().into_any() };
    let counts = [
        (TaskState::Succeeded, node.succeeded, Filter::Succeeded, "done"),
        (TaskState::Failed, node.failed, Filter::Failed, "failed"),
        (TaskState::NeedsPerson, node.needs_person, Filter::NeedsPerson, "need you"),
        (TaskState::Cancelled, node.cancelled, Filter::Cancelled, "cancelled"),
        (TaskState::Running, node.running, Filter::Running, "running"),
        (TaskState::Queued, node.queued, Filter::Waiting, "waiting"),
    ];
    let parts: Parts = std::array::from_fn(|n| (counts[n].0, counts[n].1));
    let told = counts
        .into_iter()
        .filter(|(_, count, ..)| *count > 0)
        .map(|(state, count, filter, word)| {
            let words = format!("{} {word}", words::thousands(count.into()));
            view! {
                <li data-state=state.as_str()>
                    <a href=format!("/jobs/{job}?show={}", filter.as_str()) data-noscroll="">{words}</a>
                </li>
            }
        })
        .collect_view();
    let causes = flow
        .edges
        .iter()
        .filter(|edge| edge.to as usize == place)
        .filter_map(|edge| {
            let cause = flow.nodes.get(edge.from as usize)?;
            let words = format!(
                "{} caused by {}",
                words::thousands(edge.count.into()),
                name(cause, channels)
            );
            Some(view! { <small>{words}</small> })
        })
        .collect_view();
    view! {
        <li class="node" data-testid="flow-node" data-kind=node.kind.clone()>
            <h3>{name(node, channels)}</h3>
            <p>{items(node.total())} " " {causes}</p>
            <Bar parts=Signal::stored(parts) total=Signal::stored(node.total())/>
            <ul class="told">{told}</ul>
        </li>
    }
    .into_any()
}

/// Such as `Start`, or `Upload to Bazaar`.
fn name(node: &FlowNode, channels: &[Channel]) -> String {
    let kind = words::kind(&node.kind);
    let mut letters = kind.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let kind: String = first.into_iter().chain(letters).collect();
    let Some(id) = &node.channel else { return kind };
    let known = channels.iter().find(|channel| channel.id == *id);
    format!("{kind} to {}", known.map_or(id, |channel| &channel.name))
}
