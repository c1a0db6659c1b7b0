//! What people write, in sentences and by the clock.
//!
//! Reading order: lines that are safe to print ([`plain_text`]), remarks ([`remark`]), times ([`moment`]), numbers of
//! things ([`counted`]).
//!
//! *Invariant:* what is printed or recorded of what somebody wrote is one line of plain text.

pub mod plain_text;

pub mod remark;

pub mod moment;

pub mod counted;
