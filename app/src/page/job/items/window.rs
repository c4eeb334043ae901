//! The rows of the grid that the browser has loaded, and the rows that are drawn: the visible
//! ones and a margin.

use super::{
    keyboard::CellPosition,
    rows::{GridPage, WINDOW_ROWS, load_rows},
};
use crate::{
    live::LiveState,
    page::job::{header::LiveJob, route_state::JobRoute, throttle_effect},
};
use contract::{
    JobId,
    api::{Grid, GridFilter, GridRow},
};
use leptos::{ev, html, prelude::*, task::spawn_local};
use std::sync::Arc;
use wasm_bindgen::JsCast;

/// Height of a row until it is measured, in CSS pixels. It matches style/job.css.
const DEFAULT_ROW_HEIGHT: f64 = 36.0;
/// Number of rows drawn above and below the visible ones.
const OVERSCAN_ROWS: u32 = 10;
/// Number of rows by which the drawn range moves.
const WINDOW_STEP_ROWS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    Idle,
    Pending,
    Failed,
}

/// Rows as loaded from the server.
struct LoadedRows {
    seq: i64,
    filter: GridFilter,
    search: String,
    matching: u32,
    offset: u32,
    rows: Vec<Arc<GridRow>>,
}

impl LoadedRows {
    fn new(seq: i64, filter: GridFilter, words: String, grid: Grid) -> Self {
        let Grid { matching, offset, rows } = grid;
        Self {
            seq,
            filter,
            search: words,
            matching,
            offset,
            rows: rows.into_iter().map(Arc::new).collect(),
        }
    }

