//! Edits of a command that failed for its data: the body as a person changed it is read as the
//! type that the schema of the event is made of, and stays the command of its task.

use super::{AlarmCreate, Command, Ec2Launch, Ec2Start, Ec2Stop, NoopRun, ProductUpload};
use crate::text::{self, TextError};
use serde_json::{Map, Value};

/// Maximum size of an edited body, in bytes.
pub const MAX_EDIT_BYTES: usize = 1 << 20;

/// A command as its task has it.
#[derive(Clone, Copy, Debug)]
pub struct StoredCommand<'a> {
    /// Kind of the command.
    pub kind: &'a str,
    /// Version of the body.
    pub version: u16,
    /// Queue of the task.
    pub queue: &'a str,
    /// Key of the task.
    pub key: &'a str,
    /// The body.
    pub body: &'a Value,
}

/// An edit that may be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandEdit {
    /// The body as JSON.
    pub body: String,
    /// New title of the task, if it is a field of the body.
    pub title: Option<String>,
    /// What differs from the stored body; empty if nothing does.
    pub changes: Vec<ValueChange>,
}

/// One value that an edit changes.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueChange {
    /// [JSON pointer](https://www.rfc-editor.org/rfc/rfc6901) to the value.
    pub pointer: String,
    /// Value before, if there was one.
    pub before: Option<Value>,
    /// Value after, if there is one.
    pub after: Option<Value>,
}

/// Reason for which an edit is refused, with the place, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// This release has no type for the command.
    #[error(
        "This release doesn't know {kind} in version {version}, so it can't check a change of it. \
         Replay it as it is."
    )]
    UnknownCommand {
        /// Kind of the command.
        kind: String,
        /// Version of its body.
        version: u16,
    },
    /// The text is too long.
    #[error("The message has {found} bytes; at most {MAX_EDIT_BYTES} are allowed. Shorten it.")]
    TooLong {
        /// Its number of bytes.
        found: usize,
    },
    /// The text is no JSON.
    #[error("Line {line}, column {column}: this is no JSON: {reason}. Correct it there.")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Error of the parser.
        reason: String,
    },
    /// A value is missing, or is none that the command may have.
    #[error("{}, line {line}: {reason}.", place(pointer))]
    Invalid {
        /// JSON pointer to the value.
        pointer: String,
        /// Line, from 1.
        line: usize,
        /// Error of the parser.
        reason: String,
    },
    /// The command has no such field, so it would be dropped.
    #[error("{}: {kind} has no such field. Correct its name, or remove it.", place(pointer))]
    UnknownField {
        /// JSON pointer to the field.
        pointer: String,
        /// Kind of the command.
        kind: &'static str,
    },
    /// A field that says what the command is about has another value.
    #[error(
        "{}: this says what the command is about, and has to stay {stored}. To do something else, \
         launch it.",
        place(pointer)
    )]
    Identity {
        /// JSON pointer to the field.
        pointer: String,
        /// The stored value, as JSON.
        stored: String,
    },
    /// A text is too long, or has a control character.
    #[error("{}: {error}", place(pointer))]
    Text {
        /// JSON pointer to the text.
        pointer: String,
        /// What is wrong with it.
        error: TextError,
    },
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "The message" } else { pointer }
}

/// Reads `edited`, a body as JSON, as an edit of `stored`.
///
/// # Errors
/// The text is no JSON, is no body of this kind of command, has a field that the command doesn't
/// have, or changes what the command is about.
pub fn check_edit(stored: StoredCommand<'_>, edited: &str) -> Result<CommandEdit, EditError> {
    let check = match (stored.kind, stored.version) {
        (ProductUpload::KIND, ProductUpload::VERSION) => check_edit_of::<ProductUpload>,
        (Ec2Start::KIND, Ec2Start::VERSION) => check_edit_of::<Ec2Start>,
        (Ec2Stop::KIND, Ec2Stop::VERSION) => check_edit_of::<Ec2Stop>,
        (Ec2Launch::KIND, Ec2Launch::VERSION) => check_edit_of::<Ec2Launch>,
        (AlarmCreate::KIND, AlarmCreate::VERSION) => check_edit_of::<AlarmCreate>,
        (NoopRun::KIND, NoopRun::VERSION) => check_edit_of::<NoopRun>,
        (kind, version) => {
            return Err(EditError::UnknownCommand { kind: kind.into(), version });
        }
    };
    check(stored, edited)
}

