//! Texts that are the same in each run.

const WORDS: [&str; 24] = [
    "lamp", "oak", "table", "größe", "blue", "linen", "für", "kitchen", "and", "the", "hand",
    "made", "with", "café", "shelf", "glass", "of", "solid", "crème", "wood", "soft", "in", "4",
    "strong",
];
const VENDORS: [&str; 4] = ["Acme", "Nordholz", "Maison Petit", "Lumen & Co"];

/// Source of words, prices and names.
pub struct Words {
    state: u64,
}

impl Words {
    pub fn new() -> Self {
        Self { state: 1 }
    }

    /// Returns the next number of a linear congruential generator; its upper bits are random
    /// enough for texts.
    fn next(&mut self) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) as usize
    }

    /// Returns words with about this number of characters in total.
    pub fn text(&mut self, chars: usize) -> String {
        let mut text = String::with_capacity(chars + 8);
        while text.len() < chars {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(WORDS[self.next() % WORDS.len()]);
        }
        text
    }

    /// Returns a price with two decimals.
    pub fn price(&mut self) -> String {
        format!("{}.{:02}", self.next() % 400 + 1, self.next() % 100)
    }

    pub fn vendor(&mut self) -> &'static str {
        VENDORS[self.next() % VENDORS.len()]
    }
}