    fn end(&self) -> u32 {
        self.offset + u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

/// State of the grid. Cheap to copy.
#[derive(Clone, Copy)]
pub struct GridWindow {
    pub job: JobId,
    pub route: JobRoute,
    /// Number of task columns.
    pub column_count: usize,
    live: LiveState,
    live_job: LiveJob,
    loaded: RwSignal<LoadedRows>,
    /// Range of rows that should be drawn; the end is exclusive.
    wanted_range: RwSignal<(u32, u32)>,
    /// Range of rows that are drawn: wanted and loaded.
    pub drawn_range: Memo<(u32, u32)>,
    pub read_state: RwSignal<ReadState>,
    pub region: NodeRef<html::Div>,
    row_height: RwSignal<f64>,
    /// Cell that has the focus, or had it last.
    pub focused_cell: RwSignal<Option<CellPosition>>,
    /// First visible row; `None` before scripts run.
    first_visible_row: RwSignal<Option<u32>>,
    /// Label of the cell that has the focus.
    pub announcement: RwSignal<Option<String>>,
    /// Cell that gets the focus once it is drawn.
    pending_focus: StoredValue<Option<CellPosition>>,
    /// Number of the last request to the server.
    request_number: StoredValue<u32>,
    /// Whether facts have arrived since the last request, so that its answer is outdated.
    is_outdated: StoredValue<bool>,
}

impl GridWindow {
    pub fn new(live_job: LiveJob, route: JobRoute, width: usize, first: Grid) -> Self {
        let live = expect_context::<LiveState>();
        let (job, seq) = live_job.page.with_untracked(|page| (page.job.id, page.context.seq));
        let (filter, words) = (route.filter.get_untracked(), route.search.get_untracked());
        let loaded = LoadedRows::new(seq, filter, words, first);
        let wanted = RwSignal::new((loaded.offset, loaded.end()));
        let loaded = RwSignal::new(loaded);
        let span = Memo::new(move |_| {
            let (from, to) = wanted.get();
            loaded.with(|loaded| {
                let from = from.clamp(loaded.offset, loaded.end());
                (from, to.clamp(from, loaded.end()))
            })
        });
        Self {
            job,
            route,
            column_count: width,
            live,
            live_job,
            loaded,
            wanted_range: wanted,
            drawn_range: span,
            read_state: RwSignal::new(ReadState::Idle),
            region: NodeRef::new(),
            row_height: RwSignal::new(DEFAULT_ROW_HEIGHT),
            focused_cell: RwSignal::new(None),
            first_visible_row: RwSignal::new(None),
            announcement: RwSignal::new(None),
            pending_focus: StoredValue::new(None),
            request_number: StoredValue::new(0),
            is_outdated: StoredValue::new(false),
        }
    }

    /// Returns the number of matching rows.
    pub fn matching(self) -> u32 {
        self.loaded.with(|loaded| loaded.matching)
    }

    pub fn matching_untracked(self) -> u32 {
        self.loaded.with_untracked(|loaded| loaded.matching)
    }

    /// Returns the filter and search text of the loaded rows.
    pub fn loaded_query(self) -> (GridFilter, String) {
        self.loaded.with(|loaded| (loaded.filter, loaded.search.clone()))
    }

    /// Returns the rows to draw, each with the `seq` at which it was read.
    pub fn rows_to_draw(self) -> Vec<(i64, Arc<GridRow>)> {
        let (from, to) = self.drawn_range.get();
        self.loaded.with(|loaded| {
            let rows = loaded.rows.iter().skip((from - loaded.offset) as usize);
            rows.take((to - from) as usize).map(|row| (loaded.seq, Arc::clone(row))).collect()
        })
    }

    /// Returns the height of a number of rows, in CSS pixels.
    pub fn height_of(self, rows: u32) -> f64 {
        f64::from(rows) * self.row_height.get()
    }

    /// Returns the `tabindex` of a cell. The Tab key stops at one cell of the grid: the focused
    /// one, or the first visible one. Without scripts it stops at every cell.
    pub fn tab_stop(self, row_index: u32, column: usize) -> Option<&'static str> {
        let seen = self.first_visible_row.get()?;
        let (from, to) = self.drawn_range.get();
        let stop = self.focused_cell.get().filter(|(row_index, _)| (from..to).contains(row_index));
        Some(if stop.unwrap_or((seen, 0)) == (row_index, column) { "0" } else { "-1" })
    }

    /// Draws and loads rows as the user scrolls, filters and searches, and as facts
    /// arrive.
    pub fn track_changes(self) {
        Effect::new(move |_| {
            if let Some(region) = self.region.get() {
                let from = self.loaded.with_untracked(|loaded| loaded.offset);
                self.measure();
                region.set_scroll_top(pixels(f64::from(from) * self.row_height.get_untracked()));
                self.update_window();
            }
        });
        let route = self.route;
        let changed =
            move |_: &(GridFilter, String), _: Option<&(GridFilter, String)>, _: Option<()>| {
                if let Some(region) = self.region.get_untracked() {
                    region.set_scroll_top(0);
                }
                self.focused_cell.set(None);
                self.announcement.set(None);
                self.load(0);
            };
        Effect::watch(move || (route.filter.get(), route.search.get()), changed, false);
        Effect::watch(move || self.live.resync_count.get(), move |_, _, _| self.reload(), false);
        // The grid had no height while another tab was shown.
        let shown = move |_: &_, _: Option<&_>, _: Option<()>| {
            request_animation_frame(move || {
                self.measure();
                self.update_window();
            });
        };
        Effect::watch(move || route.view.get(), shown, false);
        let facts = move || {
            if route.filter.get() != GridFilter::All {
                self.live.job_seq(self.job);
                self.live_job.running.track();
            }
        };
        throttle_effect(facts, move || self.reload_after_answer());
        Effect::new(move |_| {
            let resized = window_event_listener(ev::resize, move |_| self.update_window());
            on_cleanup(move || resized.remove());
        });
    }

    fn measure(self) {
        let Some(region) = self.region.try_get_untracked().flatten() else { return };
        if let Ok(Some(row)) = region.query_selector("tbody tr[aria-rowindex]") {
            let height = row.get_bounding_client_rect().height();
            if height > 1.0 {
                self.row_height.set(height);
            }
        }
    }

    /// Returns how many rows fit into the visible area.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn visible_row_count(self) -> u32 {
        let tall = self.region.get_untracked().map_or(0, |region| region.client_height());
        (f64::from(tall) / self.row_height.get_untracked()) as u32
    }

