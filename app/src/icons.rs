//! Icons of task states.

use contract::state::TaskState;

/// Returns the SVG path of a state's icon, in a 16 by 16 view box. It is readable without colour.
pub const fn state_icon(state: TaskState) -> &'static str {
    match state {
        TaskState::Queued => "M8 5.2a2.8 2.8 0 100 5.6 2.8 2.8 0 000-5.6z",
        TaskState::Running => "M5.5 4v8l6.5-4z",
        TaskState::Succeeded => "M3.5 8.5l3 3 6-7",
        TaskState::Failed => "M4.5 4.5l7 7M11.5 4.5l-7 7",
        TaskState::Rejected => "M8 3.5v6M8 12.4v.1",
        TaskState::Cancelled => "M4 8h8",
        TaskState::NeedsReview => "M5.8 6a2.2 2.2 0 113.2 2c-.7.4-1 .8-1 1.6M8 12.4v.1",
    }
}
