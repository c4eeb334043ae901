//! The first batch, in whose launch web nodes may be killed.

use super::{
    fault::Fault,
    scene::{Scene, Told},
};
use crate::api::{Api, csv_of};
use anyhow::bail;
use contract::api::Job;
use rand::RngExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;

/// A launch that nobody takes for so long is not taken.
const NEVER: Duration = Duration::from_secs(180);
/// Kills until one comes at the right moment.
const TRIES: usize = 10;
/// Of the launches that are tried, products.
const FEW: usize = 2;

/// The batch, and jobs that were tried before it.
pub async fn first(scene: &mut Scene<'_>, fault: Fault, file: String) -> anyhow::Result<Job> {
    match fault {
        Fault::WebKilledAfter202 => killed_after(scene).await?,
        Fault::WebKilledBefore202 => killed_before(scene).await?,
        _ => {}
    }
    let key = format!("{}A", scene.name);
    launch(scene.apis, file, &key).await
}

/// A client that repeats its launch with the same key until it is accepted.
pub async fn launch(apis: &[Api], file: String, key: &str) -> anyhow::Result<Job> {
    let ask = |api: Api| {
        let file = file.clone();
        async move { api.upload(file, key).await }
    };
    repeated(apis, ask).await
}

/// Asks one node after the other until one accepts.
pub async fn repeated<F: Future<Output = anyhow::Result<Job>>>(
    apis: &[Api],
    ask: impl Fn(Api) -> F,
) -> anyhow::Result<Job> {
    let start = Instant::now();
    for api in apis.iter().cycle() {
        match ask(api.clone()).await {
            Ok(job) => return Ok(job),
            Err(error) if start.elapsed() > NEVER => return Err(error),
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
    bail!("there is no web node")
}

/// Kills both web nodes with a 202, until nothing of its job was published.
async fn killed_after(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let mut published = Vec::new();
    while published.len() < TRIES && !published.contains(&0) {
        let name = format!("{}T{}", scene.name, published.len());
        let job = scene.apis[0].upload(csv_of(&name, FEW), &name).await?;
        for node in &mut scene.cluster.web {
            node.kill();
        }
        // PostgreSQL's clock is this machine's.
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        scene.told.push(Told::new(job.id, FEW));
        let sql = format!(
            "SELECT count(*) FROM tasks WHERE job_id = '{}' AND published_at <= {killed}",
            job.id
        );
        published.push(scene.cluster.database.count(&sql).await?);
        sleep(Duration::from_millis(scene.dice.random_range(200..1_500))).await;
        for node in &mut scene.cluster.web {
            node.spawn().await?;
        }
    }
    let detail = format!("items published by then: {published:?}");
    scene.report.check("killed between commit and publish", published.contains(&0), &*detail);
    scene.report.figure("kills with a 202", detail, None);
    Ok(())
}

/// Kills a web node during a launch, until one is left without an answer; its
/// client asks the other node again.
async fn killed_before(scene: &mut Scene<'_>) -> anyhow::Result<()> {
    let mut longest = 60_000;
    for n in 1..=TRIES {
        let name = format!("{}T{n}", scene.name);
        let (api, key) = (scene.apis[0].clone(), name.clone());
        let asked = tokio::spawn(async move { api.upload(csv_of(&key, FEW), &key).await });
        let moment = scene.dice.random_range(0..longest);
        sleep(Duration::from_micros(moment)).await;
        scene.cluster.web[0].kill();
        let answered = asked.await?;
        let again = launch(&scene.apis[1..], csv_of(&name, FEW), &name).await?;
        scene.told.push(Told::new(again.id, FEW));
        scene.cluster.web[0].spawn().await?;
        match answered {
            Ok(first) => {
                let same = first.id == again.id;
                scene.report.check("one key, one job", same, format!("{name}: {same}"));
                // Too late.
                longest = moment.max(2_000);
            }
            Err(error) if was_sent(&error) => {
                let detail = format!("the {n}. kill, {:.1} ms after it began", ms(moment));
                scene.report.figure("a launch without an answer", detail, None);
                return Ok(());
            }
            // Too early: nobody was asked.
            Err(_) => {}
        }
    }
    scene.report.check("a launch without an answer", false, format!("none by {TRIES} kills"));
    Ok(())
}

/// Whether the node may have heard it.
fn was_sent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(|error| !error.is_connect())
}

fn ms(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}
