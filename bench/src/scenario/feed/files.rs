//! The files that are read: as large as the reader allows, in each format.
//!
//! They are the same in each run.

use super::{text::Words, workbook};
use anyhow::Context;
use engine::feed::Format;
use std::io::Write;

/// Maximum number of data rows of a file.
const MAX_ROWS: u64 = engine::feed::MAX_ROWS - 10;

/// A file, and what the reader must find in it.
pub struct TestFile {
    pub bytes: Vec<u8>,
    /// Delimiter of the cells.
    pub delimiter: u8,
    pub format: Format,
    pub row_count: u64,
    pub product_count: u64,
}

/// Encoding of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextEncoding {
    Utf8,
    Utf16,
    Windows1252,
}

/// A kind of file.
struct Template {
    name: &'static str,
    format: Format,
    encoding: TextEncoding,
    delimiter: u8,
    header: &'static str,
    /// Returns the rows of a product.
    rows: fn(&mut Words, u64, usize) -> Vec<Vec<String>>,
}

const NATIVE_HEADER: &str = "sku,title,price,description,vendor,image,parent";
const SHOPIFY_HEADER: &str = "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,\
    Option1 Name,Option1 Value,Option2 Name,Option2 Value,Option3 Name,Option3 Value,Variant SKU,\
    Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,\
    Variant Fulfillment Service,Variant Price,Variant Compare At Price,Variant Requires Shipping,\
    Variant Taxable,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,\
    SEO Description,Variant Image,Variant Weight Unit,Variant Tax Code,Cost per item,Status";
const WOOCOMMERCE_HEADER: &str = "ID,Type,SKU,\"GTIN, UPC, EAN, or ISBN\",Name,Published,\
    Is featured?,Visibility in catalog,Short description,Description,Date sale price starts,\
    Date sale price ends,Tax status,Tax class,In stock?,Stock,Low stock amount,\
    Backorders allowed?,Sold individually?,Weight (kg),Length (cm),Width (cm),Height (cm),\
    Allow customer reviews?,Purchase note,Sale price,Regular price,Categories,Tags,Shipping class,\
    Images,Download limit,Download expiry days,Parent,Grouped products,Upsells,Cross-sells,\
    External URL,Button text,Position,Attribute 1 name,Attribute 1 value(s),Attribute 1 visible,\
    Attribute 1 global";
const GOOGLE_HEADER: &str = "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tbrand\t\
    gtin\tcondition\tgoogle_product_category\titem_group_id\tcolor\tsize\tshipping_weight";
const VENDURE_HEADER: &str = "name,slug,description,assets,facets,optionGroups,optionValues,sku,\
    price,taxCategory,stockOnHand,trackInventory,variantAssets,variantFacets";
const MEDUSA_HEADER: &str = "Product Id,Product Handle,Product Title,Product Subtitle,\
    Product Description,Product Status,Product Thumbnail,Product Weight,Product Collection Title,\
    Product Type,Product Tag 1,Variant Id,Variant Title,Variant SKU,Variant Barcode,\
    Variant Inventory Quantity,Variant Allow Backorder,Variant Manage Inventory,Variant Price EUR,\
    Variant Option 1 Name,Variant Option 1 Value,Product Image 1";

const TEMPLATES: [Template; 8] = [
    Template {
        name: "native CSV",
        format: Format::Plain,
        encoding: TextEncoding::Utf8,
        delimiter: b',',
        header: NATIVE_HEADER,
        rows: native,
    },
    Template {
        name: "Shopify",
        format: Format::Shopify,
        encoding: TextEncoding::Utf8,
        delimiter: b',',
        header: SHOPIFY_HEADER,
        rows: shopify,
    },
    Template {
        name: "WooCommerce",
        format: Format::WooCommerce,
        encoding: TextEncoding::Utf8,
        delimiter: b',',
        header: WOOCOMMERCE_HEADER,
        rows: woocommerce,
    },
    Template {
        name: "Google Merchant TSV",
        format: Format::Google,
        encoding: TextEncoding::Utf8,
        delimiter: b'\t',
        header: GOOGLE_HEADER,
        rows: google,
    },
    Template {
        name: "Vendure",
        format: Format::Vendure,
        encoding: TextEncoding::Utf8,
        delimiter: b',',
        header: VENDURE_HEADER,
        rows: vendure,
    },
    Template {
        name: "Medusa",
        format: Format::Medusa,
        encoding: TextEncoding::Utf8,
        delimiter: b',',
        header: MEDUSA_HEADER,
        rows: medusa,
    },
    Template {
        name: "UTF-16",
        format: Format::Plain,
        encoding: TextEncoding::Utf16,
        delimiter: b'\t',
        header: "sku\ttitle\tprice\tdescription\tvendor\timage\tparent",
        rows: native,
    },
    Template {
        name: "Windows-1252",
        format: Format::Plain,
        encoding: TextEncoding::Windows1252,
        delimiter: b';',
        header: "Artikelnummer;Bezeichnung;Preis;Beschreibung;Hersteller;Bild;Hauptartikel",
        rows: native,
    },
];

