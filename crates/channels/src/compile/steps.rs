//! `[[step]]`: the requests of an upload.

use super::{Compiler, OUTSIDE_OF_REQUESTS, is_identifier, request::RequestKeys};
use crate::{
    channel::{Step, StepEffect},
    file::{ChannelFile, EffectName, StepTable, Texts},
    template::{Escaping, Template},
};

impl Compiler<'_> {
    pub fn steps(&mut self, file: &ChannelFile) -> Option<Vec<Step>> {
        let mut steps = Some(Vec::new());
        let mut names: Vec<&str> = Vec::new();
        for table in &file.step {
            let (start, table) = (table.span().start, table.get_ref());
            let name = table.name.get_ref().as_str();
            if !is_identifier(name) {
                let message = "the name of a step has letters, digits and underscores only";
                self.strings.mistake(&table.name, "step.name", message);
            }
            if names.contains(&name) {
                let message = format!("there are two steps `{name}`: give them different names");
                self.strings.mistake(&table.name, "step.name", message);
            }
            names.push(name);
            match (self.step(start, table), &mut steps) {
                (Some(step), Some(steps)) => steps.push(step),
                _ => steps = None,
            }
        }
        let has_effect = |step: &Step| step.effect != StepEffect::None;
        if steps.as_ref().is_some_and(|steps| !steps.iter().any(has_effect)) {
            let message = "no step changes anything: at least one [[step]] needs an `effect`";
            self.strings.mistake_at(0, "step", message);
        }
        steps
    }

    fn step(&mut self, start: usize, table: &StepTable) -> Option<Step> {
        let key = |part: &str| format!("step {}: {part}", table.name.get_ref());
        // They are evaluated once, before the first item.
        self.strings.unavailable = OUTSIDE_OF_REQUESTS;
        let define = self.defined(&key("define"), &table.define);
        let when = self.strings.optional_expression(table.when.as_ref(), &key("when"), &[]);
        let for_each =
            self.strings.optional_expression(table.for_each.as_ref(), &key("for_each"), &[]);
        if table.for_each.is_some() {
            self.strings.unavailable = &["token"];
        }
        let request = self.request(&RequestKeys {
            key: &format!("step {}", table.name.get_ref()),
            request: &table.request,
            headers: Some(&table.headers),
            query: Some(&table.query),
            json: table.json.as_ref(),
            form: table.form.as_ref(),
            graphql: table.graphql.as_ref(),
            variables: table.variables.as_ref(),
            keep_nulls: table.keep_nulls,
        });
        // Without a method nobody knows whether it needs one.
        let effect = match &request {
            Some(request) => self.effect(&request.method, start, table),
            None => None,
        };
        if let Some(header) = &table.key_header {
            self.header_name(header, &key("key_header"));
            if matches!(effect, Some(StepEffect::None)) {
                let message = "a step without an effect needs no idempotency key";
                self.strings.mistake(header, &key("key_header"), message);
            }
        }
        let save = self.expressions(&key("save"), &table.save);
        let result = self.strings.optional_expression(table.result.as_ref(), &key("result"), &[]);
        self.strings.unavailable = &[];
        Some(Step {
            name: table.name.get_ref().clone(),
            define: define?,
            when: when?,
            for_each: for_each?,
            effect: effect?,
            key_header: table.key_header.as_ref().map(|header| header.get_ref().clone()),
            request: request?,
            save: save?,
            result: result?,
        })
    }

    /// Returns the documents that a step defines, in the order of the file.
    fn defined(&mut self, key: &str, texts: &Texts) -> Option<Vec<(String, Template)>> {
        let mut in_order: Vec<_> = texts.keys().collect();
        in_order.sort_by_key(|name| name.span().start);
        let mut templates = self.templates(key, texts, Escaping::Json)?;
        let names = in_order.into_iter().map(|name| name.get_ref());
        Some(names.filter_map(|name| templates.remove_entry(name)).collect())
    }

    /// Returns what a step does. A method that may change something needs an `effect`,
    /// because a repeated request is safe or not by what it does.
    fn effect(&mut self, method: &str, start: usize, table: &StepTable) -> Option<StepEffect> {
        let key = format!("step {}: effect", table.name.get_ref());
        let reads = matches!(method, "GET" | "HEAD");
        let Some(effect) = &table.effect else {
            let is_query = table.graphql.as_ref().is_some_and(|text| {
                let text = text.get_ref().trim_start();
                text.starts_with("query") || text.starts_with('{')
            });
            if reads || is_query {
                return Some(StepEffect::None);
            }
            let message = format!(
                "`{method}` may change something: say effect = \"create\", \"update\", \"upsert\" \
                 or \"none\""
            );
            self.strings.mistake_at(start, &key, message);
            return None;
        };
        let effect_name = *effect.get_ref();
        if reads && effect_name != EffectName::None {
            let message = format!("`{method}` changes nothing: leave `effect` out");
            self.strings.mistake(effect, &key, message);
        }
        Some(match effect_name {
            EffectName::None => StepEffect::None,
            EffectName::Create => StepEffect::Create,
            EffectName::Update => StepEffect::Update,
            EffectName::Upsert => StepEffect::Upsert,
        })
    }
}
