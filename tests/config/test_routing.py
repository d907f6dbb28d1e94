import pytest

from node.config.titles import matches
from node.errors import RecipeError
from node.routing import Router, compile_routes, date_modes
from tests.config.support import load, routes

NAMES = (
    "{calling_ae: ['CT*', MR1], address: [10.0.0.0/8, '::1']}",
    "{called_ae: [TRIAL, 'X*'], address: [127.0.0.0/8]}",
    "{calling_ae: [MR1], address: [192.168.0.0/16]}",
)


@pytest.fixture
def router(tmp_path):
    return Router(load(tmp_path, routes(*NAMES)))


@pytest.mark.parametrize(
    ("called", "calling", "address", "route"),
    [
        ("DEIDNODE", "CT1", "10.1.2.3", "r0"),
        (" DEIDNODE ", " CT1 ", "10.1.2.3", "r0"),
        ("DEIDNODE", "CT", "::1", "r0"),
        ("DEIDNODE", "MR1", "::ffff:10.0.0.1", "r0"),
        ("DEIDNODE", "MR1", "192.168.0.1", "r2"),
        ("TRIAL", "ANYONE", "127.0.0.1", "r1"),
        ("XYZ", "ANYONE", "127.0.0.1", "r1"),
    ],
)
def test_the_first_route_that_matches_decides(router, called, calling, address, route):
    assert router.admit(called, calling, address, False) is None
    found = router.route(called, calling, address)
    assert found is not None
    assert found.name == route


@pytest.mark.parametrize(
    ("called", "calling", "address"),
    [
        ("DEIDNODE", "ct1", "10.0.0.1"),
        ("DEIDNODE", "MR2", "10.0.0.1"),
        ("DEIDNODE", "CT1", "11.0.0.1"),
        ("TRIAL", "CT1", "10.0.0.1"),
        ("DEIDNODE", "CT1", "not an address"),
        ("DEIDNODE", "CT1", ""),
    ],
)
def test_a_caller_without_route_is_rejected_1_1_3(router, called, calling, address):
    rejection = router.admit(called, calling, address, False)
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.reason) == (1, 1, 3)
    assert router.route(called, calling, address) is None


@pytest.mark.parametrize("called", ["deidnode", "OTHER", "", "DEIDNODE2"])
def test_an_unknown_called_title_is_rejected_1_1_7(router, called):
    rejection = router.admit(called, "CT1", "10.0.0.1", False)
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.reason) == (1, 1, 7)


def test_verification_needs_only_an_allowed_address(router):
    assert router.admit("NOBODY", "NOBODY", "192.168.7.7", True) is None
    rejection = router.admit("DEIDNODE", "CT1", "8.8.8.8", True)
    assert rejection is not None
    assert (rejection.result, rejection.source, rejection.reason) == (1, 1, 3)


def test_the_called_titles_are_the_nodes_and_all_in_routes(router):
    assert router.called_titles == ("DEIDNODE", "TRIAL", "X*")


def test_a_title_with_a_star_from_the_network_is_no_wildcard(router):
    assert router.route("*", "CT1", "10.0.0.1") is None
    assert router.route("DEIDNODE", "*", "10.0.0.1") is None


@pytest.mark.parametrize(
    ("pattern", "title", "expected"),
    [
        ("A", "A ", True),
        ("A", "AB", False),
        ("*", "", True),
        ("A*", "A", True),
        ("A*B", "AB", True),
        ("A*B", "A", False),
        ("AB*BA", "ABA", False),
        ("*B*", "ABC", True),
        ("A*B*C", "AXBXC", True),
        ("A*B*C", "ACB", False),
        ("A?", "AB", False),
        ("[AB]", "A", False),
    ],
)
def test_only_a_star_has_a_meaning(pattern, title, expected):
    assert matches(pattern, title) is expected


def test_the_faults_of_all_routes_come_at_once(tmp_path):
    config = load(tmp_path, routes("{calling_ae: [A]}", "{calling_ae: [B]}"))
    (tmp_path / "own/careful.dicom").write_text("FORMAT dicom\n%header\nREMOVEE PatientName\nREPLACE PatientID var:x\n")
    second = tmp_path / "own/second.dicom"
    second.write_text("FORMAT dicom\n%header\nREMOVE PatientNam\n")
    changed = config.routes[1].model_copy(update={"recipe": (str(second), str(tmp_path / "gone.dicom"))})
    with pytest.raises(RecipeError) as caught:
        compile_routes(config.model_copy(update={"routes": (config.routes[0], changed)}))
    text = str(caught.value)
    assert "careful.dicom:3" in text
    assert "gone.dicom" in text


def test_a_variable_that_the_route_does_not_set_is_a_fault(tmp_path):
    config = load(tmp_path, routes("{calling_ae: [A]}"))
    (tmp_path / "own/careful.dicom").write_text("FORMAT dicom\n%header\nREPLACE PatientID var:site\n")
    with pytest.raises(RecipeError, match="'site'"):
        compile_routes(config)
    route = config.routes[0].model_copy(update={"variables": {"site": "12"}})
    assert set(compile_routes(config.model_copy(update={"routes": (route,)}))) == {"r0"}


def test_a_broken_condition_is_a_fault(tmp_path):
    config = load(tmp_path, routes("{calling_ae: [A]}"))
    route = config.routes[0].model_copy(update={"exclude": ("equal Modality SR",)})
    with pytest.raises(RecipeError):
        compile_routes(config.model_copy(update={"routes": (route,)}))


def test_recipes_find_the_functions_of_the_site_and_all_faults_of_both_are_named(tmp_path):
    config = load(tmp_path, routes("{calling_ae: [A]}") + "functions: [own/my.py]\n")
    own = tmp_path / "own"
    (own / "careful.dicom").write_text("FORMAT dicom\n%header\nREPLACE PatientID func:site_number\n")
    (own / "my.py").write_text("def site_number(item, value, field, dicom):\n    return '7'\n")
    assert set(compile_routes(config)) == {"r0"}
    (own / "my.py").write_text("import no_such_module\n")
    (own / "careful.dicom").write_text("FORMAT dicom\n%header\nREPLACE PatientID func:site_number\nREMOVE Foo\n")
    with pytest.raises(RecipeError) as caught:
        compile_routes(config)
    assert [fault.file for fault in caught.value.faults] == [str(own / "my.py"), str(own / "careful.dicom")]
    assert "no_such_module" in caught.value.faults[0].problem


def test_routes_of_one_project_do_not_keep_dates_beside_moved_ones(tmp_path):
    config = load(tmp_path, routes("{calling_ae: [A]}", "{calling_ae: [B]}"))
    moved, kept, none = (
        tuple({"recipe": ("ps3.15-basic", *options), "project": "one"}.items())
        for options in (("retain-modified-dates",), ("retain-full-dates",), ())
    )

    def compiled(first, second):
        both = [route.model_copy(update=dict(what)) for route, what in zip(config.routes, (first, second), strict=True)]
        changed = config.model_copy(update={"routes": tuple(both)})
        return date_modes(changed, compile_routes(changed))

    assert compiled(moved, moved) == compiled(none, moved) == {"one": "moved"}
    assert compiled(kept, none) == {"one": "kept"}
    assert compiled(none, none) == {}
    with pytest.raises(RecipeError, match="Give one of them a project of its own"):
        compiled(moved, kept)
    assert compiled(moved, (*kept, ("project", "two"))) == {"one": "moved", "two": "kept"}
