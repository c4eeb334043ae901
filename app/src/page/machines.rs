//! The machines of all accounts: their states, the results of the last starts and stops, and the
//! forms that start, stop and launch machines.

mod filter;
mod list;
mod new_machines;
mod question;
mod row;
mod selection;

pub use filter::MachineListFilter;
pub use new_machines::NewMachines;
pub use question::{Question, SubmittedMachines};

use crate::{
    live::LiveState,
    page::{
        load_error::{error_message, page_error},
        server_page::server_html,
    },
    page_context::PageContext,
    resource::{ServerResource, resource_view},
    shell::{FlashAlert, PageShell},
    title::Title,
};
use filter::filter_fields;
use leptos::{prelude::*, server_fn::codec::Json};
use leptos_router::hooks::use_query_map;
use list::MachineList;
use new_machines::{Templates, new_machines_panel};
use row::MachineRow;
use selection::{Selection, selected_fields};
use serde::{Deserialize, Serialize};

const LOADING_TEXT: &str = "Asking EC2 …";

/// Number of machines on a page, and in the panel of another page.
#[cfg(feature = "ssr")]
const PAGE_LIMIT: usize = 100;
#[cfg(feature = "ssr")]
const PANEL_LIMIT: usize = 10;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachinesPage {
    context: PageContext,
    /// A new idempotency key for the next form.
    idempotency_key: String,
    /// The machines that match, or why none can be listed.
    list: Result<MachineList, String>,
    /// Accounts whose machines could not be listed, each with the reason, if others could.
    problems: Vec<String>,
    /// Launch templates, if the form that launches machines is open.
    templates: Option<Templates>,
    /// What the previous form asked for, if it was not accepted.
    submitted: Option<SubmittedMachines>,
    /// The question about it, as HTML.
    question: Option<String>,
}

/// Returns the machines that match the filter, with the results of the user's last starts and
/// stops. `is_panel` shortens the list.
///
/// # Errors
/// Fails if nobody is signed in, or the database fails.
#[server(input = Json)]
pub async fn load_machines(
    filter: MachineListFilter,
    is_panel: bool,
) -> Result<MachinesPage, ServerFnError> {
    use crate::server::{RequestContext, request_context, server_error};
    let request = request_context()?;
    let context = PageContext::load(&request).await?;
    let RequestContext { engine, identity } = request;
    let mut submitted = use_context::<SubmittedMachines>();
    let idempotency_key = match &submitted {
        Some(form) => form.idempotency_key.clone(),
        None => engine::engine::new_idempotency_key(),
    };
    let templates = match filter.launch {
        Some(_) => Some(new_machines::load_templates(&engine).await),
        None => None,
    };
    let limit = if is_panel { PANEL_LIMIT } else { PAGE_LIMIT };
    let (list, problems) = match engine.machines().list().await {
        Ok(listing) => {
            let list = list::load_list(&engine, identity.user, &listing, &filter, limit).await;
            let problems = listing.problems.iter().map(|(location, error)| {
                let (account, region) = (&location.account, &location.region);
                format!("The machines of {account} in {region} are missing. {error}")
            });
            (Ok(list.map_err(server_error)?), problems.collect())
        }
        Err(error) => (Err(error.to_string()), Vec::new()),
    };
    let question = submitted.as_mut().and_then(|form| form.question.take());
    let question =
        question.map(|question| question::panel(question, &idempotency_key, &filter).to_html());
    Ok(MachinesPage { context, idempotency_key, list, problems, templates, submitted, question })
}

/// Creates the resource of the machines for a panel. It is loaded again at a resync, because
/// facts about machines may have been missed.
pub fn machines_resource() -> ServerResource<MachinesPage> {
    let live = expect_context::<LiveState>();
    Resource::new(
        move || live.resync_count.get(),
        |_| load_machines(MachineListFilter::default(), true),
    )
}

#[component]
pub fn Machines() -> impl IntoView {
    let live = expect_context::<LiveState>();
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(MachineListFilter::from_query));
    let page = Resource::new(
        move || (filter.get(), live.resync_count.get()),
        |(filter, _)| load_machines(filter, false),
    );
    let selection = Selection::default();
    // A question stays when the list is loaded again.
    let first = StoredValue::new((None::<SubmittedMachines>, None::<String>));
    let show = move |mut read: MachinesPage| {
        if read.submitted.is_some() {
            first.set_value((read.submitted.clone(), read.question.clone()));
        }
        (read.submitted, read.question) = first.get_value();
        page_content(read, page, selection, &filter.get_untracked())
    };
    view! {
        <Title text="Machines"/>
        {resource_view(page, LOADING_TEXT, show, page_error)}
    }
    .into_any()
}

