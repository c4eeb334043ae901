//! Page of the comparison of three ways to run a batch: starts it, shows how far it is, and its
//! result.

mod figures;
mod timeline;

use crate::{labels, server::RequestContext};
use contract::comparison::{Comparison, Scenario, ScenarioProgress, Way, WayProgress, measures};
use leptos::prelude::*;
use std::sync::Arc;

/// What the page shows: a comparison that runs, and the last result.
#[derive(Clone, Debug, Default)]
pub struct ComparisonStatus {
    /// Whether a comparison runs.
    pub is_running: bool,
    /// How far it is; `None` until it says so.
    pub progress: Option<ScenarioProgress>,
    /// The last result.
    pub last: Option<Arc<Comparison>>,
    /// Why the last comparison has no result.
    pub problem: Option<String>,
}

/// Renders the comparison; `None` where the channels are real ones.
pub fn content(request: &RequestContext) -> Option<AnyView> {
    let engine = &request.engine;
    if !engine.channels().iter().any(|channel| channel.is_sandbox) {
        return None;
    }
    let status = use_context::<ComparisonStatus>().unwrap_or_default();
    let now = engine.store().database.now_ms();
    let ComparisonStatus { is_running, progress, last, problem } = status;
    let action = match is_running {
        true => running(progress),
        false => start_form(),
    };
    let problem = problem.map(|why| {
        view! {
            <p class="problem" role="alert" data-testid="comparison-problem">
                "The last comparison has no result: " {why}
            </p>
        }
    });
    let shown = match last {
        Some(comparison) => result(&comparison, now),
        None => explanation(),
    };
    let view = view! {
        {problem}
        {action}
        {shown}
    };
    Some(view.into_any())
}

fn start_form() -> AnyView {
    view! {
        <form method="post" action="/compare">
            <button class="primary">"Run the comparison"</button>
            <p class="meta">
                "It takes up to two minutes, on services and servers of its own. It touches nothing of this installation."
            </p>
        </form>
    }
    .into_any()
}

/// What there will be to see.
fn explanation() -> AnyView {
    view! {
        <div class="empty" data-testid="comparison-empty">
            <p>
                "The same machine is started and the same products are uploaded in three ways, side by side: by the request itself, by a task in the web process, and by events."
            </p>
            <p>
                "You will see how long a person waits, how many requests are over a limit, and what is lost or done twice when the page is closed or the server is killed."
            </p>
            <p>
                "All figures come from a clock and from the ledger of the simulated services. " <code>"meanwhile compare"</code>
                " prints the same."
            </p>
        </div>
    }
    .into_any()
}

fn running(progress: Option<ScenarioProgress>) -> AnyView {
    let (heading, ways) = match progress {
        None => ("The servers start".to_owned(), Vec::new()),
        Some(ScenarioProgress { scenario, elapsed_ms, ways }) => {
            let number =
                Scenario::ALL.iter().position(|other| *other == scenario).unwrap_or_default() + 1;
            let (count, time) = (Scenario::ALL.len(), measures::duration(elapsed_ms));
            (format!("Scenario {number} of {count}: {} · {time}", scenario.name()), ways)
        }
    };
    let ways = ways.into_iter().map(running_way).collect_view();
    view! {
        <section aria-labelledby="running" data-testid="comparison-running">
            <h2 id="running">{heading}</h2>
            <div class="compared-ways">{ways}</div>
        </section>
    }
    .into_any()
}

fn running_way(progress: WayProgress) -> AnyView {
    let WayProgress { way, doing, done, total, over_limit } = progress;
    let items = format!("{done} of {}", labels::count_noun(total.into(), "item"));
    let over = labels::count_noun(over_limit.into(), "request");
    view! {
        <section class="panel" data-testid="running-way" data-way=way.as_str()>
            <h3>{way.name()}</h3>
            <p>{doing}</p>
            <progress max=total value=done aria-label=format!("{}: {items} done", way.name())></progress>
            " "
            {items}
            <p class="meta">{over} " over a limit"</p>
        </section>
    }
    .into_any()
}

fn result(comparison: &Comparison, now: i64) -> AnyView {
    let Comparison { started_at, took_ms, speed, products, people, .. } = *comparison;
    let about = format!(
        "Measured {}, in {}. A launch is {products} products, a machine and its alarm; {people} \
         people are {people} launches. The services ran at speed {speed}.",
        labels::time_ago(started_at, now),
        measures::duration(took_ms),
    );
    let scenarios =
        Scenario::ALL.iter().map(|scenario| scenario_result(comparison, *scenario)).collect_view();
    view! {
        <p class="meta" data-testid="comparison-about">
            {about} " " <a href="/compare/result.json" rel="external" download>"Figures as JSON"</a>
        </p>
        {scenarios}
    }
    .into_any()
}

fn scenario_result(comparison: &Comparison, scenario: Scenario) -> AnyView {
    let figures: Vec<_> =
        Way::ALL.iter().filter_map(|way| comparison.figures_of(scenario, *way)).collect();
    let heading = format!("scenario-{}", scenario.as_str());
    let labelled_by = heading.clone();
    view! {
        <section class="compared-scenario" aria-labelledby=labelled_by data-testid="scenario" data-scenario=scenario.as_str()>
            <h2 id=heading>{scenario.name()}</h2>
            {figures::table(scenario, &figures)}
            {timeline::timeline(&figures)}
        </section>
    }
    .into_any()
}