/// Returns the names of all files.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|template| template.name).chain(["gzip", "xlsx"])
}

/// Creates a file of nearly this size, in bytes, whose descriptions have about this number of
/// characters.
pub fn create(name: &str, size: usize, chars: usize) -> anyhow::Result<TestFile> {
    let native = TEMPLATES.first().context("there are no templates")?;
    match name {
        "gzip" => gzip(native, size, chars),
        "xlsx" => workbook::create(native.header, native.products(chars), size),
        _ => {
            let template = TEMPLATES.iter().find(|template| template.name == name);
            template.context("there is no such file")?.create(size, chars)
        }
    }
}

impl Template {
    /// Returns the rows of all products, product by product.
    fn products(&self, chars: usize) -> impl Iterator<Item = Vec<Vec<String>>> + use<> {
        let rows = self.rows;
        let mut words = Words::new();
        (1..).map(move |number| rows(&mut words, number, chars))
    }

    fn create(&self, size: usize, chars: usize) -> anyhow::Result<TestFile> {
        let mut bytes = Vec::with_capacity(size);
        if self.encoding == TextEncoding::Utf16 {
            bytes.extend([0xFF, 0xFE]);
        }
        self.encoding.write(&format!("{}\r\n", self.header), &mut bytes);
        let (mut row_count, mut product_count) = (0, 0);
        for rows in self.products(chars) {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(self.delimiter)
                .terminator(csv::Terminator::CRLF)
                .from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row)?;
            }
            let text = String::from_utf8(writer.into_inner()?)?;
            let before = bytes.len();
            self.encoding.write(&text, &mut bytes);
            if bytes.len() > size || row_count + rows.len() as u64 > MAX_ROWS {
                bytes.truncate(before);
                break;
            }
            row_count += rows.len() as u64;
            product_count += 1;
        }
        let (delimiter, format) = (self.delimiter, self.format);
        Ok(TestFile { bytes, delimiter, format, row_count, product_count })
    }
}

impl TextEncoding {
    fn write(self, text: &str, bytes: &mut Vec<u8>) {
        match self {
            Self::Utf8 => bytes.extend(text.as_bytes()),
            Self::Utf16 => bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes)),
            // All letters of the words are in Latin-1, where their numbers are their bytes.
            Self::Windows1252 => bytes.extend(text.chars().map(|letter| letter as u8)),
        }
    }
}

/// Packs a text of nearly this size, in bytes.
fn gzip(template: &Template, size: usize, chars: usize) -> anyhow::Result<TestFile> {
    let file = template.create(size, chars)?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&file.bytes)?;
    Ok(TestFile { bytes: encoder.finish()?, ..file })
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Returns a product; every eighth has two variants.
fn native(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let (sku, title, price) = (format!("SKU-{number:06}"), words.text(30), words.price());
    let (description, vendor) = (words.text(chars), words.vendor());
    let image = format!("https://img.example/p/{number}.jpg");
    let mut rows = vec![cells([&sku, &title, &price, &description, vendor, &image, ""])];
    if number.is_multiple_of(8) {
        for option in ["Blue", "Red"] {
            let own = format!("{sku}-{option}");
            rows.push(cells([&own, option, &words.price(), &description, vendor, &image, &sku]));
        }
    }
    rows
}

/// Returns a product with one variant or two.
fn shopify(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let handle = format!("product-{number}");
    let (title, body) = (words.text(30), format!("<p>{}</p>", words.text(chars)));
    let image = format!("https://cdn.example/files/{number}.jpg");
    let sizes: &[&str] = if number.is_multiple_of(2) { &["S", "L"] } else { &["Default Title"] };
    let mut rows = Vec::new();
    for (index, size) in sizes.iter().enumerate() {
        let (sku, price) = (format!("SKU-{number}-{index}"), words.price());
        let mut row = vec![String::new(); 36];
        let mut set = |column: usize, text: &str| text.clone_into(&mut row[column]);
        set(0, &handle);
        if index == 0 {
            let option = if sizes.len() > 1 { "Size" } else { "Title" };
            for (column, text) in [(1, title.as_str()), (2, &body), (3, words.vendor())] {
                set(column, text);
            }
            for (column, text) in [(5, "Shirt"), (6, "new, summer"), (7, "true"), (8, option)] {
                set(column, text);
            }
            for (column, text) in
                [(25, image.as_str()), (26, "1"), (27, &title), (28, "false"), (35, "active")]
            {
                set(column, text);
            }
        }
        for (column, text) in
            [(9, *size), (14, &sku), (15, "200"), (16, "shopify"), (17, "12"), (18, "deny")]
        {
            set(column, text);
        }
        for (column, text) in
            [(19, "manual"), (20, price.as_str()), (22, "true"), (23, "true"), (32, "g")]
        {
            set(column, text);
        }
        rows.push(row);
    }
    rows
}

