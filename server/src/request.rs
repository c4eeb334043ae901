//! Extractors of query parameters and JSON bodies. An invalid value is rejected
//! with a message that names it and the allowed values.

mod json_error;

use crate::problem::Problem;
use axum::{
    Json, RequestPartsExt,
    extract::{FromRequest, FromRequestParts, MatchedPath, Query, Request},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::Response,
};
use contract::text;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{
    fmt::{self, Display},
    marker::PhantomData,
    ops::RangeInclusive,
    str::FromStr,
};

/// Extractor of a JSON body, which is an object.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(JsonObject(body)) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// A value that is read from an object only. The derived implementations also take an array with
/// the fields in their order, which no document describes.
struct JsonObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Extractor of the query parameters.
#[derive(Debug)]
pub struct QueryParams(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.extract::<Query<Vec<(String, String)>>>().await;
        let all = query.map_err(|error| bad_request(format!("{}.", error.body_text())))?.0;
        for (name, value) in &all {
            text::PARAMETER.check(name)?;
            text::PARAMETER.check(value)?;
        }
        Ok(Self(all))
    }
}

impl QueryParams {
    /// Allows the parameters `names` only.
    ///
    /// # Errors
    /// 400 for an unknown or duplicate parameter.
    pub fn reject_unknown(self, names: &[&str]) -> Result<Self, Problem> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                let known = names.join(", ");
                return Err(bad_request(format!(
                    "There is no parameter `{name}`. Known: {known}."
                )));
            }
            if self.0[..index].iter().any(|(before, _)| before == name) {
                return Err(bad_request(format!("The parameter `{name}` is given twice.")));
            }
        }
        Ok(self)
    }

    /// Returns the value of a parameter, if it is present and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Parses a parameter, if present, with `parse`.
    ///
    /// # Errors
    /// 400 that says what is `allowed`, if `parse` returns `None`.
    pub fn parse<T>(
        &self,
        name: &str,
        allowed: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let invalid = || bad_request(format!("`{name}` is {text:?}; allowed: {allowed}."));
        parse(text).ok_or_else(invalid).map(Some)
    }

    /// Parses a parameter that is one of `variants`.
    ///
    /// # Errors
    /// 400 that lists the variants.
    pub fn parse_variant<T: FromStr + Display>(
        &self,
        name: &str,
        variants: &[T],
    ) -> Result<Option<T>, Problem> {
        let allowed = variants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.parse(name, allowed, |text| text.parse().ok())
    }

    /// Parses a parameter that is a number within `range`.
    ///
    /// # Errors
    /// 400 that says what the range is.
    pub fn parse_integer(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Problem> {
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        self.parse(name, allowed, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// Parses a boolean parameter; `false` if it is missing.
    ///
    /// # Errors
    /// 400 for other values than `true` and `false`.
    pub fn parse_bool(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.parse(name, "true, false", |text| text.parse().ok())?.unwrap_or(false))
    }

    /// Returns the page size of a list from the parameter `limit`; 50 by default.
    ///
    /// # Errors
    /// 400 unless it is between 1 and 200.
    pub fn page_size(&self) -> Result<u32, Problem> {
        let limit = self.parse_integer("limit", 1..=200)?.unwrap_or(50);
        Ok(u32::try_from(limit).unwrap_or(50))
    }
}

/// Routes of the API that have query parameters, and reject unknown ones themselves.
const ROUTES_WITH_PARAMETERS: [&str; 6] = [
    "/api/v1/jobs",
    "/api/v1/jobs/product-uploads",
    "/api/v1/jobs/{id}/tasks",
    "/api/v1/jobs/{id}/left-out",
    "/api/v1/jobs/{id}/journal",
    "/api/v1/audit",
];

/// Rejects query parameters of a route that has none: a parameter that does nothing is a mistake.
pub async fn reject_unread_parameters(
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
    if has_query && !ROUTES_WITH_PARAMETERS.contains(&route.as_str()) {
        return Err(bad_request("This endpoint has no query parameters. Remove them.".into()));
    }
    Ok(next.run(request).await)
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use contract::state::TaskState;

    fn params(pairs: &[(&str, &str)]) -> QueryParams {
        QueryParams(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn invalid_value_is_rejected_with_the_allowed_ones() {
        let params = params(&[("state", "faild"), ("limit", "0"), ("q", "")]);
        let status_and_detail = |problem: Problem| (problem.status.as_u16(), problem.detail);
        let state = params.parse_variant("state", TaskState::ALL).unwrap_err();
        let detail = "`state` is \"faild\"; allowed: queued, running, succeeded, failed, \
                     rejected, cancelled, needs_review.";
        assert_eq!(status_and_detail(state), (400, detail.into()));
        let limit = status_and_detail(params.page_size().unwrap_err()).1;
        assert_eq!(limit, "`limit` is \"0\"; allowed: a number from 1 to 200.");
        assert_eq!(params.get("q"), None);
    }

    #[test]
    fn a_body_is_an_object() {
        let read = |text: &str| {
            let body = serde_json::from_str::<JsonObject<contract::api::PaceRequest>>(text);
            body.map(|body| body.0.rate).map_err(|error| error.to_string())
        };
        assert_eq!(read(r#"{"rate":0.5}"#), Ok(Some(0.5)));
        for text in ["[0.5,null]", "null", "7"] {
            assert!(read(text).unwrap_err().contains("expected an object"), "{text}");
        }
        assert!(read(r#"{"rat":1}"#).unwrap_err().contains("unknown field"));
    }

    #[test]
    fn unknown_and_duplicate_parameters_are_rejected() {
        let unknown = params(&[("sate", "failed")]).reject_unknown(&["state", "q"]).unwrap_err();
        assert_eq!(unknown.detail, "There is no parameter `sate`. Known: state, q.");
        let twice = params(&[("q", "a"), ("q", "b")]).reject_unknown(&["state", "q"]).unwrap_err();
        assert_eq!(twice.detail, "The parameter `q` is given twice.");
    }
}
