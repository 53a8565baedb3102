"""Hypothesis strategies for syntax trees that some text could have, comments included."""

from __future__ import annotations

from decimal import Decimal
from string import ascii_letters, digits

from hypothesis import strategies as st

from diagrammar.grammar import syntax
from diagrammar.grammar.tokens import STATEMENTS

# -- names -----------------------------------------------------------------------------------------

_tails = st.text(ascii_letters + digits + "_", max_size=3)
plain = st.one_of(
    st.sampled_from(["X", "Y", "b", "ci", "o1", "mod", "as", "view", "sample", "e5", "_"]),
    st.builds(lambda head, tail: head + tail, st.sampled_from(ascii_letters + "_"), _tails),
    st.just("a_name_of_thirty_letters_or_more"),
)
left_names = plain.filter(lambda name: name not in STATEMENTS)
members = st.one_of(st.just(""), st.integers(0, 999).map(lambda n: f".{n}"))
counted = st.builds(lambda name, member: name + member, plain, members)
wires = st.builds(lambda name, primes: name + "'" * primes, counted, st.integers(0, 2))
references = st.one_of(counted, st.builds(lambda a, b: f"{a}.{b}", plain, counted))

# -- scalars ---------------------------------------------------------------------------------------

integers = st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1))
decimals = st.builds(
    lambda whole, part, power: Decimal(f"{whole}.{part}e{power}"),
    st.integers(0, 10**19),
    st.integers(0, 10**9),
    st.integers(-99, 99),
)
numbers = st.builds(syntax.Number, st.one_of(integers, decimals))
names = st.builds(syntax.Name, wires, st.booleans())
sizes = st.builds(syntax.SizeOf, wires, st.booleans())
exponents = st.builds(syntax.Number, st.integers(0, 64))
scalars: st.SearchStrategy[syntax.Scalar] = st.recursive(
    st.one_of(numbers, names, sizes),
    lambda inner: st.one_of(
        st.builds(syntax.Negative, inner),
        st.builds(syntax.Binary, st.sampled_from(["+", "-", "*", "/", "//"]), inner, inner),
        st.builds(syntax.Binary, st.just("^"), inner, exponents),
    ),
    max_leaves=8,
)
quotable = st.text(max_size=8).filter(lambda t: "\n" not in t and not ("'" in t and '"' in t))
texts = st.builds(syntax.Text, quotable)
pairs = st.builds(syntax.Pair, scalars, scalars)
values = st.one_of(scalars, texts, pairs)

# -- axes and products -----------------------------------------------------------------------------

indices = st.builds(syntax.Index, wires, st.booleans())
groups = st.builds(syntax.Group, st.lists(indices, max_size=3).map(tuple))
axes = st.lists(st.one_of(indices, groups), max_size=5).map(tuple)
tensors = st.builds(
    syntax.Reference,
    name=references,
    axes=axes,
    pack=st.booleans(),
    power=st.one_of(st.just(1), st.integers(0, 64)),
    name_span=st.just(syntax.NOWHERE),
    span=st.just(syntax.NOWHERE),
)
factors = st.one_of(
    st.builds(lambda value: syntax.Factor(value), tensors),
    st.builds(lambda value, divides: syntax.Factor(value, divides), scalars, st.booleans()),
)


@st.composite
def products(draw: st.DrawFn) -> syntax.Product:
    first = syntax.Factor(draw(st.one_of(tensors, scalars)))
    return syntax.Product((first, *draw(st.lists(factors, max_size=4))), draw(st.booleans()))


# -- statements ------------------------------------------------------------------------------------

_lines = st.text(max_size=60).map(lambda text: text.replace("\n", "").rstrip())
docs = st.one_of(st.just(()), st.lists(_lines, max_size=3).map(tuple))
trailing = st.one_of(st.none(), _lines.map(str.strip).map(lambda text: text or None))


def _comments(**fields: object) -> dict[str, object]:
    return {"doc": docs, "trailing": trailing, **fields}


@st.composite
def options(draw: st.DrawFn) -> tuple[syntax.Option, ...]:
    keys = draw(st.lists(plain, max_size=4, unique=True))
    return tuple(syntax.Option(key, draw(values)) for key in keys)


