//! Renders `docs/asyncapi.json`: the catalogue as an
//! [AsyncAPI 3.0](https://www.asyncapi.com/docs/reference/specification/v3.0.0) document,
//! with the schemas of all messages.

use super::example;
use contract::{
    catalogue::{COMMANDS, Event, signal_event},
    command::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload},
    envelope::{BATCH_CONTENT_TYPE, CONTENT_TYPE, CommandData, Envelope},
    fact::{Fact, FactKind},
    signal::{SessionEnded, SignalKind},
    websocket::{ClientFrame, ServerFrame, TaskStarted},
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

const COMMANDS_EXCHANGE: &str = "meanwhile.commands";
const HUB_EVENTS_EXCHANGE: &str = "meanwhile.hub_events";
const DESCRIPTION: &str = "\
Commands ask a worker to run one task. Facts say what happened; each is an entry of its user's \
journal, with a `seq` that counts without gaps. Signals are what nodes tell each other without a \
journal entry. Commands are delivered at least once, in no particular order; the database is the \
source of truth, and a command only announces a task. docs/EVENTS.md has the conventions.";

/// Returns the document as pretty JSON.
///
/// # Errors
/// An event has no example, or an example can't be written as JSON.
pub fn render(facts: &[(FactKind, Event)]) -> anyhow::Result<String> {
    let mut document = Document::new();
    for event in COMMANDS {
        document.add_command(event)?;
    }
    document.add_hub_events(facts)?;
    document.add_socket();
    let mut text = serde_json::to_string_pretty(&document.into_json())?;
    text.push('\n');
    Ok(text)
}

/// The parts of the document that grow with each event.
struct Document {
    generator: SchemaGenerator,
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

impl Document {
    fn new() -> Self {
        let settings = SchemaSettings::draft07()
            .with(|settings| settings.definitions_path = "/components/schemas".into());
        let (channels, operations, messages) = (Map::new(), Map::new(), Map::new());
        Self { generator: settings.into_generator(), channels, operations, messages }
    }

    fn add_command(&mut self, event: &Event) -> anyhow::Result<()> {
        let sample = example::command(event.kind)?;
        let body = body_schema(&mut self.generator, event.kind)?;
        let mut data = self.definition::<CommandData>();
        data["properties"]["body"] = body;
        let message = message_name(event);
        let payload = self.envelope_schema(&message, data);
        self.messages.insert(message.clone(), message_object(event, payload, &sample.message));

        let (address, parameters) = address_of(&sample.queue);
        let channel = json!({
            "address": address,
            "title": event.kind,
            "description": event.description,
            "servers": [reference(&["servers", "rabbitmq"])],
            "messages": { &*message: reference(&["components", "messages", &message]) },
            "parameters": parameters,
            "bindings": { "amqp": {
                "is": "queue",
                "queue": { "name": address, "durable": true, "exclusive": false, "autoDelete": false },
                "bindingVersion": "0.3.0",
            } },
        });
        self.channels.insert(event.kind.into(), channel);
        self.add_operation(
            "send",
            event.kind,
            event.producer,
            std::slice::from_ref(&message),
            event.kind,
        );
        self.add_operation("receive", event.kind, event.consumers, &[message], event.kind);
        Ok(())
    }

