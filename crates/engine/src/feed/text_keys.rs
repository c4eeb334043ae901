//! Keys that stand for texts, such as SKUs, and take less memory.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// Key of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextKey([u64; 2]);

/// Map from texts, of which only the keys are stored.
pub(super) type TextKeyMap<V> = HashMap<TextKey, V, BuildHasherDefault<KeyHasher>>;

/// Returns keys of 128 bits: two hashes with random keys of their own, so that nobody can write
/// a file in which two texts have the same key.
#[derive(Default)]
pub(super) struct TextKeys {
    one: RandomState,
    other: RandomState,
}

impl TextKeys {
    pub(super) fn key(&self, text: &str) -> TextKey {
        TextKey([self.one.hash_one(text), self.other.hash_one(text)])
    }
}

impl std::hash::Hash for TextKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

/// Takes the first half of a key as its hash. It is one already, and nobody can predict it.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_a_key_of_its_own() {
        let keys = TextKeys::default();
        let mut map = TextKeyMap::default();
        for (number, text) in (0..).zip(["", "a", "b", "ab", "ba"]) {
            assert_eq!(map.insert(keys.key(text), number), None, "{text}");
        }
        assert_eq!(map.get(&keys.key("ab")), Some(&3));
        assert_eq!(map.get(&keys.key("aa")), None);
    }
}
