//! `meanwhile upload` and `start`.

use crate::{
    api_client::{ApiClient, Body},
    arguments::{StartArguments, UploadArguments},
    error::{Completion, Error},
    jobs::report,
    output::{print_json, print_line},
    words,
};
use contract::api::{DryRun, StartInstances};
use serde_json::{Value, json};
use std::{io::Read, path::Path};
use uuid::Uuid;

/// Uploads a file.
pub async fn upload(arguments: UploadArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let file = read_file(&arguments.file)?;
    let query = query(&arguments);
    let key = arguments.idempotency_key.unwrap_or_else(random_key);
    let body = api.launch("/jobs/product-uploads", &query, Body::File(file), &key).await?;
    if arguments.dry_run {
        match arguments.client.json {
            true => print_json(&body)?,
            false => print_dry_run(&api, body)?,
        }
        return Ok(Completion::Success);
    }
    report(&api, body, "Launched", arguments.watch, &arguments.client).await
}

/// Starts machines.
pub async fn start(arguments: StartArguments) -> Result<Completion, Error> {
    let api = ApiClient::resolve(&arguments.client)?;
    let StartArguments { instance_ids, account, region, .. } = arguments;
    let body = json!(StartInstances { instance_ids, account, region });
    let key = arguments.idempotency_key.unwrap_or_else(random_key);
    let body = api.launch("/jobs/ec2-starts", &[], Body::Json(body), &key).await?;
    report(&api, body, "Launched", arguments.watch, &arguments.client).await
}

fn random_key() -> String {
    Uuid::now_v7().to_string()
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let read = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => std::fs::read(path),
    };
    read.map_err(|error| Error::Usage(format!("{} can't be read: {error}.", path.display())))
}

/// Returns the parameters of the API.
fn query(arguments: &UploadArguments) -> Vec<(&'static str, String)> {
    let name = arguments.file.file_name().filter(|_| arguments.file != Path::new("-"));
    let flag = |is_set: bool| is_set.then(|| "true".to_owned());
    let parameters = [
        ("channels", Some(arguments.channels.join(","))),
        ("file", name.map(|name| name.to_string_lossy().into_owned())),
        ("map", arguments.map.as_ref().map(ToString::to_string)),
        ("decimal", arguments.decimal.clone()),
        ("price", arguments.price.clone()),
        ("drafts", arguments.drafts.clone()),
        ("zero_price", arguments.zero_price.clone()),
        ("sheet", arguments.sheet.clone()),
        ("encoding", arguments.encoding.clone()),
        ("skip_bad", flag(arguments.skip_bad)),
        ("dry_run", flag(arguments.dry_run)),
    ];
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Says how a file is understood.
fn print_dry_run(api: &ApiClient, body: Value) -> Result<(), Error> {
    let checked: DryRun = api.parse(body)?;
    let (file, format) = (&checked.file, checked.format.name());
    let products = words::count(checked.products, "product");
    let variants = words::count(checked.variants, "variant");
    print_line(&format!("{file}: {format} with {products}, {variants}. Nothing was launched."))?;
    let mut lines = Vec::new();
    if checked.bad_row_count > 0 {
        lines.push(format!("{} can't be uploaded:", words::count(checked.bad_row_count, "row")));
        lines.extend(words::bad_rows(&checked.bad_rows, checked.bad_row_count));
    }
    for of_kind in &checked.left_out.by_kind {
        let count = of_kind.count;
        lines.push(format!("Left out: {count} {}.", of_kind.kind.noun(count)));
    }
    if !checked.questions.is_empty() {
        lines.push("Answer these before the launch:".into());
        lines.extend(checked.questions.iter().flat_map(words::question));
    }
    for note in &checked.notes {
        lines.push(format!("  line {}: {}", note.line, note.text));
    }
    lines.iter().try_for_each(|line| print_line(line))
}
