//! Synthetic histories and the harness of the tests.
