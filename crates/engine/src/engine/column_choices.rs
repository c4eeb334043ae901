//! Choices about how a file is read that the team remembers for the next file with the same
//! header: which columns have which fields, and which sheet of a workbook has the products.
//!
//! Only people profit from them. Programs say with each file how it is read. What a number
//! means is never remembered, because another file with the same header may write it
//! differently.

use super::Engine;
use crate::store::{self, Actor};
use contract::{
    api::DryRun,
    feed::{ColumnInfo, ColumnMapping, ReadOptions},
};
use sha2::{Digest, Sha256};

/// Columns that a person chose for an earlier file with the same header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedColumns {
    /// The columns, by position.
    pub map: ColumnMapping,
    /// Email address of the person who chose.
    pub chosen_by: String,
    /// Time of the choice, UTC in milliseconds.
    pub chosen_at: i64,
}

impl Engine {
    /// Returns the columns that were chosen for files with this header.
    ///
    /// # Errors
    /// [`store::Error::Database`].
    pub async fn remembered_columns(
        &self,
        columns: &[ColumnInfo],
    ) -> Result<Option<RememberedColumns>, store::Error> {
        let found = self.store.column_choices.find(&header_key(columns)).await?;
        Ok(found.and_then(|found| {
            // A field may be unknown to this release while another one replaces it.
            let map: ColumnMapping = found.choice.parse().ok()?;
            Some(RememberedColumns {
                map: columns_by_position(&map, columns),
                chosen_by: found.chosen_by,
                chosen_at: found.chosen_at,
            })
        }))
    }

    /// Returns the sheet that was chosen for workbooks with these sheets.
    ///
    /// # Errors
    /// [`store::Error::Database`].
    pub async fn remembered_sheet(
        &self,
        sheets: &[String],
    ) -> Result<Option<String>, store::Error> {
        if sheets.len() < 2 {
            return Ok(None);
        }
        let found = self.store.column_choices.find(&sheets_key(sheets)).await?;
        Ok(found.map(|found| found.choice).filter(|sheet| sheets.contains(sheet)))
    }

    /// Remembers the columns and the sheet that a person chose for a file. `run` is the result
    /// of reading it with these options.
    ///
    /// # Errors
    /// [`store::Error::SignedOut`], [`store::Error::Database`],
    /// [`store::Error::CommitUnknown`].
    pub async fn remember_choices(
        &self,
        actor: &Actor,
        run: &DryRun,
        options: &ReadOptions,
    ) -> Result<(), store::Error> {
        let choices = &self.store.column_choices;
        if !options.map.0.is_empty() && !run.columns.is_empty() {
            let map = columns_by_name(&options.map, &run.columns).to_string();
            choices.store(actor.clone(), &header_key(&run.columns), &map).await?;
        }
        if let Some(sheet) = options.sheet.as_ref().filter(|sheet| run.sheets.contains(sheet)) {
            choices.store(actor.clone(), &sheets_key(&run.sheets), sheet).await?;
        }
        Ok(())
    }

    /// Forgets the columns that were chosen for files with this header.
    ///
    /// # Errors
    /// [`store::Error::SignedOut`], [`store::Error::Database`],
    /// [`store::Error::CommitUnknown`].
    pub async fn forget_columns(
        &self,
        actor: &Actor,
        columns: &[ColumnInfo],
    ) -> Result<(), store::Error> {
        self.store.column_choices.delete(actor.clone(), &header_key(columns)).await
    }
}

/// Returns the key of files whose columns have these names in this order.
fn header_key(columns: &[ColumnInfo]) -> String {
    hash("columns", columns.iter().map(|column| normalize(&column.name)))
}

/// Returns the key of workbooks that have these sheets.
fn sheets_key(sheets: &[String]) -> String {
    hash("sheets", sheets.iter().cloned())
}

fn hash(kind: &str, names: impl Iterator<Item = String>) -> String {
    let mut hash = Sha256::new_with_prefix(kind);
    for name in names {
        // The length separates the names.
        hash.update(name.len().to_le_bytes());
        hash.update(name);
    }
    hex::encode(hash.finalize())
}

fn normalize(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Returns the mapping with columns named by position, such as `#3`. A name that no column has
/// is kept.
pub fn columns_by_position(map: &ColumnMapping, columns: &[ColumnInfo]) -> ColumnMapping {
    rename(map, |name| {
        let found = columns.iter().find(|column| normalize(&column.name) == normalize(name));
        found.filter(|_| position(name).is_none()).map(|column| format!("#{}", column.position))
    })
}

/// Returns the mapping with columns named as in the file, as far as a name is clear.
fn columns_by_name(map: &ColumnMapping, columns: &[ColumnInfo]) -> ColumnMapping {
    rename(map, |name| {
        let position = position(name)?;
        let column = columns.iter().find(|column| column.position == position)?;
        let own = normalize(&column.name);
        let is_unique = columns.iter().filter(|other| normalize(&other.name) == own).count() == 1;
        (is_unique && !own.is_empty() && !own.starts_with('#')).then(|| column.name.clone())
    })
}

/// Returns the position that a name such as `#3` stands for.
fn position(name: &str) -> Option<u32> {
    name.strip_prefix('#')?.parse().ok()
}

fn rename(map: &ColumnMapping, new_name: impl Fn(&str) -> Option<String>) -> ColumnMapping {
    let renamed = |name: &String| new_name(name).unwrap_or_else(|| name.clone());
    ColumnMapping(map.0.iter().map(|(field, name)| (*field, renamed(name))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn columns(names: &[&str]) -> Vec<ColumnInfo> {
        let column = |(position, name): (u32, &&str)| ColumnInfo {
            position,
            name: (*name).into(),
            examples: Vec::new(),
            field: None,
        };
        (1..).zip(names).map(column).collect()
    }

    #[test]
    fn names_and_positions_of_columns_are_exchanged_where_the_name_is_clear() {
        let columns = columns(&["Art. Nr.", "VK,  netto", "Preis", "preis", "", "#1"]);
        let map: ColumnMapping =
            "sku:#1,price:#2,image:#3,title:#5,vendor:#6,tags:#9".parse().unwrap();
        let named = columns_by_name(&map, &columns);
        let text = "sku:Art. Nr.,price:VK\\,  netto,image:#3,title:#5,vendor:#6,tags:#9";
        assert_eq!(named.to_string(), text);
        assert_eq!(columns_by_position(&named, &columns), map);
        let by_hand: ColumnMapping = "sku:art. nr.,price:vk\\, netto,title:none".parse().unwrap();
        let text = columns_by_position(&by_hand, &columns).to_string();
        assert_eq!(text, "sku:#1,price:#2,title:none");
    }

    #[test]
    fn key_of_a_header_ignores_case_and_blanks_only() {
        let key = |names: &[&str]| header_key(&columns(names));
        assert_eq!(key(&["Art. Nr.", "VK"]), key(&["art.  nr. ", "vk"]));
        for other in [&["VK", "Art. Nr."][..], &["Art. Nr.VK"], &["Art. Nr.", "VK", ""]] {
            assert_ne!(key(&["Art. Nr.", "VK"]), key(other), "{other:?}");
        }
        assert_ne!(header_key(&[]), sheets_key(&[]));
    }
}
