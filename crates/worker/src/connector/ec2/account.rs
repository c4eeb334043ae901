//! The account's machines, described at the pace that its starts keep too.

use super::Ec2;
use crate::handler::Answer;
use async_trait::async_trait;
use contract::api::Instance;
use engine::{
    gate::{Embedded, Entry},
    machines::{Error, Source},
};
use std::sync::Arc;

/// An EC2 account behind its gate.
pub struct Account {
    pub ec2: Ec2,
    pub gate: Arc<Embedded>,
    /// As the gate knows it.
    pub name: String,
}

#[async_trait]
impl Source for Account {
    async fn describe(&self) -> Result<Vec<Instance>, Error> {
        let Entry::Now(_permit) = self.gate.enter(&self.name).await else {
            return Err(Error::Busy);
        };
        match self.ec2.describe(&[]).await {
            Ok(machines) => Ok(machines),
            Err(Answer::Closed { wait, .. }) => {
                self.gate.close(&self.name, wait);
                Err(Error::Busy)
            }
            Err(Answer::Failed(outcome)) => Err(Error::Refused(outcome.message)),
            Err(other) => {
                tracing::warn!(?other, "the machines could not be described");
                Err(Error::Unreachable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use engine::gate::Limits;

    #[tokio::test]
    async fn a_service_that_is_away_is_told_as_that() {
        // A port that nobody listens on: it was free a moment ago.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ec2", probe.local_addr().unwrap());
        drop(probe);
        let client = crate::connector::client().unwrap();
        let ec2 = Ec2 { ec2_url: url.clone(), cloudwatch_url: url, client };
        let gate = Arc::new(Embedded::default());
        gate.add("ec2", Limits { rate: 100.0, concurrency: 1 });
        let account = Account { ec2, gate, name: "ec2".into() };
        let error = account.describe().await.unwrap_err();
        assert_eq!(error.to_string(), "EC2 can't be reached. Try again.");
    }
}
