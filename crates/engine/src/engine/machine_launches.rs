//! Launches about machines: start, stop, and new ones from a launch template.

use super::{Engine, LaunchError, check_idempotency_key};
use crate::{
    machines::{KnownMachine, Listing, MachineLocation},
    store::{Actor, NewJob, NewTask},
};
use contract::{
    api::{Job, LaunchTemplate},
    command::{Command, Ec2Launch, Ec2Start, Ec2Stop},
    instance_id::parse_instance_ids,
    state::JobKind,
    text::MACHINE_NAME,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Maximum number of machines of one launch from a template.
const MAX_LAUNCHED: u32 = 500;

/// Request to launch machines from a launch template.
#[derive(Clone, Debug)]
pub struct MachineLaunchRequest {
    /// EC2's id of the template, or its name.
    pub template: String,
    /// Version of the template.
    pub version: TemplateVersion,
    /// Number of machines.
    pub count: u32,
    /// Name tag of the machines; several get `-1`, `-2` and so on. Empty for what the template
    /// has.
    pub name: String,
    /// Account and region of the template; needed only if several have one of this name.
    pub location: Option<MachineLocation>,
}

/// Version of a launch template. Both words are resolved when the launch is accepted: the
/// machines of one job are the same, and a repeated call is the same call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateVersion {
    /// The one that the template's owner has chosen.
    #[default]
    Default,
    /// The newest one.
    Latest,
    /// A certain one.
    Number(u64),
}

/// Words of a launch about existing machines.
struct Verb {
    kind: JobKind,
    imperative: &'static str,
    past: &'static str,
}

impl Engine {
    /// Accepts a job that starts machines by their ids, each once; an entry of `ids` may
    /// be a pasted list. No upstream is called yet: names and locations are the last known ones.
    /// A machine that was never listed, which EC2 may not know, has no name, and is looked for at
    /// `location`, or where all machines are if there is one location only.
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn start_machines(
        &self,
        actor: impl Into<Actor>,
        ids: &[String],
        location: Option<MachineLocation>,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        let verb = Verb { kind: JobKind::Ec2Starts, imperative: "Start", past: "started" };
        let command = |instance_id: &str, machine: &KnownMachine| Ec2Start {
            instance_id: instance_id.into(),
            name: machine.name.clone(),
            account: machine.location.account.clone(),
            region: machine.location.region.clone(),
        };
        self.launch_about_machines(&verb, command, actor.into(), ids, location, idempotency_key)
            .await
    }

    /// Accepts a job that stops machines, like [`start_machines`](Self::start_machines).
    ///
    /// # Errors
    /// The launch is invalid, or the store refused it; see [`LaunchError`].
    pub async fn stop_machines(
        &self,
        actor: impl Into<Actor>,
        ids: &[String],
        location: Option<MachineLocation>,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        let verb = Verb { kind: JobKind::Ec2Stops, imperative: "Stop", past: "stopped" };
        let command = |instance_id: &str, machine: &KnownMachine| Ec2Stop {
            instance_id: instance_id.into(),
            name: machine.name.clone(),
            account: machine.location.account.clone(),
            region: machine.location.region.clone(),
        };
        self.launch_about_machines(&verb, command, actor.into(), ids, location, idempotency_key)
            .await
    }

