//! Reads any bytes as a product file.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run feed -s none -- -max_total_time=1800 -max_len=16384
//! -timeout=10 -rss_limit_mb=1024` runs it for half an hour on a stable toolchain.
#![no_main]

use engine::feed::{ReadOptions, read};
use libfuzzer_sys::fuzz_target;
use std::{collections::HashSet, sync::Once};

static QUIET: Once = Once::new();

fuzz_target!(|bytes: &[u8]| {
    // The reader catches panics of the library for workbooks. Those that it doesn't catch are
    // found without a hook, too.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    let Ok(feed) = read(bytes, &ReadOptions::default(), 0) else { return };
    let mut skus = HashSet::new();
    for product in &feed.products {
        assert!(skus.insert(&product.sku), "a SKU occurs twice");
        assert!(!product.sku.is_empty() && !product.title.is_empty());
    }
    assert!(feed.bad_rows.is_sorted_by_key(|row| row.line));
    assert!(feed.products.len() as u64 <= feed.row_count);
});
