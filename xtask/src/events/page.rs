//! The document's words.

use super::{example, schema};
use contract::{
    catalogue::{COMMANDS, Event},
    envelope::Envelope,
    fact::{Fact, FactKind},
};
use schemars::schema_for;
use serde::Serialize;
use serde_json::Map;
use std::fmt::Write;

const HEAD: &str = "\
<!-- Written by `cargo xtask events` from crates/contract; `make check` fails where it differs. -->

# Events

What crosses a process: **commands** ask for one task to be done, **facts** say what happened. Both
are listed here with who makes them, who hears them and what they may cause.

## Conventions

- **Names.** A command is imperative, `noun.verb`: `product.upload`. A fact is in the past tense:
  `task.succeeded`. A name never changes its meaning.
- **Versions.** Within a version changes only add: a new field has a default, and a reader ignores
  fields that it does not know. What an old reader would misread is a new version, hence a new queue
  (`meanwhile.q.<kind>[.<part>].v<version>`); both are consumed for one release, so that a deploy and
  its roll-back lose nothing.
- **Envelope.** Commands travel as [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md)
  in structured JSON (`application/cloudevents+json`); `type` is kind and version, such as
  `product.upload.v1`.
- **Ids.** Jobs, tasks and facts are UUIDv7, so they sort by the time they were made. A message's `id`
  is the task's id and its fence, `<task>:<fence>`: the same for a message that is delivered twice,
  another for each time that the task is published anew. A task that another one causes has the
  UUIDv5 of cause, kind and key: emitted twice, it is still one task.
- **Times.** UTC, whole milliseconds since 1970, by the database's clock. In the envelope it is the
  extension `atms`.
- **Delivery.** At least once, in no order. The row in the database is the truth and a message only
  the doorbell: a consumer claims the task by its fence before it works, and a message whose fence is
  not the task's is acknowledged and forgotten.
- **What can't be read** is written to `rejected_messages` with the reason, then acknowledged.
- **Facts** are entries of their user's journal. `seq` counts from 1 without a hole, and is given in
  the commit of the change itself. A fact carries the absolute new state and the job's counters:
  applied twice it does no harm. To the hubs facts travel through the exchange `meanwhile.facts`, by
  their kind; several of one commit as a batch (`application/cloudevents-batch+json`). That way may
  lose facts; whoever sees a gap in `seq` reads the journal. To a browser a fact is one frame of
  `/ws`, its fields beside `\"type\":\"fact\"`.

A new event takes its type in `contract::command` or `contract::fact`, its line in
`contract::catalogue`, an example in `xtask/src/events/example.rs`, and `cargo xtask events`.
";

pub fn write(facts: &[(FactKind, Event)]) -> anyhow::Result<String> {
    let mut page = String::from(HEAD);
    let mut shapes = Map::new();
    let overview = |page: &mut String, title: &str, events: &mut dyn Iterator<Item = &Event>| {
        let _ = write!(
            page,
            "\n## {title}\n\n| event | version | says | producer | consumers | may cause |\n\
             | --- | --- | --- | --- | --- | --- |\n"
        );
        for event in events {
            let Event { what, producer, consumers, .. } = event;
            let _ = writeln!(
                page,
                "| {} | {} | {what} | {producer} | {consumers} | {} |",
                link(event.kind),
                event.version,
                causes(event)
            );
        }
    };
    overview(&mut page, "Commands", &mut COMMANDS.iter());
    for event in COMMANDS {
        let sample = example::command(event.kind)?;
        let body = sample.body.to_value();
        shapes.extend(schema::shapes(&body));
        heading(&mut page, event);
        let _ = writeln!(page, "Queue: `{}`. The body, `data.body`:\n", sample.queue);
        page.push_str(&schema::table(&body));
        fold(&mut page, "A message", &sample.message)?;
        fold(&mut page, "JSON Schema of the body", &body)?;
    }
    overview(&mut page, "Facts", &mut facts.iter().map(|(_, fact)| fact));
    let fact = schema_for!(Fact).to_value();
    shapes.extend(schema::shapes(&fact));
    page.push_str("\n### Every fact\n\n");
    page.push_str(&schema::table(&fact));
    fold(&mut page, "JSON Schema of a fact", &fact)?;
    for (kind, event) in facts {
        let sample = example::fact(*kind);
        heading(&mut page, event);
        let _ = writeln!(page, "`data` carries {}.", carried(&sample)?);
        fold(&mut page, "A fact", &sample)?;
    }
    let envelope = schema_for!(Envelope).to_value();
    let _ = write!(page, "\n## Envelope\n\n{}.\n\n", schema::says(&envelope).trim_end_matches('.'));
    page.push_str(&schema::table(&envelope));
    page.push_str(
        "\n`data` of a command is `{task, job, user, fence, body}`: where it belongs, and the body \
         above.\n\n## Shapes\n",
    );
    for (name, shape) in &shapes {
        let _ = write!(page, "\n### {name}\n\n{}\n\n", schema::says(shape));
        match schema::words(shape) {
            Some(words) => {
                for (word, means) in words {
                    let gap = if means.is_empty() { "" } else { ": " };
                    let _ = writeln!(page, "- `{word}`{gap}{means}");
                }
            }
            None if shape["properties"].is_object() => page.push_str(&schema::table(shape)),
            None => page.push_str("A text.\n"),
        }
    }
    Ok(page)
}

fn heading(page: &mut String, event: &Event) {
    let Event { kind, version, what, producer, consumers, .. } = event;
    let _ = write!(
        page,
        "\n### {kind}\n\n{what} Version {version}; made by {producer}, heard by the {consumers}. \
         May cause: {}.\n\n",
        causes(event)
    );
}

fn causes(event: &Event) -> String {
    if event.causes.is_empty() {
        return "nothing".into();
    }
    event.causes.iter().map(|kind| link(kind)).collect::<Vec<_>>().join(", ")
}

/// To the heading of an event.
fn link(kind: &str) -> String {
    format!("[`{kind}`](#{})", kind.replace('.', ""))
}

/// The fields of `data` that this kind of fact fills.
fn carried(fact: &Fact) -> anyhow::Result<String> {
    let data = serde_json::to_value(&fact.data)?;
    let fields = data.as_object().into_iter().flatten().map(|(name, _)| format!("`{name}`"));
    Ok(fields.collect::<Vec<_>>().join(", "))
}

fn fold(page: &mut String, title: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(&serde_json::to_value(value)?)?;
    let _ = write!(
        page,
        "\n<details><summary>{title}</summary>\n\n```json\n{json}\n```\n\n</details>\n"
    );
    Ok(())
}
