//! Table of the figures of one scenario.

use contract::comparison::{
    Figures, Scenario,
    measures::{Measure, Verdict},
};
use leptos::prelude::*;

/// Returns the state whose colour a verdict has.
const fn state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Neutral => "neutral",
        Verdict::Good => "succeeded",
        Verdict::Conditional => "needs_review",
        Verdict::Bad => "failed",
    }
}

/// Renders the figures of a scenario, one column for each way.
pub fn table(scenario: Scenario, figures: &[&Figures]) -> AnyView {
    let heads = figures
        .iter()
        .map(|figures| view! { <th scope="col">{figures.way.name()}</th> })
        .collect_view();
    let rows = Measure::rows(scenario).map(|measure| row(measure, figures)).collect_view();
    view! {
        <div class="table-region compared-figures" role="region" aria-label=scenario.name() tabindex="0">
            <table class="data-table">
                <thead>
                    <tr>
                        <th scope="col">"Measured"</th>
                        {heads}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn row(measure: &'static Measure, figures: &[&Figures]) -> AnyView {
    let cells = figures
        .iter()
        .map(|figures| {
            let (text, verdict) = (measure.format)(figures);
            view! {
                <td data-testid=measure.id data-way=figures.way.as_str()>
                    <strong data-state=state(verdict)>{text}</strong>
                </td>
            }
        })
        .collect_view();
    view! {
        <tr>
            <th scope="row">{measure.name}</th>
            {cells}
        </tr>
    }
    .into_any()
}
