//! Arenas: a graph with cycles in references; the same with keys that notice what is gone; values with destructors.

use brkmap_toolbox::{Arena, DropBump, HandleArena, Key};
use std::cell::RefCell;

/// A city with roads to others, in both directions.
struct City<'a> {
    name: &'static str,
    roads: RefCell<Vec<&'a City<'a>>>,
}

fn connect<'a>(one: &'a City<'a>, other: &'a City<'a>) {
    one.roads.borrow_mut().push(other);
    other.roads.borrow_mut().push(one);
}

/// A node of a tree whose parts may be removed.
struct Task {
    name: &'static str,
    waits_for: Option<Key>,
}

fn main() {
    let cities = Arena::new().named("cities");
    let [berlin, paris, rome] =
        ["Berlin", "Paris", "Rome"].map(|name| &*cities.alloc(City { name, roads: RefCell::default() }));
    connect(berlin, paris);
    connect(paris, rome);
    let names: Vec<_> = paris.roads.borrow().iter().map(|city| city.name).collect();
    println!("from Paris to {names:?}; {}", cities.stats());
    assert_eq!(names, ["Berlin", "Rome"]);

    let mut tasks = HandleArena::new().named("tasks");
    let build = tasks.insert(Task { name: "build", waits_for: None });
    let test = tasks.insert(Task { name: "test", waits_for: Some(build) });
    tasks.remove(build);
    tasks.insert(Task { name: "another one in its slot", waits_for: None });
    let waits_for = tasks[test].waits_for.and_then(|key| tasks.get(key));
    println!("{} waits for {:?}", tasks[test].name, waits_for.map(|task| task.name));
    assert!(waits_for.is_none(), "a stale key finds nothing, not the stranger");

    let mut values = DropBump::new();
    let text: &mut String = values.alloc(String::from("any type"));
    let list: &mut Vec<u8> = values.alloc(vec![1, 2, 3]);
    text.push_str(", any number");
    list.push(text.len() as u8);
    assert_eq!(list[3], 20);
    values.reset(); // both are dropped, the vector first
}
