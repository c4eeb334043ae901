//! Templates and expressions of a file, with the names that they may use.

use crate::{
    error::Mistake,
    file::Text,
    position::Source,
    scope::{BUILT_IN, is_product_member, product_members},
    settings::Settings,
    template::{Escaping, Expression, FUNCTIONS, Template, TemplateError},
};
use std::collections::HashSet;

pub struct Strings<'a> {
    source: Source<'a>,
    pub mistakes: Vec<Mistake>,
    pub settings: Settings,
    pub saved_names: Vec<String>,
    /// Names that have no value in the part of the file that is read now.
    pub unavailable: &'static [&'static str],
}

impl<'a> Strings<'a> {
    pub fn new(source: Source<'a>) -> Self {
        let (mistakes, saved_names) = (Vec::new(), Vec::new());
        Self { source, mistakes, settings: Settings::default(), saved_names, unavailable: &[] }
    }

    pub fn mistake<T>(&mut self, at: &toml::Spanned<T>, key: &str, message: impl Into<String>) {
        self.mistake_at(at.span().start, key, message);
    }

    pub fn mistake_at(&mut self, offset: usize, key: &str, message: impl Into<String>) {
        self.mistakes.push(self.source.mistake_at(offset, key, message));
    }

    pub fn template_mistake(&mut self, text: &Text, key: &str, error: &TemplateError) {
        self.mistakes.push(self.source.mistake_in_string(
            &text.span(),
            error.line,
            error.range.clone(),
            key,
            error.message.clone(),
        ));
    }

    pub fn template(&mut self, text: &Text, key: &str, escaping: Escaping) -> Option<Template> {
        match Template::new(text.get_ref(), escaping) {
            Ok(template) => {
                self.check_names(text, key, template.variables(), &[]).then_some(template)
            }
            Err(error) => {
                self.template_mistake(text, key, &error);
                None
            }
        }
    }

    /// A template that may use settings only.
    pub fn setting_template(
        &mut self,
        text: &Text,
        key: &str,
        escaping: Escaping,
    ) -> Option<Template> {
        let template = self.template(text, key, escaping)?;
        let is_setting = |name: &String| name == "settings" || name.starts_with("settings.");
        if let Some(name) = template.variables().iter().find(|name| !is_setting(name)) {
            let message = format!("only `settings` can be used here, not `{name}`");
            self.mistake(text, key, message);
            return None;
        }
        Some(template)
    }

    /// Returns a secret that a template uses, as `settings.token`.
    pub fn find_secret(&self, template: &Template) -> Option<String> {
        let is_secret = |name: &String| {
            name.strip_prefix("settings.").is_some_and(|name| self.settings.is_secret(name))
        };
        template.variables().into_iter().find(is_secret)
    }

    /// A template whose text people see: it has no secrets.
    pub fn public_template(&mut self, text: &Text, key: &str) -> Option<Template> {
        let template = self.template(text, key, Escaping::Text)?;
        for name in template.variables() {
            let setting = name.strip_prefix("settings.");
            if name == "token" || setting.is_some_and(|name| self.settings.is_secret(name)) {
                let message = format!("`{name}` is a secret, and people read this text");
                self.mistake(text, key, message);
                return None;
            }
        }
        Some(template)
    }

    pub fn optional_public_template(
        &mut self,
        text: Option<&Text>,
        key: &str,
    ) -> Option<Option<Template>> {
        text.map_or(Some(None), |text| self.public_template(text, key).map(Some))
    }

    pub fn expression(&mut self, text: &Text, key: &str, more: &[&str]) -> Option<Expression> {
        if text.get_ref().contains("{{") || text.get_ref().contains("{%") {
            let message = match text.get_ref().trim_start().starts_with(['[', '{']) {
                // `{{ … }}` alone is an expression with braces that are too many.
                true if !text.get_ref().trim_start().starts_with("{{") => {
                    "this is an expression: write a JSON template into `define`, and its name here"
                }
                _ => "this is an expression: write `answer.id`, without braces",
            };
            self.mistake(text, key, message);
            return None;
        }
        match Expression::new(text.get_ref()) {
            Ok(expression) => {
                self.check_names(text, key, expression.variables(), more).then_some(expression)
            }
            Err(error) => {
                self.template_mistake(text, key, &error);
                None
            }
        }
    }

    pub fn optional_expression(
        &mut self,
        text: Option<&Text>,
        key: &str,
        more: &[&str],
    ) -> Option<Option<Expression>> {
        text.map_or(Some(None), |text| self.expression(text, key, more).map(Some))
    }

    /// Checks that all variables exist, and adds a mistake for each that does not.
    fn check_names(
        &mut self,
        text: &Text,
        key: &str,
        variables: HashSet<String>,
        more: &[&str],
    ) -> bool {
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort_unstable();
        let mut is_right = true;
        for variable in variables {
            let mut parts = variable.split('.');
            let (name, member) = (parts.next().unwrap_or_default(), parts.next());
            let known = BUILT_IN.contains(&name)
                || FUNCTIONS.contains(&name)
                || more.contains(&name)
                || self.saved_names.iter().any(|saved| saved == name);
            let message = match (name, member) {
                _ if self.unavailable.contains(&name) => format!("`{name}` has no value here"),
                _ if !known => {
                    let mut names: Vec<_> = BUILT_IN.to_vec();
                    names.extend(self.saved_names.iter().map(String::as_str));
                    format!("there is no `{name}`; there are {}", names.join(", "))
                }
                ("product", Some(member)) if !is_product_member(member) => {
                    let names: Vec<_> = product_members().collect();
                    format!("a product has no `{member}`; it has {}", names.join(", "))
                }
                ("settings", Some(member)) if !self.settings.contains(member) => {
                    format!("[settings] has no `{member}`: add it there")
                }
                _ => continue,
            };
            is_right = false;
            let needle = member.map_or(name.to_owned(), |member| format!("{name}.{member}"));
            let at = find_name(text.get_ref(), &needle);
            let error = TemplateError {
                line: Some(text.get_ref()[..at].matches('\n').count() + 1),
                range: Some(at..at + needle.len()),
                message,
            };
            self.template_mistake(text, key, &error);
        }
        is_right
    }
}

/// Returns where a name stands in a template or an expression: in tags, if there are any, and
/// not as a part of another name.
fn find_name(text: &str, name: &str) -> usize {
    let has_tags = text.contains("{{") || text.contains("{%");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let is_in_tag = |at: usize| {
        let before = &text[..at];
        let opened = before.rfind("{{").max(before.rfind("{%"));
        let closed = before.rfind("}}").max(before.rfind("%}"));
        opened > closed
    };
    let is_whole =
        |at: usize| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part);
    text.match_indices(name)
        .map(|(at, _)| at)
        .find(|at| is_whole(*at) && (!has_tags || is_in_tag(*at)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::find_name;

    #[test]
    fn names_are_found_in_tags_and_as_a_whole() {
        assert_eq!(find_name("{\"foo\": 1, \"x\": {{ foo }}}", "foo"), 19);
        assert_eq!(find_name("width and id", "id"), 10);
        assert_eq!(find_name("answer.id or id", "id"), 13);
    }
}
