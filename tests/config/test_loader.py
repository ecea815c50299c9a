"""Every failure that a configuration file can have gives one clear line with its place."""

from pathlib import Path

import pytest

from sidecar.config.loader import load, loads
from sidecar.config.model import Config, FieldSpec
from sidecar.errors import ConfigError

SHORTEST = "indices: {articles: {fields: [title, body]}}"


def problems(text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, environ, "c.yaml")
    assert caught.value.exit_code == 2
    return caught.value.problems


def test_the_shortest_mapping() -> None:
    config = loads(SHORTEST, {})
    assert config.indices["articles"].fields == (FieldSpec(name="title"), FieldSpec(name="body"))
    assert config.indices["articles"].window_size == 100


def test_an_empty_file_is_all_defaults() -> None:
    assert loads("", {}) == loads("# nothing\n", {}) == Config()


def test_units_and_short_forms() -> None:
    config = loads(
        "upstream: {connect_timeout: 500ms}\nmax_search_body: 64mb\n"
        "indices: {a: {fields: [{name: t, label: 'T: '}], fusion: rrf}}",
        {},
    )
    assert (config.upstream.connect_timeout, config.max_search_body) == (0.5, 64 << 20)
    fusion = config.indices["a"].fusion
    assert fusion is not None
    assert fusion.method == "rrf"


def test_names_that_look_like_numbers_or_booleans_are_names() -> None:
    config = loads("indices:\n  2024: {fields: [a]}\n  on: {fields: [b]}", {})
    assert sorted(config.indices) == ["2024", "on"]


def test_anchors_and_merge_keys() -> None:
    config = loads("indices:\n  a: &a {fields: [x], window_size: 5}\n  b: {<<: *a, window_size: 7}\n", {})
    assert config.indices["b"].fields == config.indices["a"].fields
    assert config.indices["b"].window_size == 7


# -- everything at once, with lines --------------------------------------------------------------

MANY = """\
listn: {port: 3}
upstream:
  urls: ["http://me:secret@:9200"]
indices:
  articles:
    fields: [title, {nam: 5}]
    window_size: 0
    model: fst
    fusion: rff
engine:
  models: {fast: {model: bundled}}
  max_length: many
"""


