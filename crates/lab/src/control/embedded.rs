//! The API server in this program, run as a process of its own so that it can be stopped, killed and
//! measured like the real one.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ferrolb_addr::Family;
use ferrolb_embedded_api::{Config, EmbeddedApi};

use super::{Endpoint, Running, certificates};
use crate::api::wait_until;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Lan;
use crate::process::{Process, Spec};

const PORT: u16 = 6443;

/// Starts the server and waits until it answers.
pub(super) fn start(ctl: &Host, folder: &Path, program: &Path) -> Result<Running> {
    let address = SocketAddr::new(ctl.address(Lan::One, Family::V4), PORT);
    let name = "kube-apiserver";
    let process = Process::start(Spec {
        name: name.to_owned(),
        host: ctl.clone(),
        argv: vec![
            program.display().to_string(),
            "lab".to_owned(),
            "serve-api".to_owned(),
            format!("--listen={address}"),
        ],
        environment: Vec::new(),
        confinement: None,
        log: folder.join("logs").join(name),
    })?;
    let (authority, authority_der) = certificates::idle_authority()?;
    let endpoint =
        Endpoint { url: format!("http://{address}"), authority, authority_der, admin_token: None };
    let api = endpoint.client()?;
    wait_until("the embedded API server is ready", Duration::from_secs(10), || {
        process.expect_running()?;
        Ok(if api.is_ready() { Ok(()) } else { Err("not ready") })
    })?;
    Ok(Running { endpoint, processes: vec![process] })
}

/// Serves until the process is killed.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("runtime"))?;
    runtime.block_on(async {
        let config = Config { bind: address, ..Config::default() };
        let _server = EmbeddedApi::start(&config)
            .map_err(|error| Error::io("embedded API server")(std::io::Error::other(error)))?;
        std::future::pending::<Result<()>>().await
    })
}
