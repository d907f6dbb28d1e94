"""Who may send and how much, as the configuration says it: names in certificates, and the section `limits`."""

import pytest

from node.config import Caller, Who
from node.config.titles import overlap
from node.routing import Router
from tests.config.support import GOOD, faults, load, routes

TLS = "{certificate: n.crt, key: n.key, ca: ca.crt}"
OPTIONAL = "{certificate: n.crt, key: n.key, ca: ca.crt, client_certificate: optional}"
NONE = "{certificate: n.crt, key: n.key, client_certificate: none}"


def listening(text: str, *listeners: str) -> str:
    """The configuration with listeners beside the plain one."""
    return text.replace("routes:\n", "  listeners: [" + ", ".join(listeners) + "]\nroutes:\n", 1)


def listener(tls: str, port: int = 2762, called: str = "") -> str:
    return f"{{listen: '127.0.0.1:{port}', tls: {tls}{called}}}"


@pytest.mark.parametrize(
    ("pattern", "names", "fits"),
    [
        ("ct1.example", ("ct1.example",), True),
        ("CT1.Example", ("other", "ct1.eXample"), True),
        ("*.example", ("ct1.example",), True),
        ("*", ("anything",), True),
        ("*", (), False),
        ("ct1.example", (), False),
        ("ct1.example", ("*.example",), False),
        ("ct1.example", ("ct1.example.evil", "act1.example", "ct1-example"), False),
        ("ct1.example", ("ct1.example\0", " ct1.example"), False),
        ("urn:device:7", ("urn:device:7",), True),
    ],
)
def test_a_name_of_the_certificate_must_fit(pattern, names, fits):
    assert Who(certificate=(pattern,)).is_meant(Caller.of("CT", "10.0.0.1", names)) is fits


@pytest.fixture
def router(tmp_path):
    text = routes(
        "{certificate: [ct1.example], calling_ae: ['CT*']}",
        "{address: [10.2.0.0/16]}",
        "{address: [10.3.0.0/16], certificate: [mr1.example]}",
    )
    return Router(load(tmp_path, listening(text, listener(TLS))))


@pytest.mark.parametrize(
    ("calling", "address", "names", "route"),
    [
        ("CT7", "10.9.0.1", ("ct1.example",), "r0"),
        ("CT7", "10.2.0.1", (), "r1"),
        ("MR1", "10.3.0.1", ("x", "mr1.example"), "r2"),
        ("CT7", "10.9.0.1", (), None),
        ("CT7", "10.9.0.1", ("mr1.example",), None),
        ("MR1", "10.3.0.1", (), None),
        ("MR1", "10.9.0.1", ("ct1.example",), None),
    ],
)
def test_a_route_is_for_those_who_have_its_certificate(router, calling, address, names, route):
    found = router.route("DEIDNODE", calling, address, names)
    assert (found and found.name) == route
    rejection = router.admit("DEIDNODE", calling, address, False, names)
    assert (rejection and (rejection.result, rejection.source, rejection.reason)) == (None if route else (1, 1, 3))


@pytest.mark.parametrize(
    ("address", "names", "welcome"),
    [
        ("10.9.0.1", ("ct1.example",), True),
        ("10.2.0.1", (), True),
        ("10.3.0.1", (), False),
        ("10.3.0.1", ("mr1.example",), True),
        ("10.9.0.1", ("mr1.example",), False),
    ],
)
def test_verification_needs_the_certificate_of_a_route_for_the_address(router, address, names, welcome):
    rejection = router.admit("ANY", "ANY", address, True, names)
    assert (rejection and (rejection.result, rejection.source, rejection.reason)) == (None if welcome else (1, 1, 3))


@pytest.mark.parametrize(
    ("listeners", "reached"),
    [
        ((), False),
        ((listener(NONE),), False),
        ((listener(TLS, called=", called_ae: [OTHER]"),), False),
        ((listener(TLS, called=", called_ae: ['DEID*']"),), True),
        ((listener(NONE), listener(OPTIONAL, 2763)), True),
    ],
    ids=["plain", "TLS without certificates", "other titles", "its title", "optional"],
)
def test_a_route_for_certificates_that_nobody_is_asked_for_is_a_fault(tmp_path, listeners, reached):
    text = routes("{certificate: [ct1.example]}")
    found = faults(tmp_path, listening(text, *listeners) if listeners else text)
    if reached:
        assert found == []
        return
    (fault,) = found
    assert (fault.key, fault.line) == (
        "routes.0.from.certificate",
        text.splitlines().index("routes:") + 2 + bool(listeners),
    )
    assert "never reached" in fault.problem


