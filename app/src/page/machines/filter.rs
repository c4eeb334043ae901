//! Filter of the machines. It is links and a form, so that the URL holds its state and it works
//! without scripts.

use super::list::MachineList;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// Filter as in the URL, unparsed, with what else the URL says about the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineListFilter {
    pub q: Option<String>,
    pub account: Option<String>,
    pub region: Option<String>,
    pub state: Option<String>,
    /// Number of the page, from 1.
    pub page: Option<String>,
    /// `all` if all machines that match are selected, also those on other pages.
    pub select: Option<String>,
    /// Whether the form that launches new machines is open.
    pub launch: Option<String>,
    /// Ids for the field of pasted ids.
    pub pasted: Option<String>,
}

impl MachineListFilter {
    pub fn from_query(query: &ParamsMap) -> Self {
        let get = |name| query.get(name).filter(|value| !value.is_empty());
        Self {
            q: get("q"),
            account: get("account"),
            region: get("region"),
            state: get("state"),
            page: get("page"),
            select: get("select"),
            launch: get("launch"),
            pasted: get("pasted"),
        }
    }

    /// Returns the URL of this filter at `path`.
    pub fn url(&self, path: &str) -> String {
        let parts = [
            ("q", &self.q),
            ("account", &self.account),
            ("region", &self.region),
            ("state", &self.state),
            ("page", &self.page),
            ("select", &self.select),
            ("launch", &self.launch),
            ("pasted", &self.pasted),
        ];
        let mut query = ParamsMap::new();
        for (name, value) in parts {
            if let Some(value) = value {
                query.insert(name, value.clone());
            }
        }
        format!("{path}{}", query.to_query_string())
    }

    /// Whether all machines that match are selected.
    pub fn selects_all(&self) -> bool {
        self.select.as_deref() == Some("all")
    }

    /// Returns the filter alone, on its first page and without a selection.
    pub fn only_filter(&self) -> Self {
        Self { page: None, select: None, launch: None, pasted: None, ..self.clone() }
    }

    /// Whether the list has all machines.
    pub fn is_unfiltered(&self) -> bool {
        self.only_filter() == Self::default()
    }
}

#[cfg(feature = "ssr")]
impl From<&MachineListFilter> for engine::machines::MachineFilter {
    fn from(filter: &MachineListFilter) -> Self {
        let MachineListFilter { q, account, region, state, .. } = filter.clone();
        Self { account, region, state, search_text: q }
    }
}

/// Links of the states with their numbers, and the fields of the rest.
pub(super) fn filter_fields(list: &MachineList, filter: &MachineListFilter) -> AnyView {
    let states = list.states.clone();
    let hidden = filter.state.clone();
    view! {
        <div class="list-filters">
            <nav aria-label="By state" inner_html=states></nav>
            <form method="get" action="/machines" role="search" aria-label="Machines">
                {hidden.map(|state| view! { <input type="hidden" name="state" value=state/> })}
                <input
                    type="search"
                    name="q"
                    aria-label="Search by name or id"
                    placeholder="Search by name or id"
                    value=filter.q.clone().unwrap_or_default()
                />
                {choice("account", "All accounts", &list.accounts, filter.account.as_ref())}
                {choice("region", "All regions", &list.regions, filter.region.as_ref())}
                <button>"Search"</button>
            </form>
        </div>
    }
    .into_any()
}

/// Field with the `values` that occur, if there is something to choose.
fn choice(
    name: &'static str,
    all: &'static str,
    values: &[String],
    chosen: Option<&String>,
) -> Option<AnyView> {
    if values.len() < 2 {
        return None;
    }
    let option = |value: &String| {
        let selected = Some(value) == chosen;
        view! { <option value=value.clone() selected=selected>{value.clone()}</option> }
    };
    let options = values.iter().map(option).collect_view();
    let field = view! {
        <select name=name aria-label=name>
            <option value="">{all}</option>
            {options}
        </select>
    };
    Some(field.into_any())
}

// Only the server can encode a URL without a browser.
#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn url_round_trips() {
        let filter = MachineListFilter {
            q: Some("web & co".into()),
            state: Some("stopped".into()),
            page: Some("2".into()),
            select: Some("all".into()),
            ..MachineListFilter::default()
        };
        let url = filter.url("/machines");
        assert_eq!(url, "/machines?q=web%20%26%20co&state=stopped&page=2&select=all");
        let mut query = ParamsMap::new();
        for (name, value) in [
            ("q", "web & co"),
            ("state", "stopped"),
            ("page", "2"),
            ("select", "all"),
            // As the empty field of a form sends it.
            ("region", ""),
        ] {
            query.insert(name, value.to_owned());
        }
        assert_eq!(MachineListFilter::from_query(&query), filter);
        let first_page = filter.only_filter().url("/machines");
        assert_eq!(first_page, "/machines?q=web%20%26%20co&state=stopped");
        assert!(!filter.is_unfiltered() && MachineListFilter::default().is_unfiltered());
    }
}
