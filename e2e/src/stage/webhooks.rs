//! The API server's questions about our objects, while they are not asked.

use std::thread;
use std::time::Duration;

use ferrolb_lab::Result;
use ferrolb_lab::api::Ref;
use serde_json::Value;

use super::{Stage, fail};

/// Time for the API server to use what it was told about webhooks.
pub(crate) const HEARD: Duration = Duration::from_secs(1);

/// What it is told.
pub(crate) const WEBHOOKS: Ref<'static> = Ref {
    kind: "ValidatingWebhookConfiguration",
    namespace: "",
    name: "metallb-webhook-configuration",
};

impl Stage {
    /// The configuration of our webhooks.
    pub(crate) fn webhooks(&self) -> Result<Value> {
        let object = self.api().get(WEBHOOKS)?;
        object.ok_or_else(|| fail("there is no configuration of webhooks"))
    }

    /// Does something while nobody is asked about our objects.
    pub(crate) fn without_webhooks(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut object = self.webhooks()?;
        self.api().delete(WEBHOOKS)?;
        thread::sleep(HEARD);
        let result = work(self);
        for key in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
            object["metadata"][key] = Value::Null;
        }
        self.api().apply(&object)?;
        thread::sleep(HEARD);
        result
    }
}
