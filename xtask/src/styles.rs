//! Checks the style sheets: one file owns each class, every class and custom property is
//! used, and colours, spaces and sizes of type are tokens.

use anyhow::{Context, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The sheet that may contain raw values, because the others refer to its properties.
const TOKENS: &str = "tokens.css";

/// Functions whose result is a colour that does not come from a token.
const COLOR_FUNCTIONS: [&str; 7] = ["rgb", "rgba", "hsl", "hsla", "oklch", "oklab", "light-dark"];

/// Beginnings of the properties whose lengths are tokens.
const TOKEN_PROPERTIES: [&str; 5] = ["margin", "padding", "gap", "font", "border-radius"];

pub fn run(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("style");
    let mut sheets = BTreeMap::new();
    for path in files_below(&folder, "css")? {
        let text = read(&path)?;
        let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
        sheets.insert(name, Sheet::scan(&text));
    }
    let main = read(&folder.join("main.css"))?;
    let pages: String = files_below(&root.join("app/src"), "rs")?
        .iter()
        .map(|path| read(path))
        .collect::<anyhow::Result<_>>()?;
    let problems = find_problems(&sheets, &main, &pages);
    for problem in &problems {
        eprintln!("style/{problem}");
    }
    if !problems.is_empty() {
        bail!("{} problems in the style sheets", problems.len());
    }
    println!("{} style sheets own their classes", sheets.len());
    Ok(())
}

/// Returns one line per problem. `sheets` are the sheets by name, `main` is the text that
/// imports them, and `pages` the source of the pages, which use the classes.
fn find_problems(sheets: &BTreeMap<String, Sheet>, main: &str, pages: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut owners = BTreeMap::<&str, &str>::new();
    for (name, sheet) in sheets {
        if name != "main.css" && !main.contains(&format!("\"{name}\"")) {
            problems.push(format!("{name}: main.css does not import it"));
        }
        for class in &sheet.classes {
            match owners.insert(class, name) {
                Some(owner) => {
                    problems.push(format!("{name}: the class .{class} belongs to {owner}"));
                }
                None if !has_word(pages, class) => {
                    problems.push(format!("{name}: no page uses the class .{class}"));
                }
                None => {}
            }
        }
        if name != TOKENS {
            let raw = sheet.raw_values.iter();
            problems.extend(raw.map(|value| format!("{name}: {value} is not a token")));
        }
    }
    let all = |pick: fn(&Sheet) -> &BTreeSet<String>| {
        sheets.values().flat_map(pick).map(String::as_str).collect::<BTreeSet<_>>()
    };
    let (set, read) = (all(|sheet| &sheet.properties_set), all(|sheet| &sheet.properties_read));
    problems.extend(set.difference(&read).map(|property| format!("{property} is never read")));
    problems.extend(read.difference(&set).map(|property| format!("{property} is never set")));
    problems
}

/// Whether `word` occurs in `text` with no letter, digit, `-` or `_` beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

fn files_below(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path, extension)?);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

/// What the checks need to know about a sheet.
#[derive(Debug, Default)]
struct Sheet {
    /// Classes in its selectors, without the dot.
    classes: BTreeSet<String>,
    /// Values that should be tokens: colours, such as `#fff` or `rgb()`, and declarations
    /// of a space or a size of type in rem.
    raw_values: BTreeSet<String>,
    /// Custom properties that it sets, with the dashes.
    properties_set: BTreeSet<String>,
    /// Custom properties that it reads with `var()`.
    properties_read: BTreeSet<String>,
}

impl Sheet {
    fn scan(text: &str) -> Self {
        let mut sheet = Self::default();
        let text = without_comments_and_strings(text);
        let mut rest = text.as_str();
        // Both a selector and a declaration start after one of these, so what ends it
        // tells them apart.
        while let Some(end) = rest.find(['{', '}', ';']) {
            let statement = rest[..end].trim();
            if rest[end..].starts_with('{') {
                sheet.add_selector(statement);
            } else {
                sheet.add_declaration(statement);
            }
            rest = &rest[end + 1..];
        }
        sheet
    }

    fn add_selector(&mut self, selector: &str) {
        // The `.` in the prelude of an at-rule, such as `@media (width > 47.99rem)`, is a
        // decimal point.
        if selector.starts_with('@') {
            return;
        }
        self.classes.extend(identifiers_after(selector, ".").map(str::to_owned));
    }

    fn add_declaration(&mut self, declaration: &str) {
        let Some((property, value)) = declaration.split_once(':') else { return };
        if property.starts_with("--") {
            self.properties_set.insert(property.trim().to_owned());
        }
        let takes_token = TOKEN_PROPERTIES.iter().any(|start| property.starts_with(start));
        if takes_token && has_rem(value) {
            self.raw_values.insert(declaration.to_owned());
        }
        self.properties_read.extend(identifiers_after(value, "var(").map(str::to_owned));
        self.raw_values.extend(identifiers_after(value, "#").map(|color| format!("#{color}")));
        let words = value.split(|c: char| !is_identifier(c) && c != '(');
        let functions = words.flat_map(|word| word.split_inclusive('('));
        for name in functions.filter_map(|word| word.strip_suffix('(')) {
            if COLOR_FUNCTIONS.contains(&name) {
                self.raw_values.insert(format!("{name}()"));
            }
        }
    }
}

const fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Whether a length in rem occurs in `value`.
fn has_rem(value: &str) -> bool {
    value
        .match_indices("rem")
        .any(|(start, _)| value[..start].ends_with(|c: char| c.is_ascii_digit()))
}

/// Returns the identifier after each `mark`, if there is one.
fn identifiers_after<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(mark).filter_map(move |(start, _)| {
        let rest = &text[start + mark.len()..];
        let name = &rest[..rest.find(|c| !is_identifier(c)).unwrap_or(rest.len())];
        (!name.is_empty()).then_some(name)
    })
}

/// Removes comments and the content of strings, in which nothing is a selector.
fn without_comments_and_strings(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(['/', '"']) {
        kept.push_str(&rest[..start]);
        let (open, close) = match rest.as_bytes()[start] {
            b'"' => ("\"", "\""),
            _ if rest[start..].starts_with("/*") => ("/*", "*/"),
            _ => {
                kept.push('/');
                rest = &rest[start + 1..];
                continue;
            }
        };
        let inside = &rest[start + open.len()..];
        rest = inside.find(close).map_or("", |end| &inside[end + close.len()..]);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::{Sheet, find_problems};
    use std::collections::BTreeMap;

    const MAIN: &str = "@import \"tokens.css\";\n@import \"a.css\";\n@import \"b.css\";";
    const PAGES: &str = r#"<p class="lamp">{chair}</p> class="table-leg""#;

    fn problems(a: &str, b: &str) -> Vec<String> {
        let tokens = ":root { --red: #f00; --unit: 4px; }";
        let sheets = [("tokens.css", tokens), ("a.css", a), ("b.css", b)];
        let scanned = sheets.map(|(name, text)| (name.to_owned(), Sheet::scan(text)));
        let unread = ["--red is never read", "--unit is never read"];
        let mut found = find_problems(&BTreeMap::from(scanned), MAIN, PAGES);
        found.retain(|problem| !unread.contains(&problem.as_str()));
        found
    }

    #[test]
    fn a_class_belongs_to_one_sheet() {
        assert!(
            problems(".lamp { & .chair { top: 0 } } .lamp:hover { top: 0 }", "p { top: 0 }")
                .is_empty()
        );
        let second = "@media print { main { & > p:not(.lamp) { top: 0; } } }";
        assert_eq!(
            problems(".lamp { top: 0 }", second),
            ["b.css: the class .lamp belongs to a.css"]
        );
    }

    #[test]
    fn a_class_that_no_page_uses_is_found() {
        assert_eq!(problems(".table { top: 0 }", ""), ["a.css: no page uses the class .table"]);
    }

    #[test]
    fn raw_colors_are_for_the_tokens() {
        let colors = "p { color: #fff; background: rgb(0 0 0 / 5%); border-color: var(--red) }";
        assert_eq!(
            problems(colors, ""),
            ["a.css: #fff is not a token", "a.css: rgb() is not a token"]
        );
    }

    #[test]
    fn raw_spaces_are_for_the_tokens() {
        let spaces = "p { width: 2rem; gap: 1px; margin: var(--unit) 0 2rem; font-size: 1rem }";
        assert_eq!(
            problems(spaces, ""),
            [
                "a.css: font-size: 1rem is not a token",
                "a.css: margin: var(--unit) 0 2rem is not a token"
            ]
        );
    }

    #[test]
    fn a_property_is_set_and_read() {
        assert_eq!(problems("p { --x: 1px }", ""), ["--x is never read"]);
        assert_eq!(problems("p { top: var(--y, 0) }", ""), ["--y is never set"]);
        assert!(problems("p { --x: 1px }", "p { top: calc(2 * var(--x)) }").is_empty());
    }

    #[test]
    fn a_sheet_that_is_not_imported_is_found() {
        let sheets = BTreeMap::from([("c.css".to_owned(), Sheet::scan(""))]);
        assert_eq!(find_problems(&sheets, MAIN, PAGES), ["c.css: main.css does not import it"]);
    }

    #[test]
    fn comments_strings_and_numbers_are_no_classes() {
        let sheet = Sheet::scan(
            "/* .a */ @media (width > 47.99rem) { .b:is(.c, p)::before { content: \".d { }\"; width: 0.5rem; } }",
        );
        assert_eq!(sheet.classes.into_iter().collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn a_selector_may_follow_a_declaration() {
        let sheet = Sheet::scan(".a { margin: 0; & .b:hover { --x: var(--y, 1px); } }");
        assert_eq!(sheet.classes.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(sheet.properties_set.contains("--x") && sheet.properties_read.contains("--y"));
    }
}