    /// Draws the visible rows, and loads missing ones.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn update_window(self) {
        let Some(region) = self.region.try_get_untracked().flatten() else { return };
        let first = (f64::from(region.scroll_top()) / self.row_height.get_untracked()) as u32;
        let (matching, offset, end) =
            self.loaded.with_untracked(|loaded| (loaded.matching, loaded.offset, loaded.end()));
        let from = first.saturating_sub(OVERSCAN_ROWS) / WINDOW_STEP_ROWS * WINDOW_STEP_ROWS;
        let to = (first + self.visible_row_count() + 1 + OVERSCAN_ROWS).div_ceil(WINDOW_STEP_ROWS)
            * WINDOW_STEP_ROWS;
        let wanted = (from.min(matching), to.min(matching));
        if self.first_visible_row.get_untracked() != Some(first) {
            self.first_visible_row.set(Some(first));
        }
        if self.wanted_range.get_untracked() != wanted {
            self.wanted_range.set(wanted);
        }
        let lacks = wanted.0 < offset || wanted.1 > end;
        if lacks && self.read_state.get_untracked() != ReadState::Pending {
            self.load((wanted.0 + wanted.1).saturating_sub(WINDOW_ROWS) / 2);
        }
    }

    /// Loads the same rows again.
    pub fn reload(self) {
        self.load(self.loaded.with_untracked(|loaded| loaded.offset));
    }

    /// Loads the same rows again, after the answer to the request that is under way: otherwise
    /// a server that takes longer than facts take to arrive would never be listened to.
    fn reload_after_answer(self) {
        match self.read_state.get_untracked() {
            ReadState::Pending => self.is_outdated.set_value(true),
            ReadState::Idle | ReadState::Failed => self.reload(),
        }
    }

    /// Loads rows from `offset`. The response to an older request is ignored.
    fn load(self, offset: u32) {
        let number = self.request_number.get_value().wrapping_add(1);
        self.request_number.set_value(number);
        self.is_outdated.set_value(false);
        self.read_state.set(ReadState::Pending);
        let (filter, words) =
            (self.route.filter.get_untracked(), self.route.search.get_untracked());
        spawn_local(async move {
            let id = self.job.to_string();
            let answer = load_rows(id, filter, words.clone(), offset, WINDOW_ROWS).await;
            if self.request_number.try_get_value() != Some(number) {
                return;
            }
            match answer {
                Ok(GridPage { seq, grid }) => {
                    self.live.apply_snapshot(seq, grid.rows.iter().flat_map(|row| &row.cells));
                    self.loaded.set(LoadedRows::new(seq, filter, words, grid));
                    self.read_state.set(ReadState::Idle);
                    self.update_window();
                    request_animation_frame(move || self.apply_pending_focus());
                    if self.is_outdated.get_value() {
                        self.reload_after_answer();
                    }
                }
                Err(_) => self.read_state.set(ReadState::Failed),
            }
        });
    }

    /// Scrolls a cell into view and focuses it.
    pub fn focus_cell(self, to: CellPosition) {
        let Some(region) = self.region.get_untracked() else { return };
        let row = self.row_height.get_untracked();
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
        self.pending_focus.set_value(Some(to));
        self.update_window();
        request_animation_frame(move || self.apply_pending_focus());
    }

    fn apply_pending_focus(self) {
        let (Some(Some((row_index, column))), Some(Some(region))) =
            (self.pending_focus.try_get_value(), self.region.try_get_untracked())
        else {
            return;
        };
        let cell =
            format!("tr[aria-rowindex=\"{}\"] [aria-colindex=\"{}\"] a", row_index + 2, column + 2);
        let found = region.query_selector(&cell).ok().flatten();
        if let Some(cell) = found.as_ref().and_then(|cell| cell.dyn_ref::<web_sys::HtmlElement>()) {
            self.pending_focus.set_value(None);
            let _ = cell.focus();
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn pixels(length: f64) -> i32 {
    length as i32
}
