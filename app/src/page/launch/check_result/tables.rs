//! Rows of a file that are not uploaded, notes, and the first products.

use crate::{
    labels,
    page::launch::file_report::{LeftOutReport, NoteList, PreviewRow, RowList},
};
use leptos::prelude::*;

pub fn bad_rows(list: RowList) -> AnyView {
    let title = list.title.clone();
    view! {
        <div class="bad-rows" role="alert" data-testid="problem">
            <p>{title}</p>
            {row_table(list)}
        </div>
    }
    .into_any()
}

pub fn left_out(report: LeftOutReport) -> AnyView {
    let title = report.list.title.clone();
    // The table says the lines of all rows, if it has them all.
    let kinds = (report.list.more > 0).then(|| {
        let kinds = report.kinds.into_iter().map(|kind| view! { <li>{kind}</li> }).collect_view();
        view! { <ul>{kinds}</ul> }
    });
    view! {
        <details class="notes" data-testid="left-out-rows">
            <summary>{title}</summary>
            {kinds}
            {row_table(report.list)}
        </details>
    }
    .into_any()
}

/// Table of rows with line, column and reason.
fn row_table(list: RowList) -> AnyView {
    let more = list.more;
    let rows = list
        .rows
        .into_iter()
        .map(|row| {
            view! {
                <tr>
                    <td>{row.line}</td>
                    <td>{row.column}</td>
                    <td>{row.reason}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="table-region">
            <table class="data-table row-reasons">
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
        {more_hint(more)}
    }
    .into_any()
}

pub fn notes(list: NoteList) -> AnyView {
    let lines = list.notes.into_iter().map(|note| view! { <li>{note}</li> }).collect_view();
    view! {
        <details class="notes" data-testid="notes">
            <summary>{list.title}</summary>
            <ul>{lines}</ul>
        </details>
    }
    .into_any()
}

pub fn preview(products: Vec<PreviewRow>, total: u64) -> AnyView {
    let more = total.saturating_sub(products.len() as u64);
    let rows = products
        .into_iter()
        .map(|product| {
            view! {
                <tr>
                    <th scope="row">{product.sku}</th>
                    <td>{product.title} " " <small>{product.detail}</small></td>
                    <td class="number">
                        {product.compare_at_price.map(|price| view! { <s>{price}</s> " " })}
                        {product.price}
                    </td>
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
        {more_hint(more)}
    }
    .into_any()
}

fn more_hint(more: u64) -> Option<AnyView> {
    (more > 0).then(|| {
        let words = format!("And {} more.", labels::group_thousands(more));
        view! { <p class="more-hint">{words}</p> }.into_any()
    })
}
