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

/// Id and label of each launch template, or why they can't be listed.
pub(super) type Templates = Result<Vec<(String, String)>, String>;

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
    Ok(templates.iter().map(label).collect())
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
        Ok(templates) if templates.is_empty() => view! {
            <p>"No account has a launch template. Create one in EC2, and it appears here."</p>
        }
        .into_any(),
        Ok(templates) => fields(templates, sent, key, filter),
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
