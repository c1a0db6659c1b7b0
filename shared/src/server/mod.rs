//! The process shell both binaries wear.
