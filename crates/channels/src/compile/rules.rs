//! `[[on]]`: what answers mean.

use super::Compiler;
use crate::{
    channel::{Rule, Then},
    file::{ChannelFile, RuleTable, ThenName},
};

impl Compiler<'_> {
    pub fn rules(&mut self, file: &ChannelFile) -> Option<Vec<Rule>> {
        let names: Vec<_> = file.step.iter().map(|step| step.get_ref().name.get_ref()).collect();
        let rules = file.on.iter().enumerate();
        rules.map(|(n, rule)| self.rule(n, rule.get_ref(), &names)).collect()
    }

    fn rule(&mut self, index: usize, table: &RuleTable, steps: &[&String]) -> Option<Rule> {
        let key = |part: &str| format!("on {}: {part}", index + 1);
        if let Some(step) = &table.step
            && !steps.contains(&step.get_ref())
        {
            let names: Vec<_> = steps.iter().map(|name| name.as_str()).collect();
            let message = format!("there is no such step; there are {}", names.join(", "));
            self.strings.mistake(step, &key("step"), message);
        }
        let then = *table.then.get_ref();
        let waits = matches!(then, ThenName::Cooldown | ThenName::Credentials);
        if let (Some(wait), false) = (&table.wait, waits) {
            let message = "only `cooldown` and `credentials` wait: leave it out";
            self.strings.mistake(wait, &key("wait"), message);
        }
        let needs_reason =
            matches!(then, ThenName::Rejected | ThenName::Failed | ThenName::NeedsReview);
        if needs_reason && table.reason.is_none() {
            let message = "say why in `reason`: a person reads it";
            self.strings.mistake(&table.then, &key("then"), message);
        }
        let when = self.strings.expression(&table.when, &key("when"), &[]);
        let reason = self.strings.optional_public_template(table.reason.as_ref(), &key("reason"));
        let wait = self.strings.optional_expression(table.wait.as_ref(), &key("wait"), &[]);
        let save = self.expressions(&key("save"), &table.save);
        Some(Rule {
            step: table.step.as_ref().map(|step| step.get_ref().clone()),
            when: when?,
            then: match then {
                ThenName::Ok => Then::Ok,
                ThenName::Found => Then::Found,
                ThenName::Rejected => Then::Rejected,
                ThenName::Failed => Then::Failed,
                ThenName::Retry => Then::Retry,
                ThenName::OutcomeUnknown => Then::OutcomeUnknown,
                ThenName::Cooldown => Then::Cooldown,
                ThenName::Credentials => Then::Credentials,
                ThenName::NeedsReview => Then::NeedsReview,
            },
            reason: reason?,
            wait: wait?,
            save: save?,
        })
    }
}
