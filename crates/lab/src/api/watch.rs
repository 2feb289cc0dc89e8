//! A watch that outlives the connection it began with: clients of ours give up on one that says
//! nothing for a while.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use http::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde_json::Value;

/// Time between two attempts to reach the server.
const PAUSE: Duration = Duration::from_millis(500);

/// What a connection says.
type Events = BoxStream<'static, kube::Result<WatchEvent<Value>>>;

/// A watch of a collection from a version on.
pub(super) struct Watch {
    client: Client,
    collection: String,
    version: String,
    events: Events,
}

impl Watch {
    /// Begins to watch.
    pub(super) async fn open(
        client: Client,
        collection: String,
        version: String,
    ) -> kube::Result<Self> {
        let events = connect(&client, &collection, &version).await?;
        Ok(Self { client, collection, version, events })
    }

    /// Tells `post` of everything, until nobody listens or the server has forgotten what comes next.
    pub(super) async fn follow(mut self, post: Sender<(Instant, Value)>) {
        loop {
            while let Some(Ok(event)) = self.events.next().await {
                let (object, is_news) = match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, true),
                    WatchEvent::Deleted(object) => (object, false),
                    WatchEvent::Bookmark(_) => continue,
                    WatchEvent::Error(_) => return,
                };
                if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
                    version.clone_into(&mut self.version);
                }
                if is_news && post.send((Instant::now(), object)).is_err() {
                    return;
                }
            }
            self.events = loop {
                match connect(&self.client, &self.collection, &self.version).await {
                    Ok(events) => break events,
                    Err(kube::Error::Api(status)) if status.code == 410 => return,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            };
        }
    }
}

async fn connect(client: &Client, collection: &str, version: &str) -> kube::Result<Events> {
    let path = format!("{collection}?watch=true&resourceVersion={version}");
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    Ok(client.request_events::<Value>(request).await?.boxed())
}
