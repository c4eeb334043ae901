//! Rows of products that must not be sold: drafts, archived, private and unpublished products,
//! and products without a price of their own.

use super::{
    Format, column_name::normalize, header::Column, layout::Layout, row::Row, woocommerce,
};
use contract::feed::{Field, LeftOutKind};

/// Why a row is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exclusion {
    pub kind: LeftOutKind,
    /// Name of the column that says so.
    pub column: String,
    pub reason: String,
}

impl Exclusion {
    /// Returns an exclusion in a box: few rows have one, and all rows have room for one.
    fn boxed(kind: LeftOutKind, column: &Column, reason: String) -> Box<Self> {
        Box::new(Self { kind, column: column.name.clone(), reason })
    }

    /// Returns whether the row can be sent as a draft instead.
    pub(super) fn is_draft(&self) -> bool {
        use LeftOutKind::{Archived, Draft, Private, Unpublished};
        matches!(self.kind, Draft | Archived | Private | Unpublished)
    }
}

/// Values that say that a product is not sold, without accents and in lower case: English,
/// German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Czech, Russian, Turkish.
const DRAFT: &[&str] = &[
    "draft",
    "pending",
    "pending review",
    "future",
    "proposed",
    "rejected",
    "entwurf",
    "brouillon",
    "borrador",
    "bozza",
    "rascunho",
    "concept",
    "szkic",
    "utkast",
    "koncept",
    "черновик",
    "taslak",
    "下書き",
];
const ARCHIVED: &[&str] = &[
    "archived",
    "archive",
    "archiviert",
    "archivee",
    "archivado",
    "archiviato",
    "arquivado",
    "gearchiveerd",
    "zarchiwizowany",
    "arkiverad",
    "archivovano",
    "в архиве",
    "arsivlendi",
];
const PRIVATE: &[&str] =
    &["private", "privat", "prive", "privado", "privato", "prywatny", "soukrome", "личное", "ozel"];
const UNPUBLISHED: &[&str] = &[
    "unpublished",
    "unlisted",
    "inactive",
    "disabled",
    "not published",
    "offline",
    "nicht veroffentlicht",
    "inaktiv",
    "non publie",
    "inactif",
    "no publicado",
    "inactivo",
    "non pubblicato",
    "inattivo",
    "inativo",
    "niet gepubliceerd",
    "inactief",
    "nieopublikowany",
    "nieaktywny",
    "opublicerad",
    "neaktivni",
    "неактивен",
    "pasif",
];
/// Values for *no*; spreadsheets translate FALSE.
const NO: &[&str] = &[
    "false", "no", "n", "f", "falsch", "nein", "faux", "non", "falso", "nao", "onwaar", "nee",
    "falsz", "nie", "falskt", "nej", "nepravda", "ne", "ложь", "нет", "yanlis", "hayir",
];

/// Common values that say that a product is sold. They need not be compared with all others.
const SOLD: &[&str] = &["active", "published", "publish", "true", "1"];

/// Returns why a row is not sent, if it isn't.
pub(super) fn exclusion(row: &Row<'_>, layout: &Layout) -> Option<Box<Exclusion>> {
    if let Some(column) = layout.column(Field::RowKind).filter(|_| is_woocommerce(layout)) {
        let kind = woocommerce::kind(row.cell(column));
        if kind.starts_with("grouped") {
            let reason = "a grouped product has no price of its own; its parts are sent".to_owned();
            return Some(Exclusion::boxed(LeftOutKind::Grouped, column, reason));
        }
    }
    layout.columns(Field::Status).find_map(|column| {
        let cell = row.cell(column);
        let kind = if cell.is_empty() { None } else { status_kind(cell, layout) };
        let what = match kind? {
            LeftOutKind::Draft => "a draft",
            LeftOutKind::Archived => "archived",
            LeftOutKind::Private => "private",
            _ => "not published",
        };
        let reason = format!("{} is “{cell}”: the product is {what}", column.name);
        Some(Exclusion::boxed(kind?, column, reason))
    })
}

/// Returns why a row without a price is left out, if products of its kind need none.
pub(super) fn exclusion_without_price(row: &Row<'_>, layout: &Layout) -> Option<Box<Exclusion>> {
    let column = layout.column(Field::RowKind).filter(|_| is_woocommerce(layout))?;
    let kind = woocommerce::kind(row.cell(column));
    let needs_price =
        ["simple", "variable", "variation", "subscription", "downloadable", "virtual"]
            .iter()
            .any(|known| kind.starts_with(known) || kind.ends_with(known));
    (!kind.is_empty() && !needs_price).then(|| {
        let reason = format!("a product of the type “{kind}” has no price of its own here");
        Exclusion::boxed(LeftOutKind::NoPrice, column, reason)
    })
}

fn is_woocommerce(layout: &Layout) -> bool {
    layout.format == Format::WooCommerce
}

fn status_kind(cell: &str, layout: &Layout) -> Option<LeftOutKind> {
    if is_woocommerce(layout) {
        match cell.trim() {
            "-1" | "2" => return Some(LeftOutKind::Draft),
            "0" => return Some(LeftOutKind::Private),
            _ => {}
        }
    }
    if SOLD.iter().any(|value| value.eq_ignore_ascii_case(cell)) {
        return None;
    }
    let word = normalize(cell);
    let is = |words: &[&str]| words.contains(&word.as_str());
    if is(DRAFT) {
        Some(LeftOutKind::Draft)
    } else if is(ARCHIVED) {
        Some(LeftOutKind::Archived)
    } else if is(PRIVATE) {
        Some(LeftOutKind::Private)
    } else if is(UNPUBLISHED) || is(NO) || word == "0" {
        Some(LeftOutKind::Unpublished)
    } else {
        None
    }
}
