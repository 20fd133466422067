"""Configurations in files: strict YAML in, validated objects out, errors that name the key."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from geopdn.config import TrainConfig
from geopdn.errors import ConfigError

MAX_CONFIG_BYTES = 1_000_000


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice and alias expansion."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"key {key!r} is given twice near line {node.start_mark.line + 1}: keep one")
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Decimal numbers only: `010` is 8 to YAML, and `1:30` is 90."""
        text = self.construct_scalar(node)
        if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", str(text)):
            raise ConfigError(f"{text} near line {node.start_mark.line + 1} is not a decimal number: write it as one")
        return int(str(text).replace("_", ""))

    def construct_yaml_bool(self, node: yaml.ScalarNode) -> bool:
        """`true` and `false` only: a class may be called `no` or `on`."""
        text = str(self.construct_scalar(node))
        if text.lower() not in ("true", "false"):
            raise ConfigError(
                f"{text} near line {node.start_mark.line + 1} means true or false to YAML: write that, or "
                f"'{text}' in quotes"
            )
        return text.lower() == "true"

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ConfigError("aliases (*name) are not allowed in configuration files: write the value out")
        return super().compose_node(parent, index)


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:int", _UniqueKeyLoader.construct_yaml_int)
_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:bool", _UniqueKeyLoader.construct_yaml_bool)


def parse_yaml(text: str, *, name: str) -> dict[str, Any]:
    """The mapping in a YAML text.

    Raises:
        ConfigError: not YAML, unsafe tags, a key given twice, or not a mapping.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{name}: {len(text)} bytes, expected a configuration under {MAX_CONFIG_BYTES}")
    try:
        content = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError) as error:  # dates, long numbers
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected a mapping of sections at the top, got {type(content).__name__}")
    return content


def _known_keys(model: type[BaseModel]) -> set[str]:
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys.add(name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                keys |= _known_keys(part)
    return keys


def describe(error: ValidationError, *, name: str, known: set[str]) -> str:
    """One line that names each wrong key with its value and the nearest valid key."""
    parts = []
    for item in error.errors()[:5]:
        place = ".".join(str(part) for part in item["loc"])
        text = f"{place}: {item['msg']}"
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(item["loc"][-1]), sorted(known), n=1)
            text = f"{place}: unknown key" + (f", did you mean {near[0]!r}?" if near else "")
        elif item["type"] != "missing":
            text += f" (got {str(item['input'])[:80]!r})"
        parts.append(text)
    return f"{name}: " + "; ".join(parts)


def load_train_config(path: Path) -> TrainConfig:
    """Read and check a training configuration.

    Raises:
        ConfigError: the file is missing, is not YAML, or a key or value is wrong; the message names it.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path}: over {MAX_CONFIG_BYTES} bytes, expected a configuration file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error}") from None
    return read_train_config(text, name=str(path))


def read_train_config(text: str, *, name: str) -> TrainConfig:
    """The training configuration in a YAML text; `name` is what messages call it.

    Raises:
        ConfigError: it is not YAML, or a key or value is wrong; the message names it.
    """
    try:
        return TrainConfig.model_validate(parse_yaml(text, name=name))
    except ValidationError as error:
        raise ConfigError(describe(error, name=name, known=_known_keys(TrainConfig))) from None