fn page_content(
    read: MachinesPage,
    page: ServerResource<MachinesPage>,
    selection: Selection,
    filter: &MachineListFilter,
) -> AnyView {
    let MachinesPage { context, idempotency_key: key, list, problems, templates, .. } = read;
    let (submitted, question) = (read.submitted, read.question.map(server_html));
    let (seq, submitted) = (context.seq, submitted.unwrap_or_default());
    // A form that may have had an effect keeps its idempotency key.
    let submitted_key = use_query_map().read_untracked().get("key");
    let key = submitted_key.unwrap_or(key);
    let problem = submitted.problem.map(|words| {
        view! { <p class="problem" role="alert" data-testid="problem">{words}</p> }
    });
    let has_ids = !submitted.ids.is_empty();
    let pasted = if has_ids { Some(submitted.ids) } else { filter.pasted.clone() };
    if let Some(pasted) = pasted
        && selection.pasted.with_untracked(String::is_empty)
    {
        selection.pasted.set(pasted);
    }
    let new_machines = templates.map(|templates| {
        new_machines_panel(templates, submitted.new_machines.unwrap_or_default(), &key, filter)
    });
    let launch = list.as_ref().is_ok_and(|list| list.can_launch).then(|| {
        let open = MachineListFilter { launch: Some("1".into()), ..filter.clone() };
        view! { <a class="button" href=open.url("/machines")>"Launch new machines"</a> }
    });
    let again = view! { <RefreshButton page=page href=filter.url("/machines")/> }.into_any();
    // Ids that may be wrong can be corrected in their field.
    let content = match question.is_some() && !has_ids {
        true => ().into_any(),
        false => {
            let filters = list.as_ref().ok().map(|list| filter_fields(list, filter));
            let machines = machine_list(list, seq, key, selection, Some(filter));
            view! {
                {new_machines}
                {filters}
                <section class="panel machines-page" aria-label="Machines">
                    {problems.into_iter().map(machines_error).collect_view()}
                    {machines}
                </section>
            }
            .into_any()
        }
    };
    view! {
        <PageShell context=context>
            <div class="page-heading">
                <h1>"Machines"</h1>
                <div class="buttons">{again} {launch}</div>
            </div>
            <FlashAlert/>
            {problem}
            {question}
            {content}
        </PageShell>
    }
    .into_any()
}

/// Panel with the first machines, as a part of another page.
#[component]
pub fn MachinesPanel(page: ServerResource<MachinesPage>) -> impl IntoView {
    let selection = Selection::default();
    let show = move |read: MachinesPage| {
        let MachinesPage { context, idempotency_key: key, list, problems, .. } = read;
        let all = list.as_ref().ok().map(|list| list.summary.clone());
        let machines = machine_list(list, context.seq, key, selection, None);
        view! {
            {problems.into_iter().map(machines_error).collect_view()}
            {machines}
            <p class="buttons">
                <RefreshButton page=page href="/machines".into()/>
                {all.map(|all| view! { <a href="/machines">{all} ": find, stop, launch"</a> })}
            </p>
        }
        .into_any()
    };
    resource_view(page, LOADING_TEXT, show, |error| machines_error(error_message(error)))
}

fn machines_error(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="machines-problem">{words}</p> }.into_any()
}

/// Button that queries EC2 again. Without scripts it is a link that reloads the page.
#[component]
fn RefreshButton(page: ServerResource<MachinesPage>, href: String) -> impl IntoView {
    view! {
        <a
            class="button"
            href=href
            rel="external"
            on:click=move |event| {
                event.prevent_default();
                page.refetch();
            }
        >
            "Refresh"
        </a>
    }
}

/// Renders the machines and what can be done with them. Without a filter they are a panel of
/// another page.
fn machine_list(
    list: Result<MachineList, String>,
    seq: i64,
    key: String,
    selection: Selection,
    filter: Option<&MachineListFilter>,
) -> AnyView {
    let list = match list {
        Ok(list) => list,
        Err(words) => return machines_error(words),
    };
    if list.machines.is_empty() {
        return no_machines(filter.is_none_or(MachineListFilter::is_unfiltered));
    }
    let all_selected = filter.is_some_and(MachineListFilter::selects_all);
    let fields = selected_fields(selection, &list, filter);
    let summary = filter.map(|_| server_html(list.summary_line.clone()));
    let pages = filter.map(|_| server_html(list.pages.clone()));
    let (can_stop, listed_at) = (filter.is_some(), list.listed_at);
    let rows = list.machines.into_iter().map(|machine| {
        view! {
            <MachineRow
                machine=machine
                listed_at=listed_at
                seq=seq
                selection=selection
                can_stop=can_stop
                all_selected=all_selected
            />
        }
    });
    let rows = rows.collect_view();
    let action = filter.cloned().unwrap_or_default().url("/launch/machines");
    view! {
        {summary}
        <form method="post" action=action autocomplete="off">
            <input type="hidden" name="key" value=key/>
            <ul class="machines">{rows}</ul>
            {pages}
            {fields}
            <p class="more-hint">{list.alarm}</p>
        </form>
    }
    .into_any()
}

fn no_machines(is_unfiltered: bool) -> AnyView {
    let content = match is_unfiltered {
        true => "This account has no machines. Machines that you create in EC2 appear here, where \
                 you can start and watch them."
            .into_any(),
        false => {
            view! { "No machines match. " <a href="/machines">"Show all machines"</a> }.into_any()
        }
    };
    view! { <p class="empty">{content}</p> }.into_any()
}
