//! Home: choose a file and channels, and launch.

use crate::{
    data::{LaunchPage, read_launch},
    frame::{Frame, ProblemLine},
    page::jobs::JobLines,
};
use leptos::prelude::*;
use leptos_meta::Title;

#[component]
pub fn Launch() -> impl IntoView {
    let live = expect_context::<crate::live::Live>();
    let page = Resource::new(move || live.resync.get(), |_| read_launch());
    view! {
        <Title text="Launch"/>
        <Transition fallback=|| view! { <p class="loading">"Reading …"</p> }>
            {move || Suspend::new(async move {
                match page.await {
                    Ok(page) => content(page),
                    Err(error) => super::job::failed(&error).into_any(),
                }
            })}
        </Transition>
    }
    .into_any()
}

fn content(page: LaunchPage) -> AnyView {
    let LaunchPage { since, key, channels, jobs } = page;
    let seq = since.seq;
    let choices = channels
        .into_iter()
        .map(|channel| {
            view! {
                <label class="choice">
                    <input type="checkbox" name="channels" value=channel.id checked/>
                    <span>{channel.name}</span>
                    <small>{channel.pace}</small>
                </label>
            }
        })
        .collect_view();
    view! {
        <Frame since=since>
            <h1>"Launch"</h1>
            <ProblemLine/>
            <section class="panel" aria-labelledby="upload">
                <h2 id="upload">"Upload products"</h2>
                <form method="post" action="/launch/upload" enctype="multipart/form-data">
                    <input type="hidden" name="key" value=key/>
                    <label class="file">
                        "CSV file: plain (sku, title, price), Shopify or WooCommerce"
                        <input type="file" name="file" accept=".csv,text/csv"/>
                    </label>
                    <fieldset>
                        <legend>"Channels"</legend>
                        {choices}
                    </fieldset>
                    <label class="choice">
                        <input type="checkbox" name="skip_bad" value="true"/>
                        <span>"Leave bad rows out and upload the rest"</span>
                    </label>
                    <p class="buttons">
                        <button class="main">"Upload the file"</button>
                        <button formaction="/launch/sample">"Upload the sample of 150"</button>
                    </p>
                </form>
            </section>
            <section aria-labelledby="recent">
                <h2 id="recent">"Latest jobs"</h2>
                <JobLines jobs=jobs seq=seq newest=true/>
            </section>
        </Frame>
    }
    .into_any()
}
