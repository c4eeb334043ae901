//! Handlers of the commands, one file per command.

pub mod alarm_create;
pub mod ec2_launch;
pub mod ec2_start;
pub mod ec2_stop;
pub mod noop_run;
pub mod product_upload;
