//! What the server understood of a file: the same words for a script and on
//! the page that answers a form.

use crate::{
    data::launch::{Counts, Understood},
    fragment::Fragment,
    words,
};
use contract::{api::DryRun, feed::BadRow, feed::Note, product::Product};
use leptos::prelude::*;

/// Bad rows that are listed; their number is told.
const LISTED: usize = 10;

impl Understood {
    pub fn read(run: DryRun) -> Self {
        let DryRun { rows, products, bad_total, .. } = run;
        Self::Read(Counts { rows, products, bad_total }, fragment(run))
    }
}

fn fragment(run: DryRun) -> Fragment {
    let facts = format!(
        "{}, {} between cells: {} from {}{}",
        run.format.name(),
        run.delimiter.name(),
        words::many(run.products, "product"),
        words::many(run.rows, "row"),
        if run.variants > 0 {
            format!(", with {}", words::many(run.variants, "variant"))
        } else {
            String::new()
        },
    );
    Fragment::of(view! {
        <div class="understood" data-testid="understood">
            <p>
                <strong>{run.file}</strong>
                " · "
                {facts}
                "."
            </p>
            {(run.bad_total > 0).then(|| bad_rows(run.bad, run.bad_total))}
            {(!run.notes.is_empty()).then(|| notes(run.notes))}
            {(!run.preview.is_empty()).then(|| preview(run.preview, run.products))}
        </div>
    })
}

fn bad_rows(bad: Vec<BadRow>, total: u64) -> AnyView {
    let listed = bad.len().min(LISTED);
    let rest = total - listed as u64;
    let rows = bad
        .into_iter()
        .take(LISTED)
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
            <p>{format!("{} can't be uploaded.", words::many(total, "row"))}</p>
            <div class="scroll">
                <table class="grid">
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

fn notes(notes: Vec<Note>) -> AnyView {
    let count = words::many(notes.len() as u64, "note");
    let lines = notes
        .into_iter()
        .map(|note| view! { <li>{format!("Line {}: {}", note.line, note.text)}</li> })
        .collect_view();
    view! {
        <details class="notes">
            <summary>{count}" on what was understood"</summary>
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
                count => words::many(count as u64, "variant"),
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
        <div class="scroll">
            <table class="grid preview" aria-label="The first products">
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
        {(more > 0).then(|| view! { <p class="more">{format!("And {more} more.")}</p> })}
    }
    .into_any()
}
