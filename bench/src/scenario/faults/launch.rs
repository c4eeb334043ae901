//! The first batch, during whose launch web nodes may be killed.

use super::{
    context::{AcceptedJob, FaultContext},
    fault::Fault,
};
use anyhow::bail;
use contract::api::Job;
use rand::RngExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::{ApiClient, api::product_csv_with_prefix};
use tokio::time::sleep;

/// Maximum time until a launch is accepted.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(180);
/// Maximum number of kills until one comes at the right moment.
const MAX_KILLS: usize = 10;
/// Products of each trial launch.
const TRIAL_PRODUCTS: usize = 2;

/// Launches the first batch, after the trial launches of faults that kill web nodes.
pub async fn launch_first_batch(
    context: &mut FaultContext<'_>,
    fault: Fault,
    file: String,
) -> anyhow::Result<Job> {
    match fault {
        Fault::WebKilledAfter202 => kill_web_nodes_after_202(context).await?,
        Fault::WebKilledBefore202 => kill_web_node_before_202(context).await?,
        _ => {}
    }
    let key = format!("{}A", context.name);
    launch_with_retries(context.apis, file, &key).await
}

/// Launches an upload, and repeats it with the same key until it is accepted.
pub async fn launch_with_retries(
    apis: &[ApiClient],
    file: String,
    key: &str,
) -> anyhow::Result<Job> {
    let send_launch = |api: ApiClient| {
        let file = file.clone();
        async move { api.upload(file, key).await }
    };
    retry_across_nodes(apis, send_launch).await
}

/// Sends a launch to one node after the other until one accepts it.
pub async fn retry_across_nodes<F: Future<Output = anyhow::Result<Job>>>(
    apis: &[ApiClient],
    send_launch: impl Fn(ApiClient) -> F,
) -> anyhow::Result<Job> {
    let start = Instant::now();
    for api in apis.iter().cycle() {
        match send_launch(api.clone()).await {
            Ok(job) => return Ok(job),
            Err(error) if start.elapsed() > LAUNCH_TIMEOUT => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
    bail!("there is no web node")
}

/// Kills both web nodes right after a 202, until one time nothing of the job was
/// published.
async fn kill_web_nodes_after_202(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    let mut published = Vec::new();
    while published.len() < MAX_KILLS && !published.contains(&0) {
        let name = format!("{}T{}", context.name, published.len());
        let job =
            context.apis[0].upload(product_csv_with_prefix(&name, TRIAL_PRODUCTS), &name).await?;
        for node in &mut context.cluster.web {
            node.kill();
        }
        // PostgreSQL uses the same clock.
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        context.accepted_jobs.push(AcceptedJob::new(job.id, TRIAL_PRODUCTS));
        let sql = format!(
            "SELECT count(*) FROM tasks WHERE job_id = '{}' AND published_at <= {killed}",
            job.id
        );
        published.push(context.cluster.database.query_count(&sql).await?);
        sleep(Duration::from_millis(context.rng.random_range(200..1_500))).await;
        for node in &mut context.cluster.web {
            node.spawn().await?;
        }
    }
    let detail = format!("items published by then: {published:?}");
    context.report.add_check("killed between commit and publish", published.contains(&0), &*detail);
    context.report.add_figure("kills after a 202", detail, None);
    Ok(())
}

/// Kills a web node during a launch, until one launch gets no response; the client
/// repeats each at the other node.
async fn kill_web_node_before_202(context: &mut FaultContext<'_>) -> anyhow::Result<()> {
    let mut longest = 60_000;
    for n in 1..=MAX_KILLS {
        let name = format!("{}T{n}", context.name);
        let (api, key) = (context.apis[0].clone(), name.clone());
        let request = tokio::spawn(async move {
            api.upload(product_csv_with_prefix(&key, TRIAL_PRODUCTS), &key).await
        });
        let moment = context.rng.random_range(0..longest);
        sleep(Duration::from_micros(moment)).await;
        context.cluster.web[0].kill();
        let answered = request.await?;
        let again = launch_with_retries(
            &context.apis[1..],
            product_csv_with_prefix(&name, TRIAL_PRODUCTS),
            &name,
        )
        .await?;
        context.accepted_jobs.push(AcceptedJob::new(again.id, TRIAL_PRODUCTS));
        context.cluster.web[0].spawn().await?;
        match answered {
            Ok(first) => {
                let same = first.id == again.id;
                context.report.add_check("one key, one job", same, format!("{name}: {same}"));
                // The kill came too late.
                longest = moment.max(2_000);
            }
            Err(error) if was_sent(&error) => {
                let detail = format!("kill {n}, {:.1} ms after the launch began", millis(moment));
                context.report.add_figure("a launch without an answer", detail, None);
                return Ok(());
            }
            // The kill came too early: the request was not sent.
            Err(_) => {}
        }
    }
    context.report.add_check(
        "a launch without an answer",
        false,
        format!("none in {MAX_KILLS} kills"),
    );
    Ok(())
}

/// Returns whether the node may have received the request.
fn was_sent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(|error| !error.is_connect())
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}
