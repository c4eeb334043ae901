//! Result of checking a file: what was read, the bad rows and the first products.

use crate::labels;
use contract::{api::DryRun, feed::BadRow, feed::FeedNote, product::Product};
use leptos::prelude::*;

pub fn check_result(run: DryRun) -> AnyView {
    let facts = format!(
        "{}, {} between cells: {} from {}{}",
        run.format.name(),
        run.delimiter.name(),
        labels::count_noun(run.products, "product"),
        labels::count_noun(run.rows, "row"),
        if run.variants > 0 {
            format!(", with {}", labels::count_noun(run.variants, "variant"))
        } else {
            String::new()
        },
    );
    view! {
        <div class="check-result" data-testid="check-result">
            <p>
                <strong>{run.file}</strong>
                " · "
                {facts}
                "."
            </p>
            {(run.bad_row_count > 0).then(|| bad_rows(run.bad_rows, run.bad_row_count))}
            {(!run.notes.is_empty()).then(|| notes(run.notes))}
            {(!run.preview.is_empty()).then(|| preview(run.preview, run.products))}
        </div>
    }
    .into_any()
}

fn bad_rows(bad: Vec<BadRow>, total: u64) -> AnyView {
    let rest = total.saturating_sub(bad.len() as u64);
    let rows = bad
        .into_iter()
        .map(|row| {
            view! {
                <tr>
                    <td>{row.line}</td>
                    <td>{row.column.unwrap_or_else(|| "whole row".into())}</td>
                    <td>{row.reason}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="bad-rows" role="alert" data-testid="problem">
            <p>{format!("{} can't be uploaded.", labels::count_noun(total, "row"))}</p>
            <div class="table-region">
                <table class="data-table">
                    <thead>
                        <tr>
                            <th scope="col">"Line"</th>
                            <th scope="col">"Column"</th>
                            <th scope="col">"Why"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {(rest > 0).then(|| view! { <p>{format!("And {rest} more.")}</p> })}
        </div>
    }
    .into_any()
}

fn notes(notes: Vec<FeedNote>) -> AnyView {
    let count = labels::count_noun(notes.len() as u64, "note");
    let lines = notes
        .into_iter()
        .map(|note| view! { <li>{format!("Line {}: {}", note.line, note.text)}</li> })
        .collect_view();
    view! {
        <details class="notes">
            <summary>{count}" on how the file was read"</summary>
            <ul>{lines}</ul>
        </details>
    }
    .into_any()
}

fn preview(products: Vec<Product>, total: u64) -> AnyView {
    let more = total.saturating_sub(products.len() as u64);
    let rows = products
        .into_iter()
        .map(|product| {
            let variants = match product.variants.len() {
                0 => String::new(),
                count => labels::count_noun(count as u64, "variant"),
            };
            view! {
                <tr>
                    <th scope="row">{product.sku}</th>
                    <td>{product.title} " " <small>{variants}</small></td>
                    <td class="number">{product.price.to_string()}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-region">
            <table class="data-table preview" aria-label="The first products">
                <thead>
                    <tr>
                        <th scope="col">"SKU"</th>
                        <th scope="col">"Title"</th>
                        <th scope="col" class="number">
                            "Price"
                        </th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
        {(more > 0).then(|| view! { <p class="more-hint">{format!("And {more} more.")}</p> })}
    }
    .into_any()
}
