//! Tests of the store; each one of the suite runs on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod audit;
mod batch;
mod cancel;
mod clock;
mod column_choices;
mod credentials;
mod disk_full;
mod effects;
mod failed_commands;
mod fixture;
mod leases;
mod machine_tasks;
mod model;
mod prune;
mod races;
mod recent_facts;
mod retry;
mod search;
mod slowest_tasks;
mod superseded;
mod tasks;
mod texts;
mod upstream_controls;
mod users;
mod workers;

/// Defines the tests. The compiler reports a test that is not listed as dead code.
macro_rules! suite {
    ($($module:ident: $($test:ident)*;)*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test]
                async fn $test() {
                    let fixture = crate::fixture::StoreFixture::sqlite().await;
                    crate::$module::$test(fixture).await;
                })*
            })*
        }

        /// All tests share one server; each has a database of its own.
        #[tokio::test]
        async fn postgres() {
            let node = testbed::PostgresNode::start();
            $($(
                eprintln!("{}", stringify!($module::$test));
                run_boxed(node.create_database(), crate::$module::$test).await;
            )*)*
        }
    };
}

/// Runs a test in a database of its own. No function's stack frame contains more
/// than one test: all of them together exceed a thread's stack.
fn run_boxed<T: Future<Output = ()> + 'static>(
    url: String,
    test: fn(fixture::StoreFixture) -> T,
) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move { test(fixture::StoreFixture::at(url).await).await })
}

