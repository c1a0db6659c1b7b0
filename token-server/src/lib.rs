//! The token server.

pub mod db;

pub mod domain;
