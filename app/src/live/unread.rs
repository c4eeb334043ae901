//! How many notifications are unread: what a page counted, and what was told
//! since.

/// Counts each notification once, whether a page or a fact came first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unread {
    /// The `seq` up to which `counted` holds.
    at: i64,
    counted: usize,
    /// `seq`s of notifications behind `at`.
    told: Vec<i64>,
}

impl Unread {
    pub fn count(&self) -> usize {
        self.counted + self.told.len()
    }

    /// A page counted `unread` as of `at`.
    pub fn page(&mut self, at: i64, unread: u32) {
        if at >= self.at {
            self.at = at;
            self.counted = unread as usize;
            self.told.retain(|seq| *seq > at);
        }
    }

    pub fn told(&mut self, seq: i64) {
        if seq > self.at && !self.told.contains(&seq) {
            self.told.push(seq);
        }
    }

    /// Everything up to `up_to` was read. False: what a page counted may lie
    /// behind that, so only a new page can tell.
    pub fn read(&mut self, up_to: i64) -> bool {
        self.told.retain(|seq| *seq > up_to);
        if up_to >= self.at || self.counted == 0 {
            self.counted = 0;
            return true;
        }
        false
    }

    /// Not all since the last page was heard, or a store with another history
    /// took the place of the one that was read: what was counted is shown until
    /// the next page counts.
    pub fn forget(&mut self) {
        *self = Self { counted: self.count(), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::Unread;

    #[test]
    fn a_fact_that_a_page_counted_already_is_not_counted_again() {
        let mut unread = Unread::default();
        unread.page(10, 1);
        unread.told(10);
        assert_eq!(unread.count(), 1);
        unread.told(11);
        unread.told(11);
        assert_eq!(unread.count(), 2);
        unread.page(11, 2);
        assert_eq!(unread.count(), 2);
    }

    #[test]
    fn an_older_page_does_not_undo_a_newer_one() {
        let mut unread = Unread::default();
        unread.page(10, 0);
        unread.page(9, 3);
        assert_eq!(unread.count(), 0);
    }

    #[test]
    fn what_was_counted_is_shown_until_a_page_counts_anew() {
        let mut unread = Unread::default();
        unread.page(10, 2);
        unread.told(11);
        unread.forget();
        assert_eq!(unread.count(), 3);
        unread.page(4, 1);
        assert_eq!(unread.count(), 1);
    }

    #[test]
    fn reading_keeps_what_came_later() {
        let mut unread = Unread::default();
        unread.page(10, 2);
        unread.told(12);
        unread.told(14);
        assert!(unread.read(12));
        assert_eq!(unread.count(), 1);
    }

    #[test]
    fn reading_part_of_what_a_page_counted_needs_a_new_page() {
        let mut unread = Unread::default();
        unread.page(10, 2);
        assert!(!unread.read(5));
        assert_eq!(unread.count(), 2);
    }
}
