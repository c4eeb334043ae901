//! A job's tasks as rows and as a graph.

use super::Task;
use crate::state::words;
use serde::{Deserialize, Serialize};

/// One row of the grid: a product (or a machine) and its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridRow {
    pub row: u32,
    pub sku: String,
    pub title: String,
    /// In the order of the job's channels (uploads), or of the chain.
    pub cells: Vec<Task>,
}

/// A window into the grid, by place among the rows that match a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// How many rows match in all.
    pub matching: u32,
    pub offset: u32,
    pub rows: Vec<GridRow>,
}

words!(
    /// Which rows of the grid are shown: those with at least one such task.
    Filter {
        All = "all",
        Failed = "failed",
        Running = "running",
        Waiting = "waiting",
        NeedsPerson = "needs_person",
        Succeeded = "succeeded",
        Cancelled = "cancelled",
    }
);

/// The chain of a job as a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Causes before what they cause.
    pub nodes: Vec<FlowNode>,
    pub edges: Vec<FlowEdge>,
}

/// Tasks of one kind, and of one channel where the kind has channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowNode {
    pub kind: String,
    #[serde(default)]
    pub channel: Option<String>,
    /// Causes between a launch and these tasks: 0 for what was launched.
    pub depth: u32,
    pub queued: u32,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub needs_person: u32,
}

impl FlowNode {
    pub const fn total(&self) -> u32 {
        self.queued
            + self.running
            + self.succeeded
            + self.failed
            + self.cancelled
            + self.needs_person
    }
}

/// How many tasks of one node were caused by those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEdge {
    /// Places in [`Flow::nodes`].
    pub from: u32,
    pub to: u32,
    pub count: u32,
}