fn check_edit_of<C: Command>(
    stored: StoredCommand<'_>,
    edited: &str,
) -> Result<CommandEdit, EditError> {
    if edited.len() > MAX_EDIT_BYTES {
        return Err(EditError::TooLong { found: edited.len() });
    }
    let command: C = parse(edited)?;
    let invalid = |error: serde_json::Error| EditError::Invalid {
        pointer: String::new(),
        line: 1,
        reason: error.to_string(),
    };
    let after = serde_json::to_value(&command).map_err(invalid)?;
    check_identity(&command, stored, &after)?;
    check_texts(&after, &mut String::new())?;
    if let Some((pointer, title)) = command.title() {
        let error = |error| EditError::Text { pointer: pointer.into(), error };
        text::TITLE.check(title).map_err(error)?;
    }
    // A default that the stored body writes out, or leaves out, is no change.
    let before = serde_json::from_value::<C>(stored.body.clone())
        .and_then(|command| serde_json::to_value(&command))
        .unwrap_or_else(|_| stored.body.clone());
    let mut changes = Vec::new();
    add_changes(&before, &after, &mut String::new(), &mut changes);
    let body = serde_json::to_string(&command).map_err(invalid)?;
    Ok(CommandEdit { body, title: command.title().map(|(_, title)| title.to_owned()), changes })
}

/// Reads a command, and refuses fields that it doesn't have.
fn parse<C: Command>(text: &str) -> Result<C, EditError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let mut unknown = None;
    let read = serde_ignored::deserialize(
        serde_path_to_error::Deserializer::new(&mut json, &mut track),
        |path| {
            unknown.get_or_insert_with(|| ignored_pointer(&path));
        },
    );
    let read = read.and_then(|command| json.end().map(|()| command));
    let command = read.map_err(|error: serde_json::Error| {
        let (line, column) = (error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
        match error.is_data() {
            true => EditError::Invalid { pointer: tracked_pointer(&track.path()), line, reason },
            false => EditError::Syntax { line, column, reason },
        }
    })?;
    match unknown {
        Some(pointer) => Err(EditError::UnknownField { pointer, kind: C::KIND }),
        None => Ok(command),
    }
}

fn check_identity<C: Command>(
    command: &C,
    stored: StoredCommand<'_>,
    after: &Value,
) -> Result<(), EditError> {
    // An empty text is left out of some bodies.
    let value = |body: &Value, pointer: &str| {
        body.pointer(pointer).cloned().unwrap_or_else(|| Value::from(""))
    };
    let changed = |pointer: &&&str| value(stored.body, pointer) != value(after, pointer);
    let refused =
        |pointer: &str, stored: String| EditError::Identity { pointer: pointer.into(), stored };
    if let Some(pointer) = C::IDENTITY.iter().find(changed) {
        return Err(refused(pointer, value(stored.body, pointer).to_string()));
    }
    // Holds for a body too that was stored by another release.
    if command.key() != stored.key {
        return Err(refused("", format!("{:?}", stored.key)));
    }
    if command.queue() != stored.queue {
        return Err(refused("", format!("in the queue {}", stored.queue)));
    }
    Ok(())
}

/// Checks that the texts of a body can be stored.
fn check_texts(value: &Value, pointer: &mut String) -> Result<(), EditError> {
    match value {
        Value::String(text) => text::COMMAND_TEXT
            .check(text)
            .map_err(|error| EditError::Text { pointer: pointer.clone(), error }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            at(pointer, &index.to_string(), |pointer| check_texts(item, pointer))
        }),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, field)| at(pointer, name, |pointer| check_texts(field, pointer))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Adds the values that differ. Lists of different lengths are one value.
fn add_changes(before: &Value, after: &Value, pointer: &mut String, all: &mut Vec<ValueChange>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            add_field_changes(before, after, pointer, all);
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                at(pointer, &index.to_string(), |pointer| add_changes(before, after, pointer, all));
            }
        }
        (before, after) if before == after => {}
        (before, after) => all.push(ValueChange {
            pointer: pointer.clone(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn add_field_changes(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    pointer: &mut String,
    all: &mut Vec<ValueChange>,
) {
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in before.keys().chain(added) {
        at(pointer, name, |pointer| match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => add_changes(before, after, pointer, all),
            (before, after) => all.push(ValueChange {
                pointer: pointer.clone(),
                before: before.cloned(),
                after: after.cloned(),
            }),
        });
    }
}

/// Runs `action` with the pointer to a field or an item of what `pointer` points to.
fn at<T>(pointer: &mut String, name: &str, action: impl FnOnce(&mut String) -> T) -> T {
    let length = pointer.len();
    push_token(pointer, name);
    let result = action(pointer);
    pointer.truncate(length);
    result
}

fn push_token(pointer: &mut String, name: &str) {
    pointer.push('/');
    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

/// Returns the pointer to where a parser stopped.
fn tracked_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => push_token(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_token(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Returns the pointer to a field that nothing reads.
fn ignored_pointer(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    let (parent, name) = match path {
        Path::Root => return String::new(),
        Path::Map { parent, key } => (parent, key.clone()),
        Path::Seq { parent, index } => (parent, index.to_string()),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => return ignored_pointer(parent),
    };
    let mut pointer = ignored_pointer(parent);
    push_token(&mut pointer, &name);
    pointer
}

#[cfg(test)]
mod tests;
