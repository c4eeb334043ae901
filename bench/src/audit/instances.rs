//! Checks instance starts against the records of EC2 and CloudWatch.

use super::{check_counters, describe_attempts};
use crate::report::Report;
use contract::{
    JobId,
    api::Task,
    command::{AlarmCreate, Command, Ec2Start},
    state::TaskState,
};
use std::collections::BTreeMap;
use testbed::{
    ApiClient,
    api::{
        ServiceRecord,
        aws::{CLOUDWATCH, EC2},
        ledger::RecordedEffect,
    },
};

const START_INSTANCES: &str = "StartInstances";
const PUT_METRIC_ALARM: &str = "PutMetricAlarm";

/// How an instance responds to a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceKind {
    /// The instance is stopped, and starts.
    Stopped,
    /// The instance runs already.
    Running,
    /// Starting the instance is not authorized.
    Forbidden,
}

/// Numbers of effects that EC2 and CloudWatch had recorded at some time.
#[derive(Clone, Copy, Debug)]
pub struct LedgerPosition {
    ec2: usize,
    cloudwatch: usize,
}

impl LedgerPosition {
    pub async fn current(api: &ApiClient) -> anyhow::Result<Self> {
        let ledger = api.ledger().await?;
        let known =
            |service| ledger.get(service).map_or(0, |record: &ServiceRecord| record.effects.len());
        Ok(Self { ec2: known(EC2), cloudwatch: known(CLOUDWATCH) })
    }
}

/// The records of EC2 and CloudWatch.
#[derive(Default)]
struct AwsEvidence {
    /// State by instance id.
    states: BTreeMap<String, String>,
    /// Starts since the ledger position, including those of running instances.
    start_effects: Vec<RecordedEffect>,
    /// Alarms put since the ledger position, whether new or not.
    alarm_puts: Vec<RecordedEffect>,
    /// Instance id of each existing alarm.
    alarmed_instances: Vec<String>,
}

impl AwsEvidence {
    async fn collect(api: &ApiClient, since: LedgerPosition) -> anyhow::Result<Self> {
        let mut ledger = api.ledger().await?;
        let mut effects = |service: &str, known: usize, action: &str| {
            let all = ledger.remove(service).map(|record| record.effects).unwrap_or_default();
            let new = all.into_iter().skip(known).filter(|effect| effect.action == action);
            new.collect::<Vec<_>>()
        };
        Ok(Self {
            start_effects: effects(EC2, since.ec2, START_INSTANCES),
            alarm_puts: effects(CLOUDWATCH, since.cloudwatch, PUT_METRIC_ALARM),
            states: api.instance_states().await?,
            alarmed_instances: api.instances_with_alarms().await?,
        })
    }

    /// Returns the starts of instances that were not running.
    fn effective_starts(&self) -> impl Iterator<Item = &RecordedEffect> {
        self.start_effects.iter().filter(|effect| effect.created)
    }
}

/// Everything known about one instance.
#[derive(Debug, PartialEq, Eq)]
struct InstanceResult {
    state: String,
    /// Number of effective starts.
    start_count: usize,
    /// State and outcome code of its start tasks.
    start_tasks: Vec<(TaskState, String)>,
    /// State and outcome code of the alarm tasks that its start caused.
    alarm_tasks: Vec<(TaskState, String)>,
    /// Whether an alarm was put since the ledger position, so that an earlier
    /// job's alarm does not count.
    alarm_was_put: bool,
    /// Number of alarms that watch it.
    alarm_count: usize,
}

impl InstanceResult {
    fn observed(id: &str, tasks: &[Task], evidence: &AwsEvidence) -> Self {
        let (starts, others): (Vec<_>, Vec<_>) = tasks
            .iter()
            .filter(|task| task.sku == id)
            .partition(|task| task.kind == Ec2Start::KIND);
        let caused = |task: &&Task| starts.iter().any(|start| task.cause == Some(start.id));
        let alarms = others.into_iter().filter(|task| task.kind == AlarmCreate::KIND);
        Self {
            state: evidence.states.get(id).cloned().unwrap_or_default(),
            start_count: evidence.effective_starts().filter(|effect| effect.sku == id).count(),
            alarm_tasks: alarms.filter(caused).map(state_and_code).collect(),
            start_tasks: starts.into_iter().map(state_and_code).collect(),
            alarm_was_put: evidence.alarm_puts.iter().any(|effect| effect.sku == id),
            alarm_count: evidence.alarmed_instances.iter().filter(|other| *other == id).count(),
        }
    }

    fn expected(kind: InstanceKind) -> Self {
        let runs = kind != InstanceKind::Forbidden;
        let (state, start) = match runs {
            true => ("running", (TaskState::Succeeded, "running".to_owned())),
            false => ("stopped", (TaskState::Failed, "UnauthorizedOperation".to_owned())),
        };
        let alarm = runs.then(|| (TaskState::Succeeded, "created".to_owned()));
        Self {
            state: state.to_owned(),
            start_count: usize::from(kind == InstanceKind::Stopped),
            start_tasks: vec![start],
            alarm_tasks: alarm.into_iter().collect(),
            alarm_was_put: runs,
            alarm_count: usize::from(runs),
        }
    }
}

fn state_and_code(task: &Task) -> (TaskState, String) {
    let code = task.outcome.as_ref().map(|outcome| outcome.code.clone());
    (task.state, code.unwrap_or_default())
}

/// Returns the number of tasks of a job that starts `instances`.
pub fn expected_task_count(instances: &[(&str, InstanceKind)]) -> usize {
    instances.len() + instances.iter().filter(|(_, kind)| *kind != InstanceKind::Forbidden).count()
}