    async fn launch_about_machines<C: Command>(
        &self,
        verb: &Verb,
        command: impl Fn(&str, &KnownMachine) -> C,
        actor: Actor,
        ids: &[String],
        location: Option<MachineLocation>,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_idempotency_key(idempotency_key.as_deref())?;
        let ids = parse_instance_ids(ids.iter().map(String::as_str))?;
        let max_machines =
            usize::try_from(self.store.database.open_limits().tasks).unwrap_or(usize::MAX);
        if ids.len() > max_machines {
            let message =
                format!("Choose at most {max_machines} machines: no more items may be open.");
            return Err(LaunchError::Invalid(message));
        }
        let machines = self.locate_machines(&ids, location, verb)?;
        let mut tasks = Vec::with_capacity(machines.len());
        // A form that was sent to start machines and then to stop them has one key.
        let mut hash = Sha256::new_with_prefix(verb.kind.as_str());
        for (row, (id, machine)) in (0..).zip(&machines) {
            hash.update(id);
            hash.update(",");
            let command = command(id, machine);
            let task = NewTask::new(&command, None, (*id).into(), machine.name.clone(), row);
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
        let imperative = verb.imperative;
        let title = match machines.as_slice() {
            [(id, machine)] if machine.name.is_empty() => format!("{imperative} {id}"),
            [(_, machine)] => format!("{imperative} {}", machine.name),
            _ => format!("{imperative} {} machines", machines.len()),
        };
        self.accept_job(NewJob {
            actor,
            kind: verb.kind,
            title,
            channels: Vec::new(),
            tasks,
            file: None,
            idempotency: idempotency_key.map(|key| (key, hex::encode(hash.finalize()))),
        })
        .await
    }

    /// Returns the machines with their last known names and locations.
    fn locate_machines<'a>(
        &self,
        ids: &'a [String],
        location: Option<MachineLocation>,
        verb: &Verb,
    ) -> Result<Vec<(&'a str, KnownMachine)>, LaunchError> {
        let locations = self.machines.locations();
        if let Some(location) = &location {
            check_location(&locations, location)?;
        }
        let elsewhere = location.or_else(|| match locations.as_slice() {
            [] => Some(MachineLocation::default()),
            [only] => Some(only.clone()),
            _ => None,
        });
        let located = ids.iter().map(|id| {
            let unlisted = || {
                let location = elsewhere.clone()?;
                Some(KnownMachine { name: String::new(), location })
            };
            match self.machines.last_known(id).or_else(unlisted) {
                Some(machine) => Ok((id.as_str(), machine)),
                None => Err(LaunchError::Invalid(self.describe_unlisted(id, verb))),
            }
        });
        located.collect()
    }

    /// Says why nobody knows where a machine is.
    fn describe_unlisted(&self, id: &str, verb: &Verb) -> String {
        let past = verb.past;
        match self.machines.last_problems().first() {
            Some((location, error)) => format!(
                "Nobody can tell in which account and region {id} is: the machines of {} in {} \
                 could not be listed. {error} Or name the account and the region; nothing was \
                 {past}.",
                location.account, location.region
            ),
            None => format!(
                "{id} is in no list of the configured accounts. Correct the id, or open the list \
                 of machines and try again; nothing was {past}."
            ),
        }
    }

    /// Accepts a job that launches machines from a launch template, whose version is resolved
    /// now. The templates are read through a cache.
    ///
    /// # Errors
    /// The launch is invalid, the templates can't be listed, or the store refused it; see
    /// [`LaunchError`].
    pub async fn launch_machines(
        &self,
        actor: impl Into<Actor>,
        request: MachineLaunchRequest,
        idempotency_key: Option<String>,
    ) -> Result<Job, LaunchError> {
        check_idempotency_key(idempotency_key.as_deref())?;
        let MachineLaunchRequest { template, version, count, name, location } = request;
        if !(1..=MAX_LAUNCHED).contains(&count) {
            let message = format!("A launch has 1 to {MAX_LAUNCHED} machines.");
            return Err(LaunchError::Invalid(message));
        }
        let name = name.trim();
        MACHINE_NAME.check(name)?;
        let template = self.find_template(&template, location.as_ref()).await?;
        let template_version = resolve_version(&template, version)?;
        let (launch, mut tasks) = (Uuid::now_v7(), Vec::new());
        for number in 1..=count {
            let name = match count {
                1 => name.to_owned(),
                _ if name.is_empty() => String::new(),
                _ => format!("{name}-{number}"),
            };
            let command = Ec2Launch {
                launch,
                number,
                template_id: template.id.clone(),
                template_version,
                name: name.clone(),
                account: template.account.clone(),
                region: template.region.clone(),
            };
            let title = if name.is_empty() { template.name.clone() } else { name };
            let task = NewTask::new(&command, None, template.id.clone(), title, number - 1);
            tasks.push(task.map_err(|error| LaunchError::Invalid(error.to_string()))?);
        }
        let machines = if count == 1 { "machine" } else { "machines" };
        let title = format!("Launch {count} {machines} from {}", template.name);
        let hash = format!("{}/{template_version}/{count}/{name}", template.id);
        self.accept_job(NewJob {
            actor: actor.into(),
            kind: JobKind::Ec2Launches,
            title,
            channels: Vec::new(),
            tasks,
            file: None,
            idempotency: idempotency_key
                .map(|key| (key, hex::encode(Sha256::digest(hash.as_bytes())))),
        })
        .await
    }

    /// Returns the launch template with this id or name.
    async fn find_template(
        &self,
        wanted: &str,
        location: Option<&MachineLocation>,
    ) -> Result<LaunchTemplate, LaunchError> {
        if let Some(location) = location {
            check_location(&self.machines.locations(), location)?;
        }
        if wanted.is_empty() {
            let words = "Choose a launch template; nothing was launched.";
            return Err(LaunchError::Invalid(words.into()));
        }
        let templates = self.machines.launch_templates().await;
        let templates = templates.map_err(|error| LaunchError::Invalid(error.to_string()))?;
        choose_template(&templates, wanted, location)
    }
}

