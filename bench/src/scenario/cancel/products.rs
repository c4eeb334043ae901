//! The products of a round. Their SKUs occur in no other round, so that every effect on
//! one of them was caused by this round's upload.

use std::fmt::Write;

/// Returns the file of the upload that is cancelled: every third product loses the answer
/// to its first request, some get a 500, and one starts a cooldown.
pub fn cancelled_csv(round: u64, products: usize) -> String {
    let mut csv = String::from("sku,title,price\n");
    for number in 1..=products {
        // Writing to a string can't fail.
        let _ =
            writeln!(csv, "CXL{round:03}{}-{number:05},Lamp {number},19.90", fault_marker(number));
    }
    csv
}

/// Returns the part of a SKU with which the sandbox forces a fault.
fn fault_marker(number: usize) -> &'static str {
    match number {
        number if number.is_multiple_of(3) => "-SBX-DROPONCE",
        number if number % 8 == 1 => "-SBX-500ONCE",
        5 => "-SBX-429ONCE",
        _ => "",
    }
}

/// Returns the prefix of the SKUs of the upload that runs beside it.
pub fn load_prefix(round: u64) -> String {
    format!("LOAD{round:03}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_third_of_the_answers_is_lost_and_one_cooldown_begins() {
        let csv = cancelled_csv(7, 24);
        assert_eq!(csv.matches("-SBX-DROPONCE").count(), 8);
        assert_eq!(csv.matches("-SBX-500ONCE").count(), 2);
        assert_eq!(csv.matches("-SBX-429ONCE").count(), 1);
    }

    #[test]
    fn no_product_is_in_two_rounds() {
        let skus = |round| {
            let csv = cancelled_csv(round, 24);
            let rows = csv.lines().skip(1);
            rows.map(|row| row.split(',').next().unwrap().to_owned()).collect::<HashSet<_>>()
        };
        assert_eq!(skus(1).len(), 24);
        assert!(skus(1).is_disjoint(&skus(11)));
    }
}
