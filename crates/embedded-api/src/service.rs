//! Services: defaults of their fields, and cluster addresses out of the configured networks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::kind::Kind;
use crate::object::{fields, text};
use crate::refusal::Refusal;

/// Cluster addresses in use, by network. The order of the networks is the order of preference.
#[derive(Debug)]
pub(crate) struct ClusterIps {
    networks: Vec<Network>,
}

#[derive(Debug)]
struct Network {
    net: IpNet,
    used: BTreeSet<IpAddr>,
    /// Where the search for the next free address begins.
    next: u128,
}

/// What a Service wants and what it may keep.
struct Claim<'a> {
    service: &'a Kind,
    name: String,
    policy: String,
    families: Vec<&'static str>,
    wanted: Vec<String>,
    held: Vec<String>,
}

impl ClusterIps {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        let network = |net: &IpNet| Network { net: *net, used: BTreeSet::new(), next: 2 };
        Self { networks: networks.iter().map(network).collect() }
    }

    /// Writes families and addresses into a Service that is about to be stored.
    pub(crate) fn settle(
        &mut self,
        service: &mut Value,
        old: Option<&Value>,
        kind: &Kind,
    ) -> Result<(), Refusal> {
        let held = old.map(|old| texts(old.pointer("/spec/clusterIPs"))).unwrap_or_default();
        if text(service, "/spec/type") == "ExternalName" {
            let spec = fields(service, "spec")?;
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
                spec.remove(field);
            }
            self.release(&held);
            return Ok(());
        }

        let mut claim = self.claim(service, held, kind)?;
        self.fill_families(&mut claim)?;
        let addresses = self.addresses(&claim)?;
        let spec = fields(service, "spec")?;
        spec.insert("clusterIP".to_owned(), json!(addresses.first()));
        spec.insert("clusterIPs".to_owned(), json!(addresses));
        spec.insert("ipFamilies".to_owned(), json!(claim.families));
        spec.insert("ipFamilyPolicy".to_owned(), json!(claim.policy));
        Ok(())
    }

    /// Gives back the addresses of a Service that is gone.
    pub(crate) fn release_all(&mut self, service: &Value) {
        self.release(&texts(service.pointer("/spec/clusterIPs")));
    }

    fn claim<'a>(
        &self,
        service: &Value,
        held: Vec<String>,
        kind: &'a Kind,
    ) -> Result<Claim<'a>, Refusal> {
        let name = text(service, "/metadata/name").to_owned();
        let invalid = |field: &str, why: &str| Refusal::invalid(kind, &name, field, why);
        let mut wanted = texts(service.pointer("/spec/clusterIPs"));
        let first = text(service, "/spec/clusterIP");
        if wanted.is_empty() && !first.is_empty() {
            wanted.push(first.to_owned());
        }
        if !wanted.is_empty() && !held.is_empty() && wanted[0] != held[0] {
            return Err(invalid("spec.clusterIPs[0]", "may not change once set"));
        }
        if wanted.is_empty() {
            wanted.clone_from(&held);
        }

        let mut families = Vec::new();
        for family in texts(service.pointer("/spec/ipFamilies")) {
            families.push(match family.as_str() {
                "IPv4" => "IPv4",
                "IPv6" => "IPv6",
                _ => return Err(invalid("spec.ipFamilies", "must be IPv4 or IPv6")),
            });
        }
        if families.is_empty() {
            for address in wanted.iter().filter(|address| *address != "None") {
                let address: IpAddr = address
                    .parse()
                    .map_err(|_| invalid("spec.clusterIPs", "must be an IP address"))?;
                families.push(family_of(address));
            }
        }
        // Whoever writes the endpoints of a Service without selector or address may write any.
        let is_open = first == "None" && service.pointer("/spec/selector").is_none();
        let policy = match text(service, "/spec/ipFamilyPolicy") {
            "" if is_open && families.is_empty() && self.networks.len() == 2 => "RequireDualStack",
            "" => "SingleStack",
            policy => policy,
        };
        let policy = policy.to_owned();
        if families.is_empty() {
            families.extend(self.networks.first().map(|network| family_of(network.net.addr())));
        }
        Ok(Claim { service: kind, name, policy, families, wanted, held })
    }

    /// Brings the families in line with the policy.
    fn fill_families(&self, claim: &mut Claim<'_>) -> Result<(), Refusal> {
        let serves = |family: &str| {
            self.networks.iter().any(|network| family_of(network.net.addr()) == family)
        };
        let invalid =
            |field: &str, why: &str| Err(Refusal::invalid(claim.service, &claim.name, field, why));
        if claim.families.iter().any(|family| !serves(family)) {
            return invalid("spec.ipFamilies", "not configured on this cluster");
        }
        match claim.policy.as_str() {
            "SingleStack" if claim.families.len() == 1 => {}
            // An update that goes back to one family keeps the first.
            "SingleStack" if claim.held.len() == 2 => claim.families.truncate(1),
            "SingleStack" => {
                return invalid(
                    "spec.ipFamilyPolicy",
                    "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
                );
            }
            "PreferDualStack" | "RequireDualStack" => {
                let other = if claim.families == ["IPv4"] { "IPv6" } else { "IPv4" };
                if claim.families.len() == 1 && serves(other) {
                    claim.families.push(other);
                }
                if claim.families.len() == 1 && claim.policy == "RequireDualStack" {
                    return invalid(
                        "spec.ipFamilyPolicy",
                        "this cluster is not configured for dual-stack services",
                    );
                }
            }
            _ => return invalid("spec.ipFamilyPolicy", "unsupported value"),
        }
        Ok(())
    }

    /// One address for each family: those held are kept, those asked for are taken, the others are
    /// new. Nothing is taken if one of them cannot be had.
    fn addresses(&mut self, claim: &Claim<'_>) -> Result<Vec<String>, Refusal> {
        if claim.wanted.first().is_some_and(|address| address == "None") {
            return Ok(vec!["None".to_owned()]);
        }
        let mut addresses = Vec::new();
        let mut taken = Vec::new();
        for (index, family) in claim.families.iter().enumerate() {
            match claim.wanted.get(index) {
                Some(address) if claim.held.contains(address) => addresses.push(address.clone()),
                wanted => match self.take(family, wanted.map(String::as_str)) {
                    Ok(address) => {
                        taken.push(address.to_string());
                        addresses.push(address.to_string());
                    }
                    Err(why) => {
                        self.release(&taken);
                        let field = "spec.clusterIPs";
                        return Err(Refusal::invalid(claim.service, &claim.name, field, why));
                    }
                },
            }
        }
        let given_up: Vec<_> =
            claim.held.iter().filter(|address| !addresses.contains(address)).cloned().collect();
        self.release(&given_up);
        Ok(addresses)
    }

    fn take(&mut self, family: &str, wanted: Option<&str>) -> Result<IpAddr, &'static str> {
        let network =
            self.networks.iter_mut().find(|network| family_of(network.net.addr()) == family);
        let network = network.ok_or("not configured on this cluster")?;
        let Some(wanted) = wanted else {
            return network.take_next().ok_or("the network of cluster addresses is full");
        };
        let wanted: IpAddr = wanted.parse().map_err(|_| "must be an IP address")?;
        if !network.net.contains(&wanted) {
            return Err("the provided IP is not in the valid range");
        }
        if !network.used.insert(wanted) {
            return Err("provided IP is already allocated");
        }
        Ok(wanted)
    }

    fn release(&mut self, addresses: &[String]) {
        for address in addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok()) {
            for network in &mut self.networks {
                network.used.remove(&address);
            }
        }
    }
}