/// Returns the launch template with this id or name.
fn choose_template(
    templates: &Listing<LaunchTemplate>,
    wanted: &str,
    location: Option<&MachineLocation>,
) -> Result<LaunchTemplate, LaunchError> {
    let is_there = |template: &&LaunchTemplate| {
        location.is_none_or(|it| it.account == template.account && it.region == template.region)
    };
    let found: Vec<_> = templates
        .items
        .iter()
        .filter(is_there)
        .filter(|template| template.id == wanted || template.name == wanted)
        .collect();
    // An account that could not be listed may have a template of the same name, but not of the
    // same id.
    let is_certain = found.iter().any(|template| template.id == wanted);
    let mut problems = templates.problems.iter();
    let unlisted = problems.find(|(it, _)| location.is_none_or(|location| location == it));
    if let Some((MachineLocation { account, region }, error)) = unlisted.filter(|_| !is_certain) {
        let advice = match location {
            Some(_) => "Nothing was launched.",
            None => "Or name another account and region; nothing was launched.",
        };
        return Err(LaunchError::Invalid(format!(
            "Nobody can tell whether {account} in {region} has the launch template {wanted}: its \
             templates could not be listed. {error} {advice}"
        )));
    }
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(LaunchError::Invalid(format!(
            "No configured account has the launch template {wanted}. Correct its id or name; \
             nothing was launched."
        ))),
        _ => Err(LaunchError::Invalid(format!(
            "Several accounts or regions have a launch template {wanted}. Name the account and \
             the region, or use the template's id; nothing was launched."
        ))),
    }
}

fn check_location(
    locations: &[MachineLocation],
    location: &MachineLocation,
) -> Result<(), LaunchError> {
    if locations.contains(location) {
        return Ok(());
    }
    let MachineLocation { account, region } = location;
    let message = format!("No account “{account}” with the region “{region}” is configured.");
    Err(LaunchError::Invalid(message))
}

fn resolve_version(
    template: &LaunchTemplate,
    version: TemplateVersion,
) -> Result<u64, LaunchError> {
    match version {
        TemplateVersion::Default => Ok(template.default_version),
        TemplateVersion::Latest => Ok(template.latest_version),
        TemplateVersion::Number(number) if (1..=template.latest_version).contains(&number) => {
            Ok(number)
        }
        TemplateVersion::Number(number) => Err(LaunchError::Invalid(format!(
            "The launch template {} has no version {number}: its versions go up to {}.",
            template.name, template.latest_version
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::machines;

    fn at(account: &str) -> MachineLocation {
        MachineLocation { account: account.into(), region: "eu".into() }
    }

    fn template(id: &str, account: &str) -> LaunchTemplate {
        LaunchTemplate {
            id: id.into(),
            name: "web".into(),
            default_version: 1,
            latest_version: 1,
            account: account.into(),
            region: "eu".into(),
        }
    }

    /// Returns the id of the chosen template, or the start of what is said.
    fn choose(
        listing: &Listing<LaunchTemplate>,
        wanted: &str,
        location: Option<&MachineLocation>,
    ) -> String {
        match choose_template(listing, wanted, location) {
            Ok(template) => template.id,
            Err(error) => error.to_string().split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }

    #[tokio::test]
    async fn a_template_is_never_taken_from_another_account() {
        let all =
            Listing::new(vec![template("lt-1", "test"), template("lt-2", "prod")], Vec::new());
        assert_eq!(choose(&all, "web", None), "Several accounts or");
        assert_eq!(choose(&all, "web", Some(&at("prod"))), "lt-2");
        let slow = vec![(at("prod"), machines::Error::Slow)];
        let part = Listing::new(vec![template("lt-1", "test")], slow);
        assert_eq!(choose(&part, "web", None), "Nobody can tell");
        assert_eq!(choose(&part, "lt-2", None), "Nobody can tell");
        assert_eq!(choose(&part, "web", Some(&at("prod"))), "Nobody can tell");
        assert_eq!(choose(&part, "lt-1", None), "lt-1");
        assert_eq!(choose(&part, "web", Some(&at("test"))), "lt-1");
        let none = Listing::new(Vec::new(), Vec::new());
        assert_eq!(choose(&none, "web", None), "No configured account");
    }
}
