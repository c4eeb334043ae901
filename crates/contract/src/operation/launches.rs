//! Launches, and the machines that they are about.

use super::{
    Answer, Body, IDEMPOTENCY_KEY, Operation, Parameter,
    ParameterType::{Boolean, Text, Words},
    schema_of,
};
use crate::{
    api::{
        DryRun, InstanceList, LaunchMachines, LaunchResponse, LaunchTemplateList, RunNoops,
        StartInstances,
    },
    feed::{DecimalSeparator, DraftChoice, Encoding, PriceChoice, ZeroPriceChoice},
    text,
};

const GROUP: &str = "Launches";
const ACCEPTED: Answer = Answer {
    status: 202,
    header: Some(("Location", "Path of the job.")),
    ..Answer::json(schema_of::<LaunchResponse>, "The job is stored, and runs.")
};
/// The list of machines may be away or refused; AWS may be paused.
const MACHINE_PROBLEMS: &[u16] = &[404, 409, 502];

const KEY_ALONE: &[Parameter] = &[IDEMPOTENCY_KEY];
const ACCEPTED_ALONE: &[Answer] = &[ACCEPTED];

/// Returns a launch that is about machines that exist.
const fn of_machines(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation {
        group: GROUP,
        parameters: KEY_ALONE,
        body: Some(Body::Json(
            schema_of::<StartInstances>,
            r#"{"instance_ids": ["i-0a1b2c3d4e5f60001"]}"#,
        )),
        answers: ACCEPTED_ALONE,
        own_problems: MACHINE_PROBLEMS,
        ..Operation::post(path, id, summary)
    }
}

pub(super) const LAUNCHES: &[Operation] = &[
    Operation {
        group: GROUP,
        description: "The body is the file: CSV or another list as text, an .xlsx workbook, or \
                      either of them packed with gzip, up to 32 MiB. A problem with `questions` is \
                      answered by repeating the request with the parameters that they name.",
        parameters: &[
            Parameter::query(
                "channels",
                Text(text::PARAMETER.max_chars()),
                "Ids of the channels, separated by commas. A dry run needs none.",
            ),
            Parameter::query(
                "file",
                Text(text::FILE_NAME.max_chars()),
                "Name of the file, which becomes the title of the job; `products.csv` by default.",
            ),
            Parameter::query(
                "dry_run",
                Boolean,
                "Whether the file is only checked; `false` by default.",
            ),
            Parameter::query(
                "skip_bad",
                Boolean,
                "Whether rows that can't be uploaded are left out; by default they refuse the file.",
            ),
            Parameter::query(
                "map",
                Text(text::PARAMETER.max_chars()),
                "Columns by field: `sku:Artikelnummer,price:#3`.",
            ),
            Parameter::query(
                "decimal",
                Words(schema_of::<DecimalSeparator>),
                "Separator of the prices' decimals; detected by default.",
            ),
            Parameter::query(
                "price",
                Words(schema_of::<PriceChoice>),
                "Price that is sent for a reduced product; `regular` by default.",
            ),
            Parameter::query(
                "drafts",
                Words(schema_of::<DraftChoice>),
                "What happens to drafts; `leave_out` by default.",
            ),
            Parameter::query(
                "zero_price",
                Words(schema_of::<ZeroPriceChoice>),
                "What happens to products at 0.00; a question by default.",
            ),
            Parameter::query(
                "sheet",
                Text(text::PARAMETER.max_chars()),
                "Sheet of a workbook; the first one that is not blank by default.",
            ),
            Parameter::query(
                "encoding",
                Words(schema_of::<Encoding>),
                "Encoding of a text; detected by default.",
            ),
            IDEMPOTENCY_KEY,
        ],
        body: Some(Body::File),
        answers: &[
            Answer::json(schema_of::<DryRun>, "Result of a dry run: nothing is launched."),
            ACCEPTED,
        ],
        own_problems: &[409],
        ..Operation::post("/jobs/product-uploads", "upload_products", "Upload products to channels")
    },
    of_machines("/jobs/ec2-starts", "start_machines", "Start machines"),
    of_machines("/jobs/ec2-stops", "stop_machines", "Stop machines"),
    Operation {
        group: GROUP,
        parameters: KEY_ALONE,
        body: Some(Body::Json(
            schema_of::<LaunchMachines>,
            r#"{"template": "web", "version": "latest", "count": 2, "name": "web"}"#,
        )),
        answers: ACCEPTED_ALONE,
        own_problems: MACHINE_PROBLEMS,
        ..Operation::post(
            "/jobs/ec2-launches",
            "launch_machines",
            "Launch machines from a template",
        )
    },
    Operation {
        group: GROUP,
        description: "To measure the whole system. 404 unless `MEANWHILE_NOOPS` allows it.",
        parameters: KEY_ALONE,
        body: Some(Body::Json(schema_of::<RunNoops>, r#"{"count": 100}"#)),
        answers: ACCEPTED_ALONE,
        own_problems: &[404, 409],
        ..Operation::post("/jobs/noops", "run_noops", "Run tasks that do nothing")
    },
];

pub(super) const MACHINES: &[Operation] = &[
    Operation {
        group: "Machines",
        answers: &[Answer::json(schema_of::<InstanceList>, "All machines that could be listed.")],
        own_problems: MACHINE_PROBLEMS,
        ..Operation::get("/instances", "list_machines", "List machines")
    },
    Operation {
        group: "Machines",
        answers: &[Answer::json(
            schema_of::<LaunchTemplateList>,
            "All launch templates that could be listed.",
        )],
        own_problems: MACHINE_PROBLEMS,
        ..Operation::get("/launch-templates", "list_launch_templates", "List launch templates")
    },
];
