//! One example of each event, created by the code that creates real ones. Without
//! an example for every event, `cargo xtask events` fails.

use anyhow::bail;
use contract::{
    JobId, TaskId, UserId,
    api::{Job, Notification, NotificationKind, Outcome, Task, WaitReason, WaitingFor},
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload},
    envelope::{CommandMessage, Envelope},
    fact::{Fact, FactData, FactKind},
    product::{Price, Product, Variant},
    signal::{SessionEnded, SignalKind},
    state::{Counts, Effect, JobKind, JobState, TaskState},
    websocket::TaskStarted,
};
use schemars::{JsonSchema, Schema, schema_for};
use serde_json::Value;
use uuid::Uuid;

const JOB_ID: JobId = JobId(id(0x11));
const TASK_ID: TaskId = TaskId(id(0x12));
const CREATED_AT: i64 = 1_795_487_628_823;
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Returns a UUIDv7; the ids look like those of one launch.
const fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x01a2_0b3c_4d5e_7f60_8a1b_2c3d_4e5f_6000 + n)
}

/// A command, its queue and its message.
pub struct CommandExample {
    pub queue: String,
    pub body: Schema,
    pub message: Value,
}

pub fn command(kind: &str) -> anyhow::Result<CommandExample> {
    match kind {
        ProductUpload::KIND => {
            let any = ProductUpload { channel: "<channel>".into(), product: product() };
            command_example(
                any.queue(),
                &ProductUpload { channel: "acme".into(), product: product() },
            )
        }
        Ec2Start::KIND => {
            let start = Ec2Start {
                instance_id: INSTANCE_ID.into(),
                name: "render-1".into(),
                account: "ops".into(),
                region: "eu-central-1".into(),
            };
            let any = Ec2Start {
                account: "<account>".into(),
                region: "<region>".into(),
                ..Ec2Start::default()
            };
            command_example(any.queue(), &start)
        }
        AlarmCreate::KIND => {
            let alarm = AlarmCreate {
                instance_id: INSTANCE_ID.into(),
                name: "render-1".into(),
                account: "ops".into(),
                region: "eu-central-1".into(),
            };
            let any = AlarmCreate {
                account: "<account>".into(),
                region: "<region>".into(),
                ..AlarmCreate::default()
            };
            command_example(any.queue(), &alarm)
        }
        Ec2Stop::KIND => {
            let stop = Ec2Stop {
                instance_id: INSTANCE_ID.into(),
                name: "render-1".into(),
                account: "ops".into(),
                region: "eu-central-1".into(),
            };
            let any = Ec2Stop {
                account: "<account>".into(),
                region: "<region>".into(),
                ..Ec2Stop::default()
            };
            command_example(any.queue(), &stop)
        }
        Ec2Launch::KIND => {
            let launch = Ec2Launch {
                launch: id(0x1b),
                number: 1,
                template_id: "lt-0a1b2c3d4e5f60001".into(),
                template_version: 3,
                name: "render-1".into(),
                account: "ops".into(),
                region: "eu-central-1".into(),
            };
            let any = Ec2Launch {
                account: "<account>".into(),
                region: "<region>".into(),
                ..Ec2Launch::default()
            };
            command_example(any.queue(), &launch)
        }
        NoopRun::KIND => {
            let noop = NoopRun { launch: id(0x1a), number: 1 };
            command_example(noop.queue(), &noop)
        }
        other => bail!("{other} has no example: add one in xtask/src/events/example.rs"),
    }
}

const INSTANCE_ID: &str = "i-0a1b2c3d4e5f60001";

fn command_example<C: Command + JsonSchema>(
    queue: String,
    command: &C,
) -> anyhow::Result<CommandExample> {
    let message = CommandMessage {
        task: TASK_ID,
        job: JOB_ID,
        user: UserId(id(0x01)),
        fence: 1,
        kind: C::KIND.into(),
        version: C::VERSION,
        queue: command.queue(),
        traceparent: Some(TRACEPARENT.into()),
        body: serde_json::to_value(command)?,
    };
    let message = serde_json::from_slice(&message.encode(CREATED_AT)?)?;
    Ok(CommandExample { queue, body: schema_for!(C), message })
}

fn product() -> Product {
    Product {
        sku: "LAMP-1".into(),
        title: "Oak lamp".into(),
        price: Price(1990),
        variants: vec![Variant::new("LAMP-1-BLUE", "Blue", Price(2190))],
        ..Product::default()
    }
}

