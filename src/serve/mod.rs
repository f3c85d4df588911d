//! The host for `wasi:http` components.
