//! Launch templates, and launches from them.

use super::description::ItemList;
use serde::Deserialize;

/// A launch template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchTemplate {
    /// EC2's id, such as `lt-0a1b2c3d4e5f60001`.
    pub id: String,
    /// Name, unique in the account and region.
    pub name: String,
    /// Number of the version that a launch without a version uses.
    pub default_version: u64,
    /// Number of the newest version.
    pub latest_version: u64,
}

/// A page of launch templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchTemplatePage {
    /// The templates.
    pub templates: Vec<LaunchTemplate>,
    /// Where the next page begins; `None` on the last one.
    pub next_token: Option<String>,
}

/// Launch of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineLaunch<'a> {
    /// EC2's id of the launch template.
    pub template_id: &'a str,
    /// Number of the version. It is a number, because `$Latest` may mean another version when the
    /// launch is repeated, which EC2 refuses with `IdempotentParameterMismatch`.
    pub template_version: u64,
    /// Tag `Name` of the machine; empty for what the template has.
    pub name: &'a str,
    /// Text of at most 64 ASCII characters that tells this launch from others.
    pub client_token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeLaunchTemplatesResponse {
    launch_templates: ItemList<LaunchTemplateXml>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LaunchTemplateXml {
    launch_template_id: String,
    launch_template_name: String,
    default_version_number: u64,
    latest_version_number: u64,
}

impl From<DescribeLaunchTemplatesResponse> for LaunchTemplatePage {
    fn from(response: DescribeLaunchTemplatesResponse) -> Self {
        let templates = response.launch_templates.item.into_iter().map(|template| LaunchTemplate {
            id: template.launch_template_id,
            name: template.launch_template_name,
            default_version: template.default_version_number,
            latest_version: template.latest_version_number,
        });
        Self {
            templates: templates.collect(),
            next_token: response.next_token.filter(|token| !token.is_empty()),
        }
    }
}
