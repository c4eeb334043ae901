//! The chain of a job as a graph: how many tasks of each kind are in which
//! state, and what caused them.

use super::{Error, Store, all, row};
use contract::{
    JobId, UserId,
    api::{Flow, FlowEdge, FlowNode},
    state::TaskState,
};
use sea_orm::QueryResult;

type Name = (String, Option<String>);

impl Store {
    /// The chain of a job. It counts the job's tasks: for whoever looks at
    /// the graph, not for every page.
    ///
    /// # Errors
    /// [`Error::NotFound`] where the user has no such job.
    pub async fn flow(&self, user: UserId, job: JobId) -> Result<Flow, Error> {
        let job = self.job(user, job).await?;
        let counted = all(
            &self.reader,
            "SELECT kind, channel, state, COUNT(*) AS tasks FROM tasks \
             WHERE job_id = $1 GROUP BY kind, channel, state ORDER BY kind, channel",
            [job.id.0.into()],
        )
        .await?;
        let caused = all(
            &self.reader,
            "SELECT cause.kind AS cause_kind, cause.channel AS cause_channel, task.kind, \
             task.channel, COUNT(*) AS tasks \
             FROM tasks task JOIN tasks cause ON cause.id = task.cause_id \
             WHERE task.job_id = $1 AND task.cause_id IS NOT NULL \
             GROUP BY cause.kind, cause.channel, task.kind, task.channel",
            [job.id.0.into()],
        )
        .await?;
        let mut nodes = nodes(&counted)?;
        let mut edges = Vec::with_capacity(caused.len());
        for found in &caused {
            let from = name(found, "cause_kind", "cause_channel")?;
            let to = name(found, "kind", "channel")?;
            edges.push((from, to, row::count(found, "tasks")?));
        }
        set_depths(&mut nodes, &edges);
        let place = |channel: &Option<String>| {
            job.channels.iter().position(|id| Some(id) == channel.as_ref())
        };
        nodes.sort_by_key(|node| (node.depth, place(&node.channel)));
        let edges = edges
            .into_iter()
            .filter_map(|(from, to, count)| {
                Some(FlowEdge { from: find(&nodes, &from)?, to: find(&nodes, &to)?, count })
            })
            .collect();
        Ok(Flow { nodes, edges })
    }
}

/// Rows in the order of kind and channel.
fn nodes(counted: &[QueryResult]) -> Result<Vec<FlowNode>, Error> {
    let mut nodes: Vec<FlowNode> = Vec::new();
    for found in counted {
        let (kind, channel) = name(found, "kind", "channel")?;
        let known = nodes.last().is_some_and(|last| last.kind == kind && last.channel == channel);
        if !known {
            nodes.push(FlowNode {
                kind,
                channel,
                depth: 0,
                queued: 0,
                running: 0,
                succeeded: 0,
                failed: 0,
                cancelled: 0,
                needs_person: 0,
            });
        }
        let tasks = row::count(found, "tasks")?;
        if let Some(node) = nodes.last_mut() {
            match row::word::<TaskState>(found, "state")? {
                TaskState::Queued => node.queued = tasks,
                TaskState::Running => node.running = tasks,
                TaskState::Succeeded => node.succeeded = tasks,
                TaskState::Failed => node.failed = tasks,
                TaskState::Cancelled => node.cancelled = tasks,
                TaskState::NeedsPerson => node.needs_person = tasks,
            }
        }
    }
    Ok(nodes)
}

fn name(found: &QueryResult, kind: &'static str, channel: &'static str) -> Result<Name, Error> {
    Ok((found.try_get("", kind)?, found.try_get("", channel)?))
}

fn find(nodes: &[FlowNode], (kind, channel): &Name) -> Option<u32> {
    let place = nodes.iter().position(|n| n.kind == *kind && n.channel == *channel)?;
    u32::try_from(place).ok()
}

/// A node is one deeper than its deepest cause. Kinds that cause each other
/// in a circle stop at the number of nodes.
fn set_depths(nodes: &mut [FlowNode], edges: &[(Name, Name, u32)]) {
    for _ in 1..nodes.len() {
        for (from, to, _) in edges {
            let depth = |name: &Name, nodes: &[FlowNode]| {
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
