//! The options of a product, put together from the rows of its variants.

/// Names of options, and for each variant a value of each option.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct VariantOptions {
    pub names: Vec<String>,
    pub values: Vec<Vec<String>>,
}

/// Names and values of one row's options.
type RowOptions<'o> = &'o [(String, String)];

impl VariantOptions {
    /// Puts options together of which the same column is the same option in all rows. `product`
    /// is the row of the product, if it has one of its own.
    pub(super) fn by_position(product: RowOptions<'_>, variants: &[RowOptions<'_>]) -> Self {
        let rows = || [product].into_iter().chain(variants.iter().copied());
        let count = rows().map(<[_]>::len).max().unwrap_or(0);
        let names = (0..count).map(|index| {
            let mut names = rows().filter_map(|row| row.get(index)).map(|(name, _)| name.as_str());
            let name = names.find(|name| !name.is_empty());
            name.map_or_else(|| format!("Option {}", index + 1), str::to_owned)
        });
        let value = |row: RowOptions<'_>, index: usize| {
            row.get(index).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let values = variants.iter().map(|row| (0..count).map(|i| value(row, i)).collect());
        Self { names: names.collect(), values: values.collect() }.without_blank_options()
    }

    /// Puts options together that each row names, in any order.
    pub(super) fn by_name(product: RowOptions<'_>, variants: &[RowOptions<'_>]) -> Self {
        let mut names: Vec<String> = Vec::new();
        for row in [product].into_iter().chain(variants.iter().copied()) {
            for (index, (name, value)) in row.iter().enumerate() {
                let is_used = !name.is_empty() || !value.is_empty();
                let name = named(name, index);
                if is_used && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let value = |row: RowOptions<'_>, wanted: &str| {
            let mut options = row.iter().enumerate();
            let option = options.find(|(index, (name, _))| named(name, *index) == wanted);
            option.map(|(_, (_, value))| value.clone()).unwrap_or_default()
        };
        let values = variants.iter().map(|row| names.iter().map(|name| value(row, name)).collect());
        Self { values: values.collect(), names }.without_blank_options()
    }

    /// Removes options for which no variant has a value.
    fn without_blank_options(mut self) -> Self {
        for index in (0..self.names.len()).rev() {
            let is_blank = |values: &Vec<String>| values.get(index).is_none_or(String::is_empty);
            if self.values.iter().all(is_blank) {
                self.names.remove(index);
                for values in &mut self.values {
                    if index < values.len() {
                        values.remove(index);
                    }
                }
            }
        }
        self
    }
}

fn named(name: &str, index: usize) -> String {
    if name.is_empty() { format!("Option {}", index + 1) } else { name.to_owned() }
}

/// Returns the values of a row's options that are not blank, joined by ` / `.
pub(super) fn title(options: RowOptions<'_>) -> String {
    let values = options.iter().map(|(_, value)| value.as_str());
    values.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(options: &[(&str, &str)]) -> Vec<(String, String)> {
        options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn names_of_the_first_row_are_those_of_all() {
        let first = row(&[("Color", "Blue"), ("Size", "L"), ("", "")]);
        let second = row(&[("", "Red"), ("", "S"), ("", "")]);
        let options = VariantOptions::by_position(&[], &[&first, &second]);
        assert_eq!(options.names, ["Color", "Size"]);
        assert_eq!(options.values, [["Blue", "L"], ["Red", "S"]]);
    }

    #[test]
    fn named_options_may_be_in_any_order() {
        let product = row(&[("Brand", "Acme"), ("Color", "Blue, Red"), ("Size", "L")]);
        let (one, other) =
            (row(&[("Size", "L"), ("Color", "Blue")]), row(&[("Color", "Red"), ("", "x")]));
        let options = VariantOptions::by_name(&product, &[&one, &other]);
        assert_eq!(options.names, ["Color", "Size", "Option 2"]);
        assert_eq!(options.values, [["Blue", "L", ""], ["Red", "", "x"]]);
        assert_eq!(title(&one), "L / Blue");
    }
}
