//! What of a job's page its address asks for, and addresses that ask for
//! something else.

use contract::api::Filter;
use leptos::prelude::*;
use leptos_router::{
    hooks::{use_params_map, use_query_map},
    params::ParamsMap,
};

/// What is shown below the job's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Items,
    Flow,
    Timeline,
}

impl View {
    pub const ALL: [Self; 3] = [Self::Items, Self::Flow, Self::Timeline];

    const fn word(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Flow => "flow",
            Self::Timeline => "timeline",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Items => "Items",
            Self::Flow => "Flow",
            Self::Timeline => "Timeline",
        }
    }
}

#[derive(Clone, Copy)]
pub struct Asked {
    /// The job's id as it is spelled.
    pub job: Memo<String>,
    pub view: Memo<View>,
    /// The task whose details are open.
    pub task: Memo<Option<String>>,
    pub filter: Memo<Filter>,
    /// What is searched for in SKUs and titles.
    pub words: Memo<String>,
    /// The place of the first row, for whoever has no scripts.
    pub from: Memo<u32>,
    /// Facts of the timeline are older than this one.
    pub before: Memo<Option<i64>>,
}

impl Asked {
    pub fn of_address() -> Self {
        let (params, query) = (use_params_map(), use_query_map());
        let word = move |name: &str| query.read().get(name);
        Self {
            job: Memo::new(move |_| params.read().get("id").unwrap_or_default()),
            view: Memo::new(move |_| {
                let asked = word("view");
                let found =
                    View::ALL.into_iter().find(|view| asked.as_deref() == Some(view.word()));
                found.unwrap_or(View::Items)
            }),
            task: Memo::new(move |_| word("task")),
            filter: Memo::new(move |_| {
                word("show").and_then(|word| word.parse().ok()).unwrap_or(Filter::All)
            }),
            words: Memo::new(move |_| word("q").unwrap_or_default().trim().to_owned()),
            from: Memo::new(move |_| word("from").and_then(|n| n.parse().ok()).unwrap_or(0)),
            before: Memo::new(move |_| word("before").and_then(|seq| seq.parse().ok())),
        }
    }

    fn address(self, query: &str) -> String {
        format!("/jobs/{}{query}", self.job.get())
    }

    /// All rows, or some of them.
    pub fn rows(self, filter: Filter, words: &str, from: u32) -> String {
        self.address(&query(View::Items, filter, words, from, None))
    }

    /// The details of a task, beside what is shown.
    pub fn details(self, task: &str) -> String {
        let (filter, words) = (self.filter.get(), self.words.get());
        self.address(&query(self.view.get(), filter, &words, self.from.get(), Some(task)))
    }

    /// What is shown, as the query of an address.
    pub fn shown(self) -> String {
        let (filter, words, task) = (self.filter.get(), self.words.get(), self.task.get());
        query(self.view.get(), filter, &words, self.from.get(), task.as_deref())
    }

    /// What is shown, without details.
    pub fn closed(self) -> String {
        let (filter, words) = (self.filter.get(), self.words.get());
        self.address(&query(self.view.get(), filter, &words, self.from.get(), None))
    }

    /// Another view; filter and search stay for whoever comes back.
    pub fn tab(self, view: View) -> String {
        self.address(&query(view, self.filter.get(), &self.words.get(), 0, None))
    }
}

fn query(view: View, filter: Filter, words: &str, from: u32, task: Option<&str>) -> String {
    let mut query = ParamsMap::new();
    if view != View::Items {
        query.insert("view", view.word().to_owned());
    }
    if filter != Filter::All {
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
