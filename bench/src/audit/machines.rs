//! How starts of machines may end: as EC2 and CloudWatch themselves say.

use super::{counters, tries};
use crate::{
    api::{
        Api, Record,
        account::{CLOUDWATCH, EC2},
        ledger::Effect,
    },
    report::Report,
};
use contract::{
    JobId,
    api::Task,
    command::{AlarmCreate, Command, Ec2Start},
    state::TaskState,
};
use std::collections::BTreeMap;

const START: &str = "StartInstances";
const PUT: &str = "PutMetricAlarm";

/// What a machine makes of a start that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is stopped, and starts.
    Stopped,
    /// It runs, and there is nothing to start.
    Running,
    /// Nobody may start it.
    Forbidden,
}

/// How many effects EC2 and CloudWatch knew of at some time.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    ec2: usize,
    cloudwatch: usize,
}

impl Mark {
    pub async fn now(api: &Api) -> anyhow::Result<Self> {
        let ledger = api.ledger().await?;
        let known = |service| ledger.get(service).map_or(0, |record: &Record| record.effects.len());
        Ok(Self { ec2: known(EC2), cloudwatch: known(CLOUDWATCH) })
    }
}

/// What EC2 and CloudWatch say.
#[derive(Default)]
struct Witness {
    /// By machine.
    states: BTreeMap<String, String>,
    /// Since the mark, of a machine that ran already, too.
    starts: Vec<Effect>,
    /// Alarms put since the mark, new or not.
    puts: Vec<Effect>,
    /// The machine of each alarm that there is.
    watched: Vec<String>,
}

impl Witness {
    async fn now(api: &Api, since: Mark) -> anyhow::Result<Self> {
        let mut ledger = api.ledger().await?;
        let mut effects = |service: &str, known: usize, action: &str| {
            let all = ledger.remove(service).map(|record| record.effects).unwrap_or_default();
            let new = all.into_iter().skip(known).filter(|effect| effect.action == action);
            new.collect::<Vec<_>>()
        };
        Ok(Self {
            starts: effects(EC2, since.ec2, START),
            puts: effects(CLOUDWATCH, since.cloudwatch, PUT),
            states: api.machine_states().await?,
            watched: api.watched_machines().await?,
        })
    }

    /// Starts that found their machine not running.
    fn started(&self) -> impl Iterator<Item = &Effect> {
        self.starts.iter().filter(|effect| effect.created)
    }
}

/// All that is known of one machine.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    state: String,
    /// How often it was started.
    started: usize,
    /// State and code of its start tasks.
    starts: Vec<(TaskState, String)>,
    /// State and code of the alarm tasks that its start caused.
    alarms: Vec<(TaskState, String)>,
    /// An alarm was put since, so that one of an earlier job is not taken for
    /// this one's.
    put: bool,
    /// Alarms that watch it.
    watched: usize,
}

impl Seen {
    fn of(id: &str, tasks: &[Task], witness: &Witness) -> Self {
        let (starts, others): (Vec<_>, Vec<_>) = tasks
            .iter()
            .filter(|task| task.sku == id)
            .partition(|task| task.kind == Ec2Start::KIND);
        let caused = |task: &&Task| starts.iter().any(|start| task.cause == Some(start.id));
        let alarms = others.into_iter().filter(|task| task.kind == AlarmCreate::KIND);
        Self {
            state: witness.states.get(id).cloned().unwrap_or_default(),
            started: witness.started().filter(|effect| effect.sku == id).count(),
            alarms: alarms.filter(caused).map(end).collect(),
            starts: starts.into_iter().map(end).collect(),
            put: witness.puts.iter().any(|effect| effect.sku == id),
            watched: witness.watched.iter().filter(|other| *other == id).count(),
        }
    }

    fn expected(kind: Kind) -> Self {
        let runs = kind != Kind::Forbidden;
        let (state, start) = match runs {
            true => ("running", (TaskState::Succeeded, "running".to_owned())),
            false => ("stopped", (TaskState::Failed, "UnauthorizedOperation".to_owned())),
        };
        let alarm = runs.then(|| (TaskState::Succeeded, "created".to_owned()));
        Self {
            state: state.to_owned(),
            started: usize::from(kind == Kind::Stopped),
            starts: vec![start],
            alarms: alarm.into_iter().collect(),
            put: runs,
            watched: usize::from(runs),
        }
    }
}

