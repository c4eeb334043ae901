//! The account's machines, described at the pace that its starts keep too.

use super::Ec2;
use crate::handler::Answer;
use async_trait::async_trait;
use contract::api::Instance;
use engine::{
    gate::{Gates, Permit, Refused},
    machines::{Error, PATIENCE, Source},
};
use tokio::time::Instant;

/// An EC2 account behind its gate.
pub struct Account {
    pub ec2: Ec2,
    pub gates: Gates,
    /// As its gate is called.
    pub name: String,
}

impl Account {
    async fn slot(&self) -> Result<Permit, Refused> {
        let mut permit = self.gates.enter(&self.name).await?;
        permit.fresh(Instant::now() + PATIENCE).await?;
        Ok(permit)
    }
}

#[async_trait]
impl Source for Account {
    async fn describe(&self) -> Result<Vec<Instance>, Error> {
        // Held until the answer is there.
        let _permit = self.slot().await.map_err(|refused| match refused {
            Refused::Later { .. } => Error::Busy,
            Refused::Unreachable(error) => {
                tracing::warn!(%error, "the machines can't be read without a pace");
                Error::Unpaced
            }
        })?;
        match self.ec2.describe(&[]).await {
            Ok(machines) => Ok(machines),
            Err(Answer::Closed { wait, outcome }) => {
                self.gates.close(&self.name, wait, &outcome.code).await;
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
    use engine::gate::{Limits, embedded::Embedded};
    use std::{sync::Arc, time::Duration};

    #[tokio::test]
    async fn a_service_that_is_away_is_told_as_that() {
        // A port that nobody listens on: it was free a moment ago.
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ec2", probe.local_addr().unwrap());
        drop(probe);
        let client = crate::connector::client(Duration::from_secs(1)).unwrap();
        let ec2 = Ec2 { ec2_url: url.clone(), cloudwatch_url: url, client };
        let gates = Gates::new(Arc::new(Embedded::default()), None);
        gates.add("ec2", Limits { rate: 100.0, concurrency: 1 });
        let account = Account { ec2, gates, name: "ec2".into() };
        let error = account.describe().await.unwrap_err();
        assert_eq!(error.to_string(), "EC2 can't be reached. Try again.");
    }
}
