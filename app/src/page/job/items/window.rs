//! The part of the grid that the browser holds, and the part of it that is
//! drawn: what is seen and a margin.

use super::keys::Spot;
use crate::{
    data::job::{GridPage, WINDOW, ask_grid},
    live::Live,
    page::job::{asked::Asked, header::Now, once_a_second},
};
use contract::{
    JobId,
    api::{Filter, Grid, GridRow},
};
use leptos::{ev, html, prelude::*, task::spawn_local};
use std::sync::Arc;
use wasm_bindgen::JsCast;

/// Height of a row until it is measured, CSS pixels; as in style/job.css.
const ROW: f64 = 36.0;
/// Rows that are drawn above and below those that are seen.
const MARGIN: u32 = 10;
/// The drawn part moves by so many rows at once.
const STEP: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Idle,
    Asked,
    Failed,
}

/// Rows as they were read.
struct Held {
    seq: i64,
    filter: Filter,
    words: String,
    matching: u32,
    offset: u32,
    rows: Vec<Arc<GridRow>>,
}

impl Held {
    fn new(seq: i64, filter: Filter, words: String, grid: Grid) -> Self {
        let Grid { matching, offset, rows } = grid;
        Self {
            seq,
            filter,
            words,
            matching,
            offset,
            rows: rows.into_iter().map(Arc::new).collect(),
        }
    }

    fn end(&self) -> u32 {
        self.offset + u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

/// Cheap to copy.
#[derive(Clone, Copy)]
pub struct Window {
    pub job: JobId,
    pub asked: Asked,
    /// Columns of tasks.
    pub width: usize,
    live: Live,
    now: Now,
    held: RwSignal<Held>,
    /// First place, and the one behind the last, that should be drawn.
    wanted: RwSignal<(u32, u32)>,
    /// The same of what is drawn: wanted and held.
    pub span: Memo<(u32, u32)>,
    pub reading: RwSignal<Reading>,
    pub region: NodeRef<html::Div>,
    row: RwSignal<f64>,
    /// The cell that has the focus, or had it last.
    pub current: RwSignal<Option<Spot>>,
    /// The first row that is seen; `None` before scripts run.
    seen: RwSignal<Option<u32>>,
    /// What the cell that has the focus tells.
    pub told: RwSignal<Option<String>>,
    /// The cell that gets the focus once it is drawn.
    coming: StoredValue<Option<Spot>>,
    /// Of the last question to the server.
    number: StoredValue<u32>,
}

impl Window {
    pub fn new(now: Now, asked: Asked, width: usize, first: Grid) -> Self {
        let live = expect_context::<Live>();
        let (job, seq) = now.page.with_untracked(|page| (page.job.id, page.since.seq));
        let (filter, words) = (asked.filter.get_untracked(), asked.words.get_untracked());
        let held = Held::new(seq, filter, words, first);
        let wanted = RwSignal::new((held.offset, held.end()));
        let held = RwSignal::new(held);
        let span = Memo::new(move |_| {
            let (from, to) = wanted.get();
            held.with(|held| {
                let from = from.clamp(held.offset, held.end());
                (from, to.clamp(from, held.end()))
            })
        });
        Self {
            job,
            asked,
            width,
            live,
            now,
            held,
            wanted,
            span,
            reading: RwSignal::new(Reading::Idle),
            region: NodeRef::new(),
            row: RwSignal::new(ROW),
            current: RwSignal::new(None),
            seen: RwSignal::new(None),
            told: RwSignal::new(None),
            coming: StoredValue::new(None),
            number: StoredValue::new(0),
        }
    }

    /// How many rows match.
    pub fn matching(self) -> u32 {
        self.held.with(|held| held.matching)
    }

    pub fn matching_now(self) -> u32 {
        self.held.with_untracked(|held| held.matching)
    }

    /// What the rows were asked by.
    pub fn answered(self) -> (Filter, String) {
        self.held.with(|held| (held.filter, held.words.clone()))
    }

    /// Rows to draw, each with the place in the journal that it is as of.
    pub fn drawn(self) -> Vec<(i64, Arc<GridRow>)> {
        let (from, to) = self.span.get();
        self.held.with(|held| {
            let rows = held.rows.iter().skip((from - held.offset) as usize);
            rows.take((to - from) as usize).map(|row| (held.seq, Arc::clone(row))).collect()
        })
    }

    /// CSS pixels.
    pub fn height_of(self, rows: u32) -> f64 {
        f64::from(rows) * self.row.get()
    }

    /// One cell of the grid is a stop of the Tab key: the current one, or the
    /// first that is seen. Without scripts each is.
    pub fn tab_stop(self, place: u32, column: usize) -> Option<&'static str> {
        let seen = self.seen.get()?;
        let (from, to) = self.span.get();
        let stop = self.current.get().filter(|(place, _)| (from..to).contains(place));
        Some(if stop.unwrap_or((seen, 0)) == (place, column) { "0" } else { "-1" })
    }

    /// Draws and reads as the user scrolls, filters and searches, and as
    /// things happen.
    pub fn follow(self) {
        Effect::new(move |_| {
            if let Some(region) = self.region.get() {
                let from = self.held.with_untracked(|held| held.offset);
                self.measure();
                region.set_scroll_top(pixels(f64::from(from) * self.row.get_untracked()));
                self.look();
            }
        });
        let asked = self.asked;
        let changed = move |_: &(Filter, String), _: Option<&(Filter, String)>, _: Option<()>| {
            if let Some(region) = self.region.get_untracked() {
                region.set_scroll_top(0);
            }
            self.current.set(None);
            self.told.set(None);
            self.read(0);
        };
        Effect::watch(move || (asked.filter.get(), asked.words.get()), changed, false);
        Effect::watch(move || self.live.resync.get(), move |_, _, _| self.again(), false);
        // It had no height while another view was shown.
        let shown = move |_: &_, _: Option<&_>, _: Option<()>| {
            request_animation_frame(move || {
                self.measure();
                self.look();
            });
        };
        Effect::watch(move || asked.view.get(), shown, false);
        let facts = move || {
            if asked.filter.get() != Filter::All {
                self.live.pulse(self.job);
                self.now.running.track();
            }
        };
        once_a_second(facts, move || self.again());
        Effect::new(move |_| {
            let resized = window_event_listener(ev::resize, move |_| self.look());
            on_cleanup(move || resized.remove());
        });
    }

    fn measure(self) {
        let Some(region) = self.region.try_get_untracked().flatten() else { return };
        if let Ok(Some(row)) = region.query_selector("tbody tr[aria-rowindex]") {
            let height = row.get_bounding_client_rect().height();
            if height > 1.0 {
                self.row.set(height);
            }
        }
    }

    /// How many rows have room.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn rows_seen(self) -> u32 {
        let tall = self.region.get_untracked().map_or(0, |region| region.client_height());
        (f64::from(tall) / self.row.get_untracked()) as u32
    }

