//! The columns of a file and the fields that they are taken for.

use super::{
    Format, ReadError,
    column_name::{normalize, split_number},
    currency::{self, Currency},
    header::{Column, Header},
};
use contract::{
    feed::{ColumnMapping, Field},
    product::WeightUnit,
};

/// Names of columns by field. The names of one field are separated by `|`; each entry takes
/// the first of them that occurs. `%d` stands for a number, `(%s)` for a unit of weight.
pub(super) type FieldNames = &'static [(Field, &'static str)];

/// What the columns of a file are taken for.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub format: Format,
    /// Whether the file was written by [`failed_rows_csv`](super::failed_rows_csv).
    pub is_own_file: bool,
    /// Columns of options, in the order of their numbers.
    pub options: Vec<OptionColumns>,
    /// Currency in the name of the price's column.
    pub currency: Option<Currency>,
    /// Unit in the name of the weight's column.
    pub weight_unit: Option<WeightUnit>,
    fields: Vec<(Field, Column)>,
    /// For each field the position in `fields` from which on it occurs, because rows look up
    /// fields all the time.
    starts: Vec<Option<usize>>,
    /// Whether each column is read.
    is_read: Vec<bool>,
}

/// The columns of one option.
#[derive(Debug)]
pub(super) struct OptionColumns {
    pub name: OptionName,
    pub value: Column,
}

#[derive(Debug)]
pub(super) enum OptionName {
    /// Each row names the option in this column.
    In(Column),
    /// The option has the same name in all rows.
    Fixed(String),
}

impl Layout {
    /// Returns the column of a field, the first if it has several.
    pub(super) fn column(&self, field: Field) -> Option<&Column> {
        let start = self.starts.get(field as usize).copied().flatten()?;
        self.fields.get(start).map(|(_, column)| column)
    }

    /// Returns all columns of a field.
    pub(super) fn columns(&self, field: Field) -> impl Iterator<Item = &Column> {
        let start = self.starts.get(field as usize).copied().flatten();
        let fields = start.and_then(|start| self.fields.get(start..)).unwrap_or_default();
        fields.iter().filter(move |(own, _)| *own == field).map(|(_, column)| column)
    }

    /// Returns the column of a field that every row has, and that errors name.
    pub(super) fn required(&self, field: Field) -> Column {
        let column = self.column(field).cloned();
        column.unwrap_or_else(|| Column { index: usize::MAX, name: field.name().to_owned() })
    }

    /// Returns whether a column is read.
    pub(super) fn reads(&self, index: usize) -> bool {
        self.is_read.get(index).copied().unwrap_or_default()
    }

    /// Returns the field that a column is taken for.
    pub(super) fn field_of(&self, index: usize) -> Option<Field> {
        let field = self.fields.iter().find(|(_, column)| column.index == index);
        field.map(|(field, _)| *field).or_else(|| self.option_field_of(index))
    }

    fn option_field_of(&self, index: usize) -> Option<Field> {
        self.options.iter().find_map(|option| match &option.name {
            _ if option.value.index == index => Some(Field::OptionValue),
            OptionName::In(column) if column.index == index => Some(Field::OptionName),
            _ => None,
        })
    }
}

/// Assigns columns to fields.
pub(super) struct LayoutBuilder {
    layout: Layout,
    line: u64,
    columns: Vec<Column>,
    /// Names of the columns in the form in which they are compared.
    keys: Vec<String>,
    /// Fields that a person assigned.
    mapped: Vec<Field>,
    /// Whether the first of several columns with one name is taken.
    takes_first: bool,
}

impl LayoutBuilder {
    /// Creates a builder, and assigns the columns that a person chose.
    ///
    /// # Errors
    /// A chosen column doesn't exist.
    pub(super) fn new(
        header: &Header,
        format: Format,
        mapping: &ColumnMapping,
    ) -> Result<Self, ReadError> {
        let (columns, keys): (Vec<_>, Vec<_>) =
            header.columns().map(|(column, key)| (column, key.to_owned())).unzip();
        let is_read = vec![false; columns.len()];
        let layout = Layout { format, is_read, ..Layout::default() };
        let mut builder = Self {
            layout,
            line: header.line,
            columns,
            keys,
            mapped: Vec::new(),
            takes_first: false,
        };
        for (field, name) in &mapping.0 {
            let Some(column) = builder.named_column(name) else {
                let (name, found) = (name.clone(), header.names_for_error());
                return Err(ReadError::UnknownColumn { name, found });
            };
            if *field == Field::OptionValue {
                let name = OptionName::Fixed(column.name.clone());
                builder.add_option(name, column);
            } else {
                builder.set(*field, column);
            }
            builder.mapped.push(*field);
        }
        Ok(builder)
    }

    /// Changes how columns are compared, such as to ignore a prefix. Of several columns with
    /// one name the first is taken.
    pub(super) fn with_keys(mut self, change: impl Fn(&str) -> &str) -> Self {
        for key in &mut self.keys {
            let changed = change(key).trim().to_owned();
            *key = changed;
        }
        self.takes_first = true;
        self
    }

