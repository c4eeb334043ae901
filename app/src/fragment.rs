//! Parts of pages that are made on the server alone: nothing in them is live,
//! so no code of theirs has to be in the browser.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// HTML of the server's own making. What people entered is escaped in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fragment(String);

impl Fragment {
    #[cfg(feature = "ssr")]
    pub fn of(view: impl IntoView) -> Self {
        Self(view.into_view().to_html())
    }

    pub fn show(self) -> AnyView {
        view! { <div class="fragment" inner_html=self.0></div> }.into_any()
    }
}
