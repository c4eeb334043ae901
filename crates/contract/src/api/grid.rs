//! A job's tasks as rows and as a graph.

use super::Task;
use crate::state::string_enum;
use serde::{Deserialize, Serialize};

/// One row of the grid: a product (or a machine) and its tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridRow {
    /// Number of the row in the job, from 0.
    pub row: u32,
    /// SKU of the product, or id of the machine.
    pub sku: String,
    /// Title of the product, or name of the machine.
    pub title: String,
    /// Tasks in the order of the job's channels (uploads), or of the chain.
    pub cells: Vec<Task>,
}

/// A window into the grid, by position among the rows that match a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Number of all matching rows.
    pub matching: u32,
    /// Position of the first row of the window, from 0.
    pub offset: u32,
    /// Rows of the window.
    pub rows: Vec<GridRow>,
}

impl Grid {
    /// Returns the tasks of all rows.
    pub fn tasks_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.rows.iter_mut().flat_map(|row| &mut row.cells)
    }
}

string_enum!(
    /// Filter of the grid's rows: shows rows with at least one such task.
    GridFilter {
        /// All rows.
        All = "all",
        /// Rows with a failed task.
        Failed = "failed",
        /// Rows with a rejected task.
        Rejected = "rejected",
        /// Rows with a running task.
        Running = "running",
        /// Rows with a queued task.
        Waiting = "waiting",
        /// Rows with a task that needs review.
        NeedsReview = "needs_review",
        /// Rows with a task that succeeded.
        Succeeded = "succeeded",
        /// Rows with a task that succeeded without a change, because the channel had the
        /// same content.
        Unchanged = "unchanged",
        /// Rows with a cancelled task.
        Cancelled = "cancelled",
    }
);

/// The chain of a job as a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Nodes, each after those that cause it.
    pub nodes: Vec<FlowNode>,
    /// Edges from causes to effects.
    pub edges: Vec<FlowEdge>,
}

/// Tasks of one kind, and of one channel where the kind has channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowNode {
    /// Kind of the tasks' command.
    pub kind: String,
    /// Channel of the tasks.
    #[serde(default)]
    pub channel: Option<String>,
    /// Number of causes between the launch and these tasks: 0 for launched tasks.
    pub depth: u32,
    /// Number of queued tasks.
    pub queued: u32,
    /// Number of running tasks.
    pub running: u32,
    /// Number of tasks that succeeded.
    pub succeeded: u32,
    /// Number of tasks that succeeded without a change; a part of `succeeded`.
    #[serde(default)]
    pub unchanged: u32,
    /// Number of failed tasks.
    pub failed: u32,
    /// Number of rejected tasks.
    #[serde(default)]
    pub rejected: u32,
    /// Number of cancelled tasks.
    pub cancelled: u32,
    /// Number of tasks that need review.
    pub needs_review: u32,
}

impl FlowNode {
    /// Returns the number of all tasks of the node.
    pub const fn total(&self) -> u32 {
        self.queued
            + self.running
            + self.succeeded
            + self.failed
            + self.rejected
            + self.cancelled
            + self.needs_review
    }
}

/// Number of tasks of one node that those of another caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEdge {
    /// Index of the causing node in [`Flow::nodes`].
    pub from: u32,
    /// Index of the caused node in [`Flow::nodes`].
    pub to: u32,
    /// Number of tasks.
    pub count: u32,
}
