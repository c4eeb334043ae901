//! The upload panel, a plain form. With scripts it shows the result of the check as soon as a
//! file is chosen; without scripts, the page that responds to the form shows it.

use super::{
    check_result::check_result,
    file_check::{CheckState, FORGET_COLUMNS, FileCheckResult, FileChecker},
    launch_button::LaunchButton,
    upload_panel::{ChannelChoice, SAMPLE_PRODUCTS, UploadPanel, embedded_file_hex},
};
use crate::labels;
use leptos::{html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::Element;

/// Types of files that a browser offers to choose.
const ACCEPTED_FILES: &str = ".csv,.tsv,.tab,.txt,.xlsx,.xlsm,.gz,text/csv,\
    text/tab-separated-values,text/plain,application/gzip,\
    application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

#[component]
pub fn UploadForm(panel: UploadPanel) -> impl IntoView {
    let (key, problem) = (panel.idempotency_key.clone(), panel.problem.clone());
    let (sent, known) = match panel.checked_file.clone() {
        Some(sent) => (Some((sent.name, sent.is_embedded)), CheckState::Finished(sent.result)),
        None => (None, CheckState::NoFile),
    };
    let awaited = sent.clone().and_then(|(name, is_embedded)| (!is_embedded).then_some(name));
    let checking = FileChecker::new(known, awaited);
    let check = checking.state;
    let of = |choice: &ChannelChoice| choice.ticked.then(|| choice.channel.id.clone());
    let ticked = RwSignal::new(panel.choices.iter().filter_map(of).collect::<Vec<_>>());
    let (form, input) = (NodeRef::<html::Form>::new(), NodeRef::<html::Input>::new());
    let over = RwSignal::new(false);
    let look = move || {
        if let Some(input) = input.get_untracked() {
            checking.check_file(&input);
        }
    };
    let check_answers = move |event: web_sys::Event| {
        let field = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let file = input.get_untracked().map(|input| input.files().is_some_and(|f| f.length() > 0));
        // Without the file nothing can be checked: the answers are sent when it is chosen.
        if let (Some(form), Some(field), true) = (form.get_untracked(), field, file != Some(false))
        {
            checking.check_answers(&form, &field);
        }
    };
    let forget_columns = move |event: web_sys::MouseEvent| {
        let button = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let is_meant = button
            .is_some_and(|button| button.get_attribute("name").as_deref() == Some(FORGET_COLUMNS));
        if let (Some(form), true) = (form.get_untracked(), is_meant) {
            event.prevent_default();
            checking.forget_columns(&form);
        }
    };
    let now = panel.now_ms;
    let choices = panel
        .choices
        .iter()
        .map(|choice| view! { <ChannelCheckbox choice=choice.clone() ticked=ticked now=now/> })
        .collect_view();
    let file = match sent {
        Some((name, true)) => view! {
            <input type="hidden" name="name" value=name/>
            <input type="hidden" name="content" value=embedded_file_hex()/>
            <p>
                <a href="/" rel="external">"Choose another file"</a>
            </p>
        }
        .into_any(),
        sent => {
            let again = sent.map(|(name, _)| {
                view! { <p class="warning">{format!("To upload {name}, choose it again: it is too large to be sent back with this page.")}</p> }
            });
            view! {
                {again}
                <label class="file-field">
                    "CSV file or Excel workbook with products"
                    <input
                        type="file"
                        name="file"
                        accept=ACCEPTED_FILES
                        required
                        node_ref=input
                        on:change=move |_| look()
                    />
                    <small>
                        "Exports of Shopify and WooCommerce in any language, Google feeds and \
                        lists of your own, also compressed (.gz). Choose a file, or drop it \
                        here. Up to 32 MiB."
                    </small>
                </label>
            }
            .into_any()
        }
    };
    let launch = view! { <LaunchControls panel=panel checking=checking ticked=ticked/> }.into_any();
    view! {
        <section
            class="panel"
            class:drag-over=over
            aria-labelledby="upload"
            on:dragover=move |event| {
                if input.get_untracked().is_some() {
                    event.prevent_default();
                    over.set(true);
                }
            }
            on:dragleave=move |_| over.set(false)
            on:drop=move |event| {
                over.set(false);
                if let (Some(input), Some(files)) = (
                    input.get_untracked(),
                    event.data_transfer().and_then(|data| data.files()),
                ) {
                    event.prevent_default();
                    input.set_files(Some(&files));
                    look();
                }
            }
        >
            <h2 id="upload">"Upload products"</h2>
            {problem.map(problem_alert)}
            <form
                method="post"
                action="/launch/upload"
                enctype="multipart/form-data"
                autocomplete="off"
                node_ref=form
            >
                <input type="hidden" name="key" value=key/>
                {file}
                <div
                    aria-live="polite"
                    aria-busy=move || checking.is_rechecking.get().to_string()
                    on:change=check_answers
                    on:click=forget_columns
                >
                    {move || check_view(check.get(), checking.show_columns.get_value())}
                </div>
                <p class="visually-hidden" role="status">
                    {move || announcement(&check.read())}
                </p>
                <fieldset class="channels">
                    <legend>"Channels"</legend>
                    {choices}
                </fieldset>
                {launch}
            </form>
        </section>
    }
    .into_any()
}

fn problem_alert(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="problem">{words}</p> }.into_any()
}

