//! The API under a fuzzer that reads its description: schemathesis.
//!
//! *Invariant:* whatever is sent, there is no 5xx, and every answer is as described; the seed is fixed, so that a
//! failure comes again.
