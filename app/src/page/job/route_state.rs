//! State of a job's page in its URL, and URLs of other states.

use contract::api::GridFilter;
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};

/// Tabs below the job's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTab {
    Items,
    Flow,
    Timeline,
}

impl JobTab {
    pub const ALL: [Self; 3] = [Self::Items, Self::Flow, Self::Timeline];

    const fn query_value(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Flow => "flow",
            Self::Timeline => "timeline",
        }
    }

    pub const fn label(self) -> &'static str {
        match self {
            Self::Items => "Items",
            Self::Flow => "Flow",
            Self::Timeline => "Timeline",
        }
    }
}

#[derive(Clone, Copy)]
pub struct JobRoute {
    /// The job's id as in the URL.
    pub job: Memo<String>,
    pub view: Memo<JobTab>,
    /// Task whose details are open.
    pub task: Memo<Option<String>>,
    pub filter: Memo<GridFilter>,
    /// Search text, for SKUs and titles.
    pub search: Memo<String>,
    /// Index of the first row, for use without scripts.
    pub offset: Memo<u32>,
    /// `seq` that the facts of the timeline are older than.
    pub before: Memo<Option<i64>>,
}

impl JobRoute {
    pub fn from_url() -> Self {
        let (params, query) = (use_params_map(), use_query_map());
        let word = move |name: &str| query.read().get(name);
        Self {
            job: Memo::new(move |_| params.read().get("id").unwrap_or_default()),
            view: Memo::new(move |_| {
                let requested = word("view");
                let found = JobTab::ALL
                    .into_iter()
                    .find(|view| requested.as_deref() == Some(view.query_value()));
                found.unwrap_or(JobTab::Items)
            }),
            task: Memo::new(move |_| word("task")),
            filter: Memo::new(move |_| {
                word("show").and_then(|word| word.parse().ok()).unwrap_or(GridFilter::All)
            }),
            search: Memo::new(move |_| word("q").unwrap_or_default().trim().to_owned()),
            offset: Memo::new(move |_| word("from").and_then(|n| n.parse().ok()).unwrap_or(0)),
            before: Memo::new(move |_| word("before").and_then(|seq| seq.parse().ok())),
        }
    }

    fn url(self, query: &str) -> String {
        format!("/jobs/{}{query}", self.job.get())
    }

    /// Returns the URL of the rows with a filter, a search text and an offset.
    pub fn rows_url(self, filter: GridFilter, words: &str, from: u32) -> String {
        self.url(&query_string(JobTab::Items, filter, words, from, None))
    }

    /// Returns the URL of the current view with the details of a task.
    pub fn details_url(self, task: &str) -> String {
        let (filter, words) = (self.filter.get(), self.search.get());
        self.url(&query_string(self.view.get(), filter, &words, self.offset.get(), Some(task)))
    }

    /// Returns the current view as a query string.
    pub fn return_query(self) -> String {
        let (filter, words, task) = (self.filter.get(), self.search.get(), self.task.get());
        query_string(self.view.get(), filter, &words, self.offset.get(), task.as_deref())
    }

    /// Returns the URL of the current view without details.
    pub fn url_without_details(self) -> String {
        let (filter, words) = (self.filter.get(), self.search.get());
        self.url(&query_string(self.view.get(), filter, &words, self.offset.get(), None))
    }

    /// Returns the URL of another tab. Filter and search text stay.
    pub fn tab_url(self, view: JobTab) -> String {
        self.url(&query_string(view, self.filter.get(), &self.search.get(), 0, None))
    }
}

fn query_string(
    view: JobTab,
    filter: GridFilter,
    words: &str,
    from: u32,
    task: Option<&str>,
) -> String {
    let mut query = ParamsMap::new();
    if view != JobTab::Items {
        query.insert("view", view.query_value().to_owned());
    }
    if filter != GridFilter::All {
        query.insert("show", filter.as_str().to_owned());
    }
    if !words.is_empty() {
        query.insert("q", words.to_owned());
    }
    if from > 0 {
        query.insert("from", from.to_string());
    }
    if let Some(task) = task {
        query.insert("task", task.to_owned());
    }
    query.to_query_string()
}
