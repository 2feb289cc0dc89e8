//! Runs a parsed command: builds the settings of a component, its runtime and its logs.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_kube_rt::admin::MetricsSettings;
use ferrolb_kube_rt::{logs, namespace};

use crate::args::{Command, ControllerArgs, LaterFlag, SharedArgs, SpeakerArgs};

/// Runs `command` to its end.
pub(crate) fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Controller(args) => controller(*args),
        Command::Speaker(args) => speaker(*args),
        #[cfg(feature = "lab")]
        Command::Lab(args) => return ferrolb_lab::run(*args),
        Command::Crds => {
            print(&ferrolb_api::crds_yaml());
            Ok(())
        }
        Command::Version => {
            print(concat!("ferrolb ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ferrolb: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output; a closed pipe is no reason to fail.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn controller(args: ControllerArgs) -> anyhow::Result<()> {
    let later = args.later();
    start("controller", &args.shared, &later);
    let settings = args.settings()?;
    Ok(runtime()?.block_on(ferrolb_controller::run(settings))?)
}

fn speaker(args: SpeakerArgs) -> anyhow::Result<()> {
    let later = args.later();
    let SpeakerArgs {
        shared,
        node_name,
        host: _,
        ml_bindaddr,
        ml_bindport,
        ml_labels,
        ml_secret_key_path,
        ml_wan_config,
        ignore_exclude_lb,
        bgp_debounce_timeout: _,
        frrk8s_namespace: _,
        frrk8s_secret_passthrough: _,
        hold_down,
        yield_when_cordoned,
        kube_proxy_health_port,
        kube_proxy_patience,
        heartbeat_profile,
        state_folder,
        address_conflicts,
        bgp_drain,
        bgp_lenient_ttl,
    } = args;
    start("speaker", &shared, &later);
    let metrics = MetricsSettings {
        port: shared.port,
        tls: shared.tls()?,
        certificate: shared.metrics_certificate(),
    };
    let settings = ferrolb_speaker::Settings {
        namespace: namespace::find(shared.namespace.as_deref())?,
        kubeconfig: shared.kubeconfig,
        node: node_name.into(),
        pod: shared.pod_name,
        class: class(&shared.lb_class),
        ignore_exclude_lb,
        metrics,
        health_port: shared.health_probe_port,
        members: ferrolb_speaker::MembersSettings {
            address: ml_bindaddr.0,
            port: ml_bindport,
            labels: ml_labels,
            secret_folder: Some(ml_secret_key_path).filter(|p| !p.is_empty()).map(Into::into),
            wan: ml_wan_config,
            tuning: ferrolb_speaker::MEMBERSHIP_FILE.into(),
            heartbeat: heartbeat_profile.into(),
        },
        excluded_interfaces: ferrolb_speaker::EXCLUDED_INTERFACES_FILE.into(),
        hold_down: Duration::from_millis(hold_down.into()),
        yield_when_cordoned,
        kube_proxy: (kube_proxy_health_port != 0).then(|| ferrolb_speaker::KubeProxySettings {
            port: kube_proxy_health_port,
            patience: Duration::from_millis(kube_proxy_patience.into()),
        }),
        state_folder: Some(state_folder).filter(|f| !f.is_empty()).map(Into::into),
        conflicts: address_conflicts.into(),
        bgp: ferrolb_speaker::BgpSettings {
            engine: match shared.bgp_type.as_str() {
                "frr-k8s" => ferrolb_speaker::BgpEngine::FrrK8s,
                _ => ferrolb_speaker::BgpEngine::Own,
            },
            drain: Duration::from_millis(bgp_drain.into()),
            lenient_ttl: bgp_lenient_ttl,
        },
    };
    Ok(runtime()?.block_on(ferrolb_speaker::run(settings))?)
}

/// Starts the logs and says which flags wait for a later version.
fn start(component: &'static str, shared: &SharedArgs, later: &[LaterFlag]) {
    // The parser admits upstream's words only, and nothing has set up logs before.
    let _ = logs::init(component, shared.log_level.parse().unwrap_or_default());
    for LaterFlag { flag, value } in later {
        tracing::warn!(flag, value, "flag accepted, but without effect in this version");
    }
}

fn class(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// One thread serves the API and the timers: the wire has threads of its own.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
