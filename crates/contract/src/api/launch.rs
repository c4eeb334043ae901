//! Launches, and the dry run that precedes an upload.

use super::Estimate;
use crate::{
    feed::{
        BadRow, ColumnInfo, DecimalSeparator, Delimiter, Encoding, FeedNote, Format, LeftOut,
        Question, SalePrices,
    },
    product::Product,
};
use serde::{Deserialize, Serialize};

/// Result of reading a file, before anything is launched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DryRun {
    /// Name of the file.
    pub file: String,
    /// Layout of the file.
    pub format: Format,
    /// Separator between its cells.
    pub delimiter: Delimiter,
    /// Character encoding of the file.
    #[serde(default)]
    pub encoding: Encoding,
    /// Names of a workbook's sheets; empty for other files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sheets: Vec<String>,
    /// Sheet that was read, if the file is a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Digest of the names of the columns, by which a choice of columns can be remembered for
    /// files with the same header.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub header_digest: String,
    /// Columns of the file, and what they are taken for.
    #[serde(default)]
    pub columns: Vec<ColumnInfo>,
    /// Separator of the prices' decimals; `null` if no price has decimals, or if it is in
    /// question.
    #[serde(default)]
    pub decimal: Option<DecimalSeparator>,
    /// Currency of the prices, as ISO 4217 code, if the file says which.
    #[serde(default)]
    pub currency: Option<String>,
    /// Reduced prices, if the file has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale_prices: Option<SalePrices>,
    /// Questions that must be answered before the file can be launched.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// Number of data rows in the file.
    pub rows: u64,
    /// Number of products.
    pub products: u64,
    /// Number of variants.
    pub variants: u64,
    /// The first 1,000 rows that can't be uploaded.
    pub bad_rows: Vec<BadRow>,
    /// Number of all rows that can't be uploaded.
    pub bad_row_count: u64,
    /// Rows that are left out by rule, such as drafts. They are no bad rows.
    #[serde(default)]
    pub left_out: LeftOut,
    /// The first 100 assumptions that were made while reading.
    pub notes: Vec<FeedNote>,
    /// Number of all assumptions.
    #[serde(default)]
    pub note_count: u64,
    /// The first products, as they would be sent.
    pub preview: Vec<Product>,
    /// Duration for all channels together, limited by the slowest; `null` where no honest
    /// estimate is possible.
    #[serde(default)]
    pub estimate: Option<Estimate>,
}

/// Request to start, or to stop, EC2 machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StartInstances {
    /// EC2's ids of the machines. An entry may be a list, separated by commas, semicolons
    /// or white space, such as a column copied from a table.
    pub instance_ids: Vec<String>,
    /// Account that has the machines, as the configuration names it. It is needed, with the
    /// region, only for machines that are in no list of the configured accounts.
    #[serde(default)]
    pub account: Option<String>,
    /// Region of the machines.
    #[serde(default)]
    pub region: Option<String>,
}

/// Request to launch EC2 machines from a launch template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LaunchMachines {
    /// EC2's id of the launch template, or its name.
    pub template: String,
    /// Version of the template: a number, `default` or `latest`. Without it, the default one.
    #[serde(default)]
    pub version: Option<String>,
    /// Number of machines.
    #[serde(default = "one")]
    pub count: u32,
    /// Name tag of the machines; several get `-1`, `-2` and so on.
    #[serde(default)]
    pub name: String,
    /// Account of the template; needed only, with the region, if several have one of this name.
    #[serde(default)]
    pub account: Option<String>,
    /// Region of the template.
    #[serde(default)]
    pub region: Option<String>,
}

fn one() -> u32 {
    1
}

/// Request to run tasks that do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunNoops {
    /// Number of tasks.
    pub count: u32,
}
