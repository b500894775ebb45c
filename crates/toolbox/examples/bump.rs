//! Bump: a tree built and evaluated in one allocator, thrown away by a reset.

use brkmap_toolbox::Bump;

/// An expression whose parts lie in the allocator.
enum Expression<'b> {
    Number(i64),
    Add(&'b Expression<'b>, &'b Expression<'b>),
    Times(&'b Expression<'b>, &'b Expression<'b>),
}

fn parse<'b>(bump: &'b Bump, words: &mut std::str::SplitWhitespace<'_>) -> &'b Expression<'b> {
    match words.next().expect("prefix notation: an operator has two operands") {
        "+" => bump.alloc(Expression::Add(parse(bump, words), parse(bump, words))),
        "*" => bump.alloc(Expression::Times(parse(bump, words), parse(bump, words))),
        number => bump.alloc(Expression::Number(number.parse().expect("a number"))),
    }
}

fn value(expression: &Expression<'_>) -> i64 {
    match expression {
        Expression::Number(number) => *number,
        Expression::Add(left, right) => value(left) + value(right),
        Expression::Times(left, right) => value(left) * value(right),
    }
}

fn main() {
    let mut bump = Bump::new().named("expressions");
    for (text, expected) in [("+ 1 * 2 3", 7), ("* + 1 2 + 3 4", 21), ("+ + + 1 2 3 4", 10)] {
        let result = value(parse(&bump, &mut text.split_whitespace()));
        println!("{text} = {result}    {}", bump.stats());
        assert_eq!(result, expected);
        bump.reset_keep(); // no walk over the tree, no free
    }
    // A scope frees what was made inside, and what was made outside stays usable meanwhile.
    let longest = bump.scope(|scope| {
        let words = scope.alloc_slice_copy(&["a", "scope", "inside"]);
        scope.scope(|inner| inner.alloc_slice_fill_with(words.len(), |at| words[at].len()).iter().copied().max())
    });
    assert_eq!((longest, bump.stats().live_bytes), (Some(6), 0));
}