fn check_view(check: CheckState, show_columns: bool) -> Option<AnyView> {
    match check {
        CheckState::NoFile => None,
        CheckState::Pending => {
            Some(view! { <p class="loading">"Reading the file …"</p> }.into_any())
        }
        CheckState::NoResponse => {
            let words = "The server did not answer, so the file has not been checked. You can still \
                         upload it: nothing is launched while a row is bad or a question is open.";
            Some(view! { <p class="warning" role="alert">{words}</p> }.into_any())
        }
        CheckState::Finished(FileCheckResult::Rejected(words)) => Some(problem_alert(words)),
        CheckState::Finished(FileCheckResult::Parsed(report)) => {
            Some(check_result(*report, show_columns))
        }
    }
}

/// Returns how many questions are open, or that none is, for screen readers: the questions
/// themselves are not read out each time an answer changes.
fn announcement(check: &CheckState) -> Option<String> {
    let counts = check.report()?.counts;
    let products = labels::count_noun(counts.products, "product");
    match counts.questions {
        0 if counts.products == 0 => None,
        0 => Some(format!("No question is open. {products} can be uploaded.")),
        1 => Some("1 question is open.".into()),
        more => Some(format!("{more} questions are open.")),
    }
}

/// Checkbox of a channel with its current rate.
#[component]
fn ChannelCheckbox(
    choice: ChannelChoice,
    ticked: RwSignal<Vec<String>>,
    now: i64,
) -> impl IntoView {
    let ChannelChoice { channel, ticked: at_first, .. } = choice;
    let pace = labels::channel_rate(&channel, now);
    let id = channel.id.clone();
    view! {
        <label class="checkbox-label">
            <input
                type="checkbox"
                name="channels"
                value=channel.id
                checked=at_first
                on:change=move |event| {
                    let on = event_target_checked(&event);
                    ticked
                        .update(|ticked| {
                            ticked.retain(|known| *known != id);
                            if on {
                                ticked.push(id.clone());
                            }
                        });
                }
            />
            <span>{channel.name}</span>
            <small>{pace}</small>
        </label>
    }
}

/// Estimate and buttons.
#[component]
fn LaunchControls(
    panel: UploadPanel,
    checking: FileChecker,
    ticked: RwSignal<Vec<String>>,
) -> impl IntoView {
    let check = checking.state;
    let looked_at = panel.checked_file.is_some();
    let has_answers = check.with_untracked(|check| check.report().is_some());
    let check_label = match looked_at {
        false => Some("Check the file"),
        true => has_answers.then_some("Check again with these answers"),
    };
    // Enter submits a form with its first button: with scripts, that is the upload.
    let has_scripts = RwSignal::new(false);
    Effect::new(move |_| has_scripts.set(true));
    let button = Memo::new(move |_| {
        let is_rechecking = checking.is_rechecking.get();
        let channels = ticked.with(Vec::len);
        check.with(|check| LaunchButton::for_check(check, is_rechecking, channels))
    });
    let estimate = move || {
        let products = check.with(|check| check.report().map(|report| report.counts.products));
        let (what, products) = match products {
            Some(products) => ("It takes ", products),
            None if looked_at => return None,
            None => ("The sample takes ", SAMPLE_PRODUCTS),
        };
        let estimate = ticked.with(|ticked| panel.estimate(products, ticked))?;
        (products > 0).then(|| {
            format!(
                "{what}{}, limited by {}.",
                labels::duration_range(estimate.range()),
                estimate.limited_by
            )
        })
    };
    let others = (!looked_at).then(|| {
        view! {
            <span class="buttons" hidden=move || check.with(|check| *check != CheckState::NoFile)>
                <button formaction="/launch/sample" formnovalidate>
                    "Upload the sample of 150"
                </button>
                <button
                    class="subtle"
                    formaction="/launch/check"
                    name="sample"
                    value="true"
                    formnovalidate
                >
                    "Preview the sample"
                </button>
            </span>
        }
    });
    view! {
        <p class="estimate" aria-live="polite" data-testid="estimate">
            {estimate}
        </p>
        {move || button.read().skipped_rows.clone().map(|words| view! { <p class="warning">{words}</p> })}
        <p class="buttons">
            {move || {
                check_label
                    .filter(|_| !has_scripts.get())
                    .map(|label| {
                        view! {
                            <button class="no-script" formaction="/launch/check">
                                {label}
                            </button>
                        }
                    })
            }}
            <button
                class="primary"
                data-testid="upload-button"
                name=move || button.read().skipped_rows.is_some().then_some("skip_bad")
                value="true"
                disabled=move || button.read().is_disabled
            >
                {move || button.read().label.clone()}
            </button>
            {others}
        </p>
    }
}
