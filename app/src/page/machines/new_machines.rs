//! Form that launches new machines from a launch template.

use super::MachineListFilter;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// The fields of the form as they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMachines {
    /// Id of the launch template.
    pub template: String,
    pub version: String,
    pub count: String,
    pub name: String,
}

impl Default for NewMachines {
    fn default() -> Self {
        let (template, version, name) = Default::default();
        Self { template, version, count: "1".into(), name }
    }
}

/// The launch templates, or why none can be listed.
pub(super) type Templates = Result<TemplateChoices, String>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TemplateChoices {
    /// Id and label of each template.
    pub choices: Vec<(String, String)>,
    /// Accounts whose templates could not be listed, each with the reason.
    pub problems: Vec<String>,
}

/// Returns the launch templates of all accounts.
#[cfg(feature = "ssr")]
pub(super) async fn load_templates(engine: &engine::Engine) -> Templates {
    let templates = engine.machines().launch_templates().await;
    let templates = templates.map_err(|error| error.to_string())?;
    let label = |template: &contract::api::LaunchTemplate| {
        let contract::api::LaunchTemplate { name, account, region, .. } = template;
        let versions = match (template.default_version, template.latest_version) {
            (default, latest) if default == latest => format!("version {default}"),
            (default, latest) => format!("version {default}, latest {latest}"),
        };
        let place = [account, region].into_iter().filter(|it| !it.is_empty());
        let place: String = place.map(|it| format!(" · {it}")).collect();
        (template.id.clone(), format!("{name} · {versions}{place}"))
    };
    let problems = templates.problems.iter().map(|(location, error)| {
        let (account, region) = (&location.account, &location.region);
        format!("The launch templates of {account} in {region} are missing. {error}")
    });
    Ok(TemplateChoices {
        choices: templates.items.iter().map(label).collect(),
        problems: problems.collect(),
    })
}

/// Renders the form, with what was sent before.
pub(super) fn new_machines_panel(
    templates: Templates,
    sent: NewMachines,
    key: &str,
    filter: &MachineListFilter,
) -> AnyView {
    let closed = MachineListFilter { launch: None, ..filter.clone() }.url("/machines");
    let content = match templates {
        Err(words) => view! { <p class="problem" role="alert">{words}</p> }.into_any(),
        Ok(TemplateChoices { choices, problems }) => {
            let problems = problems
                .into_iter()
                .map(|words| view! { <p class="problem" role="alert">{words}</p> })
                .collect_view();
            let fields = match choices.is_empty() {
                true => view! {
                    <p>"No account has a launch template. Create one in EC2, and it appears here."</p>
                }
                .into_any(),
                false => fields(choices, sent, key, filter),
            };
            view! {
                {problems}
                {fields}
            }
            .into_any()
        }
    };
    view! {
        <section class="panel new-machines" aria-labelledby="new-machines">
            <h2 id="new-machines">"Launch new machines"</h2>
            <a class="close" href=closed>"Close"</a>
            {content}
        </section>
    }
    .into_any()
}

fn fields(
    templates: Vec<(String, String)>,
    sent: NewMachines,
    key: &str,
    filter: &MachineListFilter,
) -> AnyView {
    let option = |(id, label): (String, String)| {
        let selected = id == sent.template;
        view! { <option value=id selected=selected>{label}</option> }
    };
    let templates = templates.into_iter().map(option).collect_view();
    let is_latest = sent.version == "latest";
    view! {
        <form method="post" action=filter.url("/launch/machines") autocomplete="off">
            // The list of machines has a key of its own.
            <input type="hidden" name="key" value=format!("{key}-new")/>
            <label>"Launch template" <select name="template">{templates}</select></label>
            <label>
                "Version"
                <select name="version">
                    <option value="default">"Default"</option>
                    <option value="latest" selected=is_latest>"Latest"</option>
                </select>
            </label>
            <label>
                "Number of machines"
                <input type="number" name="count" min="1" max="500" required value=sent.count/>
            </label>
            <label>
                "Name, optional; several get -1, -2 and so on"
                <input type="text" name="name" value=sent.name/>
            </label>
            <button class="primary" name="action" value="launch">"Launch machines"</button>
        </form>
    }
    .into_any()
}
