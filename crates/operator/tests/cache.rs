//! What is true while watches are late: our own writes, our own deletes, and lists that are older than both.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use microapp_core::build::Kind;
use microapp_operator::cache::{Cache, Key, Said};
use serde_json::{Value, json};

const KIND: Kind = Kind::Deployment;

fn object(name: &str, version: u64, uid: &str) -> Arc<Value> {
    Arc::new(json!({"metadata": {
        "namespace": "shop", "name": name, "resourceVersion": version.to_string(), "uid": uid,
        "labels": {"microapp.dev/rollout": "invoice"},
    }}))
}

fn listed(cache: &Cache, objects: &[Arc<Value>]) {
    cache.hear(KIND, None, &Said::Init);
    for object in objects {
        cache.hear(KIND, None, &Said::Listed(object.clone()));
    }
    cache.hear(KIND, None, &Said::Listing);
}

fn versions(cache: &Cache) -> Vec<String> {
    let mut all: Vec<_> = cache
        .children(KIND, &Key::new("shop", "invoice"))
        .iter()
        .map(|object| {
            format!(
                "{}@{}",
                object["metadata"]["name"].as_str().unwrap(),
                object["metadata"]["resourceVersion"].as_str().unwrap()
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_list_replaces_what_is_known_even_by_something_older() {
    let cache = Cache::default();
    listed(&cache, &[object("a", 9, "1"), object("b", 10, "2")]);
    // The API server was restored from a backup.
    listed(&cache, &[object("a", 3, "1")]);
    assert_eq!(versions(&cache), ["a@3"]);
}

#[test]
fn what_a_write_returned_stands_until_the_watch_has_it_too() {
    let cache = Cache::default();
    listed(&cache, &[object("a", 5, "1")]);
    cache.put(KIND, &object("a", 7, "1"));
    cache.put(KIND, &object("new", 8, "2"));
    assert!(cache.hear(KIND, None, &Said::Applied(object("a", 6, "1"))).is_empty(), "an older event is no news");
    assert_eq!(versions(&cache), ["a@7", "new@8"]);
    cache.hear(KIND, None, &Said::Applied(object("a", 9, "1")));
    assert_eq!(versions(&cache), ["a@9", "new@8"]);
}

#[test]
fn a_list_that_began_before_a_write_does_not_undo_it() {
    let cache = Cache::default();
    cache.hear(KIND, None, &Said::Init);
    cache.put(KIND, &object("new", 8, "2"));
    cache.put(KIND, &object("a", 7, "1"));
    cache.hear(KIND, None, &Said::Listed(object("a", 5, "1")));
    cache.hear(KIND, None, &Said::Listing);
    assert_eq!(versions(&cache), ["a@7", "new@8"]);
}

#[test]
fn what_we_deleted_is_gone_though_the_watch_still_speaks_of_it_and_a_namesake_is_not() {
    let cache = Cache::default();
    listed(&cache, &[object("a", 5, "1")]);
    cache.deleted(KIND, &Key::new("shop", "a"));
    cache.hear(KIND, None, &Said::Applied(object("a", 6, "1")));
    assert_eq!(versions(&cache), Vec::<String>::new());
    cache.hear(KIND, None, &Said::Applied(object("a", 9, "2")));
    assert_eq!(versions(&cache), ["a@9"]);
    cache.hear(KIND, None, &Said::Deleted(object("a", 7, "1")));
    assert_eq!(versions(&cache), ["a@9"], "the end of the first one is not that of its namesake");
}

#[test]
fn a_list_of_one_namespace_says_nothing_of_the_others() {
    let cache = Cache::default();
    listed(&cache, &[object("a", 5, "1")]);
    cache.hear(KIND, Some("elsewhere"), &Said::Init);
    cache.hear(KIND, Some("elsewhere"), &Said::Listing);
    assert_eq!(versions(&cache), ["a@5"]);
}

#[test]
fn an_object_without_our_label_is_read_again_after_a_while() {
    let cache = Cache::default();
    let stranger = Arc::new(json!({"metadata": {"namespace": "shop", "name": "invoice", "resourceVersion": "4"}}));
    let key = Key::new("shop", "invoice");
    cache.put(Kind::Service, &stranger);
    assert!(cache.get(Kind::Service, &key).is_some());
    assert!(cache.stranger(Kind::Service, &key).is_some());
    cache.forget(Kind::Service, &key);
    assert!(cache.get(Kind::Service, &key).is_none());
}
