//! How long a comparison takes, and how long it waits for one thing.

use std::time::Duration;

/// Time that the channel takes for a product, at speed 1.
pub const UPLOAD_TIME: Duration = Duration::from_secs(10);
/// Longest time from the start of a machine until it runs, at speed 1.
const BOOT_TIME: Duration = Duration::from_secs(35);
/// Time of all scenarios as a multiple of [`batch_time`]. The scenario in which the server is
/// killed takes longer than one batch, the one in which the person leaves takes less.
const BATCH_TIMES: u32 = 4;
/// Time of the starts and pauses of all scenarios, at any speed.
const OVERHEAD: Duration = Duration::from_secs(20);
/// Time limit of what the speed of the services does not change: starts, pauses between
/// attempts, a machine that is busy.
const BASE_LIMIT: Duration = Duration::from_secs(180);
/// Share of a time limit that depends on the services, as a multiple of [`batch_time`].
const LIMIT_FACTOR: u32 = 3;

/// Returns the time that all scenarios take, roughly.
pub fn estimate(speed: u32, products: u32) -> Duration {
    batch_time(speed, products) * BATCH_TIMES + OVERHEAD
}

/// Returns the time limit of waiting for one thing, such as the answer to a launch or the end
/// of a batch: three times what the synchronous way takes for a batch, which is the slowest,
/// and three minutes.
pub fn wait_limit(speed: u32, products: u32) -> Duration {
    batch_time(speed, products) * LIMIT_FACTOR + BASE_LIMIT
}

/// Returns the time that the synchronous way takes for a batch: it does one thing after the
/// other.
fn batch_time(speed: u32, products: u32) -> Duration {
    (UPLOAD_TIME * products + BOOT_TIME) / speed.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_leaves_time_for_a_batch_of_any_size_at_any_speed() {
        for (speed, products) in [(1, 2), (1, 40), (1, 99), (6, 12), (40, 8), (1_000, 99)] {
            let uploads = UPLOAD_TIME * products / speed;
            let limit = wait_limit(speed, products);
            assert!(limit > uploads * 2, "{products} products at speed {speed}: {limit:?}");
        }
    }

    #[test]
    fn limit_ends_a_wait_soon_where_the_services_are_fast() {
        assert!(wait_limit(1_000, 99) < Duration::from_secs(200));
    }

    #[test]
    fn estimate_is_near_a_measurement_and_grows_with_the_products() {
        // `docs/THREE_WAYS.md`: 113 s at speed 6 with 12 products.
        let measured = Duration::from_secs(113);
        assert!(estimate(6, 12).abs_diff(measured) < Duration::from_secs(15));
        assert!(estimate(1, 40) > estimate(1, 12) * 2);
    }
}
