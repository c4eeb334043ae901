//! Handler of the forms that start, stop and launch machines. What it does not accept, it answers
//! with the page of the machines and a problem, or a question whose buttons send the form again.

mod fields;
mod questions;

use crate::{
    form::flash::{redirect_with_problem, redirect_with_problem_and_key},
    page::{self, PageContext},
    problem::Problem,
    session::CurrentUser,
    state::AppState,
};
use app::page::machines::{MachineListFilter, SubmittedMachines};
use axum::{
    Extension, Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use contract::{
    api::{Job, MachineAction},
    instance_id::{InstanceIdError, parse_instance_ids},
};
use engine::{
    engine::{LaunchError, MachineLaunchRequest, TemplateVersion, new_idempotency_key},
    machines::MachineFilter,
    store,
};
use fields::{MachineFields, RequestedAction};
use std::collections::HashMap;

const FORM_PATH: &str = "/launch/machines";
const MACHINES_PATH: &str = "/machines";

/// Why a form was not accepted.
enum Refusal {
    /// The page shows this.
    Shown(Box<SubmittedMachines>, StatusCode),
    Launch(LaunchError),
}

impl From<LaunchError> for Refusal {
    fn from(error: LaunchError) -> Self {
        Self::Launch(error)
    }
}

/// Starts or stops machines, which were ticked, pasted, or selected by the filter in the URL; or
/// launches new ones. A stop has to be confirmed. Ids that the accounts do not contain are asked
/// about first: they may be mistyped.
pub async fn submit_machines(
    State(state): State<AppState>,
    user: CurrentUser,
    Extension(context): Extension<PageContext>,
    Query(filter): Query<MachineListFilter>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let fields = MachineFields::new(pairs);
    let _permit = state.work_limits.acquire_launch(user.identity.user).await;
    let launched = match fields.action() {
        RequestedAction::Launch => launch_machines(&state, &user, &fields).await,
        RequestedAction::OfMachines(action) => {
            run_action(&state, &user, &fields, action, &filter).await
        }
    };
    match launched {
        Ok(job) => Redirect::to(&format!("/jobs/{}?accepted=1", job.id)).into_response(),
        Err(Refusal::Shown(submitted, status)) => {
            page::form_page(context, &filter.url(FORM_PATH), status, *submitted).await
        }
        Err(Refusal::Launch(error)) => failure_response(error, fields.key(), &filter),
    }
}

async fn launch_machines(
    state: &AppState,
    user: &CurrentUser,
    fields: &MachineFields,
) -> Result<Job, Refusal> {
    let sent = fields.new_machines();
    let version = match sent.version.as_str() {
        "latest" => TemplateVersion::Latest,
        _ => TemplateVersion::Default,
    };
    let launched = match sent.count.trim().parse() {
        Ok(count) => {
            let request = MachineLaunchRequest {
                template: sent.template.clone(),
                version,
                count,
                name: sent.name.clone(),
                location: None,
            };
            let key = fields.key().map(str::to_owned);
            state.engine.launch_machines(user.actor(), request, key).await
        }
        Err(_) => Err(LaunchError::Invalid("Type the number of machines in digits.".into())),
    };
    launched.map_err(|error| match error {
        LaunchError::Invalid(_) | LaunchError::Text(_) => {
            let submitted = SubmittedMachines {
                problem: Some(Problem::from(error).detail),
                new_machines: Some(sent),
                ..submitted_again(fields)
            };
            Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY)
        }
        error => error.into(),
    })
}

async fn run_action(
    state: &AppState,
    user: &CurrentUser,
    fields: &MachineFields,
    action: MachineAction,
    filter: &MachineListFilter,
) -> Result<Job, Refusal> {
    let (ids, left_out) = match filter.selects_all() && !fields.has_ids() {
        true => (select_all(state, fields, action, filter).await?, 0),
        false => select_named(state, fields, action).await?,
    };
    if action == MachineAction::Stop && !fields.is_confirmed() && !ids.is_empty() {
        let question = questions::confirm_stop(&names(state, &ids), &ids, left_out);
        let submitted = SubmittedMachines { question: Some(question), ..submitted_again(fields) };
        return Err(Refusal::Shown(Box::new(submitted), StatusCode::OK));
    }
    let (engine, actor, key) = (&state.engine, user.actor(), fields.key().map(str::to_owned));
    let launched = match action {
        MachineAction::Start => engine.start_machines(actor, &ids, None, key).await,
        MachineAction::Stop => engine.stop_machines(actor, &ids, None, key).await,
    };
    Ok(launched?)
}

