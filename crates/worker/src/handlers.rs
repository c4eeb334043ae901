//! One file a command.

pub mod alarm_create;
pub mod ec2_start;
pub mod noop_run;
pub mod product_upload;
