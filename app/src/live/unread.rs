//! Number of unread notifications: the count of a page, and those received since.

/// Counts each notification once, whether the page or the fact arrived first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unread {
    /// `seq` at which `counted` was taken.
    counted_at_seq: i64,
    counted: usize,
    /// `seq`s of notifications after `counted_at_seq`.
    newer_seqs: Vec<i64>,
}

impl Unread {
    pub fn count(&self) -> usize {
        self.counted + self.newer_seqs.len()
    }

    /// Takes the count of a page, read at the `seq` `at`.
    pub fn set_page_count(&mut self, at: i64, unread: u32) {
        if at >= self.counted_at_seq {
            self.counted_at_seq = at;
            self.counted = unread as usize;
            self.newer_seqs.retain(|seq| *seq > at);
        }
    }

    pub fn add(&mut self, seq: i64) {
        if seq > self.counted_at_seq && !self.newer_seqs.contains(&seq) {
            self.newer_seqs.push(seq);
        }
    }

    /// Marks everything up to `up_to` as read. Returns false if part of the page's count may
    /// be newer, so that only a new page knows the count.
    pub fn mark_read(&mut self, up_to: i64) -> bool {
        self.newer_seqs.retain(|seq| *seq > up_to);
        if up_to >= self.counted_at_seq || self.counted == 0 {
            self.counted = 0;
            return true;
        }
        false
    }

    /// Call this when facts since the last page were missed, or a store with another history
    /// replaced the one that was read. The current count is shown until the next page
    /// provides one.
    pub fn reset_history(&mut self) {
        *self = Self { counted: self.count(), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::Unread;

    #[test]
    fn fact_counted_by_a_page_is_not_counted_again() {
        let mut unread = Unread::default();
        unread.set_page_count(10, 1);
        unread.add(10);
        assert_eq!(unread.count(), 1);
        unread.add(11);
        unread.add(11);
        assert_eq!(unread.count(), 2);
        unread.set_page_count(11, 2);
        assert_eq!(unread.count(), 2);
    }

    #[test]
    fn older_page_does_not_replace_a_newer_count() {
        let mut unread = Unread::default();
        unread.set_page_count(10, 0);
        unread.set_page_count(9, 3);
        assert_eq!(unread.count(), 0);
    }

    #[test]
    fn reset_keeps_the_count_until_the_next_page() {
        let mut unread = Unread::default();
        unread.set_page_count(10, 2);
        unread.add(11);
        unread.reset_history();
        assert_eq!(unread.count(), 3);
        unread.set_page_count(4, 1);
        assert_eq!(unread.count(), 1);
    }

    #[test]
    fn mark_read_keeps_later_notifications() {
        let mut unread = Unread::default();
        unread.set_page_count(10, 2);
        unread.add(12);
        unread.add(14);
        assert!(unread.mark_read(12));
        assert_eq!(unread.count(), 1);
    }

    #[test]
    fn partial_read_of_a_page_count_needs_a_new_page() {
        let mut unread = Unread::default();
        unread.set_page_count(10, 2);
        assert!(!unread.mark_read(5));
        assert_eq!(unread.count(), 2);
    }
}
