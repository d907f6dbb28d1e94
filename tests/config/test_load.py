from pathlib import Path

import pytest

from node.config import Size, load_config
from node.errors import ConfigError
from tests.config.support import GOOD, faults, keys, load, routes, write

EXAMPLE = Path(__file__).parents[2] / "config.yaml"


def with_node(line: str) -> str:
    return GOOD.replace("routes:", f"  {line}\nroutes:", 1)


def with_route(line: str) -> str:
    return GOOD.replace("destinations:", f"    {line}\ndestinations:", 1)


def test_the_shortest_configuration_has_every_default(tmp_path):
    config = load(tmp_path, GOOD)
    node = config.node
    assert node.data == tmp_path / "var"
    assert node.spool == tmp_path / "var/spool"
    assert node.ledger == f"sqlite:///{tmp_path}/var/ledger.db"
    assert node.secret_file == tmp_path / "var/secret.key"
    assert (node.max_associations, node.drain, node.min_free_disk) == (50, 30.0, Size(1 << 30))
    assert 1 <= node.workers <= 16
    assert (node.timeouts.acse, node.timeouts.idle, node.timeouts.transfer) == (30, 600, 60)
    assert config.routes[0].project == "research"
    assert config.routes[0].recipe == (str(tmp_path / "own/careful.dicom"),)
    destination = config.destinations["archive"]
    assert destination.calling_ae == "DEIDNODE"
    assert destination.address == ("127.0.0.1", 11113)
    assert (destination.retry.tries, destination.retry.cap) == (None, 900)
    assert config.trial_destination is None
    assert config.warnings == ()


def test_the_shipped_configuration_is_valid():
    config = load_config(EXAMPLE)
    assert config.warnings == ()
    assert config.is_trial("archive")


def test_paths_count_from_the_folder_of_the_file(tmp_path, monkeypatch):
    write(tmp_path, GOOD.replace("ae_title: DEIDNODE", "ae_title: DEIDNODE\n  data: ../elsewhere"))
    monkeypatch.chdir(tmp_path / "own")
    config = load_config(Path("../config.yaml"))
    assert config.node.spool == tmp_path.parent / "elsewhere/spool"
    assert config.node.ledger == f"sqlite:///{tmp_path.parent}/elsewhere/ledger.db"


def test_places_can_be_set_one_by_one(tmp_path):
    lines = "data: /a\n  ledger: sqlite:///b/l.db\n  secret_file: ../s.key"
    node = load(tmp_path, with_node(lines)).node
    assert node.spool == Path("/a/spool")
    assert node.ledger == f"sqlite:///{tmp_path}/b/l.db"
    assert node.secret_file == tmp_path.parent / "s.key"


def test_a_trial_destination_that_is_not_enabled_is_none(tmp_path):
    text = GOOD + "trial_destination: {enabled: false, ae_title: X, listen: 127.0.0.1:11112, folder: x}\n"
    assert load(tmp_path, text).trial_destination is None


def test_all_faults_are_named_at_once_with_line_and_key(tmp_path):
    text = """\
node:
  ae_title: "SEVENTEEN LETTERS"
  listen: 127.0.0.1:99999
  max_asociations: 5
  workers: ON
routes:
  - name: a
    recipe: [no-such, own/none.dicom]
    to: [archiv]
  - name: a
    recipe: research
    to: []
destinations:
  archive:
    ae_title: ARCHIVE
    address: 127.0.0.1:11113
    retry: {first: 5}
    retry: {}
"""
    assert keys(tmp_path, text) == [
        (2, "node.ae_title"),
        (3, "node.listen"),
        (4, "node.max_asociations"),
        (5, "node.workers"),
        (8, "routes.0.recipe.0"),
        (8, "routes.0.recipe.1"),
        (9, "routes.0.to.0"),
        (10, "routes.1.name"),
        (11, "routes.1.recipe"),
        (12, "routes.1.to"),
        (17, "destinations.archive.retry.first"),
        (18, "destinations.archive.retry"),
    ]


def test_an_unknown_key_hides_nothing_else(tmp_path):
    text = routes("{adress: [10.0.0.0/8]}", "{}", listen="0.0.0.0:11112")
    found = {fault.key: fault.hint for fault in faults(tmp_path, text)}
    assert found["routes.0.from.adress"] == "Did you mean 'address'?"
    assert "routes.1" in found