def test_a_limit_for_certificates_that_nobody_is_asked_for_is_a_fault(tmp_path):
    (fault,) = faults(tmp_path, GOOD + "limits: [{certificate: [a], associations: 1}]\n")
    assert fault.key == "limits.0.certificate"


@pytest.mark.parametrize(
    ("earlier", "later", "covered"),
    [
        ("{certificate: ['*.example']}", "{certificate: [CT1.example]}", True),
        ("{certificate: [a, b]}", "{certificate: [B]}", True),
        ("{certificate: ['*']}", "{calling_ae: [A]}", False),
        ("{certificate: [a]}", "{certificate: [a, b]}", False),
        ("{calling_ae: [A]}", "{calling_ae: [A], certificate: [a]}", True),
    ],
)
def test_a_route_that_an_earlier_one_covers_is_refused_by_certificates_too(tmp_path, earlier, later, covered):
    found = faults(tmp_path, listening(routes(earlier, later), listener(TLS)))
    assert [fault.key for fault in found] == ["routes.1"] * covered


def test_a_route_for_certificates_alone_is_not_open_to_anyone(tmp_path):
    text = listening(routes("{certificate: [ct1.example]}", listen="0.0.0.0:11112"), listener(TLS))
    assert faults(tmp_path, text) == []
    assert not any("any address" in warning for warning in load(tmp_path, text).warnings)


@pytest.mark.parametrize("names", ["[]", "['']", "[1]", "ct1", '["a\\0"]', f"['{'a' * 254}']"])
def test_what_can_be_no_name_of_a_certificate_is_refused(tmp_path, names):
    text = listening(routes(f"{{certificate: {names}}}"), listener(TLS))
    assert {fault.key for fault in faults(tmp_path, text)} <= {
        "routes.0.from.certificate",
        "routes.0.from.certificate.0",
    }
    assert faults(tmp_path, text) != []


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, ("A",), True),
        (("A",), ("A", "B"), True),
        (("A*",), ("AB",), True),
        (("A",), ("*",), True),
        (("A*",), ("*B",), True),
        (("A",), ("B", "C*"), False),
    ],
)
def test_whether_a_title_can_fit_two_lists(one, other, both):
    assert overlap(one, other) is both
    assert overlap(other, one) is both


def test_limits_are_read_in_their_units(tmp_path):
    text = "limits: [{address: [10.0.0.0/8], associations: 2, bytes_per_second: 1 MiB, instance_size: 2 GiB}]\n"
    (limit,) = load(tmp_path, GOOD + text).limits
    assert (limit.associations, limit.bytes_per_second, limit.instance_size) == (2, 1 << 20, 2 << 30)
    assert load(tmp_path, GOOD).limits == ()


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("{address: [10.0.0.0/8]}", "limits.0"),
        ("{associations: 0}", "limits.0.associations"),
        ("{bytes_per_second: 63 KiB}", "limits.0.bytes_per_second"),
        ("{bytes_per_second: 5 %}", "limits.0.bytes_per_second"),
        ("{instance_size: 0 KiB}", "limits.0.instance_size"),
        ("{instance_size: 5 %}", "limits.0.instance_size"),
        ("{instance_size: 1000000}", "limits.0.instance_size"),
        ("{associations: 1, called_ae: [A]}", "limits.0.called_ae"),
        ("{associations: 1}, {address: [10.0.0.0/8], associations: 2}", "limits.1"),
    ],
)
def test_a_limit_that_is_none_or_never_counts_is_a_fault(tmp_path, entry, key):
    (fault,) = faults(tmp_path, GOOD + f"limits: [{entry}]\n")
    assert (fault.key, fault.line) == (key, GOOD.count("\n") + 1)
