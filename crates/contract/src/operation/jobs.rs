//! Jobs, their items, and notifications.

use super::{
    Answer, Body, CURSOR, LIMIT, Operation, Parameter,
    ParameterType::{Integer, Text, Words},
    schema_of,
};
use crate::{
    api::{
        Inbox, Job, LaunchResponse, MarkRead, Page, ResolveRequest, RetryRequest, Task, TaskDetail,
    },
    fact::Fact,
    feed::BadRow,
    state::{JobKind, JobState, TaskState},
    text,
};

const GROUP: &str = "Jobs";
/// Answer to a change of a job.
const CHANGED: &[Answer] = &[Answer {
    status: 202,
    header: Some(("Location", "Path of the job.")),
    ..Answer::json(schema_of::<LaunchResponse>, "The job after the change.")
}];

pub(super) const JOBS: &[Operation] = &[
    Operation {
        group: GROUP,
        description: "The user's own, newest first.",
        parameters: &[
            CURSOR,
            LIMIT,
            Parameter::query("state", Words(schema_of::<JobState>), "Only jobs in this state."),
            Parameter::query("kind", Words(schema_of::<JobKind>), "Only jobs of this kind."),
        ],
        answers: &[Answer::json(schema_of::<Page<Job>>, "A page of jobs.")],
        ..Operation::get("/jobs", "list_jobs", "List jobs")
    },
    Operation {
        group: GROUP,
        description: "With its counters and the estimated remaining time.",
        answers: &[Answer::json(schema_of::<Job>, "The job.")],
        ..Operation::get("/jobs/{id}", "get_job", "Read a job")
    },
    Operation {
        group: GROUP,
        parameters: &[
            CURSOR,
            LIMIT,
            Parameter::query("state", Words(schema_of::<TaskState>), "Only items in this state."),
            Parameter::query(
                "channel",
                Text(text::CHANNEL.max_chars()),
                "Only items of this channel, which is one of the job's.",
            ),
            Parameter::query(
                "q",
                Text(text::SEARCH.max_chars()),
                "Only items with this text in their SKU or title.",
            ),
        ],
        answers: &[Answer::json(schema_of::<Page<Task>>, "A page of items, in the file's order.")],
        ..Operation::get("/jobs/{id}/tasks", "list_job_items", "List a job's items")
    },
    Operation {
        group: GROUP,
        parameters: &[CURSOR, LIMIT],
        answers: &[Answer::json(schema_of::<Page<BadRow>>, "A page of rows, in the file's order.")],
        ..Operation::get(
            "/jobs/{id}/left-out",
            "list_left_out_rows",
            "List the rows of the file that were left out",
        )
    },
    Operation {
        group: GROUP,
        description: "What happened, in order: at most 500 facts.",
        parameters: &[Parameter::query(
            "after",
            Integer(0, i64::MAX),
            "Only facts with a greater `seq`; `next` of the page before.",
        )],
        answers: &[Answer::json(schema_of::<Page<Fact>>, "A page of facts.")],
        ..Operation::get("/jobs/{id}/journal", "list_job_facts", "Read a job's journal")
    },
    Operation {
        group: GROUP,
        description: "Items that have not begun are cancelled now. Calls in progress finish, and \
                      what got no answer is looked up first.",
        answers: CHANGED,
        own_problems: &[409],
        ..Operation::post("/jobs/{id}/cancel", "cancel_job", "Cancel a job")
    },
    Operation {
        group: GROUP,
        description: "Calls in progress finish, and nothing else starts.",
        answers: CHANGED,
        own_problems: &[409],
        ..Operation::post("/jobs/{id}/pause", "pause_job", "Pause a job")
    },
    Operation {
        group: GROUP,
        answers: CHANGED,
        own_problems: &[409],
        ..Operation::post("/jobs/{id}/resume", "resume_job", "Resume a paused job")
    },
    Operation {
        group: GROUP,
        description: "`{}` retries all failed items. Rejected items are retried only by their id.",
        body: Some(Body::Json(
            schema_of::<RetryRequest>,
            r#"{"state": "failed", "channel": "acme"}"#,
        )),
        answers: CHANGED,
        own_problems: &[409],
        ..Operation::post("/jobs/{id}/retry", "retry_job", "Queue ended items of a job again")
    },
];

pub(super) const ITEMS: &[Operation] = &[
    Operation {
        group: "Items",
        description: "With its attempts and the body of its command.",
        answers: &[Answer::json(schema_of::<TaskDetail>, "The item.")],
        ..Operation::get("/tasks/{id}", "get_item", "Read an item")
    },
    Operation {
        group: "Items",
        description: "For an item in the state `needs_review`: look at the service, then say what \
                      you found.",
        body: Some(Body::Json(schema_of::<ResolveRequest>, r#"{"as": "succeeded"}"#)),
        answers: CHANGED,
        own_problems: &[409],
        ..Operation::post("/tasks/{id}/resolve", "resolve_item", "Decide an item that needs review")
    },
];

pub(super) const NOTIFICATIONS: &[Operation] = &[
    Operation {
        group: "Notifications",
        description: "The newest 100.",
        answers: &[Answer::json(schema_of::<Inbox>, "The notifications, newest first.")],
        ..Operation::get("/notifications", "list_notifications", "Read notifications")
    },
    Operation {
        group: "Notifications",
        body: Some(Body::Json(schema_of::<MarkRead>, r#"{"up_to": 42}"#)),
        answers: &[Answer::empty("They are read in all open pages.")],
        ..Operation::post(
            "/notifications/read",
            "mark_notifications_read",
            "Mark notifications as read",
        )
    },
];
