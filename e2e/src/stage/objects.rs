//! What the API server holds about Services: addresses, events, status objects.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use ferrolb_api::{annotations, labels};
use ferrolb_lab::api::{Ref, wait_until};
use ferrolb_lab::{NAMESPACE, Result};
use serde_json::{Value, json};

use super::{PATIENCE, Stage, check, fail};

impl Stage {
    /// The addresses of a Service in namespace default right now.
    pub(crate) fn addresses_now(&self, name: &str) -> Result<Vec<IpAddr>> {
        self.addresses_in("default", name)
    }

    /// The addresses of a Service right now.
    pub(crate) fn addresses_in(&self, namespace: &str, name: &str) -> Result<Vec<IpAddr>> {
        self.lab.service_addresses(namespace, name)
    }

    /// Waits until a Service has addresses.
    pub(crate) fn addresses(&self, name: &str) -> Result<Vec<IpAddr>> {
        wait_until(&format!("Service {name} has an address"), PATIENCE, || {
            let addresses = self.addresses_now(name)?;
            Ok(if addresses.is_empty() { Err("none") } else { Ok(addresses) })
        })
    }

    /// Waits until a Service has one address.
    pub(crate) fn address(&self, name: &str) -> Result<IpAddr> {
        let addresses = self.addresses(name)?;
        match addresses[..] {
            [address] => Ok(address),
            _ => Err(fail(format!("Service {name} has {addresses:?}, one address was expected"))),
        }
    }

    /// Waits until a Service has these addresses, in this order; none means none.
    pub(crate) fn expect_addresses(&self, name: &str, wanted: &[&str]) -> Result<()> {
        self.expect_addresses_in("default", name, wanted)
    }

    /// As [`Self::expect_addresses`], in a namespace.
    pub(crate) fn expect_addresses_in(
        &self,
        namespace: &str,
        name: &str,
        wanted: &[&str],
    ) -> Result<()> {
        wait_until(&format!("Service {name} has {wanted:?}"), PATIENCE, || {
            let addresses = self.addresses_in(namespace, name)?;
            let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            Ok(if texts == wanted { Ok(()) } else { Err(format!("{texts:?}")) })
        })
    }

    /// Looks for some time whether a Service keeps these addresses.
    pub(crate) fn keeps(&self, name: &str, wanted: &[&str], time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            let addresses = self.addresses_now(name)?;
            let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            check(texts == wanted, || format!("Service {name} has {texts:?}, not {wanted:?}"))?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until the annotation that names the pool has this value.
    pub(crate) fn expect_pool(&self, name: &str, pool: &str) -> Result<()> {
        wait_until(&format!("Service {name} is annotated with pool {pool}"), PATIENCE, || {
            let service = self.api().get(Ref::new("Service", "default", name))?.unwrap_or_default();
            let value = &service["metadata"]["annotations"][annotations::ALLOCATED_FROM_POOL];
            Ok(if value == pool { Ok(()) } else { Err(value.to_string()) })
        })
    }

    /// Events about a Service as it exists now (not about an earlier one of its name), oldest first.
    pub(crate) fn events(&self, name: &str) -> Result<Vec<Value>> {
        let service = self.api().get(Ref::new("Service", "default", name))?.unwrap_or_default();
        let mut events = self.api().list("Event", "default", "")?;
        events.retain(|event| event["involvedObject"]["uid"] == service["metadata"]["uid"]);
        events.sort_by_key(version);
        Ok(events)
    }

    /// Waits for an event about a Service with that reason and all of these words in its message.
    pub(crate) fn expect_event(&self, name: &str, reason: &str, words: &[&str]) -> Result<String> {
        wait_until(&format!("an event {reason} on {name} with {words:?}"), PATIENCE, || {
            let events = self.events(name)?;
            let mut messages = events
                .iter()
                .filter(|event| event["reason"] == reason)
                .filter_map(|event| event["message"].as_str());
            let found = messages.find(|text| words.iter().all(|word| text.contains(word)));
            Ok(found.map(str::to_owned).ok_or_else(|| told(&events)))
        })
    }

    /// `ServiceL2Status` objects of a Service, found as other tools find them: by labels.
    pub(crate) fn statuses(&self, namespace: &str, name: &str) -> Result<Vec<Value>> {
        let selector =
            format!("{}={name},{}={namespace}", labels::SERVICE_NAME, labels::SERVICE_NAMESPACE);
        let query = selector.replace('/', "%2F").replace('=', "%3D").replace(',', "%2C");
        self.api().list("ServiceL2Status", NAMESPACE, &format!("labelSelector={query}"))
    }

    /// Waits until there is exactly one status object of a Service, and it names this node.
    pub(crate) fn expect_status(&self, name: &str, node: &str) -> Result<()> {
        wait_until(&format!("one ServiceL2Status of {name}, with node {node}"), PATIENCE, || {
            let statuses = self.statuses("default", name)?;
            let nodes: Vec<_> =
                statuses.iter().map(|status| status["status"]["node"].clone()).collect();
            Ok(if nodes == [node] { Ok(()) } else { Err(format!("{nodes:?}")) })
        })
    }

    /// Waits until nobody claims to announce a Service.
    pub(crate) fn expect_no_status(&self, name: &str) -> Result<()> {
        wait_until(&format!("no ServiceL2Status of {name}"), PATIENCE, || {
            let statuses = self.statuses("default", name)?;
            Ok(if statuses.is_empty() { Ok(()) } else { Err(format!("{statuses:?}")) })
        })
    }

    /// Waits until the only report on a Service says that nobody announces it, because that station
    /// has the address.
    pub(crate) fn expect_refusal(&self, name: &str, address: &str, mac: &str) -> Result<()> {
        wait_until(&format!("{address} of {name} is refused"), PATIENCE, || {
            let statuses = self.statuses("default", name)?;
            let refused = json!([{ "ip": address, "mac": mac }]);
            let right = matches!(&statuses[..], [only]
                if only["status"]["refused"] == refused && only["status"]["node"].is_null());
            Ok(if right { Ok(()) } else { Err(format!("{statuses:?}")) })
        })
    }

    /// Deletes a Service of namespace default.
    pub(crate) fn delete_service(&self, name: &str) -> Result<()> {
        self.api().delete(Ref::new("Service", "default", name))
    }

    /// Deletes a pool.
    pub(crate) fn delete_pool(&self, name: &str) -> Result<()> {
        self.api().delete(Ref::new("IPAddressPool", NAMESPACE, name))
    }
}

fn told(events: &[Value]) -> String {
    let lines = events.iter().map(|event| format!("{}: {}", event["reason"], event["message"]));
    lines.collect::<Vec<_>>().join("; ")
}

/// An object's resource version, which in etcd is a number that grows.
pub(super) fn version(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    version.parse().unwrap_or_default()
}
