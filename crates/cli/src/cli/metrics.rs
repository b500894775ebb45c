//! Flags of `brkmap metrics`.

use crate::view::metrics::Format;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags of `metrics`.
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 for a report, 3 no such process, 4 permission denied, 5 unreadable, 125 for failures of \
        brkmap itself.\n\n\
        Examples:\n  brkmap metrics redis-server\n  \
        brkmap metrics --format prometheus -o /var/lib/prometheus/node-exporter/brkmap.prom\n  \
        brkmap metrics serve redis-server"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Text format: openmetrics, or prometheus (0.0.4) for tools that know nothing newer
    #[arg(long, value_enum, default_value_t = Format::Openmetrics)]
    pub(crate) format: Format,
    /// Write to a file that is replaced at once, never half written
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Which processes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Targets {
    /// Processes: numbers or names to the letter, a name for all that have it; all that may be read if not given
    #[arg(value_name = "PID|NAME")]
    pub(crate) names: Vec<String>,
    /// Leave processes out that have less resident memory, in MiB; for those not named
    #[arg(long, value_name = "MIB", default_value = "16")]
    pub(crate) min_rss: u64,
}

/// Another way to hand the figures over.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Mode {
    /// Answer GET /metrics over HTTP until you stop it
    Serve(Serve),
}

/// Flags of `metrics serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// Address and port; everybody who can reach it can read the figures. Port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9477")]
    pub(crate) listen: SocketAddr,
}
