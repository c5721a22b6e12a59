//! The engine: from records to verdicts. Pure and deterministic.
