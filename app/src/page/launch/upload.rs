//! The upload panel: a plain form. With scripts it shows what the server
//! understands as soon as a file is chosen; without, on the page that answers.

use super::check::{Check, Checking};
use crate::{
    data::launch::{Choice, Panel, SAMPLE, Understood},
    words,
};
use leptos::{html, prelude::*};

#[component]
pub fn Upload(panel: Panel) -> impl IntoView {
    let (key, problem) = (panel.key.clone(), panel.problem.clone());
    let (sent, known) = match panel.sent.clone() {
        Some(sent) => (Some((sent.name, sent.kept, sent.content)), Check::Known(sent.understood)),
        None => (None, Check::Nothing),
    };
    let checking = Checking::new(known);
    let check = checking.check;
    let of = |choice: &Choice| choice.ticked.then(|| choice.channel.id.clone());
    let ticked = RwSignal::new(panel.choices.iter().filter_map(of).collect::<Vec<_>>());
    let input = NodeRef::<html::Input>::new();
    let over = RwSignal::new(false);
    let look = move || {
        if let Some(input) = input.get_untracked() {
            checking.look(&input);
        }
    };
    let now = panel.now;
    let choices = panel
        .choices
        .iter()
        .map(|choice| view! { <Tick choice=choice.clone() ticked=ticked now=now/> })
        .collect_view();
    let file = match sent {
        Some((name, true, content)) => view! {
            <input type="hidden" name="name" value=name/>
            <input type="hidden" name="content" value=content/>
            <p>
                <a href="/" rel="external">"Choose another file"</a>
            </p>
        }
        .into_any(),
        sent => {
            let again = sent.map(|(name, ..)| {
                view! { <p class="note">{format!("To upload {name}, choose it once more: it is too large to be carried along.")}</p> }
            });
            view! {
                {again}
                <label class="file">
                    "CSV file: plain (sku, title, price), Shopify or WooCommerce"
                    <input
                        type="file"
                        name="file"
                        accept=".csv,.tsv,.txt,text/csv"
                        required
                        node_ref=input
                        on:change=move |_| look()
                    />
                    <small>"Choose it, or drop it here. Up to 32 MiB."</small>
                </label>
            }
            .into_any()
        }
    };
    let launch = view! { <Launch panel=panel check=check ticked=ticked/> }.into_any();
    view! {
        <section
            class="panel"
            class:over=over
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
            {problem.map(refused)}
            <form
                method="post"
                action="/launch/upload"
                enctype="multipart/form-data"
                autocomplete="off"
            >
                <input type="hidden" name="key" value=key/>
                {file}
                <div aria-live="polite">{move || told(check.get())}</div>
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

fn refused(words: String) -> AnyView {
    view! { <p class="problem" role="alert" data-testid="problem">{words}</p> }.into_any()
}

fn told(check: Check) -> Option<AnyView> {
    match check {
        Check::Nothing => None,
        Check::Asking => Some(view! { <p class="loading">"Reading the file …"</p> }.into_any()),
        Check::Unanswered => {
            let words = "The server did not answer, so nobody has looked at the file yet. You can \
                         upload it all the same: nothing is launched while a row is bad.";
            Some(view! { <p class="note" role="alert">{words}</p> }.into_any())
        }
        Check::Known(Understood::Refused(words)) => Some(refused(words)),
        Check::Known(Understood::Read(_, fragment)) => Some(fragment.show()),
    }
}

/// A channel with its pace now.
#[component]
fn Tick(choice: Choice, ticked: RwSignal<Vec<String>>, now: i64) -> impl IntoView {
    let Choice { channel, ticked: at_first, .. } = choice;
    let pace = words::pace(&channel, now);
    let id = channel.id.clone();
    view! {
        <label class="choice">
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

/// The estimate, and the buttons.
#[component]
fn Launch(panel: Panel, check: RwSignal<Check>, ticked: RwSignal<Vec<String>>) -> impl IntoView {
    let looked_at = panel.sent.is_some();
    let button = Memo::new(move |_| {
        check.with(|check| ticked.with(|ticked| Button::of(check, ticked.len())))
    });
    let estimate = move || {
        let run = check.with(|check| check.read().map(|run| run.products));
        let (what, products) = match run {
            Some(products) => ("It takes ", products),
            None if looked_at => return None,
            None => ("The sample takes ", SAMPLE),
        };
        let estimate = ticked.with(|ticked| panel.estimate(products, ticked))?;
        (products > 0).then(|| {
            format!("{what}{}, limited by {}.", words::roughly(estimate.ms), estimate.limited_by)
        })
    };
    let others = (!looked_at).then(|| {
        view! {
            <span class="buttons" hidden=move || check.with(|check| *check != Check::Nothing)>
                <button formaction="/launch/sample" formnovalidate>
                    "Upload the sample of 150"
                </button>
                <button
                    class="quiet"
                    formaction="/launch/check"
                    name="sample"
                    value="true"
                    formnovalidate
                >
                    "Look at the sample"
                </button>
            </span>
        }
    });
    view! {
        <p class="estimate" aria-live="polite" data-testid="estimate">
            {estimate}
        </p>
        {move || button.read().left_out.clone().map(|words| view! { <p class="note">{words}</p> })}
        <p class="buttons">
            {(!looked_at)
                .then(|| {
                    view! {
                        <button class="unscripted" formaction="/launch/check">
                            "Check the file"
                        </button>
                    }
                })}
            <button
                class="main"
                data-testid="launch"
                name=move || button.read().left_out.is_some().then_some("skip_bad")
                value="true"
                disabled=move || button.read().disabled
            >
                {move || button.read().words.clone()}
            </button>
            {others}
        </p>
    }
}

/// The one button: what it says, and whether it can be pressed.
#[derive(Clone, Debug, Default, PartialEq)]
struct Button {
    words: String,
    disabled: bool,
    /// Bad rows that stay behind, in words.
    left_out: Option<String>,
}

impl Button {
    fn of(check: &Check, channels: usize) -> Self {
        let off = |words: &str| Self { words: words.into(), disabled: true, left_out: None };
        let run = match check {
            Check::Nothing | Check::Unanswered => {
                return Self { disabled: false, ..off("Upload the file") };
            }
            Check::Asking => return off("Reading the file …"),
            Check::Known(Understood::Refused(_)) => return off("This file can't be uploaded"),
            Check::Known(Understood::Read(run, _)) => run,
        };
        if run.products == 0 {
            return off("No good row to upload");
        }
        if channels == 0 {
            return off("Choose a channel");
        }
        let channels = words::many(channels as u64, "channel");
        if run.bad_total == 0 {
            let words = format!("Upload {} to {channels}", words::many(run.products, "product"));
            return Self { words, ..Self::default() };
        }
        // Rows of one product share its fate, so there are more of them.
        let a_row_each = run.products + run.bad_total == run.rows;
        let what = words::noun(run.products, if a_row_each { "row" } else { "product" });
        let left = format!(
            "{} of {} {} left out; the rest goes to {channels}.",
            words::many(run.bad_total, "bad row"),
            run.rows,
            if run.bad_total == 1 { "is" } else { "are" },
        );
        let words = format!("Upload the {} good {what}", words::thousands(run.products));
        Self { words, disabled: false, left_out: Some(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::launch::Counts, fragment::Fragment};

    fn button(rows: u64, products: u64, bad_total: u64, channels: usize) -> Button {
        let run = Counts { rows, products, bad_total };
        let known = Understood::Read(run, Fragment::default());
        Button::of(&Check::Known(known), channels)
    }

    #[test]
    fn the_button_says_what_it_does_or_why_it_does_nothing() {
        for (told, words, disabled) in [
            (button(150, 150, 0, 3), "Upload 150 products to 3 channels", false),
            (button(1, 1, 0, 1), "Upload 1 product to 1 channel", false),
            (button(150, 149, 1, 3), "Upload the 149 good rows", false),
            (button(54, 17, 2, 3), "Upload the 17 good products", false),
            (button(2, 0, 2, 3), "No good row to upload", true),
            (button(150, 150, 0, 0), "Choose a channel", true),
            (Button::of(&Check::Nothing, 3), "Upload the file", false),
            (Button::of(&Check::Asking, 3), "Reading the file …", true),
        ] {
            assert_eq!((told.words.as_str(), told.disabled), (words, disabled));
        }
        let left = button(150, 149, 1, 3).left_out;
        let words = "1 bad row of 150 is left out; the rest goes to 3 channels.";
        assert_eq!(left.as_deref(), Some(words));
    }
}
