//! At rest: nothing happens for a while. Who still uses the processor, who still writes to the API?

use std::thread;
use std::time::{Duration, Instant};

use ferrolb_lab::Result;

use crate::cluster::{Cluster, broken};
use crate::report::{Limit, Measure};
use crate::usage::cpu_seconds;

/// The time without a write after which a cluster counts as quiet: longer than speakers repeat
/// themselves on the wire.
pub(super) const QUIET: Duration = Duration::from_secs(6);

/// By then everybody has told what thousands of Services gave him to tell.
const LIMIT: Duration = Duration::from_mins(10);

pub(super) fn measure(cluster: &Cluster, seconds: usize) -> Result<Vec<Measure>> {
    let (controller, speakers) = (cluster.controller()?, cluster.speakers()?);
    let used = || -> Result<(f64, Vec<f64>)> {
        let speakers = speakers.iter().map(|speaker| cpu_seconds(speaker));
        Ok((cpu_seconds(&controller)?, speakers.collect::<Result<_>>()?))
    };
    let writes_before = writes(cluster)?;
    let before = used()?;
    thread::sleep(Duration::from_secs(seconds as u64));
    let after = used()?;
    let writes = writes(cluster)? - writes_before;
    let speakers: Vec<_> =
        before.1.iter().zip(&after.1).map(|(before, after)| after - before).collect();
    let busiest = speakers.iter().copied().fold(0.0, f64::max);
    let controller = after.0 - before.0;
    let of = |what: &str, unit, value| {
        let figure = format!("at rest, 1,000 Services, {seconds} s: {what}");
        Measure::new("rest", figure, unit, value)
    };
    let limit = Limit::Value(0.1);
    Ok(vec![
        of("CPU, controller", "s", controller).at_most(limit),
        of("CPU, busiest speaker", "s", busiest).at_most(limit),
        of("CPU, controller and all speakers", "s", controller + speakers.iter().sum::<f64>()),
        of("API writes", "", writes).at_most(Limit::Value(0.0)),
    ])
}

/// Waits until nobody has written to the API for a while.
pub(super) fn wait_until_quiet(cluster: &Cluster) -> Result<()> {
    let start = Instant::now();
    let (mut last, mut since) = (writes(cluster)?, Instant::now());
    while since.elapsed() < QUIET {
        if start.elapsed() > LIMIT {
            return Err(broken(format!("somebody still writes to the API after {LIMIT:?}")));
        }
        thread::sleep(Duration::from_millis(500));
        let now = writes(cluster)?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Writes the server has taken so far, whoever sent them and whether or not they changed anything; of
/// Leases and of questions about permissions there are always some.
fn writes(cluster: &Cluster) -> Result<f64> {
    if !cluster.lab.endpoint().url.starts_with("https:") {
        // The embedded server counts one revision for each.
        let (_, revision) = cluster.lab.api().list_with_version("Namespace", "", "")?;
        return revision.parse().map_err(|_| broken(format!("revision {revision:?}")));
    }
    let answer = cluster.lab.kubectl(["get", "--raw", "/metrics"])?;
    if answer.code != Some(0) {
        return Err(broken(answer.stderr));
    }
    Ok(answer.stdout.lines().filter_map(write_count).sum())
}

/// The value of a line of the server's metrics if it counts writes.
fn write_count(line: &str) -> Option<f64> {
    const ASIDE: [&str; 4] =
        ["leases", "subjectaccessreviews", "selfsubjectaccessreviews", "tokenreviews"];
    let (labels, value) = line.strip_prefix("apiserver_request_total{")?.split_once("} ")?;
    let label = |name: &str| {
        let (_, rest) = labels.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let is_write = ["POST", "PUT", "PATCH", "DELETE", "APPLY"].contains(&label("verb")?);
    let aside = label("resource").is_some_and(|resource| ASIDE.contains(&resource));
    (is_write && !aside).then(|| value.trim().parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::write(
        r#"apiserver_request_total{code="200",resource="services",verb="PATCH"} 12"#,
        Some(12.0)
    )]
    #[case::read(r#"apiserver_request_total{code="200",resource="services",verb="LIST"} 12"#, None)]
    #[case::lease(r#"apiserver_request_total{code="200",resource="leases",verb="PUT"} 12"#, None)]
    #[case::another(r#"etcd_requests_total{resource="services",verb="PATCH"} 12"#, None)]
    fn writes_are_told_from_reads(#[case] line: &str, #[case] expected: Option<f64>) {
        assert_eq!(write_count(line), expected);
    }
}
