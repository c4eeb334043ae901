//! Reads the file of a launch form as the person's answers say, or, where they gave none, as
//! the team read the last file with the same header.

use super::fields::LaunchFields;
use crate::{problem::Problem, state::AppState};
use app::page::launch::{FileCheckResult, ReadFile};
use contract::{
    api::DryRun,
    feed::{ColumnMapping, ReadOptions},
};
use engine::{
    engine::{LaunchError, RememberedColumns, columns_by_position},
    store::Actor,
};

/// Returns what the page shows of the file. An unreadable file is a result, not an error.
pub async fn check(state: &AppState, fields: &LaunchFields) -> FileCheckResult {
    match read(state, fields).await {
        Ok(file) => FileCheckResult::Parsed(Box::new(file.into())),
        Err(problem) => FileCheckResult::Rejected(problem.detail),
    }
}

/// Returns the page's view of the file if the team chose earlier how such a file is read, and
/// the person has not seen that yet.
pub async fn check_unseen(state: &AppState, fields: &LaunchFields) -> Option<FileCheckResult> {
    if fields.is_checked {
        return None;
    }
    let file = read(state, fields).await.ok()?;
    let is_remembered = file.options != fields.options && file.problem.is_none();
    is_remembered.then(|| FileCheckResult::Parsed(Box::new(file.into())))
}

/// Remembers the columns and the sheet of a file that was launched. A failure doesn't concern
/// the launch, and is only logged.
pub async fn remember(state: &AppState, actor: &Actor, fields: &LaunchFields) {
    let options = &fields.options;
    if options.map.0.is_empty() && options.sheet.is_none() {
        return;
    }
    match dry_run(state, fields, options).await {
        Ok(run) => {
            if let Err(error) = state.engine.remember_choices(actor, &run, options).await {
                error.log_and_count();
            }
        }
        Err(error) => tracing::warn!(%error, "the columns of a launched file were not remembered"),
    }
}

/// Forgets the columns that the team chose for files with this header, also in the form.
///
/// # Errors
/// The file can't be read, or the choice can't be deleted: the form is unchanged.
pub async fn forget_columns(
    state: &AppState,
    actor: &Actor,
    fields: &mut LaunchFields,
) -> Result<(), Problem> {
    let options = ReadOptions { map: ColumnMapping::default(), ..fields.options.clone() };
    let run = dry_run(state, fields, &options).await?;
    state.engine.forget_columns(actor, &run.columns).await?;
    fields.options = options;
    Ok(())
}

async fn dry_run(
    state: &AppState,
    fields: &LaunchFields,
    options: &ReadOptions,
) -> Result<DryRun, LaunchError> {
    let (bytes, options) = (fields.file_bytes.clone(), options.clone());
    state.engine.dry_run(&fields.file_name, bytes, &[], options).await
}

async fn read(state: &AppState, fields: &LaunchFields) -> Result<ReadFile, Problem> {
    let (mut options, mut problem) = (fields.options.clone(), None);
    let run = match dry_run(state, fields, &options).await {
        Ok(run) => run,
        Err(error) if options != ReadOptions::default() => {
            // The page needs the questions, so that the answers can be changed.
            problem = Some(Problem::from(error).detail);
            options = ReadOptions::default();
            dry_run(state, fields, &options).await?
        }
        Err(error) => return Err(error.into()),
    };
    let file = ReadFile { run, options, remembered: None, problem };
    Ok(if file.problem.is_some() { file } else { apply_remembered(state, fields, file).await })
}

/// Returns the file as it is read with the remembered sheet and columns. A person's own answers
/// take precedence.
async fn apply_remembered(state: &AppState, fields: &LaunchFields, mut file: ReadFile) -> ReadFile {
    if !fields.is_checked
        && file.options.sheet.is_none()
        && let Some(sheet) = remembered_sheet(state, &file.run).await
    {
        let options = ReadOptions { sheet: Some(sheet), ..file.options.clone() };
        if let Ok(run) = dry_run(state, fields, &options).await {
            file = ReadFile { run, options, ..file };
        }
    }
    let Some(remembered) = remembered_columns(state, &file.run).await else { return file };
    if file.options.map.0.is_empty() && !fields.is_checked {
        let options = ReadOptions { map: remembered.map.clone(), ..file.options.clone() };
        return match dry_run(state, fields, &options).await {
            Ok(run) => ReadFile { run, options, remembered: Some(remembered), ..file },
            Err(_) => file,
        };
    }
    let is_in_effect =
        same_columns(&columns_by_position(&file.options.map, &file.run.columns), &remembered.map);
    ReadFile { remembered: is_in_effect.then_some(remembered), ..file }
}

fn same_columns(map: &ColumnMapping, other: &ColumnMapping) -> bool {
    map.0.len() == other.0.len() && map.0.iter().all(|pair| other.0.contains(pair))
}

async fn remembered_sheet(state: &AppState, run: &DryRun) -> Option<String> {
    match state.engine.remembered_sheet(&run.sheets).await {
        Ok(sheet) => sheet.filter(|sheet| run.sheet.as_ref() != Some(sheet)),
        Err(error) => {
            error.log_and_count();
            None
        }
    }
}

async fn remembered_columns(state: &AppState, run: &DryRun) -> Option<RememberedColumns> {
    match state.engine.remembered_columns(&run.columns).await {
        Ok(columns) => columns,
        Err(error) => {
            error.log_and_count();
            None
        }
    }
}
