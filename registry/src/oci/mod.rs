//! Values of the OCI specifications: digests, references, media types, manifests. No I/O.
//!
//! *Invariant:* a value of this module obeys its grammar; text from a stranger becomes a value through `parse`, which
//! answers with an error and never panics.
//!
//! Reading order: [`digest`] names content and [`hasher`] computes such names from a stream, [`mod@reference`] is what a
//! client may ask a manifest by, [`media_type`] and [`descriptor`] are the words a [`manifest`] is made of.

pub mod digest;

pub mod hasher;

pub mod reference;

pub mod media_type;

pub mod descriptor;

pub mod manifest;
