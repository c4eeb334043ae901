//! The chain of a job as a graph: the number of tasks by kind and state, and what
//! caused them.

use super::{Error, Jobs, query_all, row::Row};
use contract::{
    JobId, UserId,
    api::{Flow, FlowEdge, FlowNode},
    state::{Effect, TaskState},
};

type NodeName = (String, Option<String>);

impl Jobs {
    /// Returns the chain of a job. It counts all of the job's tasks, so call it for
    /// the graph only, not for every page.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn job_flow(&self, user: UserId, job: JobId) -> Result<Flow, Error> {
        let job = self.job(user, job).await?;
        let counted = query_all(
            &self.db.reader,
            "SELECT kind, channel, state, effect, COUNT(*) AS tasks FROM tasks \
             WHERE job_id = $1 GROUP BY kind, channel, state, effect ORDER BY kind, channel",
            [job.id.0.into()],
        )
        .await?;
        let caused = query_all(
            &self.db.reader,
            "SELECT cause.kind AS cause_kind, cause.channel AS cause_channel, task.kind, \
             task.channel, COUNT(*) AS tasks \
             FROM tasks task JOIN tasks cause ON cause.id = task.cause_id \
             WHERE task.job_id = $1 AND task.cause_id IS NOT NULL \
             GROUP BY cause.kind, cause.channel, task.kind, task.channel",
            [job.id.0.into()],
        )
        .await?;
        let mut nodes = nodes_from_rows(&counted)?;
        let mut edges = Vec::with_capacity(caused.len());
        for found in &caused {
            let from = node_name(found, "cause_kind", "cause_channel")?;
            let to = node_name(found, "kind", "channel")?;
            edges.push((from, to, found.get("tasks")?));
        }
        set_depths(&mut nodes, &edges);
        let position = |channel: &Option<String>| {
            job.channels.iter().position(|id| Some(id) == channel.as_ref())
        };
        nodes.sort_by_key(|node| (node.depth, position(&node.channel)));
        let edges = edges
            .into_iter()
            .filter_map(|(from, to, count)| {
                Some(FlowEdge {
                    from: find_node(&nodes, &from)?,
                    to: find_node(&nodes, &to)?,
                    count,
                })
            })
            .collect();
        Ok(Flow { nodes, edges })
    }
}

/// Builds nodes from rows in the order of kind and channel.
fn nodes_from_rows(counted: &[Row]) -> Result<Vec<FlowNode>, Error> {
    let mut nodes: Vec<FlowNode> = Vec::new();
    for found in counted {
        let (kind, channel) = node_name(found, "kind", "channel")?;
        let known = nodes.last().is_some_and(|last| last.kind == kind && last.channel == channel);
        if !known {
            nodes.push(FlowNode {
                kind,
                channel,
                depth: 0,
                queued: 0,
                running: 0,
                succeeded: 0,
                unchanged: 0,
                failed: 0,
                rejected: 0,
                cancelled: 0,
                needs_review: 0,
            });
        }
        let tasks: u32 = found.get("tasks")?;
        let is_unchanged = found.get::<Option<Effect>>("effect")? == Some(Effect::Unchanged);
        if let Some(node) = nodes.last_mut() {
            match found.get("state")? {
                TaskState::Queued => node.queued += tasks,
                TaskState::Running => node.running += tasks,
                TaskState::Succeeded => {
                    node.succeeded += tasks;
                    node.unchanged += if is_unchanged { tasks } else { 0 };
                }
                TaskState::Failed => node.failed += tasks,
                TaskState::Rejected => node.rejected += tasks,
                TaskState::Cancelled => node.cancelled += tasks,
                TaskState::NeedsReview => node.needs_review += tasks,
            }
        }
    }
    Ok(nodes)
}

fn node_name(found: &Row, kind: &'static str, channel: &'static str) -> Result<NodeName, Error> {
    Ok((found.get(kind)?, found.get(channel)?))
}

fn find_node(nodes: &[FlowNode], (kind, channel): &NodeName) -> Option<u32> {
    let index = nodes.iter().position(|n| n.kind == *kind && n.channel == *channel)?;
    u32::try_from(index).ok()
}

/// Sets each node one deeper than its deepest cause. The number of nodes bounds the
/// depth of kinds that cause each other in a cycle.
fn set_depths(nodes: &mut [FlowNode], edges: &[(NodeName, NodeName, u32)]) {
    for _ in 1..nodes.len() {
        for (from, to, _) in edges {
            let depth = |name: &NodeName, nodes: &[FlowNode]| {
                let node = nodes.iter().find(|n| n.kind == name.0 && n.channel == name.1)?;
                Some(node.depth)
            };
            let (Some(cause), Some(own)) = (depth(from, nodes), depth(to, nodes)) else { continue };
            if from == to || own > cause {
                continue;
            }
            for node in nodes.iter_mut().filter(|n| n.kind == to.0 && n.channel == to.1) {
                node.depth = cause + 1;
            }
        }
    }
}
