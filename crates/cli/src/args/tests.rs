//! Upstream's command lines, good and bad.

use rstest::rstest;

use super::*;

fn command(line: &str) -> Result<Command, String> {
    let arguments = gostyle::normalise(line.split(' ').map(OsString::from));
    let matches = Cli::command().try_get_matches_from(arguments).map_err(|e| e.to_string())?;
    Ok(Cli::from_arg_matches(&matches).map_err(|e| e.to_string())?.command)
}

fn speaker(line: &str) -> SpeakerArgs {
    match command(&format!("ferrolb speaker --node-name n1 {line}")).unwrap() {
        Command::Speaker(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn controller(line: &str) -> ControllerArgs {
    match command(&format!("ferrolb controller {line}")).unwrap() {
        Command::Controller(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[rstest]
#[case::two_dashes("--port=7472 --log-level=debug")]
#[case::one_dash("-port=7472 -log-level=debug")]
#[case::value_apart("-port 7472 -log-level debug")]
fn go_syntax(#[case] line: &str) {
    let args = speaker(line);
    assert_eq!((args.shared.port, args.shared.log_level.as_str()), (7472, "debug"));
}

#[test]
fn upstreams_defaults() {
    let args = speaker("--host=192.0.2.1");
    assert_eq!(
        (args.shared.port, args.shared.health_probe_port, args.ml_bindport),
        (9120, 17472, 7946)
    );
    assert_eq!(args.shared.log_level, "info");
    assert_eq!(args.ml_bindaddr.0, None);
    assert!(!args.ignore_exclude_lb);
    assert_eq!(args.later(), []);
}

#[test]
fn the_last_of_a_flag_counts() {
    assert_eq!(speaker("--port=1 --host=192.0.2.1 --port 2").shared.port, 2);
    let args = controller("--webhook-mode=enabled --disable-cert-rotation --webhook-mode=disabled");
    assert_eq!(args.webhook_mode, "disabled");
}

#[test]
fn an_empty_value_means_the_default() {
    let line = "--ml-bindport= --bgp-debounce-timeout= --bgp-type= --ml-bindaddr= --kubeconfig= \
                --namespace= --lb-class= --pod-name=";
    let args = speaker(line);
    assert_eq!((args.ml_bindport, args.bgp_debounce_timeout), (7946, 3000));
    assert_eq!((args.ml_bindaddr.0, args.shared.bgp_type.as_str()), (None, "native"));
    assert!(args.shared.kubeconfig.is_none_or(|file| file.as_os_str().is_empty()));
}

#[rstest]
#[case("--ignore-exclude-lb", true)]
#[case("--ignore-exclude-lb=true", true)]
#[case("-ignore-exclude-lb=T", true)]
#[case("--ignore-exclude-lb=false", false)]
fn booleans(#[case] line: &str, #[case] expected: bool) {
    assert_eq!(speaker(line).ignore_exclude_lb, expected);
}

#[test]
fn flags_without_effect_are_accepted_and_named() {
    let args = controller("--webhook-mode=disabled --cert-dir=/certs --webhook-http2");
    let named: Vec<_> = args.later().iter().map(|flag| (flag.flag, flag.value.clone())).collect();
    assert_eq!(named, [("webhook-http2", "true".to_owned())]);
    let args = speaker("--bgp-debounce-timeout=500 --pprof-bind-address=:6060 --host=192.0.2.1");
    let named: Vec<_> = args.later().iter().map(|flag| flag.flag).collect();
    assert_eq!(named, ["pprof-bind-address", "bgp-debounce-timeout"]);
}

#[test]
fn every_flag_is_in_the_table() {
    let table = include_str!("../../../../docs/flags.md");
    let cli = Cli::command();
    for component in ["controller", "speaker"] {
        let flags = cli.find_subcommand(component).unwrap().get_arguments();
        for flag in flags.filter_map(clap::Arg::get_long).filter(|flag| *flag != "help") {
            let named = format!("`--{flag}`");
            assert!(table.contains(&named), "{component} {named}");
        }
    }
}

#[test]
fn flags_of_the_controller_reach_their_settings() {
    let args = controller(
        "--namespace=x --pod-name=ctl-1 --webhook-mode=onlywebhook --cert-dir=/certs \
         --disable-cert-rotation --ml-secret-name=talk --deployment=controller --lb-class=c \
         --service-conditions=false --metrics-cert-dir=/metrics --tls-min-version=VersionTLS12",
    );
    let settings = args.settings().unwrap();
    assert_eq!(settings.mode, ferrolb_controller::Mode::Webhooks);
    assert_eq!((settings.identity.as_str(), settings.namespace.as_str()), ("ctl-1", "x"));
    assert_eq!((settings.webhooks.rotate, settings.webhooks.port), (false, 9443));
    assert_eq!(settings.webhooks.secret, "metallb-webhook-cert");
    assert_eq!(settings.memberlist.unwrap().deployment, "controller");
    assert!(!settings.options.conditions && settings.metrics_certificate.is_some());
    let refused = controller("--namespace=x --tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA");
    let why = refused.settings().unwrap_err().to_string();
    assert!(why.contains("tls-cipher-suites"), "{why}");
}

#[test]
fn k_079_the_health_port_is_positive() {
    assert_eq!(controller("--namespace=x").settings().unwrap().health_port, 17472);
}

#[rstest]
#[case::unknown_flag("ferrolb speaker --node-name n1 --frobnicate", "--frobnicate")]
#[case::unknown_go_flag("ferrolb speaker -node-name n1 -frobnicate", "--frobnicate")]
#[case::bad_port("ferrolb controller --port=zero", "zero")]
#[case::bad_level("ferrolb controller --log-level=loud", "loud")]
#[case::bad_mode("ferrolb controller --webhook-mode=maybe", "maybe")]
#[case::bad_boolean("ferrolb speaker --node-name n1 --ignore-exclude-lb=perhaps", "perhaps")]
#[case::bad_address("ferrolb speaker --node-name n1 --ml-bindaddr=here", "here")]
#[case::no_debounce("ferrolb speaker --node-name n1 --bgp-debounce-timeout=0", "0")]
#[case::bad_bindport("ferrolb speaker --node-name n1 --ml-bindport=65536", "65536")]
#[case::bad_engine("ferrolb speaker --node-name n1 --bgp-type=quagga", "quagga")]
#[case::no_node("ferrolb speaker --node-name=", "--node-name")]
#[case::unknown_command("ferrolb balance", "balance")]
#[case::no_node("ferrolb speaker", "--node-name")]
#[case::bgp_type("ferrolb controller --bgp-type=quagga", "METALLB_BGP_TYPE")]
fn what_is_wrong_is_named(#[case] line: &str, #[case] name: &str) {
    let line = first_paragraph(&command(line).unwrap_err());
    assert!(line.contains(name) && !line.contains('\n'), "{line}");
}

#[cfg(feature = "lab")]
#[test]
fn commands_inside_the_lab_pass_through_untouched() {
    let line = "ferrolb lab exec client -- ip -br address";
    assert_eq!(gostyle::normalise(line.split(' ').map(OsString::from))[6], "-br");
}
