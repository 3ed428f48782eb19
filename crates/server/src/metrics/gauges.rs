//! What is looked up when the metrics are read, instead of being counted all the time.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use nocrd_cluster::Cluster;
use nocrd_mcp_surface::HttpService;
use nocrd_proxy_core::Drain;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The parts of a server that are looked at.
pub(crate) struct Observed {
    pub(crate) cluster: Cluster,
    pub(crate) drain: Drain,
    pub(crate) mcp: Option<HttpService>,
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observed")
    }
}

/// They, once they are known.
#[derive(Debug)]
pub(super) struct Gauges(pub(super) Arc<OnceLock<Observed>>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(observed) = self.0.get() else { return Ok(()) };
        let health = observed.cluster.health();
        let sessions = observed.mcp.as_ref().and_then(HttpService::sessions);
        let gauges: [(&str, &str, Option<usize>); 4] = [
            ("tunnels_open", "WebSockets to workspaces that are open", Some(observed.drain.open_tunnels())),
            ("mcp_sessions", "MCP sessions", sessions),
            ("workspaces", "Workspaces that the server knows", Some(observed.cluster.workspaces().len())),
            ("watch_synced", "1 when the cluster's state has been read", Some(usize::from(health.synced))),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let stale = ConstGauge::new(health.stale_for.unwrap_or_default().as_secs_f64());
        let help = "How long ago the Kubernetes API was last heard of, while a watch is broken; else 0";
        stale.encode(encoder.encode_descriptor(
            "watch_stale",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)?;
        let counters: [(&str, &str, u64); 2] = [
            ("watch_failures", "Failures of the watches of the Kubernetes API", health.failures),
            ("kubernetes_requests", "Requests to the Kubernetes API", observed.cluster.api_calls()),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
