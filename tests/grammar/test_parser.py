"""The language by example: what each kind of statement means as a syntax tree."""

from decimal import Decimal

import pytest

from diagrammar.grammar import syntax
from diagrammar.grammar.parser import Parsed, parse
from diagrammar.grammar.source import Source
from diagrammar.grammar.syntax import (
    Assignment,
    Binary,
    Bracket,
    Call,
    Condition,
    Definition,
    Derivative,
    Factor,
    Group,
    Index,
    Name,
    Negative,
    Number,
    Option,
    Pair,
    Params,
    Pattern,
    Product,
    Rank,
    Reference,
    Sample,
    SizeOf,
    Sizes,
    Tensor,
    Text,
    Use,
    View,
)


def read(text: str) -> Parsed:
    parsed = parse(Source(text))
    assert not parsed.problems, "\n\n".join(map(str, parsed.problems))
    return parsed


def statement(text: str) -> syntax.AnyStatement:
    (only,) = read(text).file.statements
    return only


def scalar(text: str) -> syntax.Scalar:
    (entry,) = statement(f"size n := {text}").entries  # type: ignore[union-attr]
    return entry.value  # type: ignore[no-any-return]


def term(text: str) -> tuple[Factor, ...]:
    (only,) = statement(f"Y[] = {text}").terms  # type: ignore[union-attr]
    return only.factors  # type: ignore[no-any-return]


a, b, c = Name("a"), Name("b"), Name("c")
X = Reference("X", (Index("i"),))


class TestStatements:
    def test_sizes_may_have_a_default_or_a_definition(self) -> None:
        assert statement("size k = 3, g, o := 2*k") == Sizes(
            entries=(
                Assignment("k", Number(3)),
                Assignment("g"),
                Assignment("o", Binary("*", Number(2), Name("k")), definite=True),
            )
        )

    def test_parameters_may_be_packs_words_and_pairs(self) -> None:
        assert statement("param s... = 1, p = 'same', q = (1, 2), r.0 = 0.5, t...") == Params(
            entries=(
                Assignment("s", Number(1), pack=True),
                Assignment("p", Text("same")),
                Assignment("q", Pair(Number(1), Number(2))),
                Assignment("r.0", Number(Decimal("0.5"))),
                Assignment("t", pack=True),
            )
        )

    def test_rank(self) -> None:
        assert statement("rank 2") == Rank(rank=2)

    @pytest.mark.parametrize("mark", ["'", '"'])
    def test_use(self, mark: str) -> None:
        assert statement(f"use {mark}conv2d.tn{mark} as layer") == Use(
            path="conv2d.tn", alias="layer"
        )

    def test_tensors_have_wires_groups_and_packs(self) -> None:
        axes = (Index("b"), Group((Index("g"), Index("ci"))), Index("i", pack=True), Group(()))
        assert statement("tensor X[b, (g ci), i..., ()]") == Tensor(name="X", axes=axes)
        assert statement("constant C[u']") == Tensor(name="C", axes=(Index("u'"),), constant=True)
        assert statement("tensor z[]") == Tensor(name="z", axes=())

    def test_derivatives(self) -> None:
        assert statement("dW = vjp(Y, W)") == Derivative(name="dW", kind="vjp", of="Y", by="W")
        assert statement("d = jvp(layer.Y, W, tangent=V)") == Derivative(
            name="d", kind="jvp", of="layer.Y", by="W", direction="V"
        )

    def test_sample(self) -> None:
        assert statement("S = sample(Y, ci', keep=q/2)") == Sample(
            name="S",
            of="Y",
            wire="ci'",
            options=(Option("keep", Binary("/", Name("q"), Number(2))),),
        )


class TestPatterns:
    def test_call(self) -> None:
        assert statement("pattern P[i, o, k]... = conv(stride=s..., padding=(p, 0))") == Pattern(
            name="P",
            axes=(Index("i"), Index("o"), Index("k")),
            value=Call(
                "conv",
                (
                    Option("stride", Name("s", pack=True)),
                    Option("padding", Pair(Name("p"), Number(0))),
                ),
            ),
            pack=True,
        )

    def test_view(self) -> None:
        assert statement("pattern P[i, o] = view(i' = 2*o)") == Pattern(
            name="P",
            axes=(Index("i"), Index("o")),
            value=View("i'", Binary("*", Number(2), Name("o"))),
        )

    def test_brackets(self) -> None:
        text = "pattern P[a, b] = [a = b mod 3, 0 <= a < |b|] + [a = -c]"
        first = Bracket(
            (
                Condition((a, b), ("=",), Number(3)),
                Condition((Number(0), a, SizeOf("b")), ("<=", "<")),
            )
        )
        second = Bracket((Condition((a, Negative(c)), ("=",)),))
        assert statement(text) == Pattern(
            name="P", axes=(Index("a"), Index("b")), value=(first, second)
        )