impl Network {
    fn take_next(&mut self) -> Option<IpAddr> {
        let bits = u32::from(self.net.max_prefix_len() - self.net.prefix_len());
        // The first and the last address of a network are left out.
        let size = 1_u128.checked_shl(bits).map_or(u128::MAX, |size| size - 1);
        for _ in 0..=self.used.len() {
            let offset = if self.next < size { self.next } else { 1 };
            self.next = offset + 1;
            let address = match self.net.network() {
                IpAddr::V4(first) => {
                    IpAddr::V4((u32::from(first) + u32::try_from(offset).ok()?).into())
                }
                IpAddr::V6(first) => IpAddr::V6((u128::from(first) + offset).into()),
            };
            if self.used.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

/// Sets the fields that the real server sets when they are missing, and clears those that do not go
/// with the type.
pub(crate) fn default_fields(service: &mut Value) -> Result<(), Refusal> {
    let spec = fields(service, "spec")?;
    let set = |spec: &mut Map<String, Value>, field: &str, value: Value| {
        let slot = spec.entry(field).or_insert(Value::Null);
        if slot.is_null() || slot == "" {
            *slot = value;
        }
    };
    set(spec, "type", "ClusterIP".into());
    set(spec, "sessionAffinity", "None".into());
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster".into());
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") {
        set(spec, "externalTrafficPolicy", "Cluster".into());
    } else {
        spec.remove("externalTrafficPolicy");
    }
    let is_load_balancer = kind == "LoadBalancer";
    if is_load_balancer {
        set(spec, "allocateLoadBalancerNodePorts", true.into());
    } else {
        spec.remove("allocateLoadBalancerNodePorts");
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            set(port, "protocol", "TCP".into());
            let number = port.get("port").cloned().unwrap_or_default();
            set(port, "targetPort", number);
        }
    }
    if !is_load_balancer {
        fields(service, "status")?.insert("loadBalancer".to_owned(), json!({}));
    }
    default_ingress(service);
    Ok(())
}

/// Sets how packets to an address of the status arrive: with that address, unless it says otherwise.
pub(crate) fn default_ingress(service: &mut Value) {
    let ingress = service.pointer_mut("/status/loadBalancer/ingress").and_then(Value::as_array_mut);
    for entry in ingress.into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut()
            && entry.contains_key("ip")
        {
            entry.entry("ipMode").or_insert_with(|| "VIP".into());
        }
    }
}

fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}
