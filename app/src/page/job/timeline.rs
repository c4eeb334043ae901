//! The journal of a job in words.

use crate::{data, live::Live, words};
use contract::{JobId, fact::Fact};
use leptos::prelude::*;

type Read = Result<Option<data::Timeline>, ServerFnError>;

#[component]
pub fn Timeline(job: JobId, timeline: Resource<Read>) -> impl IntoView {
    view! {
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match timeline.await {
                    Ok(Some(page)) => content(job, page).into_any(),
                    Ok(None) => ().into_any(),
                    Err(error) => {
                        view! { <p class="problem" role="alert">{super::sentence(&error)}</p> }
                            .into_any()
                    }
                }
            })}
        </Transition>
    }
}

fn content(job: JobId, page: data::Timeline) -> impl IntoView {
    let live = expect_context::<Live>();
    let data::Timeline { seq, facts, next } = page;
    let last = next.is_none();
    view! {
        <ol class="timeline" data-testid="timeline">
            {facts.iter().map(moment).collect_view()}
            {last
                .then(|| {
                    view! {
                        <For
                            each=move || live.news(job, seq)
                            key=|fact| fact.seq
                            children=|fact| moment(&fact)
                        />
                    }
                })}
        </ol>
        {next
            .map(|next| {
                let later = format!("/jobs/{job}?view=timeline&after={next}");
                view! { <p><a href=later>"What happened later"</a></p> }
            })}
    }
}

fn moment(fact: &Fact) -> impl IntoView + use<> {
    view! { <li><time>{words::time(fact.at)}</time> " " {words::fact(fact)}</li> }
}
