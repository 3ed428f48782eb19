//! From settings to the log.

use nocrd_config::{LogFormat, LogLevel, Settings};
use nocrd_telemetry::{AuditLog, Destination, Format, Level, LogConfig};

use crate::Error;

/// Sets up the log of this process.
pub(crate) fn init(settings: &Settings) -> Result<(), Error> {
    let level = match settings.log_level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warning => Level::Warning,
        LogLevel::Error => Level::Error,
        LogLevel::Fatal => Level::Fatal,
    };
    let format = match settings.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let destination = Destination::of_server(settings.transport.uses_stdio(), settings.log_file.clone());
    let audit = settings.audit_log.clone().map(AuditLog::at);
    Ok(nocrd_telemetry::init(&LogConfig { level, format, destination, audit })?)
}