fn end(task: &Task) -> (TaskState, String) {
    let code = task.outcome.as_ref().map(|outcome| outcome.code.clone());
    (task.state, code.unwrap_or_default())
}

/// How many tasks a job has that was to start these.
pub fn steps(machines: &[(&str, Kind)]) -> usize {
    machines.len() + machines.iter().filter(|(_, kind)| *kind != Kind::Forbidden).count()
}

/// Checks a finished job that was to start these machines, each of which was
/// as its kind says at the mark: every start and every alarm of one that runs
/// has come to its one end, the job's counters are those of its rows, no
/// machine was started twice, and each that runs has one alarm.
pub async fn started(
    api: &Api,
    job: JobId,
    machines: &[(&str, Kind)],
    since: Mark,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (found, tasks) = (api.job(job).await?, api.tasks(job).await?);
    let (open, total) = (tasks.iter().filter(|task| !task.state.is_end()).count(), steps(machines));
    report.check(
        "starts and alarms − terminal = ∅",
        open == 0 && tasks.len() == total,
        format!("{} of {total} steps, {open} open", tasks.len()),
    );
    counters(&found, &tasks, report);
    let witness = Witness::now(api, since).await?;
    let mut wrong = Vec::new();
    for &(id, kind) in machines {
        let (seen, expected) = (Seen::of(id, &tasks, &witness), Seen::expected(kind));
        if seen != expected {
            let tried = tried(api, id, &tasks).await?;
            wrong.push(format!("{id}: {seen:?}, not {expected:?}: {tried}"));
        }
    }
    let first = wrong.first().map_or("each is as EC2 and CloudWatch say", String::as_str);
    let detail = format!("{} of {} are not: {first}", wrong.len(), machines.len());
    report.check("machines run once, each with one alarm", wrong.is_empty(), detail);
    let (started, calls) = (witness.started().count(), witness.starts.len());
    let figure = format!("{started} started by {calls} calls, {} alarms put", witness.puts.len());
    report.figure("machines", figure, None);
    Ok(())
}

/// The attempts of all tasks about a machine, in one line.
async fn tried(api: &Api, id: &str, tasks: &[Task]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for task in tasks.iter().filter(|task| task.sku == id) {
        lines.push(format!("{}: {}", task.kind, tries(api, task.id).await?));
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

    /// Started so often, one call more that found it running, alarms put and
    /// there.
    fn witness(state: &str, [started, puts, watched]: [usize; 3]) -> Witness {
        let effect = |created| Effect { sku: ID.into(), created, ..Effect::default() };
        let times = |count| (0..count).map(|_| effect(true));
        Witness {
            states: BTreeMap::from([(ID.to_owned(), state.to_owned())]),
            starts: times(started).chain([effect(false)]).collect(),
            puts: times(puts).collect(),
            watched: vec![ID.to_owned(); watched],
        }
    }

    #[test]
    fn a_machine_runs_once_with_one_alarm() {
        let start = || task("ec2.start", 1, None, "succeeded", "running");
        let alarm = |cause| task("alarm.create", 2, cause, "succeeded", "created");
        let failed = || task("ec2.start", 1, None, "failed", "UnauthorizedOperation");
        let chain = || vec![start(), alarm(Some(1))];
        let (stopped, running, forbidden) = (Kind::Stopped, Kind::Running, Kind::Forbidden);
        for (kind, tasks, state, counts, fine) in [
            (stopped, chain(), "running", [1, 1, 1], true),
            // Whoever put it was killed before it could tell.
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
            // Of an earlier job.
            (stopped, chain(), "running", [1, 0, 1], false),
            (stopped, chain(), "running", [1, 1, 2], false),
            (stopped, vec![failed()], "stopped", [0, 0, 0], false),
            (forbidden, chain(), "running", [1, 1, 1], false),
            (forbidden, vec![failed(), alarm(Some(1))], "stopped", [0, 1, 1], false),
        ] {
            let seen = Seen::of(ID, &tasks, &witness(state, counts));
            assert_eq!(seen == Seen::expected(kind), fine, "{kind:?}: {seen:?}");
        }
        let other = Seen::of("i-2", &chain(), &witness("running", [1, 1, 1]));
        assert_eq!((other.started, other.starts.len(), other.watched), (0, 0, 0));
    }
}
