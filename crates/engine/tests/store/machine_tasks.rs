//! The last tasks about machines.

use crate::fixture::{StoreFixture, new_job, new_upload_job, task};
use contract::{
    UserId,
    api::Role,
    command::{Ec2Start, Ec2Stop},
    state::JobKind,
};
use engine::store::{NewJob, NewTask};

fn start(user: UserId, ids: &[&str]) -> NewJob {
    let task = |(row, id): (u32, &&str)| {
        let command = Ec2Start { instance_id: (*id).into(), ..Ec2Start::default() };
        NewTask::new(&command, None, (*id).into(), "web".into(), row).unwrap()
    };
    NewJob { kind: JobKind::Ec2Starts, ..new_job(user, (0..).zip(ids).map(task).collect()) }
}

fn stop(user: UserId, id: &str) -> NewJob {
    let command = Ec2Stop { instance_id: id.into(), ..Ec2Stop::default() };
    let task = NewTask::new(&command, None, id.into(), "web".into(), 0).unwrap();
    NewJob { kind: JobKind::Ec2Stops, ..new_job(user, vec![task]) }
}

pub async fn the_last_tasks_of_each_machine_are_found_in_the_newest_job_about_it(
    fixture: StoreFixture,
) {
    let (ada, bob) = (fixture.user, fixture.add_user("bob@example.com", Role::User).await);
    let tasks = &fixture.store.tasks;
    tasks.accept(start(ada, &["i-1", "i-2", "i-3"])).await.unwrap();
    tasks.accept(stop(ada, "i-1")).await.unwrap();
    tasks.accept(start(bob, &["i-2"])).await.unwrap();
    // Something else that is called like a machine.
    tasks.accept(NewJob { tasks: vec![task("i-2", 0)], ..new_upload_job(ada, 0) }).await.unwrap();
    let last = async |user: UserId, ids: &[&str]| {
        let found = fixture.store.jobs.last_machine_tasks(user, ids).await.unwrap();
        let mut found: Vec<_> = found.into_iter().map(|task| (task.sku, task.kind)).collect();
        found.sort();
        found
    };
    let pair = |id: &str, kind: &str| (id.to_owned(), kind.to_owned());
    let expected = [pair("i-1", "ec2.stop"), pair("i-2", "ec2.start")];
    assert_eq!(last(ada, &["i-1", "i-2", "i-4"]).await, expected);
    assert_eq!(last(bob, &["i-1", "i-2"]).await, [pair("i-2", "ec2.start")]);
    assert_eq!(last(ada, &[]).await, []);
}