/// Returns the machines that match the filter and that the action can be done with. If they are
/// not as many as the button said, the person is asked again.
async fn select_all(
    state: &AppState,
    fields: &MachineFields,
    action: MachineAction,
    filter: &MachineListFilter,
) -> Result<Vec<String>, Refusal> {
    let listing = match state.engine.machines().list().await {
        Ok(listing) => listing,
        Err(error) => return Err(shown_problem(fields, error.to_string())),
    };
    let ids = MachineFilter::from(filter).apply(&listing.items).ids_for(action);
    if ids.is_empty() {
        return Err(shown_problem(fields, questions::nothing_can(action)));
    }
    let expected = fields.expected(action);
    if action == MachineAction::Start && expected.is_some_and(|expected| expected != ids.len()) {
        let question = questions::changed_number(&names(state, &ids), &ids);
        let submitted = SubmittedMachines { question: Some(question), ..submitted_again(fields) };
        return Err(Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok(ids)
}

/// Returns the machines that were ticked, and those whose ids were pasted, with the number of those
/// that are left out of a stop because they don't run. If a ticked machine can't be started any
/// more, the person is asked about the rest.
async fn select_named(
    state: &AppState,
    fields: &MachineFields,
    action: MachineAction,
) -> Result<(Vec<String>, usize), Refusal> {
    let parse = |texts: &mut dyn Iterator<Item = &str>| match parse_instance_ids(texts) {
        Ok(ids) => Ok(ids),
        // There is nothing to keep in the form.
        Err(InstanceIdError::Empty) => Ok(Vec::new()),
        Err(error @ InstanceIdError::Invalid(_)) => {
            let submitted = SubmittedMachines {
                ids: fields.ids(),
                problem: Some(error.to_string()),
                ..submitted_again(fields)
            };
            Err(Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY))
        }
    };
    let mut ids = parse(&mut fields.ticked())?;
    let mut pasted = parse(&mut fields.pasted())?;
    pasted.retain(|id| !ids.contains(id));
    let mut left_out = keep_possible(state, &mut ids, action).await;
    let is_empty = ids.is_empty() && pasted.is_empty();
    if action == MachineAction::Start && left_out > 0 && !is_empty {
        ids.extend(pasted);
        let question = questions::changed_number(&names(state, &ids), &ids);
        let submitted = SubmittedMachines { question: Some(question), ..submitted_again(fields) };
        return Err(Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY));
    }
    // Pasted machines that run already are started: their items say so. A stop is asked about, and
    // the question is about machines that it interrupts.
    if action == MachineAction::Stop && !fields.is_confirmed() {
        left_out += keep_possible(state, &mut pasted, action).await;
    }
    ids.extend(pasted);
    if left_out > 0 && ids.is_empty() {
        return Err(shown_problem(fields, questions::nothing_can(action)));
    }
    let machines = state.engine.machines();
    if fields.includes_unknown() || ids.is_empty() {
        return Ok((ids, left_out));
    }
    let unknown = machines.find_unknown(&ids).await;
    if fields.leaves_out_unknown() {
        ids.retain(|id| !unknown.contains(id));
    } else if !unknown.is_empty() {
        let has_others = unknown.len() < ids.len();
        let question = questions::unknown_machines(action, &unknown, has_others, fields.ids());
        let submitted = SubmittedMachines {
            ids: fields.ids(),
            question: Some(question),
            ..submitted_again(fields)
        };
        return Err(Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok((ids, left_out))
}

/// Removes those of `ids` that the action can't be done with now, and returns their number.
async fn keep_possible(state: &AppState, ids: &mut Vec<String>, action: MachineAction) -> usize {
    if ids.is_empty() {
        return 0;
    }
    let Ok(listing) = state.engine.machines().list().await else { return 0 };
    let states = listing.items.iter().map(|it| (it.id.as_str(), it.state.as_str()));
    let states: HashMap<_, _> = states.collect();
    let count = ids.len();
    ids.retain(|id| {
        states.get(id.as_str()).is_none_or(|it| MachineAction::for_state(it) == Some(action))
    });
    count - ids.len()
}

/// Returns the last known names of machines, or their ids.
fn names(state: &AppState, ids: &[String]) -> Vec<String> {
    let machines = state.engine.machines();
    let name = |id: &String| match machines.last_known(id) {
        Some(machine) if !machine.name.is_empty() => machine.name,
        _ => id.clone(),
    };
    ids.iter().map(name).collect()
}

/// Returns what the page continues with.
fn submitted_again(fields: &MachineFields) -> SubmittedMachines {
    let idempotency_key = fields.key().map_or_else(new_idempotency_key, str::to_owned);
    SubmittedMachines { idempotency_key, ..SubmittedMachines::default() }
}

fn shown_problem(fields: &MachineFields, words: String) -> Refusal {
    let submitted = SubmittedMachines { problem: Some(words), ..submitted_again(fields) };
    Refusal::Shown(Box::new(submitted), StatusCode::UNPROCESSABLE_ENTITY)
}

fn failure_response(error: LaunchError, key: Option<&str>, filter: &MachineListFilter) -> Response {
    let page = filter.url(MACHINES_PATH);
    if let LaunchError::Store(store::Error::KeyReused) = error {
        let detail = "This form was already sent with different machines. Your jobs include what \
                     it launched. Send it again for these.";
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        return redirect_with_problem(&page, &problem);
    }
    let problem = Problem::from(error);
    match key {
        // The launch may have been committed, so the form uses the same key again.
        Some(key) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            redirect_with_problem_and_key(key, &page, &problem)
        }
        _ => redirect_with_problem(&page, &problem),
    }
}