/// Checks a finished job that started `instances`, each of which was in the state
/// of its kind at the position `since`: every start has finished, and so has the
/// alarm of each running instance; the job's counters equal its rows; no instance
/// was started twice; and each running one has one alarm.
pub async fn check_instance_starts(
    api: &ApiClient,
    job: JobId,
    instances: &[(&str, InstanceKind)],
    since: LedgerPosition,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (found, tasks) = (api.job(job).await?, api.tasks(job).await?);
    let (open, total) = (
        tasks.iter().filter(|task| !task.state.is_terminal()).count(),
        expected_task_count(instances),
    );
    report.add_check(
        "every start and alarm task has finished",
        open == 0 && tasks.len() == total,
        format!("{} of {total} steps, {open} open", tasks.len()),
    );
    check_counters(&found, &tasks, report);
    let evidence = AwsEvidence::collect(api, since).await?;
    let mut wrong = Vec::new();
    for &(id, kind) in instances {
        let (seen, expected) =
            (InstanceResult::observed(id, &tasks, &evidence), InstanceResult::expected(kind));
        if seen != expected {
            let attempts = describe_instance_attempts(api, id, &tasks).await?;
            wrong.push(format!("{id}: {seen:?}, not {expected:?}: {attempts}"));
        }
    }
    let first = wrong.first().map_or("each matches EC2 and CloudWatch", String::as_str);
    let detail = format!("{} of {} do not: {first}", wrong.len(), instances.len());
    report.add_check("each instance was started once and has one alarm", wrong.is_empty(), detail);
    let (started, calls) = (evidence.effective_starts().count(), evidence.start_effects.len());
    let figure =
        format!("{started} started by {calls} calls, {} alarms put", evidence.alarm_puts.len());
    report.add_figure("instances", figure, None);
    Ok(())
}

/// Describes the attempts of all tasks of an instance in one line.
async fn describe_instance_attempts(
    api: &ApiClient,
    id: &str,
    tasks: &[Task],
) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for task in tasks.iter().filter(|task| task.sku == id) {
        lines.push(format!("{}: {}", task.kind, describe_attempts(api, task.id).await?));
    }
    Ok(lines.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    const ID: &str = "i-1";

    fn task(kind: &str, number: u128, cause: Option<u128>, state: &str, code: &str) -> Task {
        let id = |number| Uuid::from_u128(number);
        let task = json!({
            "id": id(number), "job": id(0), "kind": kind, "key": ID, "row": 0, "title": "",
            "sku": ID, "state": state, "attempt": 1, "cause": cause.map(id), "updated_at": 0,
            "outcome": { "code": code, "message": "" },
        });
        serde_json::from_value(task).unwrap()
    }

    /// Returns evidence of `started` effective starts and one more of a running
    /// instance, of `puts` alarms put, and of `watched` existing alarms.
    fn evidence(state: &str, [started, puts, watched]: [usize; 3]) -> AwsEvidence {
        let effect =
            |created| RecordedEffect { sku: ID.into(), created, ..RecordedEffect::default() };
        let times = |count| (0..count).map(|_| effect(true));
        AwsEvidence {
            states: BTreeMap::from([(ID.to_owned(), state.to_owned())]),
            start_effects: times(started).chain([effect(false)]).collect(),
            alarm_puts: times(puts).collect(),
            alarmed_instances: vec![ID.to_owned(); watched],
        }
    }

    #[test]
    fn an_instance_starts_once_and_has_one_alarm() {
        let start = || task(Ec2Start::KIND, 1, None, "succeeded", "running");
        let alarm = |cause| task(AlarmCreate::KIND, 2, cause, "succeeded", "created");
        let failed = || task(Ec2Start::KIND, 1, None, "failed", "UnauthorizedOperation");
        let chain = || vec![start(), alarm(Some(1))];
        let (stopped, running, forbidden) =
            (InstanceKind::Stopped, InstanceKind::Running, InstanceKind::Forbidden);
        for (kind, tasks, state, counts, fine) in [
            (stopped, chain(), "running", [1, 1, 1], true),
            // The worker that put the first alarm was killed before its attempt ended.
            (stopped, chain(), "running", [1, 2, 1], true),
            (running, chain(), "running", [0, 1, 1], true),
            (forbidden, vec![failed()], "stopped", [0, 0, 0], true),
            (stopped, chain(), "running", [2, 1, 1], false),
            (stopped, chain(), "running", [0, 1, 1], false),
            (running, chain(), "running", [1, 1, 1], false),
            (stopped, chain(), "pending", [1, 1, 1], false),
            (stopped, vec![start()], "running", [1, 1, 1], false),
            (stopped, vec![start(), alarm(None)], "running", [1, 1, 1], false),
            (stopped, vec![start(), alarm(Some(1)), alarm(Some(1))], "running", [1, 1, 1], false),
            (stopped, vec![start(), start(), alarm(Some(1))], "running", [1, 1, 1], false),
            // The alarm is an earlier job's.
            (stopped, chain(), "running", [1, 0, 1], false),
            (stopped, chain(), "running", [1, 1, 2], false),
            (stopped, vec![failed()], "stopped", [0, 0, 0], false),
            (forbidden, chain(), "running", [1, 1, 1], false),
            (forbidden, vec![failed(), alarm(Some(1))], "stopped", [0, 1, 1], false),
        ] {
            let seen = InstanceResult::observed(ID, &tasks, &evidence(state, counts));
            assert_eq!(seen == InstanceResult::expected(kind), fine, "{kind:?}: {seen:?}");
        }
        let other = InstanceResult::observed("i-2", &chain(), &evidence("running", [1, 1, 1]));
        assert_eq!((other.start_count, other.start_tasks.len(), other.alarm_count), (0, 0, 0));
    }
}
