//! Detects the delimiter of a text, and the line `sep=;` that declares it.

use super::{
    Delimiter,
    cell_text::is_blank,
    records::{Position, RecordReader},
    table::HEADER_CANDIDATES,
};

/// Candidates. Of two that divide a text equally well, the first is taken.
const DELIMITERS: [Delimiter; 4] =
    [Delimiter::Tab, Delimiter::Semicolon, Delimiter::Comma, Delimiter::Pipe];
/// Size of the beginning that decides, in bytes.
const SAMPLE_BYTES: usize = 256 << 10;
/// Number of records that decide.
const SAMPLE_RECORDS: usize = 50;

/// Where the records of a text start, and what separates their cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextLayout {
    pub delimiter: Delimiter,
    pub start: Position,
}

/// Detects the layout of a text. A declared delimiter counts if it divides the text at all.
pub(super) fn detect_layout(text: &str) -> TextLayout {
    let declaration = read_declaration(text);
    let start = declaration.map_or(Position::START, |(_, start)| start);
    if let Some((Some(delimiter), start)) = declaration
        && fitness(text, delimiter, start).lines > 0
    {
        return TextLayout { delimiter, start };
    }
    let mut best = (Fitness::default(), Delimiter::Comma);
    for delimiter in DELIMITERS {
        let fitness = fitness(text, delimiter, start);
        if fitness > best.0 {
            best = (fitness, delimiter);
        }
    }
    TextLayout { delimiter: best.1, start }
}

/// Reads the line `sep=;` or `"sep=;"` with which a text may tell a spreadsheet its
/// delimiter. Returns the delimiter, if it is a known one, and where the next line starts.
fn read_declaration(text: &str) -> Option<(Option<Delimiter>, Position)> {
    let content = text.trim_start_matches(['\r', '\n', ' ', '\u{feff}']);
    let length = content.find(['\r', '\n']).unwrap_or(content.len());
    let (line, rest) = content.split_at(length);
    let unquoted = line.trim_start_matches('"');
    let declared = match unquoted.get(..4)? {
        prefix if prefix.eq_ignore_ascii_case("sep=") => &unquoted[4..],
        _ => return None,
    };
    let character = declared.chars().next()?;
    // A spreadsheet may have added delimiters to the end of the line.
    if declared.chars().any(|other| other != character && !matches!(other, '"' | ' ')) {
        return None;
    }
    let known = DELIMITERS.into_iter().find(|it| char::from(it.as_byte()) == character);
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    let offset = text.len() - rest.len();
    let line = 1 + super::records::count_line_ends(&text.as_bytes()[..offset]);
    Some((known, Position { offset, line }))
}

/// How well a delimiter divides a text. The fields are in the order of their importance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Fitness {
    /// Number of lines in records that have several cells, and no more than the header above
    /// them, including the header. Blank cells at the end don't count as more.
    lines: u64,
    /// Number of these records that have a cell for each column.
    full_records: usize,
    /// Number of columns.
    columns: usize,
}

/// Assumes each of the first records to be the header, and returns the best result.
fn fitness(text: &str, delimiter: Delimiter, start: Position) -> Fitness {
    let sample = sample_records(text, delimiter, start);
    let headers = sample.iter().enumerate().take(HEADER_CANDIDATES);
    let fitness = headers.filter(|(_, header)| header.used_cells > 1).map(|(index, header)| {
        let mut fitness = Fitness { columns: header.used_cells, ..Fitness::default() };
        for record in &sample[index..] {
            if record.cells > 1 && record.used_cells <= header.used_cells {
                fitness.lines += record.lines;
                fitness.full_records += usize::from(record.cells >= header.used_cells);
            }
        }
        fitness
    });
    fitness.max().unwrap_or_default()
}

struct SampleRecord {
    lines: u64,
    cells: usize,
    /// Number of cells without blank ones at the end.
    used_cells: usize,
}

/// Returns the first records. The last one of a large text is left out if it is cut off.
fn sample_records(text: &str, delimiter: Delimiter, start: Position) -> Vec<SampleRecord> {
    let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
    let mut records = RecordReader::new(sample, delimiter, start);
    let mut found = Vec::new();
    while found.len() < SAMPLE_RECORDS && records.read_next().unwrap_or(false) {
        let end = records.position();
        let is_cut_off = end.offset >= sample.len() && sample.len() < text.len();
        if is_cut_off && !found.is_empty() {
            break;
        }
        let used = records.record.iter().enumerate().filter(|(_, cell)| !is_blank(cell));
        found.push(SampleRecord {
            lines: (end.line - records.line).max(1),
            cells: records.record.len(),
            used_cells: used.last().map_or(0, |(index, _)| index + 1),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_divides_header_and_rows_alike() {
        for (text, delimiter) in [
            ("sku,title\na,Mug\n", Delimiter::Comma),
            ("sku;title;price\na;One, two, three, four;1,5\n", Delimiter::Semicolon),
            ("sku|title|price\na|One, with comma|1.00\n", Delimiter::Pipe),
            ("sku,title,categories\na,Mug,x|y\nb,Cup,x|y\n", Delimiter::Comma),
            ("sku\ttitle\na\tOne, two; three|four\n", Delimiter::Tab),
            ("sku;title, name;price\na;b, c;1\n", Delimiter::Semicolon),
            ("sku,title,price,\"x;;;;;\"\na,Mug,1.5,\n", Delimiter::Comma),
            ("\n\nsku;title;\"price\";\"a,b,c,d,e\"\na;Mug;1,5;\n", Delimiter::Semicolon),
            ("Report, autumn\n\nsku;title;price\na;b;1\nc;d;2\n", Delimiter::Semicolon),
            ("sku,title,price,description,vendor\na,One,1\nb,Two,2\n", Delimiter::Comma),
            ("sku;\"a\n,,,\n,,,\n,,,\";price\n1;2;3\n", Delimiter::Semicolon),
            ("Dear Sir\n", Delimiter::Comma),
        ] {
            assert_eq!(detect_layout(text).delimiter, delimiter, "{text:?}");
        }
    }

    #[test]
    fn a_long_row_behind_the_sample_decides_nothing() {
        let text = format!("sku;title\na;{}\n", ",".repeat(SAMPLE_BYTES));
        assert_eq!(detect_layout(&text).delimiter, Delimiter::Semicolon);
    }

    #[test]
    fn a_declared_delimiter_is_used_and_its_line_skipped() {
        let at = |offset, line| Position { offset, line };
        for (text, delimiter, start) in [
            ("sep=;\r\nsku;a,b;c,d\r\n", Delimiter::Semicolon, at(7, 2)),
            ("\"sep=,\"\rsku,title\r", Delimiter::Comma, at(8, 2)),
            ("\n\nSEP=\t\nsku\ttitle\n", Delimiter::Tab, at(8, 4)),
            ("sep=|||\nsku|title\n", Delimiter::Pipe, at(8, 2)),
            ("sep=;\nsku,title,price\n", Delimiter::Comma, at(6, 2)),
            ("sep=:\nsku,title,price\n", Delimiter::Comma, at(6, 2)),
            ("sep=;", Delimiter::Comma, at(5, 1)),
            ("sep=title,price\n", Delimiter::Comma, Position::START),
        ] {
            assert_eq!(detect_layout(text), TextLayout { delimiter, start }, "{text:?}");
        }
    }
}
