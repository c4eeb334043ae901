//! What every database keeps: each test here runs on each of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod batch;
mod clock;
mod credentials;
mod full;
mod leases;
mod model;
mod people;
mod prune;
mod races;
mod retry;
mod search;
mod superseded;
mod tasks;
mod texts;
mod world;

/// A test that is not listed is dead code, and the compiler says so.
macro_rules! suite {
    ($($module:ident: $($test:ident)*;)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let world = crate::world::World::sqlite().await;
                    crate::$module::$test(world).await;
                })*
            })*
        }

        /// One server for all; each test has a database of its own.
        #[tokio::test]
        async fn postgres() {
            let node = engine::testing::PostgresNode::start();
            $($(
                eprintln!("{}", stringify!($module::$test));
                on_heap(node.url(), crate::$module::$test).await;
            )*)*
        }
    };
}

/// A test in a database of its own. No function's frame holds more than one:
/// together they are more than a thread's stack.
fn on_heap<T: Future<Output = ()> + 'static>(
    url: String,
    test: fn(world::World) -> T,
) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move { test(world::World::at(url).await).await })
}

suite! {
    tasks:
        a_job_runs_to_its_end
        one_key_is_one_job
        a_delivery_is_claimed_once_and_a_stale_worker_writes_nothing
        retries_back_off_and_end_as_a_failure_that_can_be_retried
        pause_and_cancel_bite_at_once_and_tell_the_truth
        a_delivery_that_a_pause_refused_comes_again
        a_person_decides_what_nobody_can_tell
        a_person_does_not_undo_a_cancel
        five_lost_leases_in_a_row_are_poison
        a_renewed_lease_is_not_taken_back
        a_closing_is_kept_with_its_cause_and_not_shortened
        what_belongs_to_others_is_not_found;
    clock:
        what_was_to_wait_for_seconds_does_not_wait_for_a_day
        what_is_published_under_a_clock_ahead_is_published_again
        what_is_launched_after_a_clock_was_set_back_is_newer;
    leases:
        the_first_loss_is_made_good_at_once_and_each_other_waits_longer
        what_kills_its_process_does_not_take_its_neighbours_with_it;
    batch:
        many_ends_are_one_commit_and_each_tells_its_own
        a_bad_end_takes_no_other_down
        one_claim_ends_once
        of_many_claims_each_is_told_its_own;
    races:
        of_two_claims_one_wins
        of_two_claims_of_one_key_one_waits
        of_two_who_claim_many_each_task_is_one_s
        many_workers_and_a_relay_do_not_wait_for_each_other
        a_task_that_comes_due_while_a_relay_looks_is_not_hidden
        what_is_marked_after_its_queue_was_lost_is_published_again
        a_finish_and_a_cancel_leave_one_truth
        a_retry_and_a_cancel_leave_one_truth
        one_key_sent_twice_at_once_is_one_job
        two_launches_at_once_do_not_pass_a_limit_together
        two_people_who_decide_at_once_are_one_decision
        many_workers_lose_no_count_and_no_fact
        a_deadlock_turns_nobody_away
        of_two_candidates_one_has_the_seat;
    superseded:
        a_newer_success_that_comes_while_a_claim_waits_ends_the_older_task
        a_newer_success_that_comes_while_a_batch_waits_ends_the_older_task;
    retry:
        what_is_retried_may_be_more_than_a_statement_takes
        what_is_retried_begins_without_what_was_noted
        what_is_retried_or_decided_counts_as_a_launch_does
        a_retry_and_a_launch_at_once_do_not_pass_the_limit_together;
    prune:
        the_journal_loses_its_beginning_after_30_days_and_never_its_middle
        a_job_goes_90_days_after_its_end_with_all_that_is_its_own
        a_job_that_was_taken_up_again_stays
        what_has_run_out_is_deleted;
    texts:
        a_text_that_no_database_keeps_is_refused_and_nothing_is_stored
        what_an_outside_service_said_is_kept_cleaned_and_cut
        an_error_of_ours_is_told_from_one_of_the_database;
    search:
        what_begins_alike_is_found_by_whoever_launched_it;
    accounts:
        of_two_first_accounts_one_is_made
        whoever_is_locked_out_while_they_act_is_out
        when_a_session_was_seen_is_kept_in_the_order_that_ends_it;
    credentials:
        a_session_is_opened_for_the_password_that_was_checked_alone
        no_session_outlives_what_ends_it
        one_person_has_so_many_sessions_and_the_oldest_ends
        who_is_signed_out_changes_nothing
        who_is_disabled_while_they_act_has_not_acted
        who_is_demoted_while_they_act_manages_nobody
        an_api_token_manages_nobody
        api_tokens_end_with_a_reset_and_a_disabling_and_with_a_change_where_it_is_asked_for;
    people:
        an_invitation_makes_one_account_with_its_role
        an_invitation_ends_by_time_by_revocation_and_by_the_next_one
        two_invitations_of_one_address_cannot_make_two_accounts
        who_is_disabled_is_out_at_once_and_in_again_when_enabled
        nobody_removes_themselves_or_the_last_admin
        a_demoted_admin_is_a_user_and_a_disabled_one_counts_for_nothing
        a_reset_ends_the_sessions_when_it_is_used_and_not_before
        a_new_password_ends_the_other_sessions_and_links_to_another
        when_a_session_was_last_seen_is_kept_to_the_minute;
}
