//! What a fault works on, and the jobs that it launched.

use crate::{audit::outcomes::AllowedOutcomes, report::Report};
use contract::JobId;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use testbed::{ApiClient, Cluster, api::product_csv_with_prefix};

/// Maximum time until a 202, whichever server is down. It is below the 10 s after which a node
/// gives up connecting to a silent RabbitMQ or waiting for its confirm: a launch that waited for
/// that would take longer.
const MAX_ACCEPT_TIME: Duration = Duration::from_secs(9);

/// A job that a client got a 202 for, so it must finish.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedJob {
    pub job: JobId,
    pub products: usize,
    pub allowed: AllowedOutcomes,
}

impl AcceptedJob {
    pub fn new(job: JobId, products: usize) -> Self {
        Self { job, products, allowed: AllowedOutcomes::default() }
    }
}

pub struct FaultContext<'a> {
    pub cluster: &'a mut Cluster,
    pub apis: &'a [ApiClient],
    /// Name of the round; SKUs and keys begin with it.
    pub name: &'a str,
    pub lease: Duration,
    pub rng: &'a mut StdRng,
    /// Ends of the names of workers that must have made an attempt.
    pub required_workers: Vec<String>,
    /// Jobs other than the two batches.
    pub accepted_jobs: Vec<AcceptedJob>,
    pub report: Report,
}

impl FaultContext<'_> {
    /// Runs a blocking function without stalling other tasks.
    pub fn run_blocking<T>(&mut self, action: impl FnOnce(&mut Cluster) -> T) -> T {
        tokio::task::block_in_place(|| action(self.cluster))
    }

    /// Checks that a launch gets its 202 although a server is down.
    pub async fn check_launch_is_accepted(&mut self) {
        let name = format!("{}-MEANWHILE", self.name);
        let start = Instant::now();
        let answer = self.apis[0].upload(product_csv_with_prefix(&name, 1), &name).await;
        let elapsed = start.elapsed();
        let detail = match &answer {
            Ok(_) => format!("after {elapsed:.1?}"),
            Err(error) => format!("{error:#}"),
        };
        self.report.add_check(
            "a launch during the fault gets a 202",
            answer.is_ok() && elapsed < MAX_ACCEPT_TIME,
            detail,
        );
        self.accepted_jobs.extend(answer.map(|job| AcceptedJob::new(job.id, 1)));
    }

    /// Checks that a launch is refused with 503, and not lost after a 202.
    pub async fn check_launch_is_refused(&mut self) {
        let name = format!("{}-NEVER", self.name);
        let answer = self.apis[0].upload_or_503(product_csv_with_prefix(&name, 1), &name).await;
        let refused = matches!(answer, Ok(Err(_)));
        self.report.add_check(
            "a launch during the fault gets a 503",
            refused,
            format!("{answer:?}"),
        );
        self.accepted_jobs
            .extend(answer.into_iter().flatten().map(|job| AcceptedJob::new(job.id, 1)));
    }
}
