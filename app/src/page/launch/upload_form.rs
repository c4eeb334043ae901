//! The upload panel, a plain form. With scripts it shows the result of the check as soon as a
//! file is chosen; without scripts, the page that responds to the form shows it.

use super::{
    check_result::check_result,
    file_check::{CheckState, FileCheckResult, FileChecker},
    upload_panel::{ChannelChoice, SAMPLE_PRODUCTS, UploadPanel, embedded_file_hex},
};
use crate::labels;
use leptos::{html, prelude::*};

#[component]
pub fn UploadForm(panel: UploadPanel) -> impl IntoView {
    let (key, problem) = (panel.idempotency_key.clone(), panel.problem.clone());
    let (sent, known) = match panel.checked_file.clone() {
        Some(sent) => (Some((sent.name, sent.is_embedded)), CheckState::Finished(sent.result)),
        None => (None, CheckState::NoFile),
    };
    let checking = FileChecker::new(known);
    let check = checking.state;
    let of = |choice: &ChannelChoice| choice.ticked.then(|| choice.channel.id.clone());
    let ticked = RwSignal::new(panel.choices.iter().filter_map(of).collect::<Vec<_>>());
    let input = NodeRef::<html::Input>::new();
    let over = RwSignal::new(false);
    let look = move || {
        if let Some(input) = input.get_untracked() {
            checking.check_file(&input);
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
                    "CSV file: plain (sku, title, price), Shopify or WooCommerce"
                    <input
                        type="file"
                        name="file"
                        accept=".csv,.tsv,.txt,text/csv"
                        required
                        node_ref=input
                        on:change=move |_| look()
                    />
                    <small>"Choose a file, or drop it here. Up to 32 MiB."</small>
                </label>
            }
            .into_any()
        }
    };
    let launch = view! { <LaunchControls panel=panel check=check ticked=ticked/> }.into_any();
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
            >
                <input type="hidden" name="key" value=key/>
                {file}
                <div aria-live="polite">{move || check_view(check.get())}</div>
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

fn check_view(check: CheckState) -> Option<AnyView> {
    match check {
        CheckState::NoFile => None,
        CheckState::Pending => {
            Some(view! { <p class="loading">"Reading the file …"</p> }.into_any())
        }
        CheckState::NoResponse => {
            let words = "The server did not answer, so the file has not been checked. You can still \
                         upload it: nothing is launched while a row is bad.";
            Some(view! { <p class="warning" role="alert">{words}</p> }.into_any())
        }
        CheckState::Finished(FileCheckResult::Rejected(words)) => Some(problem_alert(words)),
        CheckState::Finished(FileCheckResult::Parsed(run)) => Some(check_result(run)),
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
    check: RwSignal<CheckState>,
    ticked: RwSignal<Vec<String>>,
) -> impl IntoView {
    let looked_at = panel.checked_file.is_some();
    let button = Memo::new(move |_| {
        check.with(|check| ticked.with(|ticked| LaunchButton::for_check(check, ticked.len())))
    });
    let estimate = move || {
        let run = check.with(|check| check.parsed_file().map(|run| run.products));
        let (what, products) = match run {
            Some(products) => ("It takes ", products),
            None if looked_at => return None,
            None => ("The sample takes ", SAMPLE_PRODUCTS),
        };
        let estimate = ticked.with(|ticked| panel.estimate(products, ticked))?;
        (products > 0).then(|| {
            format!(
                "{what}{}, limited by {}.",
                labels::approximate_duration(estimate.duration_ms),
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
            {(!looked_at)
                .then(|| {
                    view! {
                        <button class="no-script" formaction="/launch/check">
                            "Check the file"
                        </button>
                    }
                })}
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

/// Label and state of the launch button.
#[derive(Clone, Debug, Default, PartialEq)]
struct LaunchButton {
    label: String,
    is_disabled: bool,
    /// Sentence about the bad rows that are skipped.
    skipped_rows: Option<String>,
}

impl LaunchButton {
    fn for_check(check: &CheckState, channels: usize) -> Self {
        let off = |words: &str| Self { label: words.into(), is_disabled: true, skipped_rows: None };
        let run = match check {
            CheckState::NoFile | CheckState::NoResponse => {
                return Self { is_disabled: false, ..off("Upload the file") };
            }
            CheckState::Pending => return off("Reading the file …"),
            CheckState::Finished(FileCheckResult::Rejected(_)) => {
                return off("This file can't be uploaded");
            }
            CheckState::Finished(FileCheckResult::Parsed(run)) => run,
        };
        if run.products == 0 {
            return off("No valid rows to upload");
        }
        if channels == 0 {
            return off("Choose a channel");
        }
        let channels = labels::count_noun(channels as u64, "channel");
        if run.bad_row_count == 0 {
            let words =
                format!("Upload {} to {channels}", labels::count_noun(run.products, "product"));
            return Self { label: words, ..Self::default() };
        }
        // A product may consist of several rows, so rows and products are counted separately.
        let a_row_each = run.products + run.bad_row_count == run.rows;
        let what = labels::pluralize(run.products, if a_row_each { "row" } else { "product" });
        let left = format!(
            "{} of {} {} skipped; the rest goes to {channels}.",
            labels::count_noun(run.bad_row_count, "bad row"),
            run.rows,
            if run.bad_row_count == 1 { "is" } else { "are" },
        );
        let words = format!("Upload the {} valid {what}", labels::group_thousands(run.products));
        Self { label: words, is_disabled: false, skipped_rows: Some(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        api::DryRun,
        feed::{Delimiter, Format},
    };

    fn button(rows: u64, products: u64, bad_row_count: u64, channels: usize) -> LaunchButton {
        let run = DryRun {
            file: String::new(),
            format: Format::Plain,
            delimiter: Delimiter::Comma,
            rows,
            products,
            variants: 0,
            bad_rows: Vec::new(),
            bad_row_count,
            notes: Vec::new(),
            preview: Vec::new(),
            estimate: None,
        };
        LaunchButton::for_check(&CheckState::Finished(FileCheckResult::Parsed(run)), channels)
    }

    #[test]
    fn button_label_says_what_happens_or_why_it_is_disabled() {
        for (actual, words, disabled) in [
            (button(150, 150, 0, 3), "Upload 150 products to 3 channels", false),
            (button(1, 1, 0, 1), "Upload 1 product to 1 channel", false),
            (button(150, 149, 1, 3), "Upload the 149 valid rows", false),
            (button(54, 17, 2, 3), "Upload the 17 valid products", false),
            (button(2, 0, 2, 3), "No valid rows to upload", true),
            (button(150, 150, 0, 0), "Choose a channel", true),
            (LaunchButton::for_check(&CheckState::NoFile, 3), "Upload the file", false),
            (LaunchButton::for_check(&CheckState::Pending, 3), "Reading the file …", true),
        ] {
            assert_eq!((actual.label.as_str(), actual.is_disabled), (words, disabled));
        }
        let left = button(150, 149, 1, 3).skipped_rows;
        let words = "1 bad row of 150 is skipped; the rest goes to 3 channels.";
        assert_eq!(left.as_deref(), Some(words));
    }
}
