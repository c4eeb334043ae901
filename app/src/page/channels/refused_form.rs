//! Form of an upstream that was refused. It comes back open, with the problem and what was typed.

use serde::{Deserialize, Serialize};

/// Maximum number of characters that are kept of one field. The redirect carries them in its URL.
const MAX_KEPT: usize = 300;

/// A refused form, as the redirect after it carries it to the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedForm {
    /// Id of the upstream.
    pub upstream: String,
    /// Action of the form: `pause`, `resume`, `pace` or `check`.
    pub action: String,
    /// What is wrong, and what to do.
    pub problem: String,
    /// Length of a pause.
    pub length: String,
    /// End of a pause.
    pub until: String,
    /// Reason of a pause.
    pub note: String,
    /// Requests per second.
    pub rate: String,
    /// Id of the limit whose rate was to be changed.
    pub limit: String,
}

impl RefusedForm {
    /// Parses the argument of the page. Nothing comes back of a URL that was changed.
    pub fn parse(argument: &str) -> Option<Self> {
        serde_json::from_str(argument).ok()
    }

    /// Returns the argument of the page, and the id of the element to scroll to.
    pub fn argument_and_anchor(&self) -> (String, String) {
        let kept = |text: &str| text.chars().take(MAX_KEPT).collect();
        let kept = Self {
            upstream: self.upstream.clone(),
            action: self.action.clone(),
            problem: self.problem.clone(),
            length: kept(&self.length),
            until: kept(&self.until),
            note: kept(&self.note),
            rate: kept(&self.rate),
            limit: kept(&self.limit),
        };
        let argument = serde_json::to_string(&kept).unwrap_or_default();
        (argument, super::panel::element_id(&self.upstream, &self.action))
    }

    /// Whether the form has fields, which come back with it. The others are single buttons.
    pub fn has_fields(&self) -> bool {
        matches!(self.action.as_str(), "pause" | "pace")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_typed_comes_back_up_to_a_length() {
        let form = RefusedForm {
            upstream: "acme".into(),
            action: "pause".into(),
            problem: "The pause has to end in the future.".into(),
            note: "price review & “sale”".into(),
            ..RefusedForm::default()
        };
        let (argument, anchor) = form.argument_and_anchor();
        assert_eq!(anchor, "pause-acme");
        assert_eq!(RefusedForm::parse(&argument), Some(form.clone()));
        let long = RefusedForm { note: "ü".repeat(10_000), ..form };
        let (argument, _) = long.argument_and_anchor();
        assert_eq!(RefusedForm::parse(&argument).unwrap().note.chars().count(), MAX_KEPT);
        assert_eq!(RefusedForm::parse("acme"), None);
    }
}
