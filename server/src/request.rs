//! What programs send: parameters and bodies, read so that a bad one is named
//! with what is allowed.

use crate::problem::Problem;
use axum::{
    Json, RequestPartsExt,
    extract::{FromRequest, FromRequestParts, Query, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use contract::text;
use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Problem))]
pub struct Body<T>(pub T);

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), format!("{}.", rejection.body_text().trim_end_matches('.')))
    }
}

/// The query's parameters.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let read = parts.extract::<Query<Vec<(String, String)>>>().await;
        let all = read.map_err(|error| bad(format!("{}.", error.body_text())))?.0;
        for (name, value) in &all {
            text::PARAMETER.check(name)?;
            text::PARAMETER.check(value)?;
        }
        Ok(Self(all))
    }
}

impl Params {
    /// # Errors
    /// 400 where there is a parameter of another name, or one twice.
    pub fn only(self, names: &[&str]) -> Result<Self, Problem> {
        for (place, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let known = names.join(", ");
                return Err(bad(format!("There is no parameter `{name}`. Known: {known}.")));
            }
            if self.0[..place].iter().any(|(before, _)| before == name) {
                return Err(bad(format!("The parameter `{name}` is given twice.")));
            }
        }
        Ok(self)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// 400 that says what is `allowed`, where `read` can't read it.
    pub fn read<T>(
        &self,
        name: &str,
        allowed: impl Display,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let refused = || bad(format!("`{name}` is {text:?}; allowed: {allowed}."));
        read(text).ok_or_else(refused).map(Some)
    }

    /// One of some words.
    pub fn word<T: FromStr + Display>(&self, name: &str, all: &[T]) -> Result<Option<T>, Problem> {
        let words = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.read(name, words, |text| text.parse().ok())
    }

    pub fn number(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Problem> {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        self.read(name, allowed, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// `false` where it is missing.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.read(name, "true, false", |text| text.parse().ok())?.unwrap_or(false))
    }

    /// How long a page of a list is to be: 50 where nothing is said.
    pub fn limit(&self) -> Result<u32, Problem> {
        let limit = self.number("limit", 1..=200)?.unwrap_or(50);
        Ok(u32::try_from(limit).unwrap_or(50))
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::state::TaskState;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let params = params(&[("state", "faild"), ("limit", "0"), ("q", "")]);
        let told = |problem: Problem| (problem.status.as_u16(), problem.detail);
        let state = params.word("state", TaskState::ALL).unwrap_err();
        let words = "`state` is \"faild\"; allowed: queued, running, succeeded, failed, \
                     cancelled, needs_person.";
        assert_eq!(told(state), (400, words.into()));
        let limit = told(params.limit().unwrap_err()).1;
        assert_eq!(limit, "`limit` is \"0\"; allowed: a number from 1 to 200.");
        assert_eq!(params.text("q"), None);
    }

    #[test]
    fn an_unknown_parameter_and_one_given_twice_are_refused() {
        let unknown = params(&[("sate", "failed")]).only(&["state", "q"]).unwrap_err();
        assert_eq!(unknown.detail, "There is no parameter `sate`. Known: state, q.");
        let twice = params(&[("q", "a"), ("q", "b")]).only(&["state", "q"]).unwrap_err();
        assert_eq!(twice.detail, "The parameter `q` is given twice.");
    }
}
