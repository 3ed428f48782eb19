//! Tests of the embedded cluster through its public interface.

mod golden;