def test_all_problems_at_once_each_with_path_line_found_and_allowed() -> None:
    assert problems(MANY) == [
        "c.yaml:1: listn: unknown key; did you mean 'listen' or 'lists'?; allowed: admin, engine, indices, listen, "
        "lists, log_level, max_search_answer, max_search_body, on_failure, shutdown, upstream, workers",
        'c.yaml:3: upstream.urls.0: found "http://me:***@:9200"; '
        "expected a base URL such as 'https://es.example:9200'",
        "c.yaml:6: indices.articles.fields.1.nam: unknown key; did you mean 'name'?; allowed: label, name",
        "c.yaml:6: indices.articles.fields.1.name: missing; Dotted path of the field.",
        "c.yaml:7: indices.articles.window_size: found 0; expected a value greater than or equal to 1",
        'c.yaml:8: indices.articles.model: found "fst"; expected a name from engine.models (fast); '
        "did you mean 'fast'?",
        "c.yaml:9: indices.articles.fusion.method: found \"rff\"; expected 'replace', 'linear' or 'rrf'; "
        "did you mean 'rrf'?",
        'c.yaml:12: engine.max_length: found "many"; expected a whole number',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "indices:\n  a:\n    fields: [title, [nested]]",
            'c.yaml:3: indices.a.fields.1: found ["nested"]; expected text, or a mapping with keys of: name, label',
        ),
        (
            "indices:\n  a: {}",
            "c.yaml:2: indices.a.fields: missing; Document fields, in order; one alone needs no list.",
        ),
        (
            "indices: {a: {fields: []}}",
            "c.yaml:1: indices.a.fields: found []; expected a list with at least one entry",
        ),
        (
            "indices: {a: {fields: 3}}",
            "c.yaml:1: indices.a.fields: found 3; expected a list",
        ),
        ("indices: [a]", 'c.yaml:1: indices: found ["a"]; expected a mapping'),
        (
            "admin:",
            "c.yaml:1: admin: found nothing (null); expected text, or a mapping with keys of: "
            "host, port, socket, reuse_port, tls, token, judgments",
        ),
        (
            "indices: {a: {fields: [x], model: m}}",
            'c.yaml:1: indices.a.model: found "m"; expected a name from engine.models (it has none)',
        ),
        (
            "indices: {a.b: {fields: [x], timeout: 5 days}}",
            'c.yaml:1: indices."a.b".timeout: found "5 days"; expected a number with a unit (ms, s, m, h), '
            "such as '500ms'",
        ),
        (
            "engine: {revision: 1.10}",
            "c.yaml:1: engine.revision: found 1.1; expected text (put it in quotes)",
        ),
        (
            "indices: {a: {fields: [x], passages: {size: 64, stride: 100}}}",
            'c.yaml:1: indices.a.passages: found {"size": 64, "stride": 100}; '
            "stride 100 is above size 64: text between passages is never read",
        ),
        (
            "on_failure: pas",
            "c.yaml:1: on_failure: found \"pas\"; expected 'pass' or 'error'; did you mean 'pass'?",
        ),
        ("- a\n- b", "c.yaml:1: a configuration is a mapping of keys, such as `indices:`"),
        ("a: 1\nb: [", "c.yaml:3: not valid YAML in column 1: did not find expected node content"),
        (
            "listen: {port: ${PORT}}",
            "c.yaml:1: not valid YAML in column 17: did not find expected ',' or '}' "
            "(inside { } or [ ], put ${...} in quotes)",
        ),
        (
            "a: !!python/name:os.system x",
            "c.yaml:1: not a valid value: 'x' "
            "(could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system')",
        ),
        ("a: {b: &x [*x]}", "c.yaml:1: an anchor may not contain itself"),
        ("a: 2024-13-45", "c.yaml:1: not a valid value: '2024-13-45' (month must be in 1..12)"),
        ("a: \x07", "c.yaml: not valid YAML: control characters are not allowed"),
        ("[a]: 1", "c.yaml:1: a key must be a name, not a list or a mapping"),
    ],
)
def test_one_problem_one_line(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_duplicate_keys_are_refused_all_of_them() -> None:
    assert problems("listen: {port: 1, port: 2}\nindices: {}\nindices: {}\n") == [
        "c.yaml:1: listen.port: duplicate key, first given in line 1",
        "c.yaml:3: indices: duplicate key, first given in line 2",
    ]


# -- the environment -----------------------------------------------------------------------------


def test_interpolation_and_types() -> None:
    config = loads(
        "listen:\n  port: ${PORT}\n  host: ${HOST:-127.0.0.1}\n"
        "upstream:\n  urls: ['http://${ES_HOST:-es}:${ES_PORT}']\n  connect_timeout: ${WAIT}\n"
        "  tls:\n    verify: ${V}\n"
        "engine:\n  threads: ${THREADS:-}\n  revision: ${REVISION}\n"
        "indices:\n  ${INDEX}: {fields: [body]}\n",
        {"PORT": "93", "ES_PORT": "9201", "WAIT": "2", "V": "false", "REVISION": "0123", "INDEX": "docs"},
    )
    assert (config.listen.port, config.listen.host) == (93, "127.0.0.1")
    assert [url.base for url in config.upstream.urls] == ["http://es:9201"]
    assert (config.upstream.connect_timeout, config.upstream.tls.verify) == (2.0, False)
    assert config.engine.threads is None
    assert config.engine.revision == "0123"  # wanted as text, kept as the text it was
    assert list(config.indices) == ["docs"]


def test_an_escaped_reference_is_text() -> None:
    config = loads("indices: {a: {fields: [{name: x, label: '$${HOME} $5 a$b '}]}}", {"HOME": "no"})
    assert config.indices["a"].fields[0].label == "${HOME} $5 a$b "


def test_unset_variables_are_named_all_at_once() -> None:
    assert problems("engine:\n  model: ${MODEL}\nlisten:\n  port: ${PORT}\n  host: ${1}\n") == [
        "c.yaml:2: engine.model: the environment variable MODEL is not set and has no default",
        "c.yaml:4: listen.port: the environment variable PORT is not set and has no default",
        "c.yaml:5: listen.host: `${` opens a variable; write ${NAME}, or $${ for the text",
    ]


def test_an_interpolated_value_of_the_wrong_type() -> None:
    assert problems("listen:\n  port: ${PORT}", PORT="ninety") == [
        'c.yaml:2: listen.port: found "ninety"; expected a whole number'
    ]


def test_a_model_may_not_take_the_default_s_name() -> None:
    assert problems("engine:\n  models:\n    default: {model: bundled}\n") == [
        'c.yaml:2: engine.models: found {"default": {"model": "bundled"}}; '
        "'default' is what requests call engine.model: choose another name"
    ]


# -- files ---------------------------------------------------------------------------------------


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbf" + SHORTEST.encode())
    assert "articles" in load(tmp_path / "c.yaml", {}).indices


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin1.yaml").write_bytes(b"a: \xe9")
    for path, reason in [
        (tmp_path / "none.yaml", "no such file or directory"),
        (tmp_path, "is a directory"),
        (tmp_path / "latin1.yaml", "not UTF-8 text (byte 3 is not valid)"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert caught.value.problems == [f"{path}: {reason}"]


# -- the command line over the file --------------------------------------------------------------


def test_overrides_win_and_keep_the_rest() -> None:
    config = loads("listen: {port: 1, host: h}", {}, "c.yaml", {"listen": {"port": 2}, "engine": {"model": "m"}})
    assert (config.listen.port, config.listen.host, config.engine.model) == (2, "h", "m")


def test_a_wrong_override_is_told_as_such() -> None:
    with pytest.raises(ConfigError) as caught:
        loads("", {}, "c.yaml", {"listen": {"port": 70_000}})
    assert caught.value.problems == [
        "command line: listen.port: found 70000; expected a value less than or equal to 65535"
    ]


def test_short_forms_stand_for_their_mappings() -> None:
    config = loads("listen: 127.0.0.1:9300\nadmin: 9902\nindices: {a: {fields: title}, b: {fields: {name: x}}}", {})
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 9300)
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 9902)
    assert [[each.name for each in mapping.fields] for mapping in config.indices.values()] == [["title"], ["x"]]
    assert loads("listen: '[::1]:9300'", {}).listen.host == "::1"


def test_a_flag_for_the_port_leaves_the_host_of_a_short_form() -> None:
    config = loads("listen: 127.0.0.1:9300", {}, "c.yaml", {"listen": {"port": 1}})
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 1)


@pytest.mark.parametrize("text", ["es", "::1:9200", "host:99999", "host:"])
def test_a_listener_that_is_no_host_and_port_is_named(text: str) -> None:
    [problem] = problems(f"listen: '{text}'")
    assert problem.endswith("expected HOST:PORT, or a port")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("indices:\n\ta: {fields: [x]}\n", 2),
        ("indices:\n  a:\n  \tfields: [x]\n", 3),
        ("upstream:\n\turls: [a]\nindices: {}\n", 2),
    ],
)
def test_a_tab_in_the_indentation_is_named(text: str, line: int) -> None:
    assert problems(text) == [f"c.yaml:{line}: a tab stands in the indentation: YAML takes spaces only"]
