//! The keys of a channel's file. Every value that is checked later keeps its position.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// A text with its position.
pub type Text = Spanned<String>;
/// Named texts.
pub type Texts = BTreeMap<Text, Text>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelFile {
    pub name: Text,
    pub base_url: Text,
    #[serde(default)]
    pub private_address: bool,
    #[serde(default)]
    pub settings: BTreeMap<Text, Spanned<toml::Value>>,
    #[serde(default)]
    pub headers: Texts,
    pub auth: Option<Spanned<AuthTable>>,
    pub pace: Spanned<PaceTable>,
    pub product: ProductTable,
    #[serde(default)]
    pub step: Vec<Spanned<StepTable>>,
    #[serde(default)]
    pub on: Vec<Spanned<RuleTable>>,
    pub check: Option<Spanned<CheckTable>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    Bearer,
    Header,
    Basic,
    #[serde(rename = "oauth2_client_credentials")]
    OAuth2ClientCredentials,
    Login,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthTable {
    #[serde(rename = "type")]
    pub kind: AuthKind,
    pub token: Option<Text>,
    pub header: Option<Text>,
    pub value: Option<Text>,
    pub user: Option<Text>,
    pub password: Option<Text>,
    pub token_url: Option<Text>,
    pub client_id: Option<Text>,
    pub client_secret: Option<Text>,
    pub scope: Option<Text>,
    pub request: Option<Text>,
    pub json: Option<Text>,
    pub graphql: Option<Text>,
    pub variables: Option<Text>,
    pub take: Option<Text>,
    /// Lifetime of a token that doesn't say its own, s.
    pub lifetime: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaceTable {
    pub rate: Spanned<f64>,
    pub concurrency: Spanned<i64>,
    /// Expected duration of one call, s.
    pub latency: Spanned<f64>,
    /// Requests that the upload of a new product takes.
    pub requests: Option<Spanned<i64>>,
    pub left: Option<Text>,
    pub refill: Option<Text>,
    pub cost: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductTable {
    pub exists: Text,
    pub reference: Text,
    pub updated_at: Option<Text>,
    pub created_at: Option<Text>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectName {
    #[default]
    None,
    Create,
    Update,
    Upsert,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTable {
    pub name: Text,
    pub request: Text,
    #[serde(default)]
    pub define: Texts,
    pub when: Option<Text>,
    pub for_each: Option<Text>,
    pub effect: Option<Spanned<EffectName>>,
    pub key_header: Option<Text>,
    #[serde(default)]
    pub headers: Texts,
    #[serde(default)]
    pub query: Texts,
    pub json: Option<Text>,
    pub form: Option<Texts>,
    pub graphql: Option<Text>,
    pub variables: Option<Text>,
    #[serde(default)]
    pub keep_nulls: bool,
    #[serde(default)]
    pub save: Texts,
    pub result: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThenName {
    Ok,
    Found,
    Rejected,
    Failed,
    Retry,
    OutcomeUnknown,
    Cooldown,
    Credentials,
    NeedsReview,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    pub step: Option<Text>,
    pub when: Text,
    pub then: Spanned<ThenName>,
    pub reason: Option<Text>,
    pub wait: Option<Text>,
    #[serde(default)]
    pub save: Texts,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckTable {
    pub request: Text,
    #[serde(default)]
    pub query: Texts,
    pub graphql: Option<Text>,
    pub says: Text,
}
