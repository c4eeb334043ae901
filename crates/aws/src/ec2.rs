//! EC2: describe, start, stop and launch machines.

mod description;
mod launch_template;

pub use description::{Machine, MachinePage};
pub use launch_template::{LaunchTemplate, LaunchTemplatePage, MachineLaunch};

use crate::{
    Client, Error,
    endpoint::Service,
    query::{Params, parse},
};
use description::{DescribeInstancesResponse, RunInstancesResponse};
use launch_template::DescribeLaunchTemplatesResponse;

/// Maximum number of values of one filter, which AWS documents for
/// [filters of resources](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html).
pub const MAX_FILTER_VALUES: usize = 200;
/// Maximum number of machines on a page.
const PAGE_SIZE: &str = "1000";
/// Maximum number of launch templates on a page.
const TEMPLATE_PAGE_SIZE: &str = "200";

impl Client {
    /// Describes those of the machines `ids` that exist, or all machines if `ids` is empty: one
    /// page, which begins at `next_token`. It is a filter and not a list of ids, because EC2
    /// answers a list that has one unknown id with an error for all.
    ///
    /// # Errors
    /// The machines can't be described. More ids than [`MAX_FILTER_VALUES`] are refused by EC2.
    pub async fn describe_machines(
        &self,
        ids: &[&str],
        next_token: Option<&str>,
    ) -> Result<MachinePage, Error> {
        let mut params: Params<'_> = vec![("MaxResults".into(), PAGE_SIZE.into())];
        if !ids.is_empty() {
            params.push(("Filter.1.Name".into(), "instance-id".into()));
        }
        for (number, id) in (1..).zip(ids) {
            params.push((format!("Filter.1.Value.{number}").into(), (*id).into()));
        }
        if let Some(token) = next_token {
            params.push(("NextToken".into(), token.into()));
        }
        let xml = self.send(Service::Ec2, "DescribeInstances", &params).await?;
        let response: DescribeInstancesResponse = parse(Service::Ec2, &xml, false)?;
        Ok(response.into())
    }

    /// Starts a machine; starting a running one changes nothing. One id a call, because one
    /// that can't be started would keep the others from starting.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn start_machine(&self, id: &str) -> Result<(), Error> {
        let params = vec![("InstanceId.1".into(), id.into())];
        self.send(Service::Ec2, "StartInstances", &params).await.map(|_| ())
    }

    /// Stops a machine; stopping a stopped one changes nothing.
    ///
    /// # Errors
    /// EC2 did not accept the request.
    pub async fn stop_machine(&self, id: &str) -> Result<(), Error> {
        let params = vec![("InstanceId.1".into(), id.into())];
        self.send(Service::Ec2, "StopInstances", &params).await.map(|_| ())
    }

    /// Describes the launch templates: one page, which begins at `next_token`.
    ///
    /// # Errors
    /// The templates can't be described.
    pub async fn describe_launch_templates(
        &self,
        next_token: Option<&str>,
    ) -> Result<LaunchTemplatePage, Error> {
        let mut params: Params<'_> = vec![("MaxResults".into(), TEMPLATE_PAGE_SIZE.into())];
        if let Some(token) = next_token {
            params.push(("NextToken".into(), token.into()));
        }
        let xml = self.send(Service::Ec2, "DescribeLaunchTemplates", &params).await?;
        let response: DescribeLaunchTemplatesResponse = parse(Service::Ec2, &xml, false)?;
        Ok(response.into())
    }

    /// Launches one machine, and returns it. The same launch may be sent again: with the same
    /// client token it has [one effect][idempotency], and its answer is that of the first one.
    ///
    /// [idempotency]: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    ///
    /// # Errors
    /// EC2 did not accept the request, or its answer names no machine.
    pub async fn launch_machine(&self, launch: &MachineLaunch<'_>) -> Result<Machine, Error> {
        let version = launch.template_version.to_string();
        let mut params: Params<'_> = vec![
            ("LaunchTemplate.LaunchTemplateId".into(), launch.template_id.into()),
            ("LaunchTemplate.Version".into(), version.into()),
            ("MinCount".into(), "1".into()),
            ("MaxCount".into(), "1".into()),
            ("ClientToken".into(), launch.client_token.into()),
        ];
        if !launch.name.is_empty() {
            params.push(("TagSpecification.1.ResourceType".into(), "instance".into()));
            params.push(("TagSpecification.1.Tag.1.Key".into(), "Name".into()));
            params.push(("TagSpecification.1.Tag.1.Value".into(), launch.name.into()));
        }
        let xml = self.send(Service::Ec2, "RunInstances", &params).await?;
        let response: RunInstancesResponse = parse(Service::Ec2, &xml, true)?;
        response.into_machine().ok_or_else(|| {
            let message = "EC2's answer names no machine.".to_owned();
            Error::temporary("unreadable_response", message, true)
        })
    }

    /// Describes the machine that was launched with a client token; `None` if there is none.
    ///
    /// # Errors
    /// The machine can't be described.
    pub async fn find_launched_machine(
        &self,
        client_token: &str,
    ) -> Result<Option<Machine>, Error> {
        let params: Params<'_> = vec![
            ("Filter.1.Name".into(), "client-token".into()),
            ("Filter.1.Value.1".into(), client_token.into()),
        ];
        let xml = self.send(Service::Ec2, "DescribeInstances", &params).await?;
        let response: DescribeInstancesResponse = parse(Service::Ec2, &xml, false)?;
        Ok(MachinePage::from(response).machines.into_iter().next())
    }
}
