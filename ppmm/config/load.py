"""A YAML file -> the resolved tree of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppmm.config.interpolate import interpolate
from ppmm.config.node import ConfigList, ConfigNode, Place, Problem, locate, raise_problems, show
from ppmm.config.override import apply_overrides
from ppmm.config.parse import parse
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["load", "loads"]

MAX_BYTES = 1 << 20
"""Size of one file; a config that is larger is a wrong file, such as a manifest."""
BASE = "_base_"


def load(path: str | Path, overrides: Sequence[str] = ()) -> ConfigNode:
    """Read a YAML, lay it over its ``_base_``, apply overrides, and resolve ``${a.b}``.

    Args:
        path: the YAML.
        overrides: ``a.b=value`` each, as given to ``-o``.

    Returns:
        The tree; every entry knows where it was written.

    Raises:
        ConfigError: all problems of the first of these steps that has any.
    """
    path = Path(path)
    root = _over_bases(_mapping(_read(path, str(path)), path.name), path)
    apply_overrides(root, overrides)
    return _resolved(root)


def loads(text: str, file: str = "<text>") -> ConfigNode:
    """Read a YAML text that stands alone, such as the ``config.yaml`` of a checkpoint.

    Args:
        text: the YAML.
        file: what messages call it.

    Raises:
        ConfigError: anything that is wrong in it; a ``_base_`` too, since text has no folder to look in.
    """
    _limit(len(text), file)
    root = _mapping(text, file)
    if BASE in root:
        raise ConfigError(f"{root.place(BASE)} {BASE}: only a file can have a base; write out the resolved config")
    return _resolved(root)


def _resolved(root: ConfigNode) -> ConfigNode:
    tree = interpolate(root)
    locate(tree)
    return tree


def _mapping(text: str, file: str) -> ConfigNode:
    """Parse a text whose top level must be a mapping."""
    value = parse(text, file)
    if isinstance(value, ConfigNode):
        value.origin = Place(file, 1)
        return value
    if value is None:
        raise ConfigError(f"{file}: the file is empty")
    advice = "; is a space missing after ':'?" if isinstance(value, str) and ":" in value else ""
    raise ConfigError(f"{file}:1: the top level must be a mapping (key: value), got {show(value)}{advice}")


def _read(path: Path, shown: str) -> str:
    """Text of a file. Raises ConfigError that begins with ``shown``."""
    try:
        with path.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"{shown}: no such file{_near_file(path)}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{shown}: a folder; name one of its YAMLs: {', '.join(_yamls(path))}") from error
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL byte in the name
        raise ConfigError(f"{shown!r}: not the name of a file") from error
    _limit(len(data), shown)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}:{line}: not UTF-8; save the file as UTF-8") from error


def _limit(size: int, shown: str) -> None:
    if size > MAX_BYTES:
        raise ConfigError(f"{shown}: larger than 1 MiB, so it is not a config")


def _near_file(path: Path) -> str:
    """Advice that names the YAML files beside ``path``."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent} either"
    return did_you_mean(path.name, _yamls(path.parent))


def _yamls(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix in (".yaml", ".yml"))


def _over_bases(root: ConfigNode, path: Path) -> ConfigNode:
    """``root`` laid over its bases, of which a later one counts more than an earlier one."""
    if BASE not in root:
        return root
    place = root.position(BASE)
    names = root.pop(BASE)
    names = names if isinstance(names, ConfigList) else [names]
    merged = ConfigNode(origin=root.origin)
    problems: list[str] = []
    for name in names:
        try:
            merged = _merge(merged, _base(name, path, place))
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return _merge(merged, root)


def _base(name: Any, path: Path, place: Place) -> ConfigNode:
    """The tree of one base, named relative to the YAML at ``path``."""
    if not isinstance(name, str) or not name:
        raise_problems([Problem(place, BASE, f"expected the path of a YAML, or a list of paths, got {show(name)}")])
    file = path.parent / name
    try:
        text = _read(file, name)
    except ConfigError as error:
        raise ConfigError([f"{place} {BASE}: {problem}" for problem in error.problems]) from error
    root = _mapping(text, name)
    if BASE in root:
        raise ConfigError(f"{root.place(BASE)} {BASE}: a base cannot have a base; list both in {path.name}")
    return root


def _merge(base: ConfigNode, child: ConfigNode) -> ConfigNode:
    """Lay ``child`` over ``base``: mappings entry by entry, everything else replaced."""
    for key, value in child.items():
        below = base.get(key)
        if isinstance(below, ConfigNode) and isinstance(value, ConfigNode) and not _another_part(below, value):
            value = _merge(below, value)
        base.put(key, value, child.position(key))
    return base


def _another_part(below: ConfigNode, value: ConfigNode) -> bool:
    """Whether both name a part, and not the same: the arguments of the one would then be wrong for the other."""
    names = below.get("name"), value.get("name")
    return all(isinstance(name, str) for name in names) and names[0] != names[1]