    /// Draws what is seen now, and reads what of it is not here.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn look(self) {
        let Some(region) = self.region.try_get_untracked().flatten() else { return };
        let first = (f64::from(region.scroll_top()) / self.row.get_untracked()) as u32;
        let (matching, offset, end) =
            self.held.with_untracked(|held| (held.matching, held.offset, held.end()));
        let from = first.saturating_sub(MARGIN) / STEP * STEP;
        let to = (first + self.rows_seen() + 1 + MARGIN).div_ceil(STEP) * STEP;
        let wanted = (from.min(matching), to.min(matching));
        if self.seen.get_untracked() != Some(first) {
            self.seen.set(Some(first));
        }
        if self.wanted.get_untracked() != wanted {
            self.wanted.set(wanted);
        }
        let lacks = wanted.0 < offset || wanted.1 > end;
        if lacks && self.reading.get_untracked() != Reading::Asked {
            self.read((wanted.0 + wanted.1).saturating_sub(WINDOW) / 2);
        }
    }

    /// Reads the same rows anew.
    pub fn again(self) {
        self.read(self.held.with_untracked(|held| held.offset));
    }

    /// Reads rows from place `offset` on. An answer to an older question is
    /// not heard any more.
    fn read(self, offset: u32) {
        let number = self.number.get_value().wrapping_add(1);
        self.number.set_value(number);
        self.reading.set(Reading::Asked);
        let (filter, words) = (self.asked.filter.get_untracked(), self.asked.words.get_untracked());
        spawn_local(async move {
            let id = self.job.to_string();
            let answer = ask_grid(id, filter, words.clone(), offset, WINDOW).read().await;
            if self.number.try_get_value() != Some(number) {
                return;
            }
            match answer {
                Ok(GridPage { seq, grid }) => {
                    self.live.read(seq, grid.rows.iter().flat_map(|row| &row.cells));
                    self.held.set(Held::new(seq, filter, words, grid));
                    self.reading.set(Reading::Idle);
                    self.look();
                    request_animation_frame(move || self.focus());
                }
                Err(_) => self.reading.set(Reading::Failed),
            }
        });
    }

    /// Brings a cell into view and gives it the focus.
    pub fn go(self, to: Spot) {
        let Some(region) = self.region.get_untracked() else { return };
        let row = self.row.get_untracked();
        let head = region.query_selector("thead").ok().flatten();
        let head = head.map_or(row, |head| head.get_bounding_client_rect().height());
        let top = f64::from(to.0) * row;
        let room = f64::from(region.client_height()) - head;
        let now = f64::from(region.scroll_top());
        if top < now {
            region.set_scroll_top(pixels(top));
        } else if top + row > now + room {
            region.set_scroll_top(pixels(top + row - room) + 1);
        }
        self.coming.set_value(Some(to));
        self.look();
        request_animation_frame(move || self.focus());
    }

    fn focus(self) {
        let (Some(Some((place, column))), Some(Some(region))) =
            (self.coming.try_get_value(), self.region.try_get_untracked())
        else {
            return;
        };
        let cell =
            format!("tr[aria-rowindex=\"{}\"] [aria-colindex=\"{}\"] a", place + 2, column + 2);
        let found = region.query_selector(&cell).ok().flatten();
        if let Some(cell) = found.as_ref().and_then(|cell| cell.dyn_ref::<web_sys::HtmlElement>()) {
            self.coming.set_value(None);
            let _ = cell.focus();
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn pixels(length: f64) -> i32 {
    length as i32
}
