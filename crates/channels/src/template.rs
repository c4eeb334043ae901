//! Templates and expressions ([minijinja](https://docs.rs/minijinja)): an undefined
//! variable is an error, work is bounded, and values are escaped for where they stand.

mod functions;
mod names;

pub use names::FUNCTIONS;

use functions::{differs, minor_units, slug};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
    escape_formatter,
    value::{Serde, ValueKind},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{collections::HashSet, fmt, ops::Range, sync::LazyLock};

/// Maximum number of instructions of one rendering; a body of a product with 2,000
/// variants takes some 100,000.
const FUEL: u64 = 1_000_000;
/// Escaping of a value within a path: RFC 3986's unreserved characters stay.
const PATH_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a template escapes its values: for what it is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// A JSON document: values become JSON.
    Json,
    /// The path of a URL: values are percent-encoded.
    Path,
    /// Plain text, such as a header or a query parameter, which is encoded as a whole.
    Text,
}

impl Escaping {
    const fn template_name(self) -> &'static str {
        match self {
            Self::Json => "template.json",
            Self::Path => "template.path",
            Self::Text => "template.text",
        }
    }
}

/// Why a template or an expression can't be parsed or evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Line within the template, counted from 1.
    pub line: Option<usize>,
    /// Bytes within the template.
    pub range: Option<Range<usize>>,
    /// What is wrong. It contains names of the template, and no values.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}

impl From<Error> for TemplateError {
    fn from(error: Error) -> Self {
        let detail = error.detail().unwrap_or_default();
        let message = match error.kind() {
            ErrorKind::UndefinedError if detail.is_empty() => "a value is undefined".into(),
            ErrorKind::OutOfFuel => "it does too much work".into(),
            ErrorKind::SyntaxError => format!("syntax error: {detail}"),
            kind if detail.is_empty() => kind.to_string(),
            _ => detail.to_owned(),
        };
        Self { line: error.line(), range: error.range(), message }
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
        Some((_, "json")) => AutoEscape::Json,
        Some((_, "path")) => AutoEscape::Custom("path".into()),
        _ => AutoEscape::Custom("text".into()),
    });
    environment.set_formatter(format_value);
    environment.add_function("differs", differs);
    environment.add_filter("minor_units", minor_units);
    environment.add_filter("slug", slug);
    environment
});

/// Parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    escaping: Escaping,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// It is not valid.
    pub fn new(source: &str, escaping: Escaping) -> Result<Self, TemplateError> {
        ENVIRONMENT.template_from_named_str(escaping.template_name(), source)?;
        names::check_template(source)?;
        Ok(Self { source: source.to_owned(), escaping })
    }

    /// Renders the template.
    ///
    /// # Errors
    /// A value is undefined or has no text, or the work is too much.
    pub fn render(&self, variables: &Value) -> Result<String, TemplateError> {
        Ok(ENVIRONMENT.render_named_str(
            self.escaping.template_name(),
            &self.source,
            variables.clone(),
        )?)
    }

    /// Returns the variables that it uses, with the names of their members: `product.sku`.
    pub fn variables(&self) -> HashSet<String> {
        ENVIRONMENT
            .template_from_named_str(self.escaping.template_name(), &self.source)
            .map(|template| template.undeclared_variables(true))
            .unwrap_or_default()
    }
}

/// Parsed expression, such as `answer.items | first`.
#[derive(Clone, Debug)]
pub struct Expression {
    source: String,
}

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// It is not valid.
    pub fn new(source: &str) -> Result<Self, TemplateError> {
        ENVIRONMENT.compile_expression(source)?;
        names::check_expression(source, 0)?;
        Ok(Self { source: source.to_owned() })
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// A value is undefined, or the work is too much.
    pub fn evaluate(&self, variables: &Value) -> Result<Value, TemplateError> {
        let value = ENVIRONMENT.compile_expression(&self.source)?.eval(variables.clone())?;
        match value.kind() {
            ValueKind::Undefined => Err(TemplateError {
                line: None,
                range: None,
                message: format!("`{}` is undefined", self.source),
            }),
            ValueKind::Invalid => Err(TemplateError {
                line: None,
                range: None,
                message: format!("`{}` can't be evaluated", self.source),
            }),
            _ => Ok(value),
        }
    }

    /// Evaluates a condition.
    ///
    /// # Errors
    /// The same as those of [`Expression::evaluate`].
    pub fn is_true(&self, variables: &Value) -> Result<bool, TemplateError> {
        Ok(self.evaluate(variables)?.is_true())
    }

    /// Returns the variables that it uses, with the names of their members.
    pub fn variables(&self) -> HashSet<String> {
        ENVIRONMENT
            .compile_expression(&self.source)
            .map(|expression| expression.undeclared_variables(true))
            .unwrap_or_default()
    }
}

fn format_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let AutoEscape::Custom(escaping) = state.auto_escape() else {
        return escape_formatter(out, state, value);
    };
    // `none` would become the text "none", and a list or map its debug form.
    if !matches!(value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool) {
        let message = format!("a {} has no text", value.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let text = value.to_string();
    // They would lead to another path.
    if escaping == "path" && matches!(text.as_str(), "" | "." | "..") {
        let message = format!("{text:?} can't be a part of a path");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let written = match escaping.as_ref() {
        "path" => write!(out, "{}", utf8_percent_encode(&text, PATH_VALUE)),
        _ => out.write_str(&text),
    };
    written.map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// Converts what serde can serialise to a value of templates.
pub fn to_value<T: serde::Serialize>(value: &T) -> Value {
    Value::from(Serde(value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn render(source: &str, escaping: Escaping) -> Result<String, TemplateError> {
        let variables = to_value(&json!({
            "title": "7\" \"Shakra\"\n</script>", "vendor": null, "sku": "a b/c?", "list": [1, 2],
        }));
        Template::new(source, escaping)?.render(&variables)
    }

    #[test]
    fn values_are_escaped_for_where_they_stand() {
        let json_text =
            render("{\"t\": {{ title }}, \"v\": {{ vendor }}}", Escaping::Json).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&json_text).unwrap();
        assert_eq!(parsed, json!({"t": "7\" \"Shakra\"\n</script>", "v": null}));
        assert_eq!(render("products/{{ sku }}", Escaping::Path).unwrap(), "products/a%20b%2Fc%3F");
        assert_eq!(render("Bearer {{ sku }}", Escaping::Text).unwrap(), "Bearer a b/c?");
        for (source, escaping) in [
            ("{{ vendor }}", Escaping::Text),
            ("{{ list }}", Escaping::Path),
            ("{{ nope }}", Escaping::Json),
        ] {
            assert!(render(source, escaping).is_err(), "{source}");
        }
    }

    #[test]
    fn endless_work_is_stopped() {
        let source =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert_eq!(render(source, Escaping::Json).unwrap_err().message, "it does too much work");
    }

    #[test]
    fn unknown_names_are_found_before_anything_is_rendered() {
        for (source, message) in [
            ("{{ title | nope }}", "there is no filter `nope`"),
            ("{% if title is nopest %}{% endif %}", "there is no test `nopest`"),
            ("{{ nofunction(title) }}", "there is no function `nofunction`"),
        ] {
            let error = Template::new(source, Escaping::Json).unwrap_err();
            assert!(error.message.starts_with(message), "{}", error.message);
            assert!(error.range.is_some_and(|range| source[range].starts_with("no")));
        }
        assert!(Template::new("a | b {{ 'x | y' | upper }} is c", Escaping::Text).is_ok());
    }
}