    /// Adds facts and signals, which share an exchange.
    fn add_hub_events(&mut self, facts: &[(FactKind, Event)]) -> anyhow::Result<()> {
        let mut names = Vec::new();
        for (kind, event) in facts {
            let fact = self.generator.subschema_for::<Fact>().to_value();
            let name = message_name(event);
            let data = json!({
                "allOf": [fact, { "properties": { "kind": { "const": event.kind } } }],
            });
            let payload = self.envelope_schema(&name, data);
            let sample = envelope_example(&name, &example::fact(*kind))?;
            self.messages.insert(name.clone(), message_object(event, payload, &sample));
            names.push(name);
        }
        for kind in SignalKind::ALL {
            let event = signal_event(*kind);
            let name = message_name(&event);
            let data = match kind {
                SignalKind::TaskStarted => self.generator.subschema_for::<TaskStarted>(),
                SignalKind::SessionEnded => self.generator.subschema_for::<SessionEnded>(),
            };
            let payload = self.envelope_schema(&name, data.to_value());
            let sample = envelope_example(&name, &example::signal(*kind)?)?;
            self.messages.insert(name.clone(), message_object(&event, payload, &sample));
            names.push(name);
        }
        let messages: Map<_, _> = names
            .iter()
            .map(|name| (name.clone(), reference(&["components", "messages", name])))
            .collect();
        let description = format!(
            "Facts and signals, routed by their kind without version. Facts of one commit and kind \
             share a message of the media type `{BATCH_CONTENT_TYPE}`: a list of these payloads."
        );
        let channel = json!({
            "address": HUB_EVENTS_EXCHANGE,
            "title": "Hub events",
            "description": description,
            "servers": [reference(&["servers", "rabbitmq"])],
            "messages": messages,
            "bindings": { "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": HUB_EVENTS_EXCHANGE, "type": "topic", "durable": true, "autoDelete": false,
                },
                "bindingVersion": "0.3.0",
            } },
        });
        self.channels.insert("hub_events".into(), channel);
        let producer = "the process that committed the change";
        self.add_operation("send", "hub_events", producer, &names, "hub_events");
        self.add_operation("receive", "hub_events", "hub", &names, "hub_events");
        Ok(())
    }

    fn add_socket(&mut self) {
        let client = self.generator.subschema_for::<ClientFrame>().to_value();
        let server = self.generator.subschema_for::<ServerFrame>().to_value();
        let frames = [
            ("client_frame", "A frame from the browser to the server.", client),
            ("server_frame", "A frame from the server to the browser.", server),
        ];
        let mut messages = Map::new();
        for (name, summary, payload) in frames {
            let message = json!({
                "name": name,
                "summary": summary,
                "contentType": "application/json",
                "payload": payload,
            });
            self.messages.insert(name.into(), message);
            messages.insert(name.into(), reference(&["components", "messages", name]));
        }
        let channel = json!({
            "address": "/ws",
            "title": "WebSocket",
            "description": "All facts of the signed-in user, and what happens between them. The \
                            first frame of a client is `hello`; with `after` it misses nothing.",
            "servers": [reference(&["servers", "web"])],
            "messages": messages,
            "bindings": { "ws": { "method": "GET", "bindingVersion": "0.1.0" } },
        });
        self.channels.insert("socket".into(), channel);
        for (action, frame, by) in
            [("send", "server_frame", "hub"), ("receive", "client_frame", "hub")]
        {
            self.add_operation(action, frame, by, &[frame.into()], "socket");
        }
    }

    /// Adds what a part of Meanwhile does with the messages of a channel.
    fn add_operation(
        &mut self,
        action: &str,
        what: &str,
        by: &str,
        messages: &[String],
        channel: &str,
    ) {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| reference(&["channels", channel, "messages", message]))
            .collect();
        let operation = json!({
            "action": action,
            "channel": reference(&["channels", channel]),
            "summary": format!("{} {what}: {by}", if action == "send" { "Sends" } else { "Receives" }),
            "messages": messages,
        });
        self.operations.insert(format!("{action}.{what}"), operation);
    }

    /// Returns the schema of an envelope with this type and `data`.
    fn envelope_schema(&mut self, message: &str, data: Value) -> Value {
        let mut envelope = self.definition::<Envelope>();
        envelope["properties"]["type"] = json!({ "const": message });
        envelope["properties"]["data"] = data;
        envelope
    }

    /// Returns the schema of a type as its own copy, to be changed.
    fn definition<T: JsonSchema>(&mut self) -> Value {
        let mut schema = T::json_schema(&mut self.generator).to_value();
        if let Some(object) = schema.as_object_mut() {
            object.remove("$schema");
        }
        schema
    }

    fn into_json(mut self) -> Value {
        let schemas = self.generator.take_definitions(true);
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "Meanwhile",
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
                "license": { "name": "MIT OR Apache-2.0" },
            },
            "defaultContentType": CONTENT_TYPE,
            "servers": {
                "rabbitmq": {
                    "host": "localhost:5672",
                    "protocol": "amqp",
                    "protocolVersion": "0.9.1",
                    "description": format!(
                        "The broker of MEANWHILE_BROKER. Commands are published to the exchange \
                         {COMMANDS_EXCHANGE}, with the queue as routing key."
                    ),
                },
                "web": {
                    "host": "localhost:3000",
                    "protocol": "ws",
                    "description": "The web server, with the cookie of a session.",
                },
            },
            "channels": self.channels,
            "operations": self.operations,
            "components": { "messages": self.messages, "schemas": schemas },
        })
    }
}

fn message_name(event: &Event) -> String {
    format!("{}.v{}", event.kind, event.version)
}

fn message_object(event: &Event, payload: Value, sample: &Value) -> Value {
    json!({
        "name": message_name(event),
        "title": event.kind,
        "summary": event.description,
        "contentType": CONTENT_TYPE,
        "payload": payload,
        "examples": [{ "payload": sample }],
        "x-producer": event.producer,
        "x-consumers": event.consumers,
        "x-retry": event.retry,
        "x-limiter": event.limiter,
        "x-may-cause": event.may_cause,
    })
}

fn envelope_example(message: &str, data: &impl serde::Serialize) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(example::envelope(message, serde_json::to_value(data)?))?)
}

/// Returns a queue's name with its parts in braces, and their descriptions.
fn address_of(queue: &str) -> (String, Value) {
    let parts = [
        ("channel", "Id of the sales channel, such as `acme`."),
        ("account", "Account of the machines, as the configuration names it."),
        ("region", "Region of the machines, such as `eu-central-1`."),
    ];
    let mut address = queue.to_owned();
    let mut parameters = Map::new();
    for (name, description) in parts {
        let placeholder = format!("<{name}>");
        if address.contains(&placeholder) {
            address = address.replace(&placeholder, &format!("{{{name}}}"));
            parameters.insert(name.into(), json!({ "description": description }));
        }
    }
    (address, Value::Object(parameters))
}

fn reference(path: &[&str]) -> Value {
    let path: Vec<_> = path.iter().map(|part| part.replace('~', "~0").replace('/', "~1")).collect();
    json!({ "$ref": format!("#/{}", path.join("/")) })
}

fn body_schema(generator: &mut SchemaGenerator, kind: &str) -> anyhow::Result<Value> {
    let schema = match kind {
        ProductUpload::KIND => generator.subschema_for::<ProductUpload>(),
        Ec2Start::KIND => generator.subschema_for::<Ec2Start>(),
        AlarmCreate::KIND => generator.subschema_for::<AlarmCreate>(),
        NoopRun::KIND => generator.subschema_for::<NoopRun>(),
        Ec2Stop::KIND => generator.subschema_for::<Ec2Stop>(),
        Ec2Launch::KIND => generator.subschema_for::<Ec2Launch>(),
        other => anyhow::bail!("{other} has no schema: add it in xtask/src/events/asyncapi.rs"),
    };
    Ok(schema.to_value())
}
