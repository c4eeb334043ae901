//! Sales channels, and what admins do with them.

use super::{Access, Answer, Body, Operation, schema_of};
use crate::api::{Channel, PaceRequest, Page, PauseRequest, UpstreamCheck, UpstreamStatus};

const GROUP: &str = "Channels";
const STATUS: &[Answer] = &[Answer::json(schema_of::<UpstreamStatus>, "The channel as it is now.")];

pub(super) const CHANNELS: &[Operation] = &[
    Operation {
        group: GROUP,
        answers: &[Answer::json(schema_of::<Page<Channel>>, "All channels.")],
        ..Operation::get("/channels", "list_channels", "List channels")
    },
    Operation {
        group: GROUP,
        description: "Also for machines: `aws.<account>.<region>`. Admins see everybody's open \
                      items and errors, others only their own.",
        answers: STATUS,
        ..Operation::get(
            "/channels/{id}",
            "get_channel",
            "Read a channel's state, queue and errors",
        )
    },
    Operation {
        group: GROUP,
        description: "Nothing more is sent until then. Calls in progress finish. A pause lasts at \
                      most 30 days, and takes the place of an earlier one.",
        access: Access::Admin,
        body: Some(Body::Json(
            schema_of::<PauseRequest>,
            r#"{"until": "2026-11-29T17:00:00Z", "note": "price review"}"#,
        )),
        answers: STATUS,
        ..Operation::post("/channels/{id}/pause", "pause_channel", "Pause a channel for everybody")
    },
    Operation {
        group: GROUP,
        description: "A wait that the service itself asked for stays.",
        access: Access::Admin,
        answers: STATUS,
        ..Operation::post("/channels/{id}/resume", "resume_channel", "End a channel's pause")
    },
    Operation {
        group: GROUP,
        description: "`rate` is at most the configured one, and `null` sets that.",
        access: Access::Admin,
        body: Some(Body::Json(schema_of::<PaceRequest>, r#"{"rate": 0.5}"#)),
        answers: STATUS,
        ..Operation::post("/channels/{id}/pace", "change_pace", "Change a channel's pace")
    },
    Operation {
        group: GROUP,
        description: "Sends a request that changes nothing, also during a pause. One check runs \
                      at a time.",
        access: Access::Admin,
        answers: &[Answer::json(schema_of::<UpstreamCheck>, "What the service answered.")],
        own_problems: &[409],
        ..Operation::post("/channels/{id}/check", "check_channel", "Check a channel")
    },
];