@pytest.mark.parametrize(
    "text",
    [
        with_node("log: {level: loud}"),
        with_node("max_associations: '50'"),
        with_node("max_associations: 0"),
        with_node("max_associations: true"),
        with_node("workers: 0"),
        with_node("drain: 30"),
        with_node("min_free_disk: 1 GB"),
        with_node("ledger: postgresql://user:secret@host/db"),
        with_node("ledger: 'sqlite://'"),
        with_node("ledger: 'sqlite:///:memory:'"),
        with_node("ledger: sqlite:///var/spool/ledger.db"),
        with_node("secret_file: ~/secret.key"),
        with_node("log:"),
        with_route("project: a b"),
        with_route("variables: {site: 12}"),
        with_route("missing_patient_id: pass"),
        with_route("exclude: missing Modality"),
        with_route("from: {calling_ae: []}"),
        with_route("from: {address: [10.0.0.300]}"),
        GOOD.replace("own/careful.dicom", ""),
        GOOD.replace("[archive]", "[archive, archive]"),
        GOOD.replace("name: research", "name: ../x"),
        GOOD.replace("11113", "11112"),
        GOOD + "    associations: 0\n",
        GOOD + "    retry: {factor: 0.5}\n",
        GOOD + "    timeout: {connect: 0s}\n",
        GOOD + "trial_destination: {ae_title: X, listen: 127.0.0.1:11112, folder: x}\n",
        GOOD + "trial_destination: {ae_title: X, listen: 127.0.0.1:11114, folder: var/spool/x}\n",
        GOOD + "warnings: [x]\n",
        GOOD + "file: x\n",
        "- a\n",
        "",
        "node: {}\n",
    ],
)
def test_what_is_wrong_is_refused_with_file_and_problem(tmp_path, text):
    found = faults(tmp_path, text)
    assert found
    assert all(fault.file.endswith("config.yaml") and fault.problem for fault in found)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (
            GOOD + "trial_destination: {ae_title: A, listen: '127.0.0.1:1', folder: f, tls: {}}\n",
            "trial_destination.tls",
        ),
    ],
)
def test_what_is_settled_but_not_built_is_refused_and_never_ignored(tmp_path, text, key):
    found = faults(tmp_path, text)
    assert [fault.key for fault in found] == [key]
    assert "not in this version" in found[0].problem
    assert found[0].line is not None


def test_copies_are_sent_once_and_held_where_they_changed_unless_the_file_says_otherwise(tmp_path):
    assert load(tmp_path, GOOD).duplicates.model_dump() == {"same": "once", "header": "hold"}
    for header in ("hold", "replace", "both"):
        assert load(tmp_path, GOOD + f"duplicates: {{same: resend, header: {header}}}\n").duplicates.header == header
    assert [fault.key for fault in faults(tmp_path, GOOD + "duplicates: {same: twice}\n")] == ["duplicates.same"]


def test_the_gate_may_hold_scrub_or_report(tmp_path):
    for gate in ("hold", "scrub", "report"):
        assert faults(tmp_path, with_route(f"gate: {gate}")) == []
    assert [fault.key for fault in faults(tmp_path, with_route("gate: pass"))] == ["routes.0.gate"]


def test_what_only_states_the_default_is_accepted(tmp_path):
    defaults = "web: {enabled: false}\nduplicates: {same: once, header: hold}\npeers: {}\nfunctions: []\n"
    assert faults(tmp_path, GOOD + defaults) == []


def test_the_files_of_functions_count_from_the_folder_of_the_configuration(tmp_path):
    assert load(tmp_path, GOOD + "functions: [own/my.py, /opt/more.py]\n").functions == (
        tmp_path / "own/my.py",
        Path("/opt/more.py"),
    )
    assert [fault.key for fault in faults(tmp_path, GOOD + "functions: [1]\n")] == ["functions.0"]


def test_options_of_a_route_that_are_built_are_kept(tmp_path):
    text = with_route(
        "variables: {site: '12'}\n    exclude: [equals Modality SR]\n    issuer: HOSPITAL\n"
        "    missing_patient_id: study"
    )
    route = load(tmp_path, text).routes[0]
    assert (route.variables, route.exclude) == ({"site": "12"}, ("equals Modality SR",))
    assert (route.issuer, route.missing_patient_id, route.mapping) == ("HOSPITAL", "study", "computed")


