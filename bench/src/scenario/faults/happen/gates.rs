//! Redis, and the way to it.

use super::super::scene::Scene;
use anyhow::ensure;
use servers::Mode;
use std::time::Duration;
use tokio::time::sleep;

/// Longer than an answer is waited for, and then a new connection.
const SILENCE: Duration = Duration::from_secs(4);

pub async fn killed(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    scene.cluster.redis.kill();
    sleep(away).await;
    scene.blocking(|cluster| cluster.redis.spawn());
    Ok(())
}

pub async fn flushed(scene: &mut Scene<'_>, away: Duration) -> anyhow::Result<()> {
    for _ in 0..3 {
        ensure!(scene.cluster.redis.control(&["FLUSHALL"]), "Redis was not flushed");
        sleep(away / 4).await;
    }
    Ok(())
}

/// After the first silence Redis hears what was said in it, late; after the
/// second one it never does.
pub async fn silent(scene: &mut Scene<'_>, away: Duration) {
    let proxy = &scene.cluster.to_redis;
    let before = proxy.unheard();
    for forgotten in [false, true] {
        proxy.set(Mode::Silent);
        sleep(SILENCE + away / 2).await;
        if forgotten {
            proxy.lose();
        }
        proxy.set(Mode::Carry);
        sleep(away).await;
    }
    let new = proxy.unheard() - before;
    scene.report.check("silence is found", new > 0, format!("{new} connections made anew"));
    scene.report.figure("connections made in the silence", new.to_string(), None);
}
