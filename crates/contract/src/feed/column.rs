//! Columns of a feed, and the fields of a product that they are taken for.

use super::PriceChoice;
use crate::state::string_enum;
use serde::{Deserialize, Serialize};

string_enum!(
    /// Field of a product, as the parameter `map` names it.
    Field {
        /// SKU of the product or variant.
        Sku = "sku",
        /// Title.
        Title = "title",
        /// Regular price.
        Price = "price",
        /// Reduced price.
        SalePrice = "sale_price",
        /// Price before a reduction, shown struck through.
        CompareAtPrice = "compare_at_price",
        /// First day of the reduced price.
        SaleStart = "sale_start",
        /// Last day of the reduced price.
        SaleEnd = "sale_end",
        /// Currency of the prices.
        Currency = "currency",
        /// Description.
        Description = "description",
        /// Vendor or brand.
        Vendor = "vendor",
        /// Address of an image, or of several.
        Image = "image",
        /// Text that describes an image.
        ImageAlt = "image_alt",
        /// SKU or id of the product that a row is a variant of.
        Parent = "parent",
        /// Id that is shared by the rows of one product, and part of its address.
        Handle = "handle",
        /// Type of the product, such as *Shirt*.
        ProductType = "product_type",
        /// Tags.
        Tags = "tags",
        /// Categories.
        Categories = "categories",
        /// Whether the product is sold: active, draft, published.
        Status = "status",
        /// Name of an option, such as *Color*.
        OptionName = "option_name",
        /// Value of an option, such as *Blue*.
        OptionValue = "option_value",
        /// GTIN, EAN, UPC or ISBN.
        Barcode = "barcode",
        /// Number of items in stock.
        Stock = "stock",
        /// Weight.
        Weight = "weight",
        /// Unit of the weight.
        WeightUnit = "weight_unit",
        /// Kind of the row, such as WooCommerce's *variation*.
        RowKind = "row_kind",
        /// Id by which other rows refer to this one.
        RowId = "row_id",
        /// None: the column is not read, whatever its name.
        NotRead = "not_read",
    }
);

impl Field {
    /// The fields that every product needs.
    pub const REQUIRED: [Self; 3] = [Self::Sku, Self::Title, Self::Price];

    /// The fields that a person may assign a column to, in the order of a form.
    pub const ASSIGNABLE: [Self; 21] = [
        Self::Sku,
        Self::Title,
        Self::Price,
        Self::SalePrice,
        Self::CompareAtPrice,
        Self::Currency,
        Self::Description,
        Self::Vendor,
        Self::Image,
        Self::Parent,
        Self::Handle,
        Self::ProductType,
        Self::Tags,
        Self::Categories,
        Self::Status,
        Self::Barcode,
        Self::Stock,
        Self::Weight,
        Self::WeightUnit,
        Self::OptionValue,
        Self::NotRead,
    ];

    /// Returns the name that people know the field by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sku => "SKU",
            Self::Title => "title",
            Self::Price => "price",
            Self::SalePrice => "sale price",
            Self::CompareAtPrice => "compare-at price",
            Self::SaleStart => "start of the sale",
            Self::SaleEnd => "end of the sale",
            Self::Currency => "currency",
            Self::Description => "description",
            Self::Vendor => "vendor",
            Self::Image => "image",
            Self::ImageAlt => "text of the image",
            Self::Parent => "parent",
            Self::Handle => "handle",
            Self::ProductType => "type",
            Self::Tags => "tags",
            Self::Categories => "categories",
            Self::Status => "status",
            Self::OptionName => "name of an option",
            Self::OptionValue => "option",
            Self::Barcode => "barcode",
            Self::Stock => "stock",
            Self::Weight => "weight",
            Self::WeightUnit => "unit of the weight",
            Self::RowKind => "kind of the row",
            Self::RowId => "id of the row",
            Self::NotRead => "not read",
        }
    }
}

/// A column of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ColumnInfo {
    /// Position in the file, from 1. `map=sku:#2` names the second column, whatever its name.
    pub position: u32,
    /// Name as the file spells it; empty if it has none.
    pub name: String,
    /// The first three distinct values that are not blank, shortened.
    pub examples: Vec<String>,
    /// Field that the column is taken for; `null` if the column is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Field>,
}

/// Reduced prices of a feed, and which of the two prices is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SalePrices {
    /// Number of rows with a sale price that is in force.
    pub count: u64,
    /// Lines of the first 20 of these rows.
    pub lines: Vec<u64>,
    /// Number of rows whose sale is over or has not begun.
    pub not_in_force: u64,
    /// Price that is sent. The parameter `price` chooses it.
    pub sent: PriceChoice,
}