@st.composite
def entries(draw: st.DrawFn, *, sizes: bool) -> tuple[syntax.Assignment, ...]:
    def entry() -> syntax.Assignment:
        value = draw(st.one_of(st.none(), scalars if sizes else values))
        definite = sizes and value is not None and draw(st.booleans())
        return syntax.Assignment(draw(counted), value, definite, draw(st.booleans()))

    return tuple(entry() for _ in range(draw(st.integers(1, 4))))


@st.composite
def comparisons(draw: st.DrawFn) -> syntax.Condition:
    signs = draw(st.lists(st.sampled_from(["=", "<", "<=", ">", ">="]), min_size=1, max_size=3))
    return syntax.Condition(tuple(draw(scalars) for _ in range(len(signs) + 1)), tuple(signs))


@st.composite
def conditions(draw: st.DrawFn) -> syntax.Condition:
    if draw(st.booleans()):
        return syntax.Condition((draw(scalars), draw(scalars)), ("=",), draw(scalars))
    return draw(comparisons())


@st.composite
def sampling(draw: st.DrawFn) -> tuple[syntax.Option, ...]:
    """The options of a `sample`, in any order."""
    given = [syntax.Option("keep", draw(scalars)), syntax.Option("mask", syntax.Name(draw(plain)))]
    some = draw(st.lists(st.sampled_from(given), min_size=1, unique_by=lambda o: o.name))
    independent = [syntax.Option("copies", syntax.Name("independent"))] * draw(st.booleans())
    return tuple(draw(st.permutations([*some, *independent])))


drawings = st.builds(lambda keep: syntax.Call("bernoulli", (syntax.Option("keep", keep),)), scalars)
brackets = st.builds(syntax.Bracket, st.lists(conditions(), min_size=1, max_size=3).map(tuple))
calls = st.builds(syntax.Call, plain.filter(lambda name: name != "view"), options())
views = st.builds(syntax.View, wires, scalars)
pattern_values = st.one_of(calls, views, st.lists(brackets, min_size=1, max_size=3).map(tuple))
paths = quotable

statements: st.SearchStrategy[syntax.AnyStatement] = st.one_of(
    st.builds(syntax.Sizes, **_comments(entries=entries(sizes=True))),
    st.builds(syntax.Params, **_comments(entries=entries(sizes=False))),
    st.builds(syntax.Rank, **_comments(rank=st.integers(1, 64))),
    st.builds(
        syntax.Require,
        **_comments(conditions=st.lists(comparisons(), min_size=1, max_size=3).map(tuple)),
    ),
    st.builds(syntax.Use, **_comments(path=paths, alias=plain)),
    st.builds(syntax.Tensor, **_comments(name=plain, axes=axes, constant=st.booleans())),
    st.builds(syntax.Tensor, **_comments(name=plain, axes=axes, drawn=drawings)),
    st.builds(
        syntax.Pattern,
        **_comments(
            name=counted,
            axes=st.lists(indices, max_size=4).map(tuple),
            value=pattern_values,
            pack=st.booleans(),
        ),
    ),
    st.builds(
        syntax.Definition,
        **_comments(
            name=left_names,
            axes=axes,
            terms=st.lists(products(), min_size=1, max_size=4).map(tuple),
        ),
    ),
    st.builds(
        syntax.Derivative,
        **_comments(
            name=left_names,
            kind=st.sampled_from(["vjp", "jvp"]),
            of=references,
            by=references,
            direction=st.one_of(st.none(), plain),
        ),
    ),
    st.builds(
        syntax.Derivative,
        **_comments(name=left_names, kind=st.just("jacobian"), of=references, by=references),
    ),
    st.builds(
        syntax.Sample, **_comments(name=left_names, of=references, wire=wires, options=sampling())
    ),
    st.builds(syntax.Comment, doc=st.lists(_lines, min_size=1, max_size=3).map(tuple)),
)


@st.composite
def files(draw: st.DrawFn) -> syntax.File:
    """Whole files, with blank lines between some of their statements."""
    body = draw(st.lists(statements, max_size=6))
    gaps = draw(st.sets(st.integers(1, max(1, len(body) - 1))))
    return syntax.File(tuple(body), frozenset(gap for gap in gaps if gap < len(body)))
