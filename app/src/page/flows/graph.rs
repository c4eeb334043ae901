//! Graph of the events: what people launch, the commands, the facts about tasks, the end of the
//! job, and who is told. Edges are what the catalogue says may happen; those that ran are drawn
//! strong, with their number.

use super::event_url;
use contract::{
    catalogue::{Event, fact_event},
    fact::FactKind,
};
use engine::store::FactCount;
use leptos::prelude::*;

/// Kinds of facts about tasks, in the order in which they are drawn.
const TASK_FACTS: &[FactKind] = &[
    FactKind::TaskCreated,
    FactKind::TaskSucceeded,
    FactKind::TaskRequeued,
    FactKind::TaskRejected,
    FactKind::TaskFailed,
    FactKind::TaskCancelled,
    FactKind::TaskNeedsReview,
];

const WIDTH: f64 = 1_000.0;
const NODE_WIDTH: f64 = 140.0;
const NODE_HEIGHT: f64 = 34.0;
const ROW_HEIGHT: f64 = 50.0;
/// Left edge of each column. Most edges lie between the commands and the facts.
const COLUMN_LEFTS: [f64; 5] = [0.0, 185.0, 520.0, 700.0, 860.0];

/// What an edge begins or ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Launch,
    Event(&'static str),
    Hub,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Placed {
    node: Node,
    column: usize,
    /// Middle of the node.
    y: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edge {
    from: Node,
    to: Node,
    /// How often it ran; `None` where nothing counts it.
    count: Option<u32>,
}

pub fn graph(commands: &[Event], counts: &[FactCount]) -> AnyView {
    let rows = commands.len().max(TASK_FACTS.len());
    let height = rows as f64 * ROW_HEIGHT;
    let nodes = place_nodes(commands, height);
    let edges = edges(commands, counts);
    let (quiet, strong): (Vec<_>, Vec<_>) =
        edges.into_iter().partition(|edge| edge.count.is_none_or(|count| count == 0));
    let lines =
        quiet.iter().chain(&strong).filter_map(|edge| draw_edge(&nodes, edge)).collect_view();
    let numbers = strong.iter().filter_map(|edge| draw_number(&nodes, edge)).collect_view();
    let nodes = nodes.iter().map(draw_node).collect_view();
    view! {
        <figure class="flows-graph" data-testid="flows-graph">
            <svg
                viewBox=format!("0 0 {WIDTH} {height}")
                role="group"
                aria-label="Which event causes which; the tables below say the same"
            >
                {lines}
                {nodes}
                {numbers}
            </svg>
            <figcaption class="meta">
                "Thin lines may happen; strong ones did in the last hour, so many times."
            </figcaption>
        </figure>
    }
    .into_any()
}

fn place_nodes(commands: &[Event], height: f64) -> Vec<Placed> {
    let column = |column: usize, nodes: Vec<Node>| {
        let step = height / nodes.len().max(1) as f64;
        let place = move |(row, node)| Placed { node, column, y: step * (row as f64 + 0.5) };
        nodes.into_iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let events = |kinds: &mut dyn Iterator<Item = &'static str>| kinds.map(Node::Event).collect();
    [
        column(0, vec![Node::Launch]),
        column(1, events(&mut commands.iter().map(|event| event.kind))),
        column(2, events(&mut TASK_FACTS.iter().map(|fact| fact.as_str()))),
        column(3, vec![Node::Event(FactKind::JobFinished.as_str())]),
        column(4, vec![Node::Hub]),
    ]
    .concat()
}

/// Returns the edges, those of the catalogue and the two ends that people see.
fn edges(commands: &[Event], counts: &[FactCount]) -> Vec<Edge> {
    let mut edges = Vec::new();
    let sum = |matches: &dyn Fn(&FactCount) -> bool| {
        counts.iter().filter(|count| matches(count)).map(|count| count.count).sum::<u32>()
    };
    let created = FactKind::TaskCreated;
    for command in commands {
        let from = Node::Event(command.kind);
        if command.producer.starts_with("launch") {
            edges.push(Edge { from: Node::Launch, to: from, count: None });
        }
        for &cause in command.may_cause {
            let caused_by = |count: &FactCount| count.cause.as_deref() == Some(command.kind);
            let is_own = |count: &FactCount| count.command.as_deref() == Some(command.kind);
            let count = match cause {
                // The job's end is not counted by the command that came last.
                "job.finished" => continue,
                "task.created" => sum(&|it| it.fact == created && caused_by(it)),
                _ if commands.iter().any(|event| event.kind == cause) => sum(&|it| {
                    it.fact == created && caused_by(it) && it.command.as_deref() == Some(cause)
                }),
                _ => sum(&|it| it.fact.as_str() == cause && is_own(it)),
            };
            edges.push(Edge { from, to: Node::Event(cause), count: Some(count) });
        }
    }
    let finished = FactKind::JobFinished;
    for &fact in TASK_FACTS {
        let from = Node::Event(fact.as_str());
        let is_last = fact_event(fact).may_cause.contains(&finished.as_str());
        let to = if is_last { Node::Event(finished.as_str()) } else { Node::Hub };
        edges.push(Edge { from, to, count: None });
    }
    let ended = sum(&|it| it.fact == finished);
    edges.push(Edge { from: Node::Event(finished.as_str()), to: Node::Hub, count: Some(ended) });
    edges
}

fn find(nodes: &[Placed], node: Node) -> Option<Placed> {
    nodes.iter().find(|placed| placed.node == node).copied()
}

/// Returns the left edge of a column.
fn left(column: usize) -> f64 {
    COLUMN_LEFTS.get(column).copied().unwrap_or_default()
}

/// Returns how far along an edge its number stands. Edges from different nodes of a column cross,
/// so their numbers stand at different places.
fn label_position(nodes: &[Placed], from: Node) -> f64 {
    let column = find(nodes, from).map(|placed| placed.column);
    let before = nodes.iter().take_while(|placed| placed.node != from);
    let row = before.filter(|placed| Some(placed.column) == column).count();
    0.3 + 0.12 * (row % 4) as f64
}

/// Returns the ends of an edge and the reach of its curve. An edge within a column leaves and
/// enters at the right side.
fn curve(nodes: &[Placed], edge: &Edge) -> Option<[(f64, f64); 4]> {
    let (from, to) = (find(nodes, edge.from)?, find(nodes, edge.to)?);
    let start = (left(from.column) + NODE_WIDTH, from.y);
    let is_within = from.column == to.column;
    let end = (left(to.column) + if is_within { NODE_WIDTH } else { 0.0 }, to.y);
    let reach = if is_within { 40.0 } else { (end.0 - start.0) / 2.0 };
    let before_end = if is_within { end.0 + reach } else { end.0 - reach };
    Some([start, (start.0 + reach, start.1), (before_end, end.1), end])
}

fn draw_edge(nodes: &[Placed], edge: &Edge) -> Option<AnyView> {
    let [start, first, second, end] = curve(nodes, edge)?;
    let path = format!(
        "M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
        start.0, start.1, first.0, first.1, second.0, second.1, end.0, end.1
    );
    let ran = edge.count.is_some_and(|count| count > 0);
    Some(view! { <path class:ran=ran d=path></path> }.into_any())
}

fn draw_number(nodes: &[Placed], edge: &Edge) -> Option<AnyView> {
    let points = curve(nodes, edge)?;
    let t = label_position(nodes, edge.from);
    let weights =
        [(1.0 - t).powi(3), 3.0 * t * (1.0 - t).powi(2), 3.0 * t * t * (1.0 - t), t.powi(3)];
    let at = |axis: fn(&(f64, f64)) -> f64| {
        points.iter().zip(weights).map(|(point, weight)| axis(point) * weight).sum::<f64>()
    };
    let (x, y) = (at(|point| point.0), at(|point| point.1));
    let count = crate::labels::group_thousands(edge.count?.into());
    Some(view! { <text class="flow-count" x=format!("{x:.1}") y=format!("{:.1}", y + 4.0)>{count}</text> }.into_any())
}

fn draw_node(placed: &Placed) -> AnyView {
    let Placed { node, column, y } = *placed;
    let (x, top) = (left(column), y - NODE_HEIGHT / 2.0);
    let (name, href) = match node {
        Node::Launch => ("A launch", Some("/".to_owned())),
        Node::Event(kind) => (kind, Some(event_url(kind))),
        Node::Hub => ("Tabs and inbox", Some("/inbox".to_owned())),
    };
    let middle = x + NODE_WIDTH / 2.0;
    view! {
        <a href=href>
            <rect
                x=format!("{x:.1}")
                y=format!("{top:.1}")
                width=NODE_WIDTH.to_string()
                height=NODE_HEIGHT.to_string()
                rx="6"
            ></rect>
            <text x=format!("{middle:.1}") y=format!("{:.1}", y + 4.0)>
                {name}
            </text>
        </a>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        catalogue::COMMANDS,
        command::{AlarmCreate, Command, Ec2Start},
    };

    fn count(fact: FactKind, command: &str, cause: Option<&str>, count: u32) -> FactCount {
        FactCount { fact, command: Some(command.into()), cause: cause.map(str::to_owned), count }
    }

    #[test]
    fn a_start_and_its_alarm_are_counted_on_their_edges() {
        let (start, alarm) = (Ec2Start::KIND, AlarmCreate::KIND);
        let counts = [
            count(FactKind::TaskSucceeded, start, None, 5),
            count(FactKind::TaskCreated, alarm, Some(start), 5),
            count(FactKind::TaskSucceeded, alarm, Some(start), 4),
            count(FactKind::TaskFailed, alarm, Some(start), 1),
        ];
        let edges = edges(COMMANDS, &counts);
        let ran = |from: &'static str, to: &'static str| {
            let is_it = |edge: &&Edge| (edge.from, edge.to) == (Node::Event(from), Node::Event(to));
            edges.iter().find(is_it).and_then(|edge| edge.count)
        };
        assert_eq!(ran(start, alarm), Some(5));
        assert_eq!(ran(start, "task.created"), Some(5));
        assert_eq!(ran(start, "task.succeeded"), Some(5));
        assert_eq!(ran(alarm, "task.succeeded"), Some(4));
        assert_eq!(ran(alarm, "task.failed"), Some(1));
        assert_eq!(ran(start, "task.failed"), Some(0));
        assert_eq!(ran(alarm, "task.created"), None, "an alarm causes no task");
    }

    #[test]
    fn every_edge_has_both_ends_in_the_graph() {
        let nodes = place_nodes(COMMANDS, 400.0);
        for edge in edges(COMMANDS, &[]) {
            assert!(curve(&nodes, &edge).is_some(), "{edge:?}");
        }
    }
}
