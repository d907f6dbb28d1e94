"""The functions of `deid_func:`, with their parameters.

Guarantees that in the node each result is a keyed function of the value (of instance and path where there is none), so
that it is the same every time and nobody without the secret can compute it. Outside the node the results are those of
pydicom/deid: random, but for `pydicom_uuid`, which anyone can compute again from the original. Refuses (Problem)
unknown functions and parameters, and values that a parameter cannot have.

`basic_uuid`, `simple_uuid`  a UUID as text
`suffix_uuid`                the element's name in small letters, a dash, a UUID
`dicom_uuid`                 `org_root`, a dot, a number
`pydicom_uuid`               `prefix` (2.25.) and a number; `stable_remapping=false` matters outside the node only
`jitter`                     dates moved by `days` (1) and `years` (of 365 days)
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping

from node.recipe.dictionary import nearest
from node.recipe.functions import Call, Function, replaced, shifted
from node.recipe.selectors import Problem, path_name

PARAMETERS: dict[str, frozenset[str]] = {
    "basic_uuid": frozenset(),
    "dicom_uuid": frozenset({"org_root"}),
    "jitter": frozenset({"days", "years"}),
    "pydicom_uuid": frozenset({"prefix", "stable_remapping"}),
    "simple_uuid": frozenset(),
    "suffix_uuid": frozenset(),
}
UUID_ROOT = "2.25."
_DEID_ROOT = "anonymous-organization"
_PREFIX = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*\.\Z")
_LONGEST_ROOT = 24  # of the 64 characters of a UID a dot and a number of 39 digits need the rest
_MAX_UID = 64
_LONGEST_PREFIX = 54  # characters that pydicom takes


def make_function(name: str, options: str, *, in_node: bool) -> Function:
    """Return a function with its parameters, as `k=v` pairs are written behind its name. Raises Problem."""
    if name not in PARAMETERS:
        raise Problem(f"{name} is no function of deid_func.", nearest(name, PARAMETERS))
    given = dict(_pair(name, word) for word in options.split())
    return _MAKERS[name](given, in_node)


def _pair(name: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or key not in PARAMETERS[name]:
        allowed = PARAMETERS[name]
        hint = nearest(key, allowed) if allowed else f"{name} has no parameters."
        raise Problem(f"{word if not equals else key} is no parameter of {name}.", hint)
    return key, value


Maker = Callable[[Mapping[str, str], bool], Function]


def _basic(_given: Mapping[str, str], in_node: bool) -> Function:
    return (lambda call: str(_keyed(call))) if in_node else (lambda _: str(uuid.uuid4()))


def _suffix(_given: Mapping[str, str], in_node: bool) -> Function:
    return lambda call: f"{path_name(call.path).lower()}-{_keyed(call) if in_node else uuid.uuid4()}"


def _dicom(given: Mapping[str, str], in_node: bool) -> Function:
    if not in_node:
        root = given.get("org_root", _DEID_ROOT)
        return lambda _: f"{root}.{uuid.uuid4().int}"[:_MAX_UID]
    prefix = given.get("org_root", UUID_ROOT.rstrip(".")).rstrip(".") + "."
    return _prefixed(prefix, "org_root")


def _pydicom(given: Mapping[str, str], in_node: bool) -> Function:
    stable = given.get("stable_remapping", "true")
    if stable not in ("true", "false"):
        raise Problem("stable_remapping is true or false.")
    prefix = given.get("prefix", UUID_ROOT)
    without = prefix in ("none", "null", "")
    if not without and not _PREFIX.match(prefix):
        raise Problem(f"{prefix} is no prefix of a UID.", "It ends with a dot: prefix=1.55.")
    if in_node:
        return _prefixed(UUID_ROOT if without else prefix, "prefix")
    return _pydicom_own("" if without else prefix, stable == "true")


def _pydicom_own(prefix: str, stable: bool) -> Function:
    """Return pydicom's own way: a number out of SHA-512 over the prefix and the value."""

    def function(call: Call) -> str:
        if stable and 0 < len(prefix) <= _LONGEST_PREFIX:
            # The same number, without pydicom's checks of a UID that cannot be wrong.
            number = int.from_bytes(hashlib.sha512(_as_python(call).encode()).digest(), "big")
            return f"{prefix}{number}"[:_MAX_UID]
        from pydicom.uid import generate_uid

        return str(generate_uid(prefix=prefix or None, entropy_srcs=[_as_python(call)] if stable else []))

    return function


def _as_python(call: Call) -> str:
    """Return what Python prints for the value of a pydicom element, which is what the number is made of."""
    text = call.value
    if "\\" in text and call.vr not in ("LT", "ST", "UT", "UR"):
        numeric = call.vr in ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV")
        return f"[{', '.join(part if numeric else repr(part) for part in text.split(chr(92)))}]"
    return text if text or call.vr not in ("DS", "IS") else "None"


def _prefixed(prefix: str, parameter: str) -> Function:
    if not _PREFIX.match(prefix) or len(prefix) > _LONGEST_ROOT + 1:
        raise Problem(f"{prefix} is no root of UIDs of at most {_LONGEST_ROOT} characters.", f"{parameter}=1.2.826.0.1")

    def function(call: Call) -> str:
        if call.vr != "UI" or not call.value:
            return prefix + str(_keyed(call).int) if call.value or not call.exists else ""
        return "\\".join(_replaced(part.strip("\0 "), call) for part in call.value.split("\\"))

    def _replaced(part: str, call: Call) -> str:
        own = replaced(part, call.identities)
        if own == part or prefix == UUID_ROOT:
            return own
        return prefix + str(uuid_of(own).int)

    return function


def _keyed(call: Call) -> uuid.UUID:
    """Return a keyed UUID of the value; where there is none, of this element of this instance."""
    return uuid_of(call.identities.uid(_digest(call.value or call.seed)))


def uuid_of(uid: str) -> uuid.UUID:
    """Return the UUID that a 2.25 UID is made of, or one that stands for another UID."""
    number = uid.removeprefix(UUID_ROOT)
    if uid.startswith(UUID_ROOT) and number.isdecimal() and int(number) < 1 << 128:
        return uuid.UUID(int=int(number))
    return uuid.UUID(int=int(_digest(uid).removeprefix(UUID_ROOT)))


def _digest(text: str) -> str:
    # The ledger keeps what a UID was asked for: a value that is none must not be taken for one.
    number = int.from_bytes(hashlib.sha256(b"deid_func\0" + text.encode()).digest()[:16], "big")
    return UUID_ROOT + str(number)


def _jitter(given: Mapping[str, str], _in_node: bool) -> Function:
    for key, text in given.items():
        if not re.fullmatch(r"[+-]?[0-9]{1,6}", text):
            raise Problem(f"{key} is a whole number.", "Write deid_func:jitter days=-31, for example.")
    # As in the original language, years alone add one day.
    days = int(given.get("days", "1")) + 365 * int(given.get("years", "0"))

    def function(call: Call) -> str:
        value = call.value
        return shifted(value, call.vr, days, call.where) if value.strip("\0 ") else ""

    return function


_MAKERS: dict[str, Maker] = {
    "basic_uuid": _basic,
    "dicom_uuid": _dicom,
    "jitter": _jitter,
    "pydicom_uuid": _pydicom,
    "simple_uuid": _basic,
    "suffix_uuid": _suffix,
}
