//! Parts of pages that only the server renders. Nothing in them is live, so the browser
//! needs no code for them.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// HTML that the server rendered. User input in it is escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fragment(String);

impl Fragment {
    #[cfg(feature = "ssr")]
    pub fn from_view(view: impl IntoView) -> Self {
        Self(view.into_view().to_html())
    }

    pub fn view(self) -> AnyView {
        view! { <div class="fragment" inner_html=self.0></div> }.into_any()
    }
}
