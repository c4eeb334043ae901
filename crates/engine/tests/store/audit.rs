//! The audit log: who did what, in the commit of the change.

use crate::fixture::{StoreFixture, new_upload_job};
use contract::api::{AuditAction, AuditEntry, RetryRequest, Role};
use engine::store::{AuditScope, Error, JobControl, TokenTerms};
use serde_json::{Value, json};

impl StoreFixture {
    /// Returns the newest entry.
    pub async fn newest_entry(&self) -> AuditEntry {
        let scope = AuditScope::Everything;
        self.store.audit.entries(scope, None, 1).await.unwrap().items.remove(0)
    }

    async fn expect_entry(&self, action: AuditAction, subject: &str, after: Option<Value>) {
        let entry = self.newest_entry().await;
        assert_eq!((entry.action, entry.subject.as_str()), (action, subject));
        assert_eq!(entry.after, after, "{action:?}");
        assert_eq!(entry.actor_email, "ada@example.com");
    }
}

pub async fn what_is_done_with_jobs_is_recorded_once(fixture: StoreFixture) {
    let (ada, tasks) = (fixture.user, &fixture.store.tasks);
    let job = tasks.accept(new_upload_job(ada, 3)).await.unwrap().job;
    let (id, about) = (job.id.to_string(), |items: u32| {
        Some(json!({ "kind": "product_uploads", "title": job.title, "items": items }))
    });
    fixture.expect_entry(AuditAction::JobLaunched, &id, about(3)).await;
    for (control, action) in [
        (JobControl::Pause, AuditAction::JobPaused),
        (JobControl::Resume, AuditAction::JobResumed),
        (JobControl::Cancel, AuditAction::JobCancelled),
    ] {
        tasks.control_job(ada, job.id, control).await.unwrap();
        fixture.expect_entry(action, &id, about(3)).await;
    }
    let again = tasks.control_job(ada, job.id, JobControl::Cancel).await;
    assert!(matches!(again, Err(Error::Conflict(_))), "{again:?}");
    fixture.expect_entry(AuditAction::JobCancelled, &id, about(3)).await;
    let cancelled: RetryRequest = serde_json::from_value(json!({ "state": "cancelled" })).unwrap();
    tasks.retry_tasks(ada, job.id, &cancelled).await.unwrap();
    fixture.expect_entry(AuditAction::JobRetried, &id, about(3)).await;
    let all = fixture.store.audit.entries(AuditScope::Everything, None, 100).await.unwrap();
    assert_eq!(all.items.len(), 5);
    let upstreams = fixture.store.audit.entries(AuditScope::Upstreams, None, 100).await.unwrap();
    assert_eq!(upstreams.items, []);
}

pub async fn changes_of_accounts_are_recorded(fixture: StoreFixture) {
    let (ada, accounts) = (fixture.user, &fixture.store.accounts);
    let bob_email = "bob@example.com";
    accounts.invite_user(ada, bob_email, Role::User, "invitation").await.unwrap();
    fixture.expect_entry(AuditAction::UserInvited, bob_email, Some(json!("user"))).await;
    let invitation = accounts.invitations().await.unwrap().remove(0);
    accounts.revoke_invitation(ada, invitation.id).await.unwrap();
    fixture.expect_entry(AuditAction::InvitationRevoked, bob_email, None).await;
    let bob = fixture.add_user(bob_email, Role::User).await;
    accounts.set_user_role(ada, bob, Role::Admin).await.unwrap();
    fixture.expect_entry(AuditAction::RoleChanged, bob_email, Some(json!("admin"))).await;
    assert_eq!(fixture.newest_entry().await.before, Some(json!("user")));
    accounts.add_password_reset(ada, bob, "reset").await.unwrap();
    fixture.expect_entry(AuditAction::PasswordResetCreated, bob_email, None).await;
    accounts.disable_user(ada, bob).await.unwrap();
    fixture.expect_entry(AuditAction::UserDisabled, bob_email, None).await;
    accounts.enable_user(ada, bob).await.unwrap();
    fixture.expect_entry(AuditAction::UserEnabled, bob_email, None).await;
    let terms = TokenTerms::default();
    let token = accounts.add_token(ada, "nightly", "hash of a secret", terms).await.unwrap();
    fixture.expect_entry(AuditAction::TokenCreated, "nightly", None).await;
    accounts.revoke_token(ada, token.id).await.unwrap();
    fixture.expect_entry(AuditAction::TokenRevoked, "nightly", None).await;
    accounts.change_password(ada, "hash", "new hash", "no session", false).await.unwrap();
    fixture.expect_entry(AuditAction::PasswordChanged, "ada@example.com", None).await;
    // A refused change leaves no entry.
    let refused = accounts.set_user_role(ada, ada, Role::User).await;
    assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
    fixture.expect_entry(AuditAction::PasswordChanged, "ada@example.com", None).await;
}
