//! mcp-surface