suite! {
    tasks:
        a_job_runs_to_its_end
        ids_have_the_time_of_the_stores_clock
        one_idempotency_key_makes_one_job
        a_delivery_is_claimed_once_and_a_stale_worker_writes_nothing
        retries_back_off_and_end_as_a_failure_that_can_be_retried
        pause_and_cancel_take_effect_at_once_and_report_true_counts
        a_delivery_refused_during_a_pause_is_redelivered
        a_person_resolves_a_task_that_needs_review
        resolving_a_task_does_not_undo_a_cancel
        five_lost_leases_in_a_row_fail_the_task
        a_renewed_lease_is_not_taken_back
        a_cooldown_keeps_its_reason_and_message_and_is_never_shortened
        jobs_of_other_users_are_not_found;
    cancel:
        a_cancel_reconciles_what_was_sent_without_an_answer
        a_running_call_without_an_answer_is_reconciled_after_a_cancel
        a_lost_worker_is_reconciled_after_a_cancel
        what_a_cancelled_job_has_started_is_waited_for
        nobody_can_tell_what_a_cancelled_call_did
        cancelled_items_can_be_launched_again;
    effects:
        a_job_counts_what_its_uploads_changed
        rejected_items_are_exported_and_retried_only_by_name;
    column_choices:
        a_choice_is_shared_and_keeps_who_made_it_first;
    upstream_controls:
        a_pause_and_a_rate_are_shared_and_each_change_is_in_the_audit_log
        the_end_of_a_pause_leaves_the_services_own_cooldown
        only_admins_change_upstreams_and_what_changes_nothing_is_no_entry
        waiting_jobs_and_failed_attempts_are_those_of_the_reader;
    audit:
        what_is_done_with_jobs_is_recorded_once
        changes_of_accounts_are_recorded;
    recent_facts:
        recent_facts_are_counted_by_command_for_their_reader
        the_last_facts_of_an_event_are_those_of_their_reader;
    clock:
        delays_survive_a_clock_that_was_set_back
        tasks_published_before_the_clock_was_set_back_are_republished
        jobs_accepted_after_the_clock_was_set_back_are_newer;
    leases:
        the_first_lost_lease_retries_at_once_and_later_ones_back_off
        a_task_that_kills_its_process_does_not_fail_its_neighbours;
    batch:
        a_batch_of_finishes_is_one_commit_with_facts_for_each
        a_failing_finish_does_not_affect_the_rest_of_its_batch
        a_claim_is_finished_only_once
        a_batch_claim_reports_each_task_separately;
    races:
        concurrent_claims_of_one_task_have_one_winner
        concurrent_claims_of_one_key_run_one_at_a_time
        concurrent_batch_claims_share_no_task
        workers_and_relay_do_not_deadlock
        a_task_that_becomes_due_during_a_relay_round_is_published
        a_task_marked_published_after_its_queue_was_lost_is_republished
        a_concurrent_finish_and_cancel_stay_consistent
        a_concurrent_retry_and_cancel_stay_consistent
        concurrent_requests_with_one_idempotency_key_make_one_job
        concurrent_jobs_do_not_exceed_the_open_limits
        concurrent_resolutions_of_one_task_apply_once
        concurrent_workers_lose_no_count_and_no_fact
        a_deadlock_is_retried
        a_leader_lease_has_one_holder;
    superseded:
        a_newer_success_during_a_claim_supersedes_the_older_task
        a_newer_success_during_a_batch_claim_supersedes_the_older_task
        a_superseded_task_that_may_have_had_an_effect_is_reconciled;
    retry:
        a_retry_may_name_more_tasks_than_one_statement_takes
        a_retry_clears_the_checkpoint
        retries_and_resolutions_count_against_the_open_limits
        a_concurrent_retry_and_new_job_do_not_exceed_the_open_limits;
    failed_commands:
        a_failed_command_is_edited_and_runs_again
        an_edit_is_validated_and_never_changes_the_key
        of_two_edits_the_later_one_is_told
        what_runs_again_is_neither_edited_nor_replayed
        only_admins_edit_and_replay_and_the_facts_are_the_owners
        a_replay_respects_cancels_and_the_owners_limits
        an_unknown_effect_is_replayed_but_not_edited
        begun_work_is_replayed_but_not_edited
        a_replay_runs_only_what_the_admin_has_seen
        failed_tasks_are_grouped_by_reason;
    prune:
        the_journal_loses_its_beginning_after_30_days_and_never_its_middle
        a_job_and_its_rows_are_deleted_90_days_after_its_end
        a_job_that_was_retried_is_kept
        expired_rows_are_deleted;
    texts:
        texts_that_cannot_be_stored_are_refused_whole
        texts_of_outside_services_are_sanitized_and_truncated
        defects_are_distinguished_from_database_errors;
    machine_tasks:
        the_last_tasks_of_each_machine_are_found_in_the_newest_job_about_it;
    search:
        search_finds_the_prefix_among_the_users_own_items;
    accounts:
        concurrent_first_sign_ups_create_one_user
        a_user_disabled_during_a_request_is_signed_out
        updating_seen_at_locks_the_user_before_the_session;
    credentials:
        a_session_is_opened_only_for_the_password_that_was_checked
        no_session_outlives_what_ends_it
        the_oldest_session_ends_above_the_maximum
        a_signed_out_user_cannot_change_anything
        a_user_disabled_during_a_request_changes_nothing
        an_admin_demoted_during_a_request_manages_nobody
        an_api_token_manages_nobody
        an_api_token_ends_when_it_expires
        api_tokens_are_revoked_by_a_reset_a_disabling_and_optionally_a_password_change;
    slowest_tasks:
        the_slowest_tasks_of_a_job_come_first;
    workers:
        a_worker_is_listed_from_its_first_heartbeat_to_its_end
        held_tasks_are_those_that_run_now_longest_first;
    users:
        an_invitation_makes_one_account_with_its_role
        an_invitation_ends_by_time_by_revocation_and_by_the_next_one
        two_invitations_of_one_address_cannot_make_two_accounts
        a_disabled_user_is_signed_out_at_once_and_can_sign_in_when_enabled
        nobody_removes_themselves_or_the_last_admin
        demoted_and_disabled_admins_do_not_count_as_admins
        a_password_reset_ends_sessions_only_when_it_is_redeemed
        a_password_change_ends_other_sessions_and_pending_resets
        seen_at_is_updated_at_most_once_a_minute;
}
