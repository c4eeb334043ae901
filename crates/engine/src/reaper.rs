//! Takes back what a lost worker held.
