//! Label and state of the launch button.

use super::file_check::{CheckState, FileCheckResult};
use crate::labels;

/// Label and state of the launch button.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchButton {
    pub label: String,
    pub is_disabled: bool,
    /// Sentence about the bad rows that are skipped.
    pub skipped_rows: Option<String>,
}

impl LaunchButton {
    /// Returns the button for a check and a number of channels. `is_rechecking` says that an
    /// answer has changed since the check.
    pub fn for_check(check: &CheckState, is_rechecking: bool, channels: usize) -> Self {
        let off = |words: &str| Self { label: words.into(), is_disabled: true, skipped_rows: None };
        let counts = match check {
            CheckState::Pending => return off("Reading the file …"),
            _ if is_rechecking => return off("Reading the file …"),
            CheckState::NoFile | CheckState::NoResponse => {
                return Self { is_disabled: false, ..off("Upload the file") };
            }
            CheckState::Finished(FileCheckResult::Rejected(_)) => {
                return off("This file can't be uploaded");
            }
            CheckState::Finished(FileCheckResult::Parsed(report)) => report.counts,
        };
        match counts.questions {
            0 => {}
            1 => return off("Answer the question above"),
            questions => return off(&format!("Answer {questions} questions")),
        }
        if counts.products == 0 {
            let has_bad_rows = counts.bad_rows > 0;
            return off(if has_bad_rows { "No valid rows to upload" } else { "Nothing to upload" });
        }
        if channels == 0 {
            return off("Choose a channel");
        }
        let channels = labels::count_noun(channels as u64, "channel");
        if counts.bad_rows == 0 {
            let words =
                format!("Upload {} to {channels}", labels::count_noun(counts.products, "product"));
            return Self { label: words, ..Self::default() };
        }
        // A product may consist of several rows, so rows and products are counted separately.
        let a_row_each = counts.products + counts.bad_rows + counts.left_out == counts.rows;
        let what = labels::pluralize(counts.products, if a_row_each { "row" } else { "product" });
        let left = format!(
            "{} of {} {} skipped; the rest goes to {channels}.",
            labels::count_noun(counts.bad_rows, "bad row"),
            labels::group_thousands(counts.rows),
            if counts.bad_rows == 1 { "is" } else { "are" },
        );
        let words = format!("Upload the {} valid {what}", labels::group_thousands(counts.products));
        Self { label: words, is_disabled: false, skipped_rows: Some(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::launch::file_report::{FileCounts, FileReport};

    fn finished(counts: FileCounts) -> CheckState {
        let report = FileReport { counts, ..FileReport::default() };
        CheckState::Finished(FileCheckResult::Parsed(Box::new(report)))
    }

    fn button(rows: u64, products: u64, bad_rows: u64, channels: usize) -> LaunchButton {
        let counts = FileCounts { rows, products, bad_rows, ..FileCounts::default() };
        LaunchButton::for_check(&finished(counts), false, channels)
    }

    fn button_for(check: &CheckState, is_rechecking: bool) -> LaunchButton {
        LaunchButton::for_check(check, is_rechecking, 3)
    }

    #[test]
    fn button_label_says_what_happens_or_why_it_is_disabled() {
        for (actual, words, disabled) in [
            (button(150, 150, 0, 3), "Upload 150 products to 3 channels", false),
            (button(1, 1, 0, 1), "Upload 1 product to 1 channel", false),
            (button(150, 149, 1, 3), "Upload the 149 valid rows", false),
            (button(54, 17, 2, 3), "Upload the 17 valid products", false),
            (button(2, 0, 2, 3), "No valid rows to upload", true),
            (button(2, 0, 0, 3), "Nothing to upload", true),
            (button(150, 150, 0, 0), "Choose a channel", true),
            (button_for(&CheckState::NoFile, false), "Upload the file", false),
            (button_for(&CheckState::NoResponse, false), "Upload the file", false),
            (button_for(&CheckState::Pending, false), "Reading the file …", true),
        ] {
            assert_eq!((actual.label.as_str(), actual.is_disabled), (words, disabled));
        }
        let left = button(150, 149, 1, 3).skipped_rows;
        let words = "1 bad row of 150 is skipped; the rest goes to 3 channels.";
        assert_eq!(left.as_deref(), Some(words));
    }

    #[test]
    fn open_questions_come_before_everything_else() {
        let file = |questions, left_out| {
            let (products, rows, bad_rows) = (8, 12, 2);
            finished(FileCounts { questions, products, rows, bad_rows, left_out })
        };
        for (check, is_rechecking, words, disabled) in [
            (file(1, 0), false, "Answer the question above", true),
            (file(2, 0), false, "Answer 2 questions", true),
            (file(0, 0), true, "Reading the file …", true),
            (file(0, 0), false, "Upload the 8 valid products", false),
            (file(0, 2), false, "Upload the 8 valid rows", false),
        ] {
            let actual = button_for(&check, is_rechecking);
            assert_eq!((actual.label.as_str(), actual.is_disabled), (words, disabled));
        }
    }
}
