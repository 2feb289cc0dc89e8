//! The body of a question to the webhooks, as anybody who reaches the port may send it: the answer is
//! one to that question, or says that there was none. The first byte chooses the path.
#![no_main]

use std::sync::{Arc, LazyLock};

use ferrolb_controller::{Store, routes};
use ferrolb_kube_rt::webhook::Routes;
use ferrolb_model::admission::webhook_path;
use ferrolb_model::config::Kind;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static ROUTES: LazyLock<Routes> = LazyLock::new(|| routes(&Arc::new(Store::new("metallb-system"))));

fuzz_target!(|bytes: &[u8]| {
    let Some((first, body)) = bytes.split_first() else { return };
    let path = Kind::ALL.get(usize::from(first % 8)).map_or("/convert", |kind| webhook_path(*kind));
    // Time does not pass but where nothing else is to do: a second look costs none.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime without IO");
    let answer = runtime.block_on(ROUTES.judge(path, body)).expect("every path is served");
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return assert!(!why.is_empty()),
    };
    // Fields that nobody reads may hold what is no text, or no number.
    let Ok(asked) = serde_json::from_slice::<Value>(body) else { return };
    assert_eq!(answer["response"]["uid"], asked["request"]["uid"]);
    if path == "/convert" {
        let result = &answer["response"]["result"];
        if result["status"] == "Success" {
            let count = |value: &Value| value.as_array().map(Vec::len);
            let converted = &answer["response"]["convertedObjects"];
            assert_eq!(count(converted), count(&asked["request"]["objects"]));
        } else {
            assert!(result["message"].as_str().is_some_and(|why| !why.is_empty()));
        }
    } else if answer["response"]["allowed"] == false {
        let why = answer["response"]["status"]["message"].as_str();
        assert!(why.is_some_and(|why| !why.is_empty()), "{answer}");
    }
});
