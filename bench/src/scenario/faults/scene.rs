//! What a fault happens to, and what it leaves behind.

use crate::{
    api::{Api, csv_of},
    audit::ends::Allowed,
    cluster::Cluster,
    report::Report,
};
use contract::JobId;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// A 202 takes at most so long, whatever is away.
const ACCEPTED: Duration = Duration::from_secs(5);

/// A job that a client was told of: it must come to its end.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub job: JobId,
    pub products: usize,
    pub allowed: Allowed,
}

impl Told {
    pub fn new(job: JobId, products: usize) -> Self {
        Self { job, products, allowed: Allowed::default() }
    }
}

pub struct Scene<'a> {
    pub cluster: &'a mut Cluster,
    pub apis: &'a [Api],
    /// Of the round; SKUs and keys begin with it.
    pub name: &'a str,
    pub lease: Duration,
    pub dice: &'a mut StdRng,
    /// The names of workers that must have tried something end with these.
    pub must_try: Vec<String>,
    /// Jobs besides the two batches.
    pub told: Vec<Told>,
    pub report: Report,
}

impl Scene<'_> {
    /// Runs what blocks without holding up what else goes on.
    pub fn blocking<T>(&mut self, act: impl FnOnce(&mut Cluster) -> T) -> T {
        tokio::task::block_in_place(|| act(self.cluster))
    }

    /// A launch gets its 202 although something is away.
    pub async fn accepts(&mut self) {
        let name = format!("{}-MEANWHILE", self.name);
        let start = Instant::now();
        let answer = self.apis[0].upload(csv_of(&name, 1), &name).await;
        let took = start.elapsed();
        let detail = match &answer {
            Ok(_) => format!("after {took:.1?}"),
            Err(error) => format!("{error:#}"),
        };
        self.report.check("a 202 meanwhile", answer.is_ok() && took < ACCEPTED, detail);
        self.told.extend(answer.map(|job| Told::new(job.id, 1)));
    }

    /// A launch is refused with 503 and not lost in a 202.
    pub async fn refuses(&mut self) {
        let name = format!("{}-NEVER", self.name);
        let answer = self.apis[0].upload_or_503(csv_of(&name, 1), &name).await;
        let refused = matches!(answer, Ok(Err(_)));
        self.report.check("a 503 meanwhile", refused, format!("{answer:?}"));
        self.told.extend(answer.into_iter().flatten().map(|job| Told::new(job.id, 1)));
    }
}