/// Returns a fact as the journal stores it and the WebSocket sends it.
pub fn fact(kind: FactKind) -> Fact {
    use FactKind as F;
    let job_data = |job| FactData { job: Some(job), ..FactData::default() };
    let task_data = |state, change: fn(&mut Task)| {
        let mut task = task(state);
        change(&mut task);
        FactData { job: Some(job(JobState::Running)), task: Some(task), ..FactData::default() }
    };
    let data = match kind {
        F::JobAccepted => {
            let counts = Counts { total: 3, open: 3, ..Counts::default() };
            job_data(Job { counts, ..job(JobState::Running) })
        }
        F::JobPaused => job_data(Job { paused: true, ..job(JobState::Running) }),
        F::JobResumed => job_data(job(JobState::Running)),
        F::JobCancelling => {
            let counts =
                Counts { total: 3, open: 1, succeeded: 1, cancelled: 1, ..Counts::default() };
            let job = Job { counts, cancel_requested: true, ..job(JobState::Running) };
            FactData { count: Some(1), ..job_data(job) }
        }
        F::JobReopened => FactData { count: Some(1), ..job_data(job(JobState::Running)) },
        F::JobFinished => {
            let counts = Counts { total: 3, succeeded: 2, failed: 1, ..Counts::default() };
            let job = Job {
                counts,
                finished_at: Some(CREATED_AT + 9_000),
                ..job(JobState::PartlyFailed)
            };
            let notification = Notification {
                seq: 42,
                job: JOB_ID,
                kind: NotificationKind::Finished,
                title: "lamps.csv partly failed".into(),
                text: "2 of 3 uploads succeeded, 1 failed.".into(),
                at: CREATED_AT + 9_000,
                read: false,
            };
            FactData { notification: Some(notification), ..job_data(job) }
        }
        F::TaskCreated => task_data(TaskState::Queued, |task| {
            task.id = TaskId(id(0x13));
            task.kind = AlarmCreate::KIND.into();
            task.key = format!("alarm/{INSTANCE_ID}");
            task.channel = None;
            task.sku = INSTANCE_ID.into();
            task.title = "render-1".into();
            task.attempt = 0;
            task.cause = Some(TASK_ID);
        }),
        F::TaskRequeued => task_data(TaskState::Queued, |task| {
            task.waiting_for = Some(WaitingFor {
                reason: WaitReason::Cooldown,
                until: Some(CREATED_AT + 30_000),
                detail: Some("acme answered 429 and asked to wait.".into()),
            });
        }),
        F::TaskSucceeded => task_data(TaskState::Succeeded, |task| {
            task.effect = Some(Effect::Created);
            task.outcome = outcome("created", "acme stored it.", Some("p-1001"));
        }),
        F::TaskFailed => task_data(TaskState::Failed, |task| {
            task.attempt = 6;
            task.outcome = outcome("http_500", "acme answered 500.", None);
        }),
        F::TaskRejected => task_data(TaskState::Rejected, |task| {
            task.outcome =
                outcome("rejected", "acme refused it: the title is too long. Shorten it.", None);
        }),
        F::TaskCancelled => task_data(TaskState::Cancelled, |task| {
            task.outcome = outcome("superseded", "A newer upload of this SKU succeeded.", None);
        }),
        F::TaskNeedsReview => task_data(TaskState::NeedsReview, |task| {
            task.outcome_unknown = true;
            task.outcome = outcome(
                "outcome_unknown",
                "The connection broke and corner can't tell whether it has it. Look there, then mark it as done or retry it.",
                None,
            );
        }),
        F::NotificationsRead => FactData { read_up_to: Some(42), ..FactData::default() },
    };
    let job = data.job.as_ref().map(|job| job.id);
    let task = data.task.as_ref().map(|task| task.id);
    let traceparent = Some(TRACEPARENT.to_owned());
    Fact { seq: 42, id: id(0x42), kind, job, task, at: CREATED_AT + 9_000, traceparent, data }
}

/// Returns the data of a signal.
pub fn signal(kind: SignalKind) -> serde_json::Result<Value> {
    match kind {
        SignalKind::TaskStarted => serde_json::to_value(TaskStarted {
            task: TASK_ID,
            job: JOB_ID,
            attempt: 1,
            at: CREATED_AT + 5_000,
        }),
        SignalKind::SessionEnded => serde_json::to_value(SessionEnded { session: None }),
    }
}

/// Returns a message that a node publishes, of the type `kind`.
pub fn envelope(kind: &str, data: Value) -> Envelope {
    Envelope {
        specversion: "1.0".into(),
        id: id(0x42).to_string(),
        kind: kind.into(),
        source: format!("/meanwhile/node/{}", id(0x51)),
        subject: id(0x01).to_string(),
        atms: CREATED_AT + 9_010,
        datacontenttype: "application/json".into(),
        traceparent: data.get("traceparent").and_then(Value::as_str).map(str::to_owned),
        data,
    }
}

fn job(state: JobState) -> Job {
    Job {
        id: JOB_ID,
        kind: JobKind::ProductUploads,
        title: "lamps.csv".into(),
        state,
        paused: false,
        cancel_requested: false,
        counts: Counts { total: 3, open: 2, succeeded: 1, ..Counts::default() },
        channels: vec!["acme".into()],
        file_rows: 3,
        left_out: 0,
        created_at: CREATED_AT,
        finished_at: None,
        eta_ms: None,
        eta_min_ms: None,
        eta_max_ms: None,
    }
}

fn task(state: TaskState) -> Task {
    Task {
        id: TASK_ID,
        job: JOB_ID,
        kind: ProductUpload::KIND.into(),
        key: "acme/LAMP-1".into(),
        row: 0,
        title: "Oak lamp".into(),
        channel: Some("acme".into()),
        sku: "LAMP-1".into(),
        state,
        effect: None,
        attempt: 1,
        outcome_unknown: false,
        cause: None,
        outcome: None,
        waiting_for: None,
        updated_at: CREATED_AT + 9_000,
    }
}

fn outcome(code: &str, message: &str, reference: Option<&str>) -> Option<Outcome> {
    Some(Outcome {
        code: code.into(),
        message: message.into(),
        reference: reference.map(str::to_owned),
    })
}