    /// Returns the column that a person named, by its name or as `#` and its position.
    fn named_column(&self, name: &str) -> Option<Column> {
        let exact = self.columns.iter().find(|column| column.name.trim() == name.trim());
        let key = normalize(name);
        let alike = || self.keys.iter().position(|own| *own == key && !key.is_empty());
        let position = || name.strip_prefix('#')?.parse::<usize>().ok()?.checked_sub(1);
        exact.cloned().or_else(|| self.columns.get(alike().or_else(position)?).cloned())
    }

    pub(super) fn has(&self, field: Field) -> bool {
        self.layout.column(field).is_some()
    }

    fn is_free(&self, index: usize) -> bool {
        !self.layout.reads(index)
    }

    pub(super) fn set(&mut self, field: Field, column: Column) {
        if let Some(is_read) = self.layout.is_read.get_mut(column.index) {
            *is_read = true;
        }
        let Layout { fields, starts, .. } = &mut self.layout;
        if starts.len() <= field as usize {
            starts.resize(field as usize + 1, None);
        }
        if let Some(start) = starts.get_mut(field as usize) {
            start.get_or_insert(fields.len());
        }
        fields.push((field, column));
    }

    pub(super) fn set_index(&mut self, field: Field, index: usize) {
        if let Some(column) = self.columns.get(index).filter(|_| self.is_free(index)).cloned() {
            self.set(field, column);
        }
    }

    pub(super) fn set_currency(&mut self, currency: Currency) {
        self.layout.currency = Some(currency);
    }

    pub(super) fn set_own_file(&mut self) {
        self.layout.is_own_file = true;
    }

    pub(super) fn add_option(&mut self, name: OptionName, value: Column) {
        let named = match &name {
            OptionName::In(column) => Some(column.index),
            OptionName::Fixed(_) => None,
        };
        for index in named.into_iter().chain([value.index]) {
            if let Some(is_read) = self.layout.is_read.get_mut(index) {
                *is_read = true;
            }
        }
        self.layout.options.push(OptionColumns { name, value });
    }

    /// Assigns all fields that have none of a person. An entry with `%d` assigns options.
    ///
    /// # Errors
    /// [`ReadError::DuplicateHeader`] if two columns have a name that is needed.
    pub(super) fn assign(&mut self, names: FieldNames) -> Result<(), ReadError> {
        for (field, aliases) in names {
            if self.mapped.contains(field) {
                continue;
            }
            if aliases.contains("%d") {
                if *field == Field::OptionValue {
                    self.assign_options(names);
                }
            } else if let Some(column) = self.find(aliases)? {
                self.set(*field, column);
            }
        }
        Ok(())
    }

    /// Assigns the fields that no column was found for.
    pub(super) fn assign_missing(&mut self, names: FieldNames) -> Result<(), ReadError> {
        for (field, aliases) in names {
            let is_option = matches!(field, Field::OptionName | Field::OptionValue);
            if is_option || self.has(*field) || self.mapped.contains(field) {
                continue;
            }
            if let Some(column) = self.find(aliases)? {
                self.set(*field, column);
            }
        }
        Ok(())
    }

    /// Returns the free column with the first of these names that occurs.
    fn find(&mut self, aliases: &str) -> Result<Option<Column>, ReadError> {
        for alias in aliases.split('|').map(normalize) {
            if let Some(prefix) = alias.strip_suffix("(%s)") {
                if let Some((index, unit)) = self.find_weight(prefix) {
                    self.layout.weight_unit = Some(unit);
                    return Ok(self.columns.get(index).cloned());
                }
                continue;
            }
            let mut found = self.indexes_of(&alias);
            let Some(first) = found.next() else { continue };
            if let Some(second) = found.next().filter(|_| !self.takes_first) {
                let name = self.columns.get(second).map(|column| column.name.clone());
                let name = name.unwrap_or_default();
                return Err(ReadError::DuplicateHeader { name, line: self.line });
            }
            return Ok(self.columns.get(first).cloned());
        }
        Ok(None)
    }

    fn indexes_of<'b>(&'b self, key: &'b str) -> impl Iterator<Item = usize> + 'b {
        let indexes = self.keys.iter().enumerate().filter(move |(_, own)| *own == key);
        indexes.map(|(index, _)| index).filter(|index| self.is_free(*index))
    }

    fn find_weight(&self, prefix: &str) -> Option<(usize, WeightUnit)> {
        self.keys.iter().enumerate().find_map(|(index, key)| {
            let unit = key.strip_prefix(prefix)?.strip_prefix('(')?.strip_suffix(')')?;
            self.is_free(index).then_some((index, weight_unit(unit)?))
        })
    }