/// Returns a product; every eighth has two variations.
fn woocommerce(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let (sku, title, price) = (format!("SKU-{number:06}"), words.text(30), words.price());
    let description = format!("<p>{}</p>\\n", words.text(chars));
    let (id, image) = (number.to_string(), format!("https://shop.example/wp/{number}.jpg"));
    let is_variable = number.is_multiple_of(8);
    let kind = if is_variable { "variable" } else { "simple" };
    let row = |kind: &str, sku: &str, price: &str, parent: &str, color: &str| {
        let mut row = vec![String::new(); 44];
        let is_product = parent.is_empty();
        let description = if is_product { description.as_str() } else { "" };
        for (column, text) in [
            (0, id.as_str()),
            (1, kind),
            (2, sku),
            (4, &title),
            (5, "1"),
            (6, "0"),
            (7, "visible"),
            (9, description),
            (12, "taxable"),
            (14, "1"),
            (15, "7"),
            (17, "0"),
            (18, "0"),
            (19, "0.25"),
            (23, "1"),
            (26, price),
            (27, "Home > Lamps, Sale"),
            (28, "new, oak"),
            (30, &image),
            (33, parent),
            (39, "0"),
            (40, "Color"),
            (41, color),
            (42, "1"),
            (43, "1"),
        ] {
            text.clone_into(&mut row[column]);
        }
        row
    };
    if !is_variable {
        return vec![row(kind, &sku, &price, "", "Blue")];
    }
    let mut rows = vec![row(kind, &sku, "", "", "Blue, Red")];
    for color in ["Blue", "Red"] {
        rows.push(row("variation", &format!("{sku}-{color}"), &price, &sku, color));
    }
    rows
}

/// Returns a product with one variant or two.
fn google(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let (group, title, text) = (format!("G-{number}"), words.text(30), words.text(chars));
    let link = format!("https://shop.example/products/{number}");
    let image = format!("https://shop.example/images/{number}.jpg");
    let sizes: &[&str] = if number.is_multiple_of(2) { &["S", "L"] } else { &["M"] };
    let row = |size: &&str| {
        let (id, price) = (format!("SKU-{number}-{size}"), format!("{} EUR", words.price()));
        let gtin = format!("4006{:09}", number * 10);
        let (brand, availability) = (words.vendor(), "in_stock");
        cells([
            &id,
            &title,
            &text,
            &link,
            &image,
            availability,
            &price,
            brand,
            &gtin,
            "new",
            "212",
            &group,
            "blue",
            size,
            "0.2 kg",
        ])
    };
    sizes.iter().map(row).collect()
}

/// Returns a product with one variant or two.
fn vendure(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let (name, text, slug) = (words.text(30), words.text(chars), format!("product-{number}"));
    let assets = format!("{number}-front.jpg|{number}-back.jpg");
    let facets = format!("brand:{}|category:lamps", words.vendor());
    let sizes: &[&str] = if number.is_multiple_of(2) { &["S", "L"] } else { &[""] };
    let row = |(index, size): (usize, &&str)| {
        let (sku, price) = (format!("SKU-{number}-{index}"), words.price());
        let shared = |text: &str| if index == 0 { text.to_owned() } else { String::new() };
        let groups = if sizes.len() > 1 { "size" } else { "" };
        vec![
            shared(&name),
            shared(&slug),
            shared(&text),
            shared(&assets),
            shared(&facets),
            shared(groups),
            (*size).to_owned(),
            sku,
            price,
            "standard".to_owned(),
            "100".to_owned(),
            "false".to_owned(),
            String::new(),
            String::new(),
        ]
    };
    sizes.iter().enumerate().map(row).collect()
}

/// Returns a product with one variant or two.
fn medusa(words: &mut Words, number: u64, chars: usize) -> Vec<Vec<String>> {
    let (title, text) = (words.text(30), words.text(chars));
    let (id, handle) = (format!("prod_{number:010}"), format!("product-{number}"));
    let image = format!("https://cdn.example/{number}.jpg");
    let sizes: &[&str] = if number.is_multiple_of(2) { &["S", "L"] } else { &["M"] };
    let row = |size: &&str| {
        let (sku, price) = (format!("SKU-{number}-{size}"), words.price());
        let variant = format!("variant_{number:010}_{size}");
        cells([
            &id,
            &handle,
            &title,
            "",
            &text,
            "published",
            &image,
            "400",
            "Summer",
            "Shirt",
            "new",
            &variant,
            size,
            &sku,
            "",
            "100",
            "false",
            "true",
            &price,
            "Size",
            size,
            &image,
        ])
    };
    sizes.iter().map(row).collect()
}