class TestDefinitions:
    def test_sums_of_products(self) -> None:
        assert statement("Y[i] = -2 * X[i] + X[i] - X[i]") == Definition(
            name="Y",
            axes=(Index("i"),),
            terms=(
                Product((Factor(Number(2)), Factor(X)), negative=True),
                Product((Factor(X),)),
                Product((Factor(X),), negative=True),
            ),
        )

    def test_division_binds_like_multiplication_and_to_the_left(self) -> None:
        assert term("1/|b| * X[i]/2") == (
            Factor(Number(1)),
            Factor(SizeOf("b"), divides=True),
            Factor(X),
            Factor(Number(2), divides=True),
        )

    def test_powers_are_of_scalars_or_elementwise(self) -> None:
        assert term("|b|^2 * X[i]^3") == (
            Factor(Binary("^", SizeOf("b"), Number(2))),
            Factor(Reference("X", (Index("i"),), power=3)),
        )

    def test_references_reach_into_other_files_and_packs(self) -> None:
        assert term("layer.U[i.0] * P[i, o]... * ones[]") == (
            Factor(Reference("layer.U", (Index("i.0"),))),
            Factor(Reference("P", (Index("i"), Index("o")), pack=True)),
            Factor(Reference("ones", ())),
        )

    def test_keywords_are_names_where_no_keyword_can_stand(self) -> None:
        assert term("mod[as, size]") == (Factor(Reference("mod", (Index("as"), Index("size")))),)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a + b*c", Binary("+", a, Binary("*", b, c))),
        ("a - b - c", Binary("-", Binary("-", a, b), c)),
        ("a - (b - c)", Binary("-", a, Binary("-", b, c))),
        ("a/b*c", Binary("*", Binary("/", a, b), c)),
        ("a//b/c", Binary("/", Binary("//", a, b), c)),
        ("-a^2", Negative(Binary("^", a, Number(2)))),
        ("(-a)^2", Binary("^", Negative(a), Number(2))),
        ("-a*b", Binary("*", Negative(a), b)),
        ("|i...| - 1", Binary("-", SizeOf("i", pack=True), Number(1))),
        ("| k.1' |", SizeOf("k.1'")),
        ("((a))", a),
        ("9223372036854775807", Number(2**63 - 1)),
        ("1e-3", Number(Decimal("0.001"))),
    ],
)
def test_scalars(text: str, tree: syntax.Scalar) -> None:
    assert scalar(text) == tree


class TestLines:
    def test_a_statement_goes_on_over_indented_lines_and_operators(self) -> None:
        parsed = read("Y[i] = X[i]\n+ X[i]\n\n    * 2\ntensor X[\n  i\n]\n")
        assert [type(s) for s in parsed.file.statements] == [Definition, Tensor]

    def test_text_may_be_indented_as_a_whole(self) -> None:
        parsed = read(
            """
            # two statements
            tensor X[i]
            Y[i] = X[i]
                 + X[i]
            """
        )
        assert [type(s) for s in parsed.file.statements] == [Tensor, Definition]

    def test_windows_line_ends_tabs_and_byte_order_marks_do_not_matter(self) -> None:
        assert read("\ufefftensor X[i,\r\n\tj]\r\n").file == read("tensor X[i, j]").file

    def test_blank_lines_are_remembered(self) -> None:
        assert read("\n\nrank 2\nrank 3\n\n\nrank 4\n").file.gaps == {2}

    def test_spans_are_offsets_in_the_whole_text(self) -> None:
        text = "rank 2\ndW = vjp(Y, W)\n"
        derivative = read(text).file.statements[1]
        assert isinstance(derivative, Derivative)
        assert text[derivative.span.start : derivative.span.stop] == "dW = vjp(Y, W)"
        assert text[derivative.by_span.start : derivative.by_span.stop] == "W"


class TestComments:
    def test_a_block_that_touches_a_statement_is_its_documentation(self) -> None:
        assert statement("# one\n#\n#   two\nrank 2").doc == ("one", "", "  two")

    def test_a_block_before_a_blank_line_stands_for_itself(self) -> None:
        comment, rank = read("# the file\n\n# the rank\nrank 2").file.statements
        assert comment == syntax.Comment(doc=("the file",))
        assert rank == Rank(rank=2, doc=("the rank",))

    def test_comments_beside_and_inside_a_statement_are_trailing(self) -> None:
        text = "Y[i] = X[i]  # one\n  # two\n  + X[i]  # three"
        assert statement(text).trailing == "one two three"

    def test_a_sign_in_quotes_begins_no_comment_but_one_after_a_prime_does(self) -> None:
        use = statement("use 'a#b.tn' as c")
        assert isinstance(use, Use)
        assert (use.path, use.trailing) == ("a#b.tn", None)
        assert statement("tensor X[i']# 'yes'").trailing == "'yes'"
