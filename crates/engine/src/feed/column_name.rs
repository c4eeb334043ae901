//! Column names in a form in which spellings can be compared.

use super::cell_text::is_invisible;

/// Returns a name in lower case, without accents and invisible characters, with single
/// blanks for `_`, `-`, line breaks and blanks.
pub(super) fn normalize(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    let mut is_after_blank = true;
    for letter in name.chars() {
        if letter.is_whitespace() || letter == '_' || letter == '-' {
            if !is_after_blank {
                normalized.push(' ');
            }
            is_after_blank = true;
        } else if !is_invisible(letter) {
            letter.to_lowercase().for_each(|letter| push_without_accent(letter, &mut normalized));
            is_after_blank = false;
        }
    }
    normalized.truncate(normalized.trim_end().len());
    normalized
}

fn push_without_accent(letter: char, out: &mut String) {
    out.push(match letter {
        // Combining accents, as macOS writes them.
        '\u{300}'..='\u{36f}' => return,
        'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ī' | 'ı' => 'i',
        'ł' | 'ľ' | 'ĺ' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ő' | 'ō' => 'o',
        'ř' | 'ŕ' => 'r',
        'ś' | 'š' | 'ş' | 'ș' => 's',
        'ť' | 'ț' | 'ţ' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ё' => 'е',
        'й' => 'и',
        '’' | 'ʼ' | '`' | '´' => '\'',
        '（' => '(',
        '）' => ')',
        'ß' => return out.push_str("ss"),
        'æ' => return out.push_str("ae"),
        'œ' => return out.push_str("oe"),
        _ => letter,
    });
}

/// Returns a normalized name with its first number replaced by `%d`, and the number.
pub(super) fn split_number(name: &str) -> Option<(String, u32)> {
    let start = name.find(|letter: char| letter.is_ascii_digit())?;
    let rest = name.get(start..)?;
    let len = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let number = rest.get(..len)?.parse().ok()?;
    Some((format!("{}%d{}", name.get(..start)?, rest.get(len..)?), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_name_are_one() {
        for (name, expected) in [
            ("Regular \nprice", "regular price"),
            (" Product_SKU-No. ", "product sku no."),
            ("\u{feff}Pre\u{ad}is\u{a0}\u{200b}", "preis"),
            ("Tarif régulier", "tarif regulier"),
            ("Tarif re\u{301}gulier", "tarif regulier"),
            ("Nom de l’attribut 1", "nom de l'attribut 1"),
            ("İndirimli Satış", "indirimli satis"),
            ("Größe", "grosse"),
            ("Краткий", "краткии"),
            ("タイプ", "タイプ"),
        ] {
            assert_eq!(normalize(name), expected);
        }
    }

    #[test]
    fn numbers_are_split_from_names() {
        assert_eq!(split_number("attribute 12 name"), Some(("attribute %d name".into(), 12)));
        assert_eq!(split_number("属性 1 の名前"), Some(("属性 %d の名前".into(), 1)));
        assert_eq!(split_number("price"), None);
    }
}