def test_no_mapping_can_be_demanded_of_patients_who_are_known_by_a_study(tmp_path):
    assert load(tmp_path, with_route("mapping: required")).routes[0].mapping == "required"
    both = with_route("mapping: required\n    missing_patient_id: study")
    assert [fault.key for fault in faults(tmp_path, both)] == ["routes.0.missing_patient_id"]
    assert [fault.key for fault in faults(tmp_path, with_route("mapping: demanded"))] == ["routes.0.mapping"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("", ""),
        ("", "{calling_ae: [CT1]}"),
        ("{calling_ae: ['CT*']}", "{calling_ae: ['CT1*', CT2]}"),
        ("{calling_ae: ['*']}", ""),
        ("{address: [10.0.0.0/8]}", "{address: [10.1.0.0/16]}"),
        ("{address: [10.0.0.0/9, 10.128.0.0/9]}", "{address: [10.0.0.0/8]}"),
        ("{called_ae: ['*']}", "{called_ae: [X]}"),
        ("{called_ae: [DEIDNODE]}", "{calling_ae: [A]}"),
    ],
)
def test_a_route_that_an_earlier_one_covers_is_refused(tmp_path, earlier, later):
    found = faults(tmp_path, routes(earlier, later))
    assert [fault.key for fault in found] == ["routes.1"]
    assert "'r0'" in found[0].problem


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{calling_ae: ['CT*']}", "{calling_ae: ['C*']}"),
        ("{calling_ae: [CT1]}", ""),
        ("{address: [10.0.0.0/8]}", ""),
        ("{address: [0.0.0.0/0]}", "{address: ['::1']}"),
        ("{called_ae: [X]}", ""),
        ("", "{called_ae: [X]}"),
        ("{calling_ae: [CT1], address: [10.0.0.0/8]}", "{calling_ae: [CT1]}"),
        ("{calling_ae: ['*A*B']}", "{calling_ae: ['*B']}"),
    ],
)
def test_a_route_that_something_still_reaches_is_accepted(tmp_path, earlier, later):
    assert faults(tmp_path, routes(earlier, later)) == []


@pytest.mark.parametrize("listen", ["0.0.0.0:11112", "192.168.1.5:11112", "[::]:11112", "node.example.org:11112"])
def test_a_route_for_anyone_is_refused_where_others_reach_the_node(tmp_path, listen):
    assert [fault.key for fault in faults(tmp_path, routes("", listen=listen))] == ["routes.0"]
    assert faults(tmp_path, routes("{calling_ae: [CT1]}", listen=listen)) == []


@pytest.mark.parametrize("listen", ["127.0.0.1:11112", "[::1]:11112", "localhost:11112"])
def test_a_route_for_anyone_is_accepted_on_loopback(tmp_path, listen):
    assert faults(tmp_path, routes("", listen=listen)) == []


def test_a_destination_that_is_the_node_itself_is_refused(tmp_path):
    text = routes("{calling_ae: [A]}", listen="0.0.0.0:11113")
    assert [fault.key for fault in faults(tmp_path, text)] == ["destinations.archive.address"]


def test_what_is_hardly_meant_is_a_warning(tmp_path):
    text = routes("{called_ae: [X]}", listen="0.0.0.0:11112")
    text += "  unused: {ae_title: U, address: '10.0.0.1:104'}\n"
    text += "trial_destination: {ae_title: T, listen: 127.0.0.1:11119, folder: t}\n"
    warnings = load(tmp_path, text).warnings
    assert len(warnings) == 3
    assert any("unused" in warning for warning in warnings)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"node:\n  ae_title: \xe4\n")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(ConfigError):
            load_config(path)


def test_a_fault_never_repeats_what_came_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("TITLE", "hunter2 hunter2 hunter2")
    text = with_node("ledger: ${DATABASE}\n  max_associations: ${TITLE}").replace("DEIDNODE", "${TITLE}")
    found = faults(tmp_path, text)
    assert len(found) == 3
    assert "hunter2" not in "".join(map(str, found))


def test_a_configuration_cannot_be_changed(tmp_path):
    config = load(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.node.drain = 5.0
