"""Manifests from files: YAML as kubectl takes it, within bounds, since a file may come from a pull request."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from vault_autoupdate.model.resource import KIND, InvalidSpec, VaultAutoUpdate, parse_resource

_MOST_CHARACTERS: Final = 2_000_000
"""Of a file: about five thousand resources. Reading so much takes some seconds."""
_MOST_EXPANDED: Final = 4_000_000
"""Of a document, characters and values together, once its aliases are written out: 600 bytes can mean gigabytes."""
_MOST_DIGITS: Final = 300
_BYTE_ORDER_MARKS = re.compile("^\ufeff+", re.MULTILINE)
"""A document may begin with one (YAML 1.2, 5.2), and files that were put together have several."""
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

__all__ = ["InvalidManifest", "not_utf_8", "read_documents", "read_manifests"]


class InvalidManifest(ValueError):
    """A file that cannot be used; ``problems`` has one line for each thing to mend."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def read_manifests(file: IO[str]) -> list[VaultAutoUpdate]:
    """The resources in a file; documents of other kinds are passed over.

    Raises:
        InvalidManifest: it is no YAML, has none of ours, or something in one of them cannot be acted on.
    """
    wanted = [each for each in read_documents(file) if each.get("kind") == KIND]
    if not wanted:
        raise InvalidManifest([f"no {KIND} in it"])
    resources, problems = list[VaultAutoUpdate](), list[str]()
    for document in wanted:
        try:
            resources.append(parse_resource({key: value for key, value in document.items() if key != "status"}))
        except InvalidSpec as error:
            problems += error.problems
    problems += _names(resources) + _twice(resources)
    if problems:
        raise InvalidManifest(problems)
    return resources


def read_documents(file: IO[str]) -> list[dict[Any, Any]]:
    """The objects in a file, those of lists too, as ``kubectl get -o yaml`` prints several.

    Raises:
        InvalidManifest: it is no YAML, or more of it than any manifest has.
    """
    try:
        text = _BYTE_ORDER_MARKS.sub("", file.read(_MOST_CHARACTERS + 1))
        documents = list(yaml.load_all(text, Loader=_Loader)) if len(text) <= _MOST_CHARACTERS else []
        objects = list(_objects(documents))
    except RecursionError:
        raise InvalidManifest(["not YAML that could be meant: it is nested too deeply"]) from None
    except UnicodeDecodeError as error:
        raise InvalidManifest([not_utf_8(error)]) from error
    except (yaml.YAMLError, ValueError, ArithmeticError, TypeError, AttributeError, LookupError) as error:
        raise InvalidManifest([f"not YAML: {error}"]) from error
    if len(text) > _MOST_CHARACTERS:
        raise InvalidManifest([f"it has more than {_MOST_CHARACTERS:,} characters: split it"])
    return objects


def not_utf_8(error: UnicodeDecodeError) -> str:
    """What is wrong with a file in another encoding, as some shells write what a command prints."""
    return f"not UTF-8: {error.reason} at byte {error.start:,}; convert it, with iconv for example"


def _objects(documents: Iterable[object]) -> Iterator[dict[Any, Any]]:
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items") if str(document.get("kind")).endswith("List") else None
            yield from _objects(items) if isinstance(items, list) else (document,)


def _names(resources: Iterable[VaultAutoUpdate]) -> list[str]:
    """What the API server would not take as a name: a file need not come from it."""
    return [
        f"{field}: must be small letters, digits and '-', as Kubernetes has it"
        for resource in resources
        for field, pattern, name in (
            ("metadata.name", _NAME, resource.key.name),
            ("metadata.namespace", _NAMESPACE, resource.key.namespace),
        )
        if not pattern.fullmatch(name)
    ]


def _twice(resources: Iterable[VaultAutoUpdate]) -> list[str]:
    """Resources of one vault: in a cluster the older one would manage it, and the other would be stalled."""
    vaults = Counter(resource.spec.vault_resource_id.key for resource in resources)
    names = Counter(resource.key for resource in resources)
    problems = [f"{name}: is there {count} times" for name, count in names.items() if count > 1]
    for vault, count in vaults.items():
        if count > 1:
            of_it = [str(each.key) for each in resources if each.spec.vault_resource_id.key == vault]
            problems.append(f"{' and '.join(dict.fromkeys(of_it))} name one vault: {vault}. Delete all but one of them")
    return problems


class _Loader(yaml.SafeLoader):
    """YAML as far as it is JSON: no dates, no numbers beyond all bounds, no field twice; kubectl takes no others."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML has it
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_document(self) -> yaml.Node | None:
        """Compose, and refuse what would grow beyond all bounds before anything is made of it."""
        node: yaml.Node | None = super().compose_document()
        if node is not None and _expanded(node, {}) > _MOST_EXPANDED:
            raise ComposerError(None, None, "its aliases stand for more than any manifest has", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping whose fields are there once."""
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<")
        if twice := next((name for name, count in names.items() if count > 1), None):
            raise ConstructorError(None, None, f"the field {twice!r} is there twice", node.start_mark)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def _expanded(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many characters and values a node stands for, its aliases written out.

    Raises:
        ComposerError: it is a part of itself.
    """
    if id(node) in known:
        if (size := known[id(node)]) is None:
            raise ComposerError(None, None, "an alias is a part of what it stands for", node.start_mark)
        return size
    known[id(node)] = None
    if isinstance(node, yaml.ScalarNode):
        size = 1 + len(node.value)
    elif isinstance(node, yaml.MappingNode):
        size = 1 + sum(_expanded(key, known) + _expanded(value, known) for key, value in node.value)
    else:
        size = 1 + sum(_expanded(entry, known) for entry in node.value)
    known[id(node)] = size
    return size


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    """A number that JSON has too."""
    is_float = node.tag.endswith(":float")
    if len(node.value) > _MOST_DIGITS:
        raise ConstructorError(None, None, f"a number of {len(node.value):,} digits", node.start_mark)
    number: int | float = loader.construct_yaml_float(node) if is_float else loader.construct_yaml_int(node)
    if not math.isfinite(number):
        raise ConstructorError(None, None, "a number that is too large, or none", node.start_mark)
    return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
