//! Publishes what the task table says is due.