    /// Assigns numbered columns of options: values, and names where there are some.
    fn assign_options(&mut self, names: FieldNames) {
        let patterns = |wanted: Field| -> Vec<String> {
            let entries = names.iter().filter(move |(field, _)| *field == wanted);
            entries.flat_map(|(_, aliases)| aliases.split('|')).map(normalize).collect()
        };
        let (name_patterns, value_patterns) =
            (patterns(Field::OptionName), patterns(Field::OptionValue));
        let numbered: Vec<_> = self
            .keys
            .iter()
            .enumerate()
            .filter_map(|(index, key)| split_number(key).map(|(key, number)| (index, key, number)))
            .collect();
        let mut values: Vec<_> =
            numbered.iter().filter(|(_, key, _)| value_patterns.contains(key)).collect();
        values.sort_by_key(|(_, _, number)| *number);
        for (index, _, number) in values {
            let name = numbered
                .iter()
                .find(|(_, key, own)| own == number && name_patterns.contains(key))
                .and_then(|(index, ..)| self.columns.get(*index).cloned());
            let name = match name {
                Some(column) => OptionName::In(column),
                None => OptionName::Fixed(format!("Option {number}")),
            };
            if let Some(value) = self.columns.get(*index).filter(|_| self.is_free(*index)).cloned()
            {
                self.add_option(name, value);
            }
        }
    }

    /// Assigns each free column with one of these names to an option that is called so.
    pub(super) fn assign_fixed_options(&mut self, names: &[&str]) {
        let names: Vec<_> = names.iter().copied().map(normalize).collect();
        let free = self.free_columns().filter(|(_, key)| names.iter().any(|name| name == key));
        let found: Vec<_> = free.map(|(column, _)| column.clone()).collect();
        for column in found {
            self.add_option(OptionName::Fixed(column.name.clone()), column);
        }
    }

    /// Assigns a price's column whose name has a currency, such as *Price (EUR)* for the name
    /// *price*, unless there are several of them.
    pub(super) fn assign_with_currency(&mut self, field: Field, names: FieldNames) {
        if self.has(field) || self.mapped.contains(&field) {
            return;
        }
        let aliases = names.iter().filter(|(own, _)| *own == field);
        let aliases: Vec<_> =
            aliases.flat_map(|(_, list)| list.split('|')).map(normalize).collect();
        let found: Vec<_> = self
            .keys
            .iter()
            .enumerate()
            .filter(|(index, _)| self.is_free(*index))
            .filter_map(|(index, key)| Some((index, split_currency(key)?)))
            .filter(|(_, (name, _))| aliases.contains(name))
            .collect();
        if let [(index, (_, currency))] = found.as_slice() {
            let (index, currency) = (*index, *currency);
            self.set_index(field, index);
            self.set_currency(currency);
        }
    }

    /// Returns the free columns, with their normalized names.
    pub(super) fn free_columns(&self) -> impl Iterator<Item = (&Column, &str)> {
        let columns = self.columns.iter().zip(&self.keys);
        let free = columns.filter(|(column, _)| self.is_free(column.index));
        free.map(|(column, key)| (column, key.as_str()))
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn finish(self) -> Layout {
        self.layout
    }
}

/// Splits the currency from a normalized name: `preis in €` is `preis` and EUR.
pub(super) fn split_currency(name: &str) -> Option<(String, Currency)> {
    let is_separator = |letter: char| letter.is_whitespace() || "()[]/".contains(letter);
    let words: Vec<_> = name.split(is_separator).filter(|word| !word.is_empty()).collect();
    let is_short_word =
        |word: &str| word.len() < 3 && word.bytes().all(|b| b.is_ascii_alphabetic());
    let (index, currency) = words.iter().enumerate().skip(1).find_map(|(index, word)| {
        Some((index, currency::find(word).filter(|_| !is_short_word(word))?))
    })?;
    let rest = words.iter().enumerate().filter(|(own, word)| {
        *own != index && !(*own + 1 == index && matches!(**word, "in" | "en" | "em"))
    });
    Some((rest.map(|(_, word)| *word).collect::<Vec<_>>().join(" "), currency))
}

/// Returns the unit of weight that a text names, in the languages of WooCommerce.
pub(super) fn weight_unit(text: &str) -> Option<WeightUnit> {
    if text.is_empty() {
        return None;
    }
    let word = text.split(['(', ' ']).next().unwrap_or_default().trim_end_matches('.');
    Some(match word.to_lowercase().as_str() {
        "g" | "gr" | "gram" | "grams" | "gramm" | "г" => WeightUnit::Gram,
        "kg" | "kgs" | "kilogram" | "kilograms" | "кг" => WeightUnit::Kilogram,
        "lb" | "lbs" | "pound" | "pounds" | "livres" | "funty" | "фунт" => WeightUnit::Pound,
        "oz" | "ounce" | "ounces" | "onca" | "onça" | "uncje" | "unce" | "унция" | "унція" => {
            WeightUnit::Ounce
        }
        "am" if text.contains("pund") => WeightUnit::Pound,
        "am" if text.contains("uns") => WeightUnit::Ounce,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_split_from_names() {
        for (name, expected) in [
            ("price (eur)", Some(("price", "EUR"))),
            ("preis in €", Some(("preis", "EUR"))),
            ("variant price usd", Some(("variant price", "USD"))),
            ("price france [eur]", Some(("price france", "EUR"))),
            ("price / international", None),
            ("eur", None),
            ("prix fr", None),
        ] {
            let found = split_currency(name);
            let found = found.as_ref().map(|(name, currency)| (name.as_str(), currency.code));
            assert_eq!(found, expected, "{name}");
        }
    }
}
